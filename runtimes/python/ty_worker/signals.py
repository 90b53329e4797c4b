"""Signals: those that the run waits for, and those that it sends to other runs."""

from __future__ import annotations

from ty_worker.calls import MessageCall
from ty_worker.clock import stamp
from ty_worker.durations import quoted
from ty_worker.lines import encode_json, encode_text
from ty_worker.orders import address_of_wait
from ty_worker.sleeps import instant_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import Record
    from ty_worker.running import Running


class SignalCall(MessageCall):
    """A wait for the next signal of a name."""

    kind = "signal"
    __slots__ = ("_approval", "_timeout_ms", "own", "signal")

    def __init__(self, name: str, signal: str, timeout_ms: int | None, approval: str = "") -> None:
        """Wait for `signal`; `approval` is JSON text of what a person is asked, if one is."""
        super().__init__(name)
        self.signal, self._timeout_ms, self._approval = signal, timeout_ms, approval
        self.address, self.own = f"signal {signal}", ""

    def start(self, attempt: Attempt) -> None:
        """Record the wait, and begin it."""
        more = ""
        if self._timeout_ms is not None:
            self.until = instant_after(self._timeout_ms)
            more = f',"until":"{stamp(self.until)}"'
        if self._approval:
            more += f',"approval":{self._approval}'
        attempt.record_request(self, f',"signal":{encode_text(self.signal)}{more}')
        self._tell(attempt)
        self.listen(attempt)

    def _wait(self, running: Running) -> None:
        self.own = address_of_wait(running.past.attempt, self.key)
        super()._wait(running)

    def described(self) -> dict[str, Any]:
        """Say what the run waits for."""
        return {**super().described(), "signal": self.signal}

    def receive(self, running: Running, number: int, message: Record) -> None:
        """Take the data of the signal."""
        self.value = message.get("data")
        running.complete(self, f',"value":{encode_json(self.value)},"inbox":{number}', durable=False)
        self._tell(running)

    def expire(self, running: Running) -> None:
        """Go on with nothing."""
        running.complete(self, ',"expired":true', durable=False)
        self._tell(running)

    def _tell(self, running: Running) -> None:
        """Let others look, where a person is asked or is asked no more."""
        if self._approval:
            running.port.changed()


class SendCall(MessageCall):
    """A signal for another run: done when it is in that run's inbox."""

    kind = "send"
    __slots__ = ("_data", "_run", "_signal")

    def __init__(self, name: str, run: str, signal: str, data: Any) -> None:
        """Send `data`, a JSON value."""
        super().__init__(name)
        self._run, self._signal, self._data = run, signal, data

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Wait for the answer."""
        self.address = f"sent {self.key}"
        super().resume(attempt, record)

    def start(self, attempt: Attempt) -> None:
        """Ask the reconciler to bring the signal there."""
        text = encode_json(self._data)
        attempt.near_value_limit(f"the data of signal {quoted(self._signal)}", len(text.encode()), self.key)
        attempt.keep_given()
        attempt.record_request(self, f',"run":{encode_text(self._run)},"signal":{encode_text(self._signal)},"data":{text}')
        attempt.port.changed()
        self.address = f"sent {self.key}"
        self.listen(attempt)

    def receive(self, running: Running, number: int, message: Record) -> None:
        """Take the answer."""
        if "error" in message:
            self.error = message["error"]
            running.complete(self, f',"error":{encode_json(self.error)},"inbox":{number}', durable=False, kind="failed")
        else:
            running.complete(self, f',"value":null,"inbox":{number}', durable=False)
