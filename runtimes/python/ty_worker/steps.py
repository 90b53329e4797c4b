"""Steps: the tries of a memoized call, their retries, timeouts and abort signals."""

from __future__ import annotations

from _thread import allocate_lock

from ty_worker.calls import Call
from ty_worker.clock import monotonic, now_ms, stamp
from ty_worker.errors import LimitError, is_final, record_error
from ty_worker.lines import encode_json
from ty_worker.values import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import Record
    from ty_worker.policy import Policy

NEVER = float("inf")


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

    __slots__ = ("_beat", "attempt", "in_doubt", "key", "signal")

    def __init__(self, key: str, attempt: int, *, in_doubt: bool) -> None:
        self.key, self.attempt, self.in_doubt = key, attempt, in_doubt
        self.signal = Signal()
        self._beat: tuple[float, object] = (0.0, None)

    def __str__(self) -> str:
        """Return the key, so that the whole is good enough where only the key is wanted."""
        return self.key

    def heartbeat(self, details: object = None) -> None:
        """Tell that the try is alive, and how far it is."""
        self._beat = (monotonic(), details)

    def abort(self) -> None:
        """Fire the signal."""
        self.signal._fire()


class StepCall(Call):
    """One memoized step: its function is tried until it returns, or until its policy allows no more."""

    kind, wait_kind = "step", "retry"
    __slots__ = ("deadline", "failures", "fn", "in_doubt", "inline", "last", "policy", "running", "task", "timeout_ms", "wants_context")

    def __init__(self, name: str, fn: Callable[..., Any], policy: Policy, timeout_ms: int, *, wants_context: bool) -> None:
        super().__init__(name)
        self.fn, self.policy, self.timeout_ms, self.wants_context = fn, policy, timeout_ms, wants_context
        self.running: Try | None = None  # the try that may still conclude
        self.deadline = NEVER
        self.last = self.failures = 0
        self.in_doubt = False
        self.inline = False  # the function runs in the thread of the code
        self.task: Any = None  # of asyncio, to be canceled at the timeout

    def start(self, attempt: Attempt) -> None:
        """Record the request; the first try begins with it."""
        attempt.record_request(self, ',"try":1')
        self._run(attempt, 1)

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Go on after the tries that the journal holds."""
        tries = attempt.past.tries_of(record["key"])
        self.last, self.failures, self.in_doubt = tries.last, tries.failures, tries.in_doubt or not tries.over
        if tries.over:
            attempt.wait(self, tries.retry_at)
        else:
            self.wake(attempt)

    def wake(self, attempt: Attempt) -> None:
        """Begin a further try, once the failure of the last one is durable."""
        attempt.journal.sync(self.offset)
        attempt.journal.append("started", f',"key":{self.json_key},"try":{self.last + 1}')
        self._run(attempt, self.last + 1)

    def _run(self, attempt: Attempt, number: int) -> None:
        self.last = number
        self.running = Try(f"{attempt.uid}/{self.key}", number, in_doubt=self.in_doubt)
        self.deadline = monotonic() + self.timeout_ms / 1000 if self.timeout_ms else NEVER
        attempt.run_step(self)

    def invoke(self, running: Try) -> Any:
        """Call the function."""
        return self.fn(running) if self.wants_context else self.fn()

    def returned(self, attempt: Attempt, running: Try, value: object) -> None:
        """Record what the function returned, unless this try was given up before."""
        try:
            copy = plain(value)
            text = encode_json(copy)
            limit = attempt.settings.value
            if len(text) * 3 > limit and len(text.encode()) > limit:
                message = f'the result of step "{self.key}" is larger than {limit} bytes (limits.value)'
                raise LimitError(message)
        except Exception as error:  # noqa: BLE001 - values may have methods of the user
            self.failed(attempt, running, error)
            return
        with attempt.lock:
            if not attempt.conclude(self, running):
                return
            self.value = copy
            offset = attempt.complete(self, f',"try":{self.last},"value":{text}', durable=True)
        attempt.front.commit(offset)

    def failed(self, attempt: Attempt, running: Try, error: BaseException) -> bool:
        """Record that a try failed, and prepare the next one if there is one. False if this try was given up before."""
        record = record_error(error)
        text = encode_json(record)
        with attempt.lock:
            if not attempt.conclude(self, running):
                return False
            self.failures += 1
            if is_final(record) or attempt.aborting or not self.policy.allows_more(self.failures):
                self.error = record
                offset = attempt.complete(self, f',"try":{self.last},"error":{text}', durable=True, kind="failed")
            else:
                retry_at = now_ms() + self.policy.pause_after(self.failures)
                offset = attempt.journal.append("retrying", f',"key":{self.json_key},"try":{self.last},"error":{text},"retry_at":"{stamp(retry_at)}"')
                self.offset = offset
                attempt.wait(self, retry_at)
        attempt.front.commit(offset)
        return True
