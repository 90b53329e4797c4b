"""What a reconciler sends to a worker and to a run: lines of orders, and numbered files of an inbox."""

from __future__ import annotations

import os
from _thread import allocate_lock

from ty_worker.lines import DamageError, decode_lines, whole_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ty_worker.history import Record


class Orders:
    """The orders of a worker."""

    def __init__(self, path: str) -> None:
        self._path, self._offset = path, 0

    def read(self) -> list[Record]:
        """Return the orders that have come since the last look."""
        data = _read(self._path, self._offset)
        length = whole_length(data)
        self._offset += length
        return decode_lines(data[:length])


class Inbox:
    """The inbox of a run."""

    def __init__(self, folder: str) -> None:
        self._folder, self._number = folder, 1
        self._lock = allocate_lock()

    def read(self) -> list[tuple[int, Record]]:
        """Return the records that have come since the last look, with their numbers; what is missing or unreadable means nothing yet."""
        fresh = []
        with self._lock:
            while record := self._next():
                fresh.append((self._number, record))
                self._number += 1
        return fresh

    def _next(self) -> Record | None:
        try:
            records = decode_lines(_read(f"{self._folder}/{self._number:06d}.json", 0))
        except DamageError:
            return None
        return records[0] if records else None


def _read(path: str, offset: int) -> bytes:
    """Return what a file holds from `offset` on; nothing if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, max(0, os.fstat(fd).st_size - offset), offset)
    finally:
        os.close(fd)
