"""Children: runs that this run starts, once for each key, and whose results come back as messages."""

from __future__ import annotations

from ty_worker.calls import MessageCall
from ty_worker.clock import stamp
from ty_worker.durations import quoted
from ty_worker.errors import ChildError, rebuild_error, record_error
from ty_worker.lines import encode_json, encode_text
from ty_worker.sleeps import instant_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import Record
    from ty_worker.running import Running


class ChildCall(MessageCall):
    """A child run."""

    kind = "child"
    __slots__ = ("_input", "_on_cancel", "_timeout_ms", "_workflow")

    def __init__(self, name: str, workflow: str, value: Any, timeout_ms: int | None, on_cancel: str) -> None:
        """Run `workflow` with the JSON value `value`; `on_cancel` is what becomes of it when this run is canceled."""
        super().__init__(name)
        self._workflow, self._input, self._timeout_ms, self._on_cancel = workflow, value, timeout_ms, on_cancel

    def start(self, attempt: Attempt) -> None:
        """Ask the reconciler for the child."""
        text, limit = encode_json(self._input), ""
        attempt.near_value_limit(f"the input of child {quoted(self.name)}", len(text.encode()), self.key)
        attempt.keep_given()
        if self._timeout_ms is not None:
            self.until = instant_after(self._timeout_ms)
            limit = f',"until":"{stamp(self.until)}"'
        attempt.record_request(self, f',"workflow":{encode_text(self._workflow)},"input":{text}{limit},"on_cancel":"{self._on_cancel}"')
        attempt.port.changed()
        self.address = f"child {self.key}"
        self.listen(attempt)

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Go on waiting for the child's end."""
        self.address = f"child {self.key}"
        super().resume(attempt, record)

    def receive(self, running: Running, number: int, message: Record) -> None:
        """Take how the child ended."""
        if message["status"] == "completed":
            self.value = message.get("output")
            running.complete(self, f',"value":{encode_json(self.value)},"inbox":{number}', durable=False)
        else:
            self._fail(running, message["error"] if message["status"] == "refused" else self._ended(message), f',"inbox":{number}')

    def _ended(self, message: Record) -> dict[str, Any]:
        run, status, cause = message["run"], message["status"], message.get("error")
        why = (cause or {}).get("message", message.get("reason"))
        error = ChildError(f"run {run} of workflow {self._workflow} {status}" + ("" if why is None else f": {why}"))
        error.__dict__.update(run=run, workflow=self._workflow, status=status)
        if cause is not None:
            error.__cause__ = rebuild_error(cause)
        return record_error(error)

    def expire(self, running: Running) -> None:
        """Fail: the child goes on, but nobody waits for it any more."""
        self._fail(running, record_error(TimeoutError(f"child {quoted(self.key)} did not end within its timeout")))

    def _fail(self, running: Running, error: dict[str, Any], inbox: str = "") -> None:
        self.error = error
        running.complete(self, f',"error":{encode_json(error)}{inbox}', durable=False, kind="failed")
