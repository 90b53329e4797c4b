"""Steps: the tries of a memoized call, their retries and timeouts, and what becomes of a try that was cut off."""

from __future__ import annotations

from ty_worker.calls import Call
from ty_worker.clock import NEVER, monotonic, now_ms, stamp
from ty_worker.durations import quoted
from ty_worker.errors import is_final, record_error
from ty_worker.lines import encode_json
from ty_worker.tries import Try
from ty_worker.values import limited, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import Record, Tries
    from ty_worker.policy import Policy
    from ty_worker.running import Running


class StepCall(Call):
    """One memoized step: its function is tried until it returns, or until its policy allows no more."""

    kind = "step"
    __slots__ = ("_late_at", "address", "compensate", "failures", "fn", "heartbeat_ms", "in_doubt", "inline", "last", "on_in_doubt", "owner", "policy",
                 "running", "task", "timeout_ms", "wants_context")  # fmt: skip

    def __init__(self, name: str, fn: Callable[..., Any], policy: Policy, timeout_ms: int, *, wants_context: bool) -> None:
        super().__init__(name)
        self.fn, self.policy, self.timeout_ms, self.wants_context = fn, policy, timeout_ms, wants_context
        self.heartbeat_ms, self.on_in_doubt, self.compensate = 0, "retry", None
        self.address = ""  # of the decision, while a person is asked
        self.owner: Running
        self.running: Try | None = None  # the try that may still conclude
        self._late_at = NEVER
        self.last = self.failures = 0
        self.in_doubt = False
        self.inline = False  # the function runs in the thread of the code
        self.task: Any = None  # of asyncio, to be canceled at the timeout

    def start(self, attempt: Running) -> None:
        """Record the request; the first try begins with it."""
        limit = f',"timeout_ms":{self.timeout_ms}' if self.timeout_ms else ""
        offset = attempt.record_request(self, f',"try":1{limit}{self._compensable()}')
        self._run(attempt, 1, offset)

    def remember(self, attempt: Attempt, value: Any) -> None:
        """Record a step whose result an earlier attempt of the body has left."""
        attempt.record_request(self, f',"memo":true{self._compensable()}')
        attempt.remember(self, value)

    def _compensable(self) -> str:
        return ',"compensate":true' if self.compensate is not None else ""

    def resume(self, attempt: Running, record: Record) -> None:
        """Go on after the tries that the journal holds."""
        tries = attempt.past.tries_of(record["key"])
        self.last, self.failures, self.in_doubt = tries.last, tries.failures, tries.in_doubt or not tries.over
        if tries.over:
            attempt.wait(self, tries.retry_at)
        elif self.on_in_doubt != "retry":
            self._decide(attempt, tries)
        elif tries.failures and not self.policy.allows_more(tries.failures):
            from ty_worker.doubts import crashed

            crashed(attempt, self)
        else:
            self.try_again(attempt)

    def _decide(self, attempt: Running, tries: Tries) -> None:
        from ty_worker.doubts import ask, in_doubt

        if self.on_in_doubt == "fail":
            in_doubt(attempt, self)
        else:
            ask(attempt, self, asked=tries.asked)

    def receive(self, running: Running, number: int, message: Record) -> None:
        """Take the decision of the person who was asked."""
        from ty_worker.doubts import decide

        decide(running, self, number, message.get("data"))

    def wake(self, running: Running) -> None:
        """Begin a further try, once the failure of the last one is durable."""
        running.go_on(self)
        running.journal.sync(self.offset)
        self.try_again(running)

    def try_again(self, running: Running, inbox: str = "") -> None:
        """Begin a further try; `inbox` is JSON text that names the message which decided that."""
        offset = running.journal.append("started", f',"key":{self.json_key},"try":{self.last + 1}{inbox}')
        self._run(running, self.last + 1, offset)

    def _run(self, running: Running, number: int, offset: int) -> None:
        running.keep_given()
        if self.on_in_doubt != "retry":
            running.journal.sync(offset)
        self.last, self.owner = number, running
        self.running = Try(running, self, number)
        self._late_at = monotonic() + self.timeout_ms / 1000 if self.timeout_ms else NEVER
        running.run_try(self)

    def described(self) -> dict[str, Any]:
        """Say what the run waits for: a person's decision, or the end of a pause."""
        return {"key": self.key, "kind": "decision" if self.address else "retry"}

    @property
    def limited(self) -> bool:
        """Whether a try may take too long."""
        return bool(self.timeout_ms or self.heartbeat_ms)

    def late_at(self) -> float:
        """Return the monotonic moment at which the try has taken too long, or been silent for too long."""
        if self.heartbeat_ms and self.running is not None:
            return min(self._late_at, self.running.silent_since() + self.heartbeat_ms / 1000)
        return self._late_at

    def lateness(self) -> TimeoutError:
        """Return the error of a try that is late."""
        if self._late_at <= monotonic():
            return TimeoutError(f"step {quoted(self.key)} took longer than {self.timeout_ms} ms")
        return TimeoutError(f"step {quoted(self.key)} sent no heartbeat for {self.heartbeat_ms} ms")

    def invoke(self, running: Try) -> Any:
        """Call the function."""
        return self.fn(running) if self.wants_context else self.fn()

    def returned(self, running: Running, this: Try, value: object) -> None:
        """Record what the function returned, unless this try was given up before."""
        try:
            copy = plain(value)
            text = encode_json(copy)
            large = len(text) * 4 > running.settings.value
            if large:
                limited(text, running.settings.value, self._result())
        except Exception as error:  # noqa: BLE001 - values may have methods of the user
            self.failed(running, this, error)
            return
        with running.lock:
            if not running.conclude(self, this):
                return
            self.value = copy
            if large:
                running.near_value_limit(self._result(), len(text.encode()), self.key)
            offset = running.complete(self, f',"try":{self.last},"value":{text}', durable=True)
        running.commit(offset)

    def _result(self) -> str:
        return f"the result of step {quoted(self.key)}"

    def failed(self, running: Running, this: Try, error: BaseException) -> bool:
        """Record that a try failed, and prepare the next one if there is one. False if this try was given up before."""
        record = record_error(error)
        text = encode_json(record)
        with running.lock:
            if not running.conclude(self, this):
                return False
            self.failures += 1
            if is_final(record) or running.aborting or not self.policy.allows_more(self.failures):
                self.error = record
                offset = running.complete(self, f',"try":{self.last},"error":{text}', durable=True, kind="failed")
            else:
                retry_at = now_ms() + self.policy.pause_after(self.failures)
                offset = running.journal.append("retrying", f',"key":{self.json_key},"try":{self.last},"error":{text},"retry_at":"{stamp(retry_at)}"')
                self.offset = offset
                running.wait(self, retry_at)
        running.commit(offset)
        return True
