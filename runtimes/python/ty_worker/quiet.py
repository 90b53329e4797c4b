"""What a run does when nothing can be released to its code: keep its process, park, or give up."""

from __future__ import annotations

from ty_worker.clock import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ty_worker.engine import Attempt

_GRACE = 2.0
_SETTLED = 0.01  # not all that is foreign shows
# Shorter waits are over before anybody could have looked.
_WORTH_TELLING_MS = 100


class Quiet:
    """Watches an attempt of the body that has nothing to do. Its methods are called under the lock of the run."""

    def __init__(self, attempt: Attempt, park_after_ms: int, linger: float, patience: float, deadline: int | None) -> None:
        """Park for more than `park_after_ms`, or after `linger` seconds for a message; wait at most `patience` seconds for what is no call."""
        self._attempt, self._park_after_ms, self._linger, self._patience, self._deadline = attempt, park_after_ms, linger, patience, deadline
        self._told = False
        self._watched: tuple[str, int] | None = None
        self._began = self._since = 0.0

    def look(self, now: int, moment: float) -> float:
        """Decide what the run does now. Returns the monotonic moment at which to look again."""
        attempt = self._attempt
        if attempt.stopped:
            return NEVER
        waiting = attempt.waiting and attempt.front.resting and not attempt.behind and not attempt.winding
        due = self._due() if waiting else None
        self._tell(now, due, waiting=waiting)
        if not attempt.front.resting:
            return NEVER
        if attempt.winding:
            return self._watch("winding", _SETTLED, min(_GRACE, self._patience), moment, self._wound)
        if attempt.ending is not None:
            return self._watch("ending", 0.0, min(_GRACE, self._patience), moment, lambda: attempt.end(("refused", attempt.difference())))
        if attempt.behind:
            return self._watch("held", _GRACE, self._patience, moment, lambda: attempt.end(("stuck", attempt.difference())))
        if not waiting or (due is not None and due - now <= self._park_after_ms):
            return NEVER
        seconds = self._linger if any(call.address for call in attempt.waits.values()) else _SETTLED
        return self._watch("waits", seconds, self._patience, moment, lambda: attempt.end(("parked", {"until": due, "waits": self._waits()})))

    def _due(self) -> int | None:
        instants = [each for each in (self._attempt.next_due(), self._deadline) if each is not None]
        return min(instants) if instants else None

    def _waits(self) -> list[dict[str, Any]]:
        return [call.described() for call in self._attempt.open.values()]

    def _wound(self) -> None:
        attempt = self._attempt
        attempt.end(("wound", None) if attempt.all_asked else ("refused", attempt.difference()))

    def _tell(self, now: int, due: int | None, *, waiting: bool) -> None:
        """Tell when the run begins to wait, and when it goes on."""
        waits = waiting and (self._told or due is None or due - now > _WORTH_TELLING_MS)
        if waits != self._told:
            self._told = waits
            self._attempt.port.changed()

    def _watch(self, what: str, seconds: float, patience: float, moment: float, act: Callable[[], None]) -> float:
        """Act when nothing has happened and nothing foreign was pending for `seconds`; after `patience` seconds do it nevertheless."""
        attempt = self._attempt
        if self._watched != (what, attempt.activity):
            self._watched = (what, attempt.activity)
            self._began = self._since = moment
        if moment - self._began < patience and (attempt.tries or attempt.front.foreign):
            self._since = moment
            return min(moment + 0.25, self._began + patience)
        if moment - self._since >= seconds:
            act()
            return NEVER
        return self._since + seconds
