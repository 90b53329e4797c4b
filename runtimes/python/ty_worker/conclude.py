"""How an attempt of the body, and in the end the run, comes to its end: the steps in flight, clean-up, and the last record."""

from __future__ import annotations

from ty_worker.clock import monotonic, now_ms
from ty_worker.endings import ABORTED, CUT_SHORT, Again, Finish, Leave, conclusion
from ty_worker.journal import ClosedError
from ty_worker.lines import encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from typing import Any

    from ty_worker.cleanup import CleanUp
    from ty_worker.engine import Attempt
    from ty_worker.host import Host
    from ty_worker.journal import Journal
    from ty_worker.orders import Inbox
    from ty_worker.policy import Settings
    from ty_worker.quiet import Quiet
    from ty_worker.running import Running

    # What follows when the records are durable; not under the lock.
    Next = Callable[[], None]

# Outcomes for which nothing has to end first.
_AT_ONCE = ("parked", "stuck", "restart", "full", "wound", "late", "clean")


class Concluding:
    """The part of a run that ends it. All but `conclude` and what follows from it is called under the lock."""

    host: Host
    lock: LockType
    journal: Journal
    inbox: Inbox
    settings: Settings
    changed: Callable[[], None]
    plan: Callable[[float], None]
    begin_again: Next
    wind_down: Next

    def __init__(self) -> None:
        self.number = 1  # of the attempt of the body
        self.attempt: Attempt | None = None
        self.quiet: Quiet | None = None
        self.cleanup: CleanUp | None = None
        self.finish: Finish | None = None  # how the run ends, once it is cleaned up
        self.interrupted: tuple[str, Any] | None = None  # the body is to end
        self.leaving: tuple[str, Any] | None = None  # the claim is to end
        self.unloadable: tuple[str, Any] | None = None  # there is no body
        self.busy = True  # between two attempts, or with the end of one
        self.over = self.leftover = False  # leftover: threads or tasks that never end
        self.pause_until: int | None = None
        self.drain_until: float | None = None
        self.clean_until: int | None = None

    @property
    def working(self) -> Running | None:
        """What runs functions at present: an attempt of the body, or clean-up."""
        return self.cleanup or self.attempt

    def conclude(self) -> None:
        """Record how the attempt of the body ended, if it has and what it started has ended, too."""
        with self.lock:
            outcome = self._outcome()
            if outcome is None or self.busy or self.over or not self._drained(outcome[0]):
                return
            self.busy = True
            try:
                offset, follows = self._record(*outcome)
            except ClosedError:
                offset, follows = 0, self._let_go
        self.journal.sync(offset)
        follows()

    def _outcome(self) -> tuple[str, Any] | None:
        if self.working is not None:
            return self.working.outcome
        if self.finish is not None:
            return self.unloadable or self.leaving  # the code is being loaded to find what cleans up
        return self.interrupted or self.unloadable or self.leaving

    def _drained(self, kind: str) -> bool:
        """Say whether the functions in flight have ended, or their grace has."""
        if kind == "canceled" and not self._acknowledged():
            return False
        working = self.working
        if working is None or kind in _AT_ONCE:
            return True
        if self.drain_until is None:
            self.drain_until = monotonic() + self.settings.grace_ms / 1000
            self.plan(self.drain_until)
            if kind in ABORTED:
                working.abort_tries()
        return not working.tries or monotonic() >= self.drain_until

    def _acknowledged(self) -> bool:
        _, details = self.interrupted or ("", None)
        if details is not None and not details.get("acknowledged"):
            details["acknowledged"] = True
            self.clean_until = now_ms() + self.settings.cleanup_ms
            try:
                offset = self.journal.append("canceling", f',"inbox":{details["inbox"]},"reason":{encode_text(details["reason"])}')
            except ClosedError:
                return False
            self.journal.sync(offset)
            self.changed()
        return True

    def _record(self, kind: str, what: Any) -> tuple[int, Next]:
        """Write the records of an outcome. Returns where they end, and what follows."""
        attempt, self.pause_until = self.attempt, None
        left = attempt.close() if attempt is not None else []
        if kind in ("restart", "full"):
            return 0, self._start_again if kind == "restart" else self._let_go
        if self.finish is not None and kind != "released":
            return self._clean_up_further(kind, what)
        result = conclusion((kind, what), self.number, self.settings, self.inbox.number)
        if isinstance(result, Leave):
            return self._write(result), self._let_go
        for key in left:
            self.journal.append("abandoned", f',"key":{key}')
        if isinstance(result, Again):
            return self._write(result), lambda: self._pause(result.retry_at)
        self.finish = result
        return self._clean_up(kind) if result.cleans else self._end()

    def _write(self, result: Again | Leave) -> int:
        offset = 0
        for kind, tail in result.records:
            offset = self.journal.append(kind, tail)
        return offset

    def _end(self) -> tuple[int, Next]:
        finish = self.finish
        assert finish is not None
        if self.attempt is not None and finish.size:
            self.attempt.near_value_limit("what the workflow returned", finish.size, "")
        return self.journal.append("finished", finish.members()), self._let_go

    def _clean_up(self, kind: str) -> tuple[int, Next]:
        """Clean up if there may be anything to clean up; the body is replayed first if that may find more of it."""
        from ty_worker.cleanup import may_be_owed, may_find_more

        attempt, canceled = self.attempt, self.finish is not None and self.finish.canceled
        if attempt is not None and not (kind in CUT_SHORT and may_find_more(attempt, canceled=canceled)):
            return self._start_clean_up(attempt, canceled=canceled)
        if not may_be_owed(attempt.past if attempt is not None else self.journal.history(), canceled=canceled):
            return self._end()
        if self.unloadable is not None:
            return self._clean_up_further(*self.unloadable)
        if self.leaving is not None:
            return self._leave()
        self.clean_until = self.clean_until or now_ms() + self.settings.cleanup_ms
        return 0, self._start_winding

    def _clean_up_further(self, kind: str, what: Any) -> tuple[int, Next]:
        """Go on after the replay of the body for clean-up, or after clean-up."""
        from ty_worker.cleanup import warn_of_replay, warn_of_time

        if kind == "wound" and self.attempt is not None and self.finish is not None:
            return self._start_clean_up(self.attempt, canceled=self.finish.canceled)
        if kind == "refused":
            warn_of_replay(self.journal, what)
        elif kind == "late":
            warn_of_time(self.journal, self.settings)
        return self._end()

    def _start_clean_up(self, attempt: Attempt, *, canceled: bool) -> tuple[int, Next]:
        from ty_worker.cleanup import CleanUp, owed

        calls = owed(attempt, canceled=canceled)
        if not calls:
            return self._end()
        if self.leaving is not None:
            return self._leave()
        assert self.finish is not None
        offset = 0
        if attempt.past.ending is None:
            offset = self.journal.append("ending", self.finish.members())
            began = now_ms()
            self.clean_until = self.clean_until if canceled and self.clean_until else began + self.settings.cleanup_ms
        self.cleanup = CleanUp(attempt, calls, self.clean_until or 0)
        return offset, self._start_cleaning

    def _leave(self) -> tuple[int, Next]:
        result = conclusion(self.leaving or ("", None), self.number, self.settings, self.inbox.number)
        return self._write(result) if isinstance(result, Leave) else 0, self._let_go

    def look_at_cleanup(self, now: int) -> int | None:
        """Let clean-up go on. Returns the instant at which its time is over."""
        cleanup = self.cleanup
        if cleanup is None or cleanup.stopped:
            return None
        try:
            cleanup.advance(now)
        except ClosedError:
            return None
        return None if cleanup.stopped else cleanup.until

    def look_at_winding(self, now: int) -> int | None:
        """End the replay for clean-up when its time is over. Returns that instant."""
        if self.attempt is not None and self.clean_until is not None and self.clean_until <= now:
            self.attempt.end(("late", None))
        return self.clean_until

    def _drop_attempt(self) -> None:
        if self.attempt is not None:
            self.leftover = self.leftover or self.attempt.front.leftover
            self.attempt.front.stop()
        if self.cleanup is not None:
            self.cleanup.closed = True
        self.attempt = self.quiet = self.cleanup = self.drain_until = None

    def _let_go(self) -> None:
        with self.lock:
            self._drop_attempt()
            self.over = True
            self.journal.close()
        self.changed()
        self.host.run_over(self)  # type: ignore[arg-type]

    def _pause(self, until: int) -> None:
        with self.lock:
            self._drop_attempt()
            self.pause_until, self.busy = until, False
        self.changed()
        self.plan(0)

    def _start_again(self) -> None:
        with self.lock:
            self._drop_attempt()
        self.host.bodies(self.begin_again)

    def _start_winding(self) -> None:
        with self.lock:
            self._drop_attempt()
        self.host.bodies(self.wind_down)

    def _start_cleaning(self) -> None:
        with self.lock:
            self.busy, self.drain_until = False, None
        self.changed()
        self.plan(0)
