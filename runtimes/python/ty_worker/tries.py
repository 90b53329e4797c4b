"""One try of a function: its abort signal, its heartbeats, and what the function is told of it."""

from __future__ import annotations

from _contextvars import ContextVar
from _thread import allocate_lock

from ty_worker.clock import NEVER, monotonic
from ty_worker.durations import quoted
from ty_worker.errors import CallError
from ty_worker.forks import end_if_forked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Event

    from ty_worker.running import Running
    from ty_worker.steps import StepCall

_BETWEEN_RECORDS = 1.0
within: ContextVar[str] = ContextVar("within", default="")  # the key of the step whose function runs here


def check_outside(kind: str, name: str) -> None:
    """Check that a call is not made inside the function of a step. Raises CallError."""
    end_if_forked()
    step = within.get()
    if step:
        message = f"{named(kind, name)} was called inside the body of step {quoted(step)}: call it from the workflow"
        raise CallError(message)


def named(kind: str, name: str) -> str:
    """Return how a call is named in messages."""
    return f"{kind} {quoted(name)}" if name else kind


class Signal:
    """The abort signal of a try: fired when nobody waits for it any more."""

    __slots__ = ("_event", "_lock", "canceled")

    def __init__(self) -> None:
        self.canceled = False
        self._event: Event | None = None
        self._lock = allocate_lock()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the signal, at most `timeout` seconds, and say whether it was fired."""
        from threading import Event

        with self._lock:
            self._event = self._event or Event()
            if self.canceled:
                self._event.set()
        return self._event.wait(timeout)

    def _fire(self) -> None:
        with self._lock:
            self.canceled = True
            if self._event is not None:
                self._event.set()


class Try:
    """One try of a step: what a step function with a required positional parameter receives."""

    __slots__ = ("_beaten", "_call", "_recorded", "_running", "attempt", "in_doubt", "key", "signal")

    def __init__(self, running: Running, call: StepCall, number: int) -> None:
        self.key, self.attempt, self.in_doubt = f"{running.seed}/{call.key}", number, call.in_doubt
        self.signal = Signal()
        self._running, self._call = running, call
        self._beaten, self._recorded = monotonic(), -NEVER

    def __str__(self) -> str:
        """Return the key, so that the whole is good enough where only the key is wanted."""
        return self.key

    def heartbeat(self, details: object = None) -> None:
        """Tell that the try is alive, and how far it is. At most one a second is recorded. Raises NotSerializableError or LimitError."""
        from ty_worker.lines import encode_json
        from ty_worker.values import limited, plain

        running, call = self._running, self._call
        what = f"the details of a heartbeat of step {quoted(call.key)}"
        text = limited(encode_json(plain(details)), running.settings.value, what)
        with running.lock:
            if running.closed or call.running is not self:
                return
            self._beaten = moment = monotonic()
            if moment - self._recorded < _BETWEEN_RECORDS:
                return
            self._recorded = moment
            running.record_heartbeat(call, what, text)

    def silent_since(self) -> float:
        """Return the monotonic moment of the last heartbeat, or of the start."""
        return self._beaten

    def abort(self) -> None:
        """Fire the signal."""
        self.signal._fire()
