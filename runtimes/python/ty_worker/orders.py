"""What a reconciler sends to a worker and to a run: lines of orders, and numbered files of an inbox."""

from __future__ import annotations

import os
from _collections import deque  # type: ignore[import-not-found]  # without the package, which takes a tenth of our start

from ty_worker.lines import DamageError, decode_lines, whole_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ty_worker.calls import Call
    from ty_worker.history import Record

    Message = tuple[int, Record]


class Orders:
    """The orders of a worker."""

    def __init__(self, path: str) -> None:
        self._path, self._offset = path, 0

    def read(self) -> list[Record]:
        """Return the orders that have come since the last look."""
        data = read_file(self._path, self._offset)
        length = whole_length(data)
        self._offset += length
        return decode_lines(data[:length])


class Inbox:
    """The inbox of a run: messages are kept, in order, until somebody takes them. Under the lock of the run."""

    def __init__(self, folder: str, spent: set[int]) -> None:
        """Read from the beginning, but pass over the messages whose numbers are in `spent`."""
        self._folder, self._spent = folder, spent
        self.number = 0  # of the last message that was read
        self._kept: dict[str, deque[Message]] = {}

    def read(self) -> bool:
        """Keep what has come since the last look, and say whether there was anything. What is missing or unreadable means nothing yet."""
        before = self.number
        while message := self._next():
            self.number += 1
            address = _address(message)
            if self.number not in self._spent and address is not None:
                self._kept.setdefault(address, deque()).append((self.number, message))
        return self.number > before

    def take(self, address: str, own: str = "") -> Message | None:
        """Return the oldest message for `address` or for `own`, with its number, to be spent by a record that names it."""
        shared, alone = self._kept.get(address), self._kept.get(own)
        kept = alone if alone and (not shared or alone[0][0] < shared[0][0]) else shared
        return kept.popleft() if kept else None

    def in_order(self, calls: Iterable[Call]) -> list[Call]:
        """Return those of `calls` for which there is a message, in the order of the messages."""
        found: list[tuple[int, Call]] = []
        counts: dict[str, int] = {}
        for call in calls:
            count = counts.get(call.address, 0)
            kept = self._kept.get(call.address, ())
            alone = self._kept.get(call.own)
            if alone and (count >= len(kept) or alone[0][0] < kept[count][0]):
                found.append((alone[0][0], call))
            elif count < len(kept):
                counts[call.address] = count + 1
                found.append((kept[count][0], call))
        return [call for _, call in sorted(found, key=_number)]

    def _next(self) -> Record | None:
        try:
            records = decode_lines(read_file(f"{self._folder}/{self.number + 1:06d}.json", 0))
        except DamageError:
            return None
        return records[0] if records else None


def _number(found: tuple[int, Call]) -> int:
    return found[0]


def _address(message: Record) -> str | None:
    """Return for whom a message is: the kind of what waits for it, and the name or the key."""
    kind = message["type"]
    if kind == "signal":
        return address_of_wait(message["attempt"], message["key"]) if "key" in message else f"signal {message['name']}"
    if kind in ("sent", "child"):
        return f"{kind} {message['key']}"
    return "cancel" if kind == "cancel" else None


def address_of_wait(attempt: int, key: str) -> str:
    """Return the address of the one wait for a signal that has this key in that attempt of the body."""
    return f"wait {attempt} {key}"


def read_file(path: str, offset: int) -> bytes:
    """Return what a file holds from `offset` on; nothing if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, max(0, os.fstat(fd).st_size - offset), offset)
    finally:
        os.close(fd)
