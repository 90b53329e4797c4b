"""What a run does when nothing can be released to its code: keep its process, park, or give up."""

from __future__ import annotations

from ty_worker.steps import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ty_worker.engine import Attempt

_GRACE = 2.0
# Shorter waits are over before anybody could have looked.
_WORTH_TELLING_MS = 100


class Quiet:
    """Watches an attempt of the body that has nothing to do. Its methods are called under the lock of the run."""

    def __init__(self, attempt: Attempt, park_after_ms: int, patience: float, changed: Callable[[], None]) -> None:
        """Park for more than `park_after_ms`; wait at most `patience` seconds for what is pending outside of the calls."""
        self._attempt, self._park_after_ms, self._patience, self._changed = attempt, park_after_ms, patience, changed
        self._told = False
        self._watched: tuple[str, int] | None = None
        self._began = self._since = 0.0

    def look(self, now: int, moment: float) -> float:
        """Decide what the run does now. Returns the monotonic moment at which to look again."""
        attempt = self._attempt
        if attempt.stopped:
            return NEVER
        due = attempt.next_due() if attempt.front.resting and not attempt.behind else None
        self._tell(due, now)
        if not attempt.front.resting:
            return NEVER
        if attempt.ending is not None:
            return self._watch("ending", 0.0, min(_GRACE, self._patience), moment, lambda: attempt.end(("refused", attempt.difference())))
        if attempt.behind:
            return self._watch("held", _GRACE, self._patience, moment, lambda: attempt.end(("stuck", attempt.difference())))
        if due is None or due - now <= self._park_after_ms:
            return NEVER
        return self._watch("waits", 0.0, self._patience, moment, lambda: attempt.end(("parked", {"until": due, "waits": self._waits()})))

    def _waits(self) -> list[dict[str, str]]:
        return [{"key": call.key, "kind": call.wait_kind} for call in self._attempt.open.values()]

    def _tell(self, due: int | None, now: int) -> None:
        """Tell when the run begins to wait, and when it goes on."""
        waits = due is not None and (self._told or due - now > _WORTH_TELLING_MS)
        if waits != self._told:
            self._told = waits
            self._changed()

    def _watch(self, what: str, seconds: float, patience: float, moment: float, act: Callable[[], None]) -> float:
        """Act when nothing has happened and nothing foreign was pending for `seconds`; after `patience` seconds do it nevertheless."""
        attempt = self._attempt
        if self._watched != (what, attempt.activity):
            self._watched = (what, attempt.activity)
            self._began = self._since = moment
        if moment - self._began < patience and (attempt.running or attempt.front.foreign):
            self._since = moment
            return min(moment + 0.25, self._began + patience)
        if moment - self._since >= seconds:
            act()
            return NEVER
        return self._since + seconds
