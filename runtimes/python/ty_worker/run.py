"""One run in the hands of one claim: attempts of the body, and the ways in which a claim ends."""

from __future__ import annotations

from _thread import allocate_lock

from ty_worker.api import AsyncContext, Context, RunInfo
from ty_worker.clock import monotonic, now_ms, parse_stamp
from ty_worker.endings import ABORTED, conclusion
from ty_worker.engine import Attempt
from ty_worker.errors import LoadError
from ty_worker.functions import is_async
from ty_worker.journal import ClosedError, Journal, WithdrawnError
from ty_worker.lines import copy_json, encode_text
from ty_worker.orders import Inbox
from ty_worker.output import Output, current, report
from ty_worker.policy import Settings
from ty_worker.quiet import Quiet
from ty_worker.steps import NEVER
from ty_worker.threads import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ty_worker.history import History, Record
    from ty_worker.host import Host
    from ty_worker.steps import StepCall, Try


class Run:
    """Carries one run out. Threads of its code and the thread of the host meet under `lock`."""

    def __init__(self, host: Host, uid: str, claim: int, prefix: str, output: Output) -> None:
        self.uid, self.output = uid, output
        self.lock = allocate_lock()
        self.journal: Journal
        self.settings: Settings
        self.leftover = False  # threads or tasks are left that never end
        self._host, self._claim, self._prefix = host, claim, prefix
        self._inbox = Inbox(prefix + "inbox")
        self._order: Record = {}
        self._deadline: int | None = None
        self._attempt: Attempt | None = None
        self._quiet: Quiet | None = None
        self._number = 1
        self._interrupted: tuple[str, Any] | None = None
        self._claimed = self._concluding = self.over = False
        self._pause_until: int | None = None
        self._drain_until: float | None = None

    def carry_out(self) -> None:
        """Claim the run and carry the body out, in this thread."""
        try:
            self.journal = Journal(self._prefix + "journal.jsonl", self._claim, self._host.id, self._host.broken)
            history = self.journal.claim()
        except WithdrawnError as error:
            report(str(error))
            self.over = True
            self._host.run_over(self)
            return
        self.journal.on_full = self._full
        self._order = history.order
        self.settings = Settings(history.order.get("settings", {}))
        deadline = history.order.get("deadline")
        self._deadline = parse_stamp(deadline) if deadline else None
        if history.canceling is not None:
            self._interrupted = ("canceled", {"reason": history.canceling.get("reason", ""), "acknowledged": True})
        self._claimed = True
        self.changed()
        self.read_inbox()
        self._begin(history)

    def _begin(self, history: History) -> None:
        """Carry one attempt of the body out, once its time has come."""
        with self.lock:
            self._number = history.attempt
            if self._interrupted is None and history.retry_at > now_ms():
                self._pause_until = history.retry_at
                self.plan(0)
                return
            interrupted = self._interrupted
        if interrupted is not None:
            self.conclude()
            return
        current.set(self.output)
        try:
            workflow = self._host.code.workflow()
        except LoadError as error:
            self._interrupt(("refused", error))
            self.conclude()
        else:
            self._carry_out_body(workflow, history)

    def _carry_out_body(self, workflow: Callable[..., Any], history: History) -> None:
        attempt = Attempt(self, history)
        info = RunInfo(self._order, self._prefix + "files")
        context: Context | AsyncContext
        front: Any
        if is_async(workflow):
            from ty_worker.loops import Loops

            front = Loops(attempt, self._host.pool)
            context = AsyncContext(front, self.settings, info)
        else:
            front = Threads(attempt, self._host.pool)
            context = Context(front, self.settings, info)
        attempt.front = front
        patience = self.settings.timeout_ms / 1000 or NEVER
        with self.lock:
            if self._interrupted is not None or self.over:
                self.plan(0)
                return
            self._quiet = Quiet(attempt, self._host.park_after_ms, patience, self.changed)
            self._attempt = attempt
        front.body(workflow, copy_json(self._order.get("input")), context)

    def _again(self) -> None:
        self._begin(self.journal.history())

    def changed(self) -> None:
        """Tell that the status of the run has changed."""
        self._host.changed(self.uid)

    def plan_at(self, ms: int) -> None:
        """Look at the run at this instant, at the latest."""
        self._host.plan(monotonic() + (ms - now_ms()) / 1000)

    def plan(self, moment: float) -> None:
        """Look at the run when the monotonic clock shows this, at the latest."""
        self._host.plan(moment)

    def read_inbox(self) -> None:
        """Take note of what has come into the inbox."""
        if not self._claimed or self.over:
            return
        for number, record in self._inbox.read():
            if record["type"] == "cancel":
                self._interrupt(("canceled", {"inbox": number, "reason": record.get("reason", "")}))

    def suspend(self) -> None:
        """Let the run go on in another process."""
        self._interrupt(("suspended", None))

    def _full(self) -> None:
        self._interrupted = ("full", None)
        if self._attempt is not None:
            self._attempt.end(self._interrupted)
        self.journal.release(',"reason":"no-space"')
        self.journal.closed = True
        self.plan(0)

    def _interrupt(self, outcome: tuple[str, Any]) -> None:
        with self.lock:
            self._interrupted = self._interrupted or outcome
            if self._attempt is not None:
                self._attempt.end(self._interrupted)
        self.plan(0)

    def tick(self) -> float:
        """Do what is due, and return the monotonic moment of what is due next."""
        now, moment = now_ms(), monotonic()
        late: list[tuple[StepCall, Try]] = []
        with self.lock:
            if not self._claimed or self.over or self._concluding:
                return NEVER
            if self._deadline is not None and now >= self._deadline and self._interrupted is None:
                self._interrupted = ("expired", None)
                if self._attempt is not None:
                    self._attempt.end(self._interrupted)
            upcoming = self._look(now, moment)
            if self._attempt is not None:
                late = self._attempt.expired(moment)
        for call, running in late:
            self._time_out(call, running)
        self.conclude()
        return upcoming

    def _look(self, now: int, moment: float) -> float:
        attempt, instants, moments = self._attempt, [self._deadline], [self._drain_until]
        if self._pause_until is not None and self._interrupted is None:
            if self._pause_until <= now:
                self._pause_until = None
                self._host.bodies(self._again)
            elif self._pause_until - now > self._host.park_after_ms:
                self._interrupted = ("parked", {"until": self._pause_until, "waits": [{"kind": "retry"}]})
            instants.append(self._pause_until)
        if attempt is not None and not attempt.stopped:
            instants.append(self._wake_due(attempt, now))
            moments += [self._quiet.look(now, moment) if self._quiet else None, attempt.deadline]
            stuck_at = attempt.front.stuck_at()
            if stuck_at <= moment:
                attempt.end(("restart", None))
            moments.append(stuck_at)
        moments += [moment + (instant - now) / 1000 for instant in instants if instant is not None]
        return min((each for each in moments if each is not None), default=NEVER)

    @staticmethod
    def _wake_due(attempt: Attempt, now: int) -> int | None:
        try:
            return attempt.wake_due(now)
        except ClosedError:
            return None

    def _time_out(self, call: StepCall, running: Try) -> None:
        attempt = self._attempt
        error = TimeoutError(f'step "{call.key}" took longer than {call.timeout_ms} ms')
        try:
            if attempt is None or not call.failed(attempt, running, error):
                return
        except ClosedError:
            return
        running.abort()
        with self.lock:
            attempt.front.give_up(call)
        self.plan(0)

    def conclude(self) -> None:
        """Record how the attempt of the body ended, if it has and what it started has ended, too."""
        with self.lock:
            attempt = self._attempt
            outcome = self._interrupted if attempt is None else attempt.outcome
            if outcome is None or self._concluding or self.over or not self._claimed or not self._drained(attempt, outcome[0]):
                return
            self._concluding = True
            try:
                offset, follows = self._record(attempt, outcome)
            except ClosedError:
                offset, follows = 0, None
        self.journal.sync(offset)
        self._move_on(attempt, follows)

    def _drained(self, attempt: Attempt | None, kind: str) -> bool:
        """Say whether the steps in flight have ended, or their grace has."""
        if kind == "canceled" and not self._acknowledged():
            return False
        if attempt is None or kind in ("parked", "stuck", "restart", "full"):
            return True
        if self._drain_until is None:
            self._drain_until = monotonic() + self.settings.grace_ms / 1000
            self.plan(self._drain_until)
            if kind in ABORTED:
                attempt.abort_steps()
        return not attempt.running or monotonic() >= self._drain_until

    def _acknowledged(self) -> bool:
        _, details = self._interrupted or ("", None)
        if details is not None and not details.get("acknowledged"):
            details["acknowledged"] = True
            try:
                offset = self.journal.append("canceling", f',"inbox":{details["inbox"]},"reason":{encode_text(details["reason"])}')
            except ClosedError:
                return False
            self.journal.sync(offset)
            self.changed()
        return True

    def _record(self, attempt: Attempt | None, outcome: tuple[str, Any]) -> tuple[int, int | None]:
        """Write the records of an outcome. Returns where they end, and when another attempt follows."""
        left = attempt.close() if attempt is not None else []
        if outcome[0] == "restart":
            return 0, 0
        follows, records = conclusion(outcome, self._number, self.settings, self._deadline)
        offset = 0
        if outcome[0] in ABORTED:
            for key in left:
                self.journal.append("abandoned", f',"key":{key}')
        for kind, tail in records:
            offset = self.journal.append(kind, tail)
        self.over = follows is None
        return offset, follows

    def _move_on(self, attempt: Attempt | None, follows: int | None) -> None:
        """Begin the next attempt at the instant `follows`, or let the run go."""
        with self.lock:
            if attempt is not None:
                self.leftover = self.leftover or attempt.front.leftover
                attempt.front.stop()
            self._attempt = self._quiet = self._drain_until = None
            if follows is None:
                self.over = True
                self.journal.close()
            else:
                self._pause_until, self._concluding = follows or None, False
        self.changed()
        if follows is None:
            self._host.run_over(self)
        elif follows == 0:
            self._host.bodies(self._again)
        else:
            self.plan(0)
