"""Worker processes on this machine: spawn, prove dead, wake, kill with everything they started."""

import contextlib
import fcntl
import os
import select
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.errors import DamagedError, UnavailableError
from reconciler.journal import decode_lines, encode_line
from reconciler.values import made, mutable

MARK = "TY_OPENWORKFLOW_WORKER"
_SPAWNED: set[int] = set()  # workers that this process started and has not buried
_HIGH = 20  # above every number that a worker's own descriptors have


@mutable
class Worker:
    """One worker's folder, and what was ordered from it."""

    folder: str
    hello: Mapping[str, Any]
    orders: dict[str, int] = made(default_factory=dict)
    end: int = -1
    drained: bool = False
    handing_since: float | None = None

    @property
    def id(self) -> str:
        """The worker's name."""
        return os.path.basename(self.folder)

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append lines to the orders and wake the worker; one that is gone does not matter."""
        fd = os.open(os.path.join(self.folder, "orders"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"".join(map(encode_line, records)))
        finally:
            os.close(fd)
        self.orders |= {record["uid"]: record["claim"] for record in records if record["type"] == "order"}
        self.wake()

    def told_at(self) -> datetime:
        """Return when something was ordered from the worker for the last time."""
        return datetime.fromtimestamp(os.stat(os.path.join(self.folder, "orders")).st_mtime, UTC)

    def wake(self) -> None:
        """Write the wake byte. A full pipe has woken already; a broken one has nobody to wake."""
        if self.end >= 0:
            with contextlib.suppress(BrokenPipeError, BlockingIOError):
                os.write(self.end, b"!")

    def open_end(self) -> None:
        """Open the write end of the wake pipe of a worker that somebody else started."""
        with contextlib.suppress(OSError):
            self.end = os.open(os.path.join(self.folder, "wake"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def alive(self) -> bool:
        """Say whether the worker's lock is held: the proof of life that the kernel keeps."""
        return is_locked(os.path.join(self.folder, "lock"))

    def close(self) -> None:
        """Close the write end."""
        if self.end >= 0:
            os.close(self.end)
            self.end = -1


def is_locked(path: str) -> bool:
    """Say whether some process holds the lock of a file; no file means no. Those who only ask do not get into each other's way."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def read_worker(folder: str) -> Worker | None:
    """Read the folder of a worker that somebody else started; None if it never got its hello."""
    try:
        records = decode_lines(Path(folder, "orders").read_bytes())
    except (FileNotFoundError, DamagedError):
        return None
    if not records or records[0]["type"] != "hello":
        return None
    orders = {record["uid"]: record["claim"] for record in records if record["type"] == "order"}
    since = next((float(record["since"]) for record in records if record["type"] == "hand-over"), None)
    return Worker(folder, records[0], orders, drained=any(record["type"] == "drain" for record in records), handing_since=since)


def spawn(
    folder: str, hello: Mapping[str, Any], orders: Sequence[Mapping[str, Any]], command: Sequence[str], env: Mapping[str, str], output: str
) -> Worker:
    """Start a worker in a new session and return it, its lock held and its wake pipe open.

    Its first orders are there before it is: whoever dies in between leaves no worker that waits for ever. Descriptor 3 is the lock,
    4 the read end of the pipe, 1 and 2 are `output`. Raises UnavailableError if the system has no room for it.
    """
    os.mkdir(folder, 0o700)
    os.mkfifo(os.path.join(folder, "wake"), 0o600)
    worker = Worker(folder, hello)
    worker.append([hello, *orders])
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    wake = os.open(os.path.join(folder, "wake"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    high = []
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits at the most for somebody who only asks
        worker.open_end()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH) for fd in (lock, wake)]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, high[0], 3),
            (os.POSIX_SPAWN_DUP2, high[1], 4),
        ]
        _SPAWNED.add(os.posix_spawn(command[0], list(command), {**env, MARK: worker.id}, file_actions=actions, setsid=True))
    except OSError as error:
        worker.close()
        message = f"worker {worker.id} could not be started with {command[0]!r}: {error.strerror}"
        raise UnavailableError(message) from error
    finally:
        for fd in (lock, wake, *high):
            os.close(fd)
    return worker


def ran_out_of_space(lock: str) -> bool:
    """Say whether a worker left the mark of one that had no room for its last record."""
    try:
        return bool(os.stat(lock).st_mode & stat.S_ISVTX)
    except FileNotFoundError:
        return False


@cache
def boot_id() -> str | None:
    """Return the id of the machine's present boot, None where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def has_children(worker_id: str) -> bool:
    """Say whether a worker has started processes that are still there."""
    marked = list(_marked(worker_id))
    for pidfd in marked:
        os.close(pidfd)
    return len(marked) > 1


def reap() -> None:
    """Collect the exit statuses of workers that this process started, and of nobody else: their journals say what happened."""
    for pid in list(_SPAWNED):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            ended = True
        if ended:
            _SPAWNED.discard(pid)


def kill_tree(worker_id: str) -> None:
    """Kill every process that carries the worker's mark, until none is left: also those that left its process group."""
    for _ in range(100):
        marked = list(_marked(worker_id))
        if not marked:
            return
        for pidfd in marked:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for pidfd in marked:
            select.select([pidfd], [], [], 1)
            os.close(pidfd)
        reap()
    message = f"processes of worker {worker_id} do not end after SIGKILL"
    raise UnavailableError(message)


def _marked(worker_id: str) -> Iterator[int]:
    """Return descriptors of the living processes with the mark; a descriptor cannot be fooled by a reused pid."""
    mark = f"{MARK}={worker_id}".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            pidfd = os.pidfd_open(int(name))
        except OSError:
            continue
        try:
            found = mark in Path("/proc", name, "environ").read_bytes().split(b"\0")
        except OSError:
            found = False
        if found:
            yield pidfd
        else:
            os.close(pidfd)
