"""The journal of one run as its worker uses it: claim, append, sync."""

from __future__ import annotations

import errno
import os
from _thread import allocate_lock

from ty_worker.clock import stamp_now
from ty_worker.forks import descriptors
from ty_worker.history import History
from ty_worker.lines import DamageError, decode_lines, encode_json, encode_line, whole_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_write, _pread, _stat, _truncate, _close = os.write, os.pread, os.fstat, os.ftruncate, os.close
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
_READ = 1 << 16
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class ClosedError(Exception):
    """The claim has ended: nothing may be written any more."""


class WithdrawnError(Exception):
    """The run is not ours to take; the text says why."""


class Journal:
    """The records of one claim. `append` and `close` are called under the lock of the run, `sync` is not."""

    def __init__(self, path: str, claim: int, worker: str, on_broken: Callable[[str], NoReturn]) -> None:
        """Open the journal. Raises WithdrawnError if there is none."""
        self._path, self._claim, self._worker, self._broken = path, claim, worker, on_broken
        self.on_full: Callable[[], None] = lambda: None
        self.closed = False
        self.end = self.durable = 0
        self._seq, self._syncing = 0, allocate_lock()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            message = f"{path}: {error.strerror}"
            raise WithdrawnError(message) from None
        descriptors.add(self._fd)

    def claim(self) -> History:
        """Append the claim and return what the journal tells. Raises WithdrawnError if another worker has the run, or nobody may."""
        try:
            history, size = self._take()
        except (DamageError, KeyError, TypeError, ValueError) as error:
            self._withdraw(f"it is damaged: {error}")
        if history.claim != self._claim or history.worker != self._worker:
            self._withdraw(f"worker {history.worker} was first")
        self.end = size
        if history.results or history.memo:
            self.sync(size)  # a worker that was killed may have written results that it never synced
        self.durable = size
        return history

    def _take(self) -> tuple[History, int]:
        data = self._read(0)
        history = History()
        for record in decode_lines(data):
            history.accept(record)
        if not history.order or whole_length(data) != len(data):
            self._withdraw("it has no first record, or its tail is torn")
        if history.finished is not None or history.claim >= self._claim:
            self._withdraw(f"claim {history.claim} is there, or the run has ended")
        try:
            self._append("claim", f',"worker":{encode_json(self._worker)},"after":{history.accepted}')
        except _NoSpaceError:
            self._withdraw("the file system is full")
        rest = self._read(len(data))
        for record in decode_lines(rest):
            history.accept(record)
        return history, len(data) + len(rest)

    def _withdraw(self, reason: str) -> NoReturn:
        self.close()
        message = f"{self._path}: claim {self._claim} is not made: {reason}"
        raise WithdrawnError(message)

    def history(self) -> History:
        """Read the journal again and return what it tells by now."""
        history = History()
        for record in decode_lines(self._read(0)):
            history.accept(record)
        return history

    def _read(self, offset: int) -> bytes:
        parts, size = [], _READ
        while True:
            part = _pread(self._fd, size, offset)
            parts.append(part)
            if len(part) < size:
                return b"".join(parts)
            offset, size = offset + size, size * 4

    def append(self, kind: str, tail: str = "") -> int:
        """Write one record and return where it ends; `tail` is JSON text of further members. Raises ClosedError."""
        if self.closed:
            raise ClosedError
        try:
            return self._append(kind, tail)
        except _NoSpaceError:
            self.on_full()
        raise ClosedError

    def release(self, tail: str) -> None:
        """Write `released` if that is possible."""
        try:
            self.sync(self._append("released", tail))
        except _NoSpaceError:
            return

    def _append(self, kind: str, tail: str) -> int:
        line = encode_line(f'{{"type":"{kind}","claim":{self._claim},"seq":{self._seq + 1},"at":"{stamp_now()}"{tail}}}')
        try:
            count = _write(self._fd, line)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                self._broken(f"{self._path}: {error.strerror}")
            count = 0
        if count != len(line):
            self._cut(count)
            raise _NoSpaceError
        self._seq += 1
        self.end += count
        return self.end

    def _cut(self, count: int) -> None:
        """Remove the part of a line that found room."""
        if count:
            try:
                _truncate(self._fd, _stat(self._fd).st_size - count)
            except OSError as error:
                self._broken(f"{self._path}: {error.strerror}")

    def sync(self, offset: int) -> None:
        """Return when everything up to `offset` is durable. Callers that come together share one sync."""
        if self.durable >= offset:
            return
        with self._syncing:
            if self.durable >= offset or self._fd < 0:
                return
            end = self.end
            try:
                _sync(self._fd)
            except OSError as error:
                self._broken(f"{self._path}: {error.strerror}")
            self.durable = end

    def close(self) -> None:
        """Write nothing more, and close the file."""
        self.closed = True
        with self._syncing:
            if self._fd >= 0:
                descriptors.discard(self._fd)
                _close(self._fd)
                self._fd = -1


class _NoSpaceError(Exception):
    """The file system is full; the line has been taken back."""
