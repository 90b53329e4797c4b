"""What becomes of a step whose try was cut off: another try, a failure, or what a person decides."""

from __future__ import annotations

from ty_worker.durations import quoted
from ty_worker.errors import CrashError, InDoubtError, LimitError, NotSerializableError, record_error
from ty_worker.lines import encode_json
from ty_worker.values import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.running import Running
    from ty_worker.steps import StepCall


def crashed(running: Running, call: StepCall) -> None:
    """Fail a step whose worker died during its last try."""
    _fail(running, call, CrashError(f"step {quoted(call.key)} failed: its worker died during try {call.last}, and no try is left"))


def in_doubt(running: Running, call: StepCall) -> None:
    """Fail a step that is not to be tried again when it was cut off."""
    _fail(running, call, InDoubtError(f"step {quoted(call.key)} was cut off during try {call.last}, and may have had its effect (on_in_doubt)"))


def ask(running: Running, call: StepCall, *, asked: bool) -> None:
    """Ask a person, unless that was done before, and wait for the decision."""
    if not asked:
        running.journal.append("asked", f',"key":{call.json_key},"try":{call.last}')
        running.port.changed()
    call.address = f"signal {call.key}~in-doubt"
    running.await_message(call)


def decide(running: Running, call: StepCall, number: int, decision: Any) -> None:
    """Carry out what message `number` decides; go on waiting if it decides nothing."""
    inbox = f',"inbox":{number}'
    if decision == "fail":
        message = f"step {quoted(call.key)} was cut off during try {call.last}, and a person decided that it failed"
        _fail(running, call, InDoubtError(message), inbox)
    elif decision == "retry":
        call.address = ""
        call.try_again(running, inbox)
    elif isinstance(decision, dict) and "result" in decision and _fits(running, decision["result"]):
        call.value = plain(decision["result"])
        running.settle_now(call, f',"try":{call.last},"value":{encode_json(call.value)}{inbox}')
    else:
        expected = '"retry", "fail" or {"result": ...} was expected'
        running.warn("in-doubt", f"{expected} for step {quoted(call.key)}, which is in doubt: message {number} is ignored", call.key, inbox)
        running.await_message(call)
        running.deliver(call)


def _fits(running: Running, value: Any) -> bool:
    try:
        return len(encode_json(plain(value)).encode()) <= running.settings.value
    except (NotSerializableError, LimitError):
        return False


def _fail(running: Running, call: StepCall, error: Exception, inbox: str = "") -> None:
    call.error = record_error(error)
    running.settle_now(call, f',"try":{call.last},"error":{encode_json(call.error)}{inbox}', "failed")
