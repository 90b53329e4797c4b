"""Locks that the kernel gives back when their holder dies."""

import contextlib
import fcntl
import os
import select
from collections.abc import Iterator
from pathlib import Path

from reconciler.errors import BusyError, UnavailableError

_LOOK_AGAIN_MS = 20


class FileLock:
    """An exclusive lock on a file, which holds a line about its latest holder."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.path = path

    @contextlib.contextmanager
    def held(self, who: str, patience_seconds: float) -> Iterator[None]:
        """Hold the lock. Raises BusyError, which names the holder, if it is not free within `patience_seconds`."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"{self.path}: the lock cannot be opened: {error.strerror}"
            raise UnavailableError(message) from error
        try:
            self._take(fd, patience_seconds)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {who}\n".encode(), 0)
            yield
        finally:
            os.close(fd)

    def _take(self, fd: int, patience_seconds: float) -> None:
        nothing = select.poll()
        for _ in range(max(1, round(patience_seconds * 1000 / _LOOK_AGAIN_MS))):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                nothing.poll(_LOOK_AGAIN_MS)
            else:
                return
        message = f"{self.path} is held by process {self.holder() or 'unknown'}: wait for it, or end it"
        raise BusyError(message)

    def holder(self) -> str:
        """Return pid and command of the latest holder, living or not."""
        try:
            return self.path.read_text().strip()
        except OSError:
            return ""

    def busy(self) -> bool:
        """Say whether some process holds the lock now."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


def loop_lock(data_dir: Path) -> FileLock:
    """Return the lock that a loop holds as long as it lives."""
    return FileLock(data_dir / "loop.lock")


def follower_lock(data_dir: Path) -> FileLock:
    """Return the lock that a follower holds as long as it lives."""
    return FileLock(data_dir / "follower.lock")
