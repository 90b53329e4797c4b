"""What goes on between requests and results: tries of functions, and waits for an instant or for a message."""

from __future__ import annotations

from _heapq import heappop, heappush

from ty_worker.clock import NEVER, monotonic
from ty_worker.journal import ClosedError
from ty_worker.lines import encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.calls import Call
    from ty_worker.front import Front, Port
    from ty_worker.history import History
    from ty_worker.steps import StepCall
    from ty_worker.tries import Try

# How long after its timeout a try that goes on is taken to block the worker, in seconds.
_BLOCKED = 2.0


class Running:
    """Keeps account of the calls that run or wait. Its methods are called under the lock of the run, but for `commit`."""

    def __init__(self, port: Port, front: Front | None = None) -> None:
        self.port, self.seed, self.lock, self.journal, self.settings = port, port.seed, port.lock, port.journal, port.settings
        self.front: Front = front  # type: ignore[assignment]  # an attempt gets it before the body begins
        self.tries: dict[str, StepCall] = {}  # with a try that may conclude
        self.waits: dict[str, Call] = {}  # for an instant or a message
        self.released = self.activity = 0
        self.outcome: tuple[str, Any] | None = None
        self.stopped = False  # nothing is released and nothing starts any more
        self.closed = False  # nothing is recorded any more
        self.aborting = False  # a try that fails is the last one of its step
        self.given = 0  # where the record of the last `now` ends
        self._timers: list[tuple[int, int, Call]] = []
        self._timed = 0
        self._deadline = NEVER
        self._look_at = 0.0

    past: History
    all_asked = True  # nothing recorded is still to be asked for

    def record_request(self, call: Call, tail: str) -> int:
        """Record that `call` was made, and return where the record ends; `tail` is JSON text of what its kind adds."""
        return self.journal.append("requested", f',"key":{call.json_key},"kind":"{call.kind}","after":{self.released}{tail}')

    def complete(self, call: Call, tail: str, *, durable: bool, kind: str = "completed") -> int:
        """Record the result of `call`, for which somebody waits. Returns where the record ends."""
        raise NotImplementedError

    def settle_now(self, call: Call, tail: str, kind: str = "completed") -> None:
        """Record a result that has no thread of its own to wait until it is durable."""
        self.journal.sync(self.complete(call, tail, durable=True, kind=kind))
        self.front.wake()

    def commit(self, offset: int) -> None:
        """Make the journal durable up to `offset`, then let go on what waits for that. Not under the lock."""
        self.front.commit(offset)

    def warn(self, code: str, message: str, key: str = "", tail: str = "") -> None:
        """Leave a warning that a person should see; `tail` is JSON text of further members."""
        about = f',"key":{encode_text(key)}' if key else ""
        self.journal.append("warning", f',"code":"{code}","message":{encode_text(message)}{about}{tail}')

    def warn_once(self, code: str, message: str, key: str = "") -> None:
        """Leave a warning, but only once in a run about a key, or once in a claim if it is about none."""
        mark = (code, key or message)
        if mark not in self.port.warned:
            self.port.warned.add(mark)
            self.warn(code, message, key)

    def near_value_limit(self, what: str, size: int, key: str) -> None:
        """Warn if `size` bytes are nearly too many for a value."""
        limit = self.settings.value
        if size * 5 > limit * 4:
            self.warn_once("limit", f"{what} is larger than 80 % of {limit} bytes (limits.value)", key)

    def record_heartbeat(self, call: StepCall, what: str, text: str) -> None:
        """Record that a try is alive. Nobody waits for it: where it finds no room, the claim ends by itself."""
        try:
            self.near_value_limit(what, len(text.encode()), call.key)
            self.journal.append("heartbeat", f',"key":{call.json_key},"details":{text}')
        except ClosedError:
            return

    def keep_given(self) -> None:
        """Make every instant durable that the code was told: before anything outside may learn of it."""
        if self.journal.durable < self.given:
            self.journal.sync(self.given)

    def announce(self, late_at: float) -> None:
        """Tell of a try that may take too long, unless it will be looked at by then anyway: what blocks this process is ended from outside."""
        look_at = late_at + _BLOCKED
        if monotonic() < self._look_at <= look_at:
            return
        self._look_at = look_at
        self.port.changed()

    def run_try(self, call: StepCall) -> None:
        """Begin the try that `call` has prepared."""
        self.tries[call.key] = call
        moment = call.late_at()
        if moment < self._deadline:
            self._deadline = moment
            self.port.plan(moment)
        self.front.start(call)

    def conclude(self, call: StepCall, running: Try) -> bool:
        """Say whether `running` is still the try that counts; it ends with this."""
        if self.closed or call.running is not running:
            return False
        call.running = None
        del self.tries[call.key]
        if self.stopped and not self.tries:
            self.port.plan(0)
        return True

    def wait(self, call: Call, due: int) -> None:
        """Wake `call` at the instant `due`."""
        call.due = due
        self.waits[call.key] = call
        self._timed += 1  # heaps compare further when instants are equal
        heappush(self._timers, (due, self._timed, call))
        self.port.plan_at(due)

    def go_on(self, call: Call) -> None:
        """Take note that `call` waits no more."""
        call.due = None
        self.waits.pop(call.key, None)
        self.activity += 1

    def await_message(self, call: Call) -> None:
        """Hand `call` the message for its address when it comes, and `deliver` is called or `deliver_all`."""
        self.waits[call.key] = call

    def deliver(self, call: Call) -> None:
        """Hand `call` its message, if that is there."""
        message = self.port.inbox.take(call.address, call.own)
        if message is not None:
            self.go_on(call)
            call.receive(self, *message)

    def deliver_all(self) -> None:
        """Hand out the messages that have come, in their order, as soon as all that is recorded was asked for."""
        if self.all_asked:
            for call in self.port.inbox.in_order(self.waits.values()):
                if not self.stopped:
                    self.deliver(call)

    def wake_due(self, now: int) -> int | None:
        """Wake the calls whose instant has come, and return the next instant."""
        while (due := self.next_due()) is not None and due <= now and not self.stopped:
            if self.front.stuck_at() < NEVER:
                return None  # the thread that would run the next try may still come back
            call = heappop(self._timers)[2]
            call.due = None
            call.wake(self)
        return None if self.stopped else due

    def next_due(self) -> int | None:
        """Return the earliest instant at which a call goes on by itself, if there is one."""
        timers = self._timers
        while timers and timers[0][2].due != timers[0][0]:
            heappop(timers)  # it waits no more
        return timers[0][0] if timers else None

    def expired(self, moment: float) -> list[tuple[StepCall, Try]]:
        """Return the tries that took too long. Sets the next moment to look."""
        if moment < self._deadline:
            return []
        late = [(call, call.running) for call in self.tries.values() if call.late_at() <= moment and call.running is not None]
        self._deadline = min((call.late_at() for call in self.tries.values() if call.late_at() > moment), default=NEVER)
        return late

    @property
    def deadline(self) -> float:
        """The monotonic moment before which no try takes too long."""
        return self._deadline

    def end(self, outcome: tuple[str, Any]) -> None:
        """Stop: no result is released and nothing starts from here on. The first to call this says why."""
        if not self.stopped:
            self.stopped, self.outcome = True, outcome
            self.port.plan(0)

    def abort_tries(self) -> None:
        """Tell the running functions that nobody waits for them; a try that fails is the last one."""
        self.aborting = True
        for call in self.tries.values():
            if call.running is not None:
                call.running.abort()
