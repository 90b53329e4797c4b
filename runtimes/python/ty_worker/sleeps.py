"""Durable sleeps: the instant of waking is in the journal, and is kept by every process that takes the run."""

from __future__ import annotations

from ty_worker.calls import Call
from ty_worker.clock import now_ms, parse_stamp, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ty_worker.engine import Attempt
    from ty_worker.history import Record
    from ty_worker.running import Running


def instant_after(ms: int) -> int:
    """Return the instant in `ms` from now. The clock is read rounded down, and no wait ends early."""
    return now_ms() + ms + (ms > 0)


class SleepCall(Call):
    """One durable sleep."""

    kind = "sleep"
    __slots__ = ("_ms", "_until")

    def __init__(self, name: str, ms: int, until: int | None = None) -> None:
        """Sleep for `ms`, or until an instant."""
        super().__init__(name)
        self._ms, self._until = ms, until

    def start(self, attempt: Attempt) -> None:
        """Record the instant of waking, and begin to wait."""
        until = instant_after(self._ms) if self._until is None else self._until
        attempt.record_request(self, f',"until":"{stamp(until)}"')
        attempt.wait(self, until)

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Go on waiting until the recorded instant."""
        attempt.wait(self, parse_stamp(record["until"]))

    def wake(self, running: Running) -> None:
        """End the sleep. Whatever is durable later makes this durable too, and what is lost before that is waited for again."""
        running.go_on(self)
        running.complete(self, "", durable=False)
