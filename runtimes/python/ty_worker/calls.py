"""Calls that the code makes, their names and their keys."""

from __future__ import annotations

from ty_worker.durations import shown
from ty_worker.errors import rebuild_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import Record

_LONGEST = 200


class Call:
    """One call of the code: asked for, perhaps held, and released with a result."""

    kind = ""
    wait_kind = ""
    __slots__ = ("context", "due", "error", "json_key", "key", "name", "offset", "released", "value", "waiter")

    def __init__(self, name: str) -> None:
        self.name = self.key = self.json_key = name
        self.value: Any = None
        self.error: Record | None = None
        self.due: int | None = None  # the instant at which it goes on by itself, while it waits
        self.offset = 0  # where the journal must be durable before the release
        self.released = False
        self.waiter: Any = None  # who gets the result: the business of the front
        self.context: Any = None  # where a function that is not run in the thread of the code is run

    def start(self, attempt: Attempt) -> None:
        """Record a new call, and start what it stands for."""
        raise NotImplementedError

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Go on with a recorded call that has no result."""
        raise NotImplementedError

    def wake(self, attempt: Attempt) -> None:
        """Go on: the instant `due` has come."""
        raise NotImplementedError

    def settle(self, record: Record) -> None:
        """Take the recorded result."""
        if record["type"] == "failed":
            self.error = record["error"]
        else:
            self.value = record.get("value")

    def result(self) -> Any:
        """Return the value, or raise the error, as every replay does."""
        if self.error is not None:
            raise rebuild_error(self.error)
        return self.value


def key_of(name: str, count: int) -> str:
    """Return the key of the call number `count` with that name."""
    return name if count == 1 else f"{name}#{count}"


def check_name(name: object, what: str) -> str:
    """Return `name` if it may name a call. Raises TypeError that begins with `what`."""
    if isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= _LONGEST:
        return str.__str__(name)
    problem = _problem(name)
    if problem is not None:
        message = f"{what}: name {problem}, got {shown(name)}"
        raise TypeError(message)
    return str.__str__(name)


def _problem(name: object) -> str | None:
    if not isinstance(name, str):
        return "must be text"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "must be text without control characters"
    for wrong, problem in (
        (not 1 <= size <= _LONGEST, f"must have 1 to {_LONGEST} bytes"),
        (not name.isprintable() and any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in name), "must be text without control characters"),
        ("~" in name, 'must not contain "~"'),
        (name[-1:].isdecimal() and name.rstrip("0123456789").endswith("#"), 'must not end in "#" and digits'),
        (name.startswith("ty/"), 'must not begin with "ty/"'),
    ):
        if wrong:
            return problem
    return None
