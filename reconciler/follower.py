"""A follower: a process that a command leaves behind where no loop lives. It carries runs on until all of them have ended or wait without a worker."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.locks import follower_lock, loop_lock

_LOG = "follower.log"
_MOST_LOG = 1 << 20
_OF_A_CALL = ("TY_OPENWORKFLOW_SYNC", "TY_OPENWORKFLOW_CALL", "TY_OPENWORKFLOW_PROGRAM")  # in a hook of TaskYou; a follower outlives that
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from reconciler.cli import main; main()"


def is_followed(data_dir: Path) -> bool:
    """Say whether a loop or a follower carries on what was started."""
    return loop_lock(data_dir).busy() or follower_lock(data_dir).busy()


def log_of(data_dir: Path) -> Path:
    """Return where followers write."""
    return data_dir / _LOG


def leave(data_dir: Path, options: Sequence[str], folder: Path) -> int:
    """Leave a follower behind, in a session of its own, and return its process id. A second one beside it ends at once.

    `options` are those in front of the command, `folder` is the local folder.
    """
    log = log_of(data_dir)
    if log.exists() and log.stat().st_size > _MOST_LOG:
        log.replace(log.with_suffix(".log.1"))
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-P", "-c", _START, root, *options, "reconcile", "--until", "parked", "--give-way", str(folder)]
    environ = {name: value for name, value in os.environ.items() if name not in _OF_A_CALL}
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, cwd=data_dir, env=environ, start_new_session=True, close_fds=True
        )
    finally:
        os.close(descriptor)
    process.returncode = 0  # it outlives us: nobody is to wait for it
    return process.pid
