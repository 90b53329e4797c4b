"""Calls that the code makes, their names and their keys."""

from __future__ import annotations

from ty_worker.clock import now_ms, parse_stamp
from ty_worker.durations import shown
from ty_worker.errors import rebuild_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import Record
    from ty_worker.running import Running

_LONGEST = 200
_LOOK_AGAIN_MS = 10


class Call:
    """One call of the code: asked for, perhaps held, and released with a result."""

    kind = ""
    address = ""  # of the message that it waits for
    own = ""  # of messages that are for it alone
    immediate = False  # it returns at once, whatever becomes of its record
    compensate: Callable[..., Any] | None = None
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

    def remember(self, attempt: Attempt, value: Any) -> None:
        """Record a new call whose result an earlier attempt of the body has left."""
        attempt.record_request(self, ',"memo":true')
        attempt.remember(self, value)

    def wake(self, running: Running) -> None:
        """Go on: the instant `due` has come."""
        raise NotImplementedError

    def receive(self, running: Running, number: int, message: Record) -> None:
        """Go on: message `number` has come, which is for `address`."""
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """Say what the run waits for, while it waits for this."""
        return {"key": self.key, "kind": self.kind}

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


class MessageCall(Call):
    """A call that waits for a message, and perhaps no longer than until an instant."""

    __slots__ = ("address", "until")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.address = ""
        self.until: int | None = None

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Go on waiting, until the recorded instant if there is one."""
        self.until = parse_stamp(record["until"]) if "until" in record else None
        self._wait(attempt)

    def listen(self, running: Running) -> None:
        """Begin to wait, unless the message is there."""
        self._wait(running)
        running.deliver(self)

    def _wait(self, running: Running) -> None:
        if self.until is not None:
            running.wait(self, self.until)
        running.await_message(self)

    def expire(self, running: Running) -> None:
        """Go on without a message."""
        raise NotImplementedError

    def wake(self, running: Running) -> None:
        """Look once more, since a message that is there came in time; then go on without."""
        running.port.look_for_messages()
        if running.stopped or self.key not in running.waits:
            return
        if not running.all_asked:
            running.wait(self, now_ms() + _LOOK_AGAIN_MS)  # the message may be for a call that comes first
        else:
            running.go_on(self)
            self.expire(running)


def key_of(name: str, count: int) -> str:
    """Return the key of the call number `count` with that name."""
    return name if count == 1 else f"{name}#{count}"


def check_name(name: object, what: str, word: str = "name") -> str:
    """Return `name` if it may name a call. Raises TypeError that begins with `what`."""
    if isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= _LONGEST:
        return str.__str__(name)
    problem = _problem(name)
    if problem is not None:
        message = f"{what}: {word} {problem}, got {shown(name)}"
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
