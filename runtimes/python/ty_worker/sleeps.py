"""Durable sleeps: the instant of waking is in the journal, and is kept by every process that takes the run."""

from __future__ import annotations

from ty_worker.calls import Call
from ty_worker.clock import now_ms, parse_stamp, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ty_worker.engine import Attempt
    from ty_worker.history import Record


class SleepCall(Call):
    """One durable sleep."""

    kind = wait_kind = "sleep"
    __slots__ = ("_ms",)

    def __init__(self, name: str, ms: int) -> None:
        super().__init__(name)
        self._ms = ms

    def start(self, attempt: Attempt) -> None:
        """Record the instant of waking, and begin to wait."""
        until = now_ms() + self._ms + (self._ms > 0)  # the clock is read rounded down, and a sleep never ends early
        attempt.record_request(self, f',"until":"{stamp(until)}"')
        attempt.wait(self, until)

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Go on waiting until the recorded instant."""
        attempt.wait(self, parse_stamp(record["until"]))

    def wake(self, attempt: Attempt) -> None:
        """End the sleep. Whatever is durable later makes this durable too, and what is lost before that is waited for again."""
        attempt.complete(self, "", durable=False)
