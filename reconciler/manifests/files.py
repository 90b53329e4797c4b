"""Reads files of a folder that others may be changing: never through a link, never half of one, never for ever."""

import errno
import fcntl
import os
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from threading import Event
from typing import NamedTuple

from reconciler.clock import Clock

Key = tuple[int, int, int, int]
"""What tells one state of a file from another: inode, size, and the times of change in nanoseconds."""

SETTLED_NS = 2_000_000_000
_PATIENCE = 5.0
_PAUSE = 0.02
_CHUNK = 1 << 20
_SEARCHED = 64 << 20
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", 0)
_FILE_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


class RefusedError(Exception):
    """The file cannot or must not be read; the text says why."""


class UnstableError(Exception):
    """The file is being written."""


class Patience:
    """The time that one load has for files that are being written."""

    def __init__(self, clock: Clock, *, waits: bool, whole: bool = False) -> None:
        """With `whole` the files are those of a commit, and no file is too young to be believed."""
        self._clock, self._whole = clock, whole
        self._left = _PATIENCE if waits else 0.0

    def now_ns(self) -> int:
        """Return the present in nanoseconds, as files are stamped."""
        return int(self._clock.now().timestamp() * 1_000_000) * 1000

    def is_recent(self, key: Key) -> bool:
        """Tell whether the file may have changed again without a trace: its stamps are less than two seconds old."""
        return not self._whole and max(key[2], key[3]) > self.now_ns() - SETTLED_NS

    def wait(self) -> bool:
        """Wait a little and return True, or return False when no time is left."""
        if self._left <= 0:
            return False
        Event().wait(_PAUSE)
        self._left -= _PAUSE
        return True


class Contents(NamedTuple):
    """A whole file, or, where it is larger than asked for, whether the mark is in it; `held` when a writer has it open."""

    key: Key
    data: bytes
    large: bool = False
    marked: bool = False
    held: bool = False


class _Lease(Enum):
    FREE = "no writer has it open"
    HELD = "a writer has it open"
    UNKNOWN = "cannot be asked"


def key_of(found: os.stat_result) -> Key:
    """Return what tells this state of a file from others."""
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def stat_inside(root: int, parts: Sequence[str]) -> os.stat_result:
    """Look at a file below the folder `root` without following any link. Raises RefusedError."""
    folder = _enter(root, parts[:-1])
    try:
        return _regular(folder, parts[-1])
    finally:
        if folder != root:
            os.close(folder)


def open_inside(root: int, parts: Sequence[str]) -> int:
    """Open a regular file below the folder `root` without following any link. Raises RefusedError."""
    folder = _enter(root, parts[:-1])
    try:
        _regular(folder, parts[-1])  # before opening: to open a device is already to do something to it
        handle = os.open(parts[-1], _FILE_FLAGS, dir_fd=folder)
    except OSError as error:
        raise RefusedError(reason(error)) from error
    finally:
        if folder != root:
            os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        message = "is not a regular file"
        raise RefusedError(message)
    return handle


def open_folder(root: int, parts: Sequence[str]) -> int:
    """Open a folder below `root` for listing, without following any link. Raises RefusedError."""
    above = _enter(root, parts)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)
    except OSError as error:
        raise RefusedError(reason(error)) from error
    finally:
        if above != root:
            os.close(above)


def read_settled(
    root: int, parts: Sequence[str], limit: int, patience: Patience, *, mark: bytes = b"", unless: Callable[[Contents], bool] | None = None
) -> Contents:
    """Read a file that nobody is writing.

    A file that changed less than two seconds ago is believed only when the kernel says that no writer has it open. `unless`
    may take a file that is held open but has not changed for longer. Raises RefusedError and UnstableError.
    """
    while True:
        handle = open_inside(root, parts)
        try:
            contents = _read(handle, limit, patience, mark)
        except OSError as error:
            raise RefusedError(reason(error)) from error
        finally:
            os.close(handle)
        if contents is not None and (not contents.held or (unless is not None and unless(contents))):
            return contents
        if not patience.wait():
            raise UnstableError


def reason(error: OSError) -> str:
    """Say in words why a file could not be opened."""
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return "is a symbolic link, which is not followed"
    if error.errno == errno.ENOENT:
        return "does not exist"
    if error.errno == errno.ENOTDIR:
        return "is not below a folder, or below a symbolic link, which is not followed"
    if error.errno == errno.EACCES:
        return "cannot be read: no permission"
    return f"cannot be read: {os.strerror(error.errno or 0)}"


def _enter(root: int, parts: Sequence[str]) -> int:
    folder = root
    for part in parts:
        try:
            below = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
        except OSError as error:
            raise RefusedError(reason(error)) from error
        finally:
            if folder != root:
                os.close(folder)
        folder = below
    return folder


def _regular(folder: int, name: str) -> os.stat_result:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        raise RefusedError(reason(error)) from error
    if stat.S_ISREG(found.st_mode):
        return found
    message = "is a symbolic link, which is not followed" if stat.S_ISLNK(found.st_mode) else "is not a regular file"
    raise RefusedError(message)


def _read(handle: int, limit: int, patience: Patience, mark: bytes) -> Contents | None:
    """Return what the file holds, or None while that may still be changing."""
    before = key_of(os.fstat(handle))
    lease = _ask_lease(handle)
    try:
        now_ns = patience.now_ns()
        young = patience.is_recent(before)
        from_the_future = max(before[2], before[3]) > now_ns + SETTLED_NS  # another machine's clock: to wait would be for ever
        if young and (before[1] == 0 or lease is _Lease.HELD or (lease is _Lease.UNKNOWN and not from_the_future)):
            return None
        if before[1] > limit:
            contents = Contents(before, b"", large=True, marked=_search(handle, mark), held=lease is _Lease.HELD)
        else:
            contents = Contents(before, _all(handle, before[1]), held=lease is _Lease.HELD)
        return contents if key_of(os.fstat(handle)) == before else None
    finally:
        if lease is _Lease.FREE:
            _end_lease(handle)


def _ask_lease(handle: int) -> _Lease:
    """Ask the kernel whether anybody has the file open for writing; while the lease lasts, nobody can."""
    if sys.platform != "linux":
        return _Lease.UNKNOWN
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)  # a writer that comes now sends a signal: one that is ignored, not SIGIO, which kills
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return _Lease.HELD if error.errno == errno.EAGAIN else _Lease.UNKNOWN
    return _Lease.FREE


def _end_lease(handle: int) -> None:
    if sys.platform == "linux":
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _all(handle: int, size: int) -> bytes:
    data = os.read(handle, size + 1)
    while len(data) <= size and (more := os.read(handle, size + 1 - len(data))):
        data += more
    return data


def _search(handle: int, mark: bytes) -> bool:
    """Tell whether the mark is in a large file, as far as it is worth to look."""
    tail, searched = b"", 0
    while searched < _SEARCHED and (chunk := os.read(handle, _CHUNK)):
        if mark and mark in tail + chunk:
            return True
        tail, searched = chunk[-len(mark) :], searched + len(chunk)
    return False
