"""One run in the hands of one claim: its inbox, its clocks, and one attempt of the body after the other."""

from __future__ import annotations

from _thread import allocate_lock

from ty_worker.api import AsyncContext, Context, RunInfo
from ty_worker.clock import NEVER, monotonic, now_ms, parse_stamp
from ty_worker.conclude import Concluding
from ty_worker.endings import interruption
from ty_worker.engine import Attempt
from ty_worker.errors import LoadError
from ty_worker.functions import is_async
from ty_worker.journal import ClosedError, Journal, WithdrawnError
from ty_worker.lines import copy_json
from ty_worker.orders import Inbox
from ty_worker.output import Output, current, report
from ty_worker.policy import Settings
from ty_worker.quiet import Quiet
from ty_worker.threads import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ty_worker.history import History, Record
    from ty_worker.host import Host
    from ty_worker.running import Running
    from ty_worker.steps import StepCall
    from ty_worker.tries import Try


class Run(Concluding):
    """Carries one run out. Threads of its code and the thread of the host meet under `lock`."""

    def __init__(self, host: Host, order: Record, output: Output) -> None:
        super().__init__()
        self.uid = self.seed = order["uid"]
        self.host, self.output = host, output
        self.lock = allocate_lock()
        self.warned: set[tuple[str, str]] = set()
        self._ordered, self._prefix = order, order["prefix"]
        self._order: Record = {}
        self._deadline: int | None = None
        self._claimed = False

    def carry_out(self) -> None:
        """Claim the run and carry the body out, in this thread."""
        try:
            order, host = self._ordered, self.host
            self.journal = Journal(self._prefix + "journal.jsonl", order["claim"], host.id, host.broken, order.get("before"))
            history = self.journal.claim()
        except WithdrawnError as error:
            report(str(error))
            self.over = True
            self.host.run_over(self)
            return
        self._know(history)
        self._claimed = True
        self.changed()
        self.read_inbox()
        self._begin(history)

    def _know(self, history: History) -> None:
        """Take from the journal what concerns the whole claim."""
        self.journal.on_full = self._full
        self._order = history.order
        self.seed = history.order.get("seed") or self.uid
        self.settings = Settings(history.order.get("settings", {}))
        self.inbox, self.warned = Inbox(self._prefix + "inbox", history.spent), history.warned
        if self.settings.run_timeout_ms:
            self._deadline = parse_stamp(history.began) + self.settings.run_timeout_ms
        self.interrupted = interruption(history)
        if self.interrupted is not None:
            began = parse_stamp((history.canceling or history.ending or {})["at"])
            self.clean_until = began + self.settings.cleanup_ms

    def _begin(self, history: History) -> None:
        """Carry one attempt of the body out, once its time has come."""
        with self.lock:
            self.busy = False  # what comes meanwhile need not wait until the code is loaded
            self.number = history.attempt
            now = now_ms()
            self._look_at_deadline(now)
            interrupted = self.interrupted is not None or self.leaving is not None
            if not interrupted and history.retry_at > now:
                self.pause_until, interrupted = history.retry_at, True
            if self._deadline is not None:
                self.plan_at(self._deadline)
        if interrupted:
            self.plan(0)
        else:
            self._load(history, winding=False)

    def _load(self, history: History, *, winding: bool) -> None:
        current.set(self.output)
        try:
            workflow = self.host.code.workflow()
        except LoadError as error:
            with self.lock:
                self.unloadable = ("refused", error)
            self.conclude()
        else:
            self._carry_out_body(workflow, history, winding=winding)

    def _carry_out_body(self, workflow: Callable[..., Any], history: History, *, winding: bool) -> None:
        attempt = Attempt(self, history, winding=winding)
        context = self._prepare(attempt, workflow)
        patience = self.settings.timeout_ms / 1000 or NEVER
        with self.lock:
            stopped = self.over or self.leaving is not None or (self.interrupted is not None and not winding)
            if not stopped:
                self.quiet = Quiet(attempt, self.host.park_after_ms, self.host.linger, patience, self._deadline)
                self.attempt = attempt
        if stopped:
            self.plan(0)
        else:
            attempt.front.body(workflow, copy_json(self._order.get("input")), context)

    def _prepare(self, attempt: Attempt, workflow: Callable[..., Any]) -> Context | AsyncContext:
        info = RunInfo(self._order, self._prefix + "files")
        if not is_async(workflow):
            attempt.front = threads = Threads(attempt, self.host.pool)
            return Context(threads, self.settings, info)
        from ty_worker.loops import Loops

        attempt.front = loops = Loops(attempt, self.host.pool)
        return AsyncContext(loops, self.settings, info)

    def begin_again(self) -> None:
        """Carry the next attempt of the body out."""
        self._begin(self.journal.history())

    def wind_down(self) -> None:
        """Carry the body out as far as it is recorded, to find what cleans up."""
        history = self.journal.history()
        with self.lock:
            self.busy = False
        self._load(history, winding=True)

    def changed(self) -> None:
        """Tell that the status of the run has changed."""
        self.host.changed(self.uid)

    def plan_at(self, ms: int) -> None:
        """Look at the run at this instant, at the latest."""
        self.host.plan(monotonic() + (ms - now_ms()) / 1000)

    def plan(self, moment: float) -> None:
        """Look at the run when the monotonic clock shows this, at the latest."""
        self.host.plan(moment)

    def read_inbox(self) -> None:
        """Take note of what has come into the inbox."""
        if self._claimed and not self.over:
            with self.lock:
                self.look_for_messages()

    def look_for_messages(self) -> None:
        """Read the inbox, and hand out what has come. Under the lock."""
        if not self.inbox.read():
            return
        cancel = self.inbox.take("cancel")
        if cancel is not None:
            self._interrupt(("canceled", {"inbox": cancel[0], "reason": cancel[1].get("reason") or ""}))
        elif self.attempt is not None and not self.attempt.stopped:
            try:
                self.attempt.deliver_all()
            except ClosedError:
                return

    def leave(self, reason: str) -> None:
        """Let the run go on in another process."""
        with self.lock:
            self.leaving = self.leaving or ("released", reason)
            if self.working is not None:
                self.working.end(self.leaving)
        self.plan(0)

    def _full(self) -> None:
        """End the claim: the file system is full. Under the lock."""
        self.leaving = ("full", None)
        if self.working is not None:
            self.working.end(self.leaving)
        if not self.journal.release(f',"reason":"no-space","inbox":{self.inbox.number}'):
            self.host.tell_of_full()
        self.journal.closed = True
        self.plan(0)

    def _interrupt(self, outcome: tuple[str, Any]) -> None:
        if self.interrupted is None:
            self.interrupted = outcome
            if self.attempt is not None and self.finish is None:
                self.attempt.end(outcome)
        self.plan(0)

    def tick(self) -> float:
        """Do what is due, and return the monotonic moment of what is due next."""
        now, moment = now_ms(), monotonic()
        late: list[tuple[StepCall, Try]] = []
        with self.lock:
            if not self._claimed or self.over or self.busy:
                return NEVER
            self._look_at_deadline(now)
            upcoming = self._look(now, moment)
            if self.working is not None:
                late = self.working.expired(moment)
        for call, running in late:
            self._time_out(call, running)
        self.conclude()
        return upcoming

    def _look_at_deadline(self, now: int) -> None:
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            if self.finish is None:
                self._interrupt(("expired", None))

    def _look(self, now: int, moment: float) -> float:
        instants, moments = [self._deadline], [self.drain_until]
        working, attempt = self.working, self.attempt
        if working is not None and not working.stopped:
            instants.append(self._wake_due(working, now))
            moments.append(working.deadline)
        if self.pause_until is not None:
            instants.append(self._look_at_pause(now))
        elif self.cleanup is not None:
            instants.append(self.look_at_cleanup(now))
        elif attempt is not None and not attempt.stopped:
            moments += [self.quiet.look(now, moment) if self.quiet else None, attempt.front.stuck_at()]
            if attempt.front.stuck_at() <= moment:
                attempt.end(("restart", None))
            if attempt.winding:
                instants.append(self.look_at_winding(now))
        moments += [moment + (instant - now) / 1000 for instant in instants if instant is not None]
        return min((each for each in moments if each is not None), default=NEVER)

    def _look_at_pause(self, now: int) -> int | None:
        if self.interrupted is not None or self.leaving is not None or self.pause_until is None:
            return None
        due = min(self.pause_until, self._deadline or self.pause_until)
        if self.pause_until <= now:
            self.pause_until, self.busy = None, True
            self.host.bodies(self.begin_again)
        elif due - now > self.host.park_after_ms:
            self.leaving = ("parked", {"until": due, "waits": [{"kind": "retry"}]})
        return self.pause_until

    @staticmethod
    def _wake_due(working: Running, now: int) -> int | None:
        try:
            return working.wake_due(now)
        except ClosedError:
            return None

    def _time_out(self, call: StepCall, running: Try) -> None:
        working = call.owner
        try:
            if not call.failed(working, running, call.lateness()):
                return
        except ClosedError:
            return
        running.abort()
        with self.lock:
            working.front.give_up(call)
        self.plan(0)
