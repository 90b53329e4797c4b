"""One attempt of the body: calls are matched with the journal, and results are released to the code one at a time.

They are released in journal order, live and in replay alike. Nothing here knows of threads or event loops: a front runs the code.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from ty_worker.calls import key_of
from ty_worker.errors import LimitError, NonDeterminismError
from ty_worker.journal import ClosedError
from ty_worker.lines import encode_text
from ty_worker.steps import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.calls import Call
    from ty_worker.front import Front, Port
    from ty_worker.history import History
    from ty_worker.steps import StepCall, Try


class Attempt:
    """The rules of replay for one attempt of the body. Its methods are called under the lock of the run."""

    def __init__(self, port: Port, past: History) -> None:
        self.port, self.past = port, past
        self.uid, self.lock, self.journal, self.settings = port.uid, port.lock, port.journal, port.settings
        self.front: Front
        self.open: dict[str, Call] = {}  # asked for, and not released
        self.held: deque[Call] = deque()  # new, while something recorded is not asked for or not released
        self.running: dict[str, StepCall] = {}  # with a try that may conclude
        self.released = self.activity = 0
        self.outcome: tuple[str, Any] | None = None
        self.ending: tuple[str, Any] | None = None  # the body has ended, recorded requests may still be asked for
        self.stopped = False  # nothing is released and nothing starts any more
        self.closed = False  # nothing is recorded any more
        self.aborting = False  # a try that fails is the last one of its step
        self._asked: set[str] = set()
        self._names: dict[str, int] = {}
        self._unasked = 0
        self._releasing = False  # what is committed meanwhile must not release anything itself
        self._ready: deque[Call] = deque()
        self._timers: list[tuple[int, int, Call]] = []
        self._timed = 0
        self._deadline = NEVER

    def request(self, call: Call) -> None:
        """Make a call. Raises ClosedError if it will never have a result."""
        if self.stopped:
            raise ClosedError
        if len(self._asked) >= self.settings.calls:
            message = f"more than {self.settings.calls} calls in one run (limits.calls)"
            raise LimitError(message)
        self.activity += 1
        count = self._names.get(call.name, 0) + 1
        self._names[call.name] = count
        call.key = key_of(call.name, count)
        call.json_key = encode_text(call.key)
        self._asked.add(call.key)
        recorded = self.past.by_key.get(call.key)
        if recorded is not None:
            self._again(call, recorded)
        elif self._caught_up() and self.ending is None:
            self._commit(call)
        else:
            self.held.append(call)

    def _again(self, call: Call, recorded: dict[str, Any]) -> None:
        if recorded["kind"] != call.kind:
            message = f'{call.kind} "{call.key}" was recorded as a {recorded["kind"]}: the code has changed since'
            self._refuse(NonDeterminismError(message))
        requests = self.past.requests
        while self._unasked < len(requests) and requests[self._unasked]["key"] in self._asked:
            self._unasked += 1
        self.open[call.key] = call
        if self.ending is not None:
            if self._unasked >= len(requests):
                self.end(self.ending)
            return
        if call.key not in self.past.settled:
            if recorded.get("memo"):
                self._remember(call)
            else:
                call.resume(self, recorded)
        self._commit_held()

    def _caught_up(self) -> bool:
        return self.released >= len(self.past.results) and self._unasked >= len(self.past.requests)

    @property
    def behind(self) -> bool:
        """Whether something recorded was not asked for, or something asked for is held."""
        return bool(self.held) or self._unasked < len(self.past.requests)

    def _commit_held(self) -> None:
        while self.held and self._caught_up():
            self._commit(self.held.popleft())

    def _commit(self, call: Call) -> None:
        if self.journal.end > self.settings.journal:
            message = f"the journal is larger than {self.settings.journal} bytes (limits.journal)"
            self._refuse(LimitError(message))
        self.open[call.key] = call
        known = self.past.memo.get(call.key)
        if known is not None and known[0] == call.kind:
            self.record_request(call, ',"memo":true')
            self._remember(call)
        else:
            call.start(self)

    def record_request(self, call: Call, tail: str) -> None:
        """Record that the code made `call`; `tail` is JSON text of what its kind adds."""
        self.journal.append("requested", f',"key":{call.json_key},"kind":"{call.kind}","after":{self.released}{tail}')

    def _remember(self, call: Call) -> None:
        call.value = self.past.memo[call.key][1]
        self.complete(call, ',"memo":true', durable=False)

    def complete(self, call: Call, tail: str, *, durable: bool, kind: str = "completed") -> int:
        """Record the result of `call`, to be released when its turn comes. Returns where the record ends."""
        offset = self.journal.append(kind, f',"key":{call.json_key}{tail}')
        call.offset = offset if durable else 0
        self._ready.append(call)
        self.activity += 1
        if not durable:
            self.front.wake()
        return offset

    def release(self) -> Call | None:
        """Return the call whose result is released next, if there is one. Only for when the code is quiet."""
        if self.stopped or self.ending is not None or self._releasing:
            return None
        past, number = self.past, self.released + 1
        if self._unasked < len(past.requests) and past.requests[self._unasked].get("after", 0) < number:
            return None
        if number <= len(past.results):
            record = past.results[number - 1]
            call = self.open[record["key"]]
            if not record.get("memo"):
                call.settle(record)
            else:
                call.value = past.memo[call.key][1]
        elif self._ready and self._ready[0].offset <= self.journal.durable:
            call = self._ready.popleft()
        else:
            return None
        del self.open[call.key]
        self.released = number
        self.activity += 1
        call.released = True
        if self.held:
            self._releasing = True
            try:
                self._commit_held()
            finally:
                self._releasing = False
        return call

    def run_step(self, call: StepCall) -> None:
        """Begin the try that `call` has prepared."""
        self.running[call.key] = call
        if call.deadline < self._deadline:
            self._deadline = call.deadline
            self.port.plan(call.deadline)
        self.front.start(call)

    def conclude(self, call: StepCall, running: Try) -> bool:
        """Say whether `running` is still the try that counts; it ends with this."""
        if self.closed or call.running is not running:
            return False
        call.running = None
        del self.running[call.key]
        if self.stopped and not self.running:
            self.port.plan(0)
        return True

    def wait(self, call: Call, due: int) -> None:
        """Wake `call` at the instant `due`."""
        call.due = due
        self._timed += 1  # heaps compare further when instants are equal
        heappush(self._timers, (due, self._timed, call))
        self.port.plan_at(due)

    def wake_due(self, now: int) -> int | None:
        """Wake the calls whose instant has come, and return the next instant."""
        timers = self._timers
        while timers and timers[0][0] <= now and not self.stopped:
            if self.front.stuck_at() < NEVER:
                return None  # the thread that would run the next try may still come back
            call = heappop(timers)[2]
            call.due = None
            self.activity += 1
            call.wake(self)
        return timers[0][0] if timers and not self.stopped else None

    def next_due(self) -> int | None:
        """Return the earliest instant at which a call goes on by itself, if every open call waits for one."""
        return self._timers[0][0] if self._timers and len(self._timers) == len(self.open) else None

    def expired(self, moment: float) -> list[tuple[StepCall, Try]]:
        """Return the tries that took too long. Sets the next moment to look."""
        if moment < self._deadline:
            return []
        late = [(call, call.running) for call in self.running.values() if call.deadline <= moment and call.running is not None]
        self._deadline = min((call.deadline for call in self.running.values() if call.deadline > moment), default=NEVER)
        return late

    @property
    def deadline(self) -> float:
        """The monotonic moment before which no try takes too long."""
        return self._deadline

    def rest(self) -> None:
        """Take note that the code is quiet and nothing can be released."""
        if not self.running and (self.open or self.behind or self.ending is not None):
            self.port.plan(0)

    def body_over(self, outcome: tuple[str, Any]) -> None:
        """Take note how the body ended: `returned` or `threw`, and what."""
        if self.stopped:
            return
        if self._unasked >= len(self.past.requests):
            self.stopped, self.outcome = True, outcome
        else:
            self.ending = outcome
            self.activity += 1

    def difference(self) -> NonDeterminismError:
        """Return the error of code that did not ask for what is recorded: it names the first difference."""
        recorded = self.past.requests[self._unasked]
        asked = f'asked for {self.held[0].kind} "{self.held[0].key}"' if self.held else "did not ask for it"
        message = f'the journal holds {recorded["kind"]} "{recorded["key"]}" here, the code {asked}: '
        error = NonDeterminismError(message + "the code has changed since, or depends on more than its calls")
        if self.ending is not None and self.ending[0] == "threw":
            error.__cause__ = self.ending[1]
        return error

    def _refuse(self, error: Exception) -> None:
        self.end(("refused", error))
        raise ClosedError

    def end(self, outcome: tuple[str, Any]) -> None:
        """Stop: no result is released and nothing starts from here on. The first to call this says why."""
        if not self.stopped:
            self.stopped, self.outcome = True, outcome
            self.port.plan(0)

    def abort_steps(self) -> None:
        """Tell the running steps that nobody waits for them; a try that fails is the last one."""
        self.aborting = True
        for call in self.running.values():
            if call.running is not None:
                call.running.abort()

    def close(self) -> list[str]:
        """Record nothing more, whatever still runs. Returns the keys of the steps that have no result, as JSON."""
        self.stopped = self.closed = True
        ready = {call.key for call in self._ready}
        return [call.json_key for call in self.open.values() if call.kind == "step" and call.key not in ready and call.key not in self.past.settled]
