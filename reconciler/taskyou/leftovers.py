"""Calls of TaskYou whose caller was killed: they are ended before anybody looks what they have done, or a card could be made twice."""

import contextlib
import os
import signal
from pathlib import Path
from select import select
from time import monotonic

MARK = "TY_OPENWORKFLOW_CALL"
PROGRAM = "TY_OPENWORKFLOW_PROGRAM"
_SECONDS = 5.0
_STEP = 0.005
_WORDS = 4


def end_leftovers(mark: str) -> None:
    """Kill the processes of earlier calls that carry `mark` and still run, and wait until they are gone: at most 5 s. Only where there is a /proc.

    The caller is the only process that may have such calls under way, and has none.
    """
    end = monotonic() + _SECONDS
    while found := _marked(mark):
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if monotonic() > end:
            return
        select((), (), (), _STEP)


def _marked(mark: str) -> list[int]:
    """Return the processes that we started with a mark; hooks inherit it, and are not of the program that is named beside it."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "environ").read_bytes().split(b"\0")
            if wanted not in words:
                continue
            program = next((word.partition(b"=")[2] for word in words if word.startswith(f"{PROGRAM}=".encode())), b"")
            if program and program in (entry / "cmdline").read_bytes().split(b"\0")[:_WORDS] and _lives(entry):
                found.append(int(entry.name))
    return found


def _lives(entry: Path) -> bool:
    state = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    return state not in ("Z", "X")
