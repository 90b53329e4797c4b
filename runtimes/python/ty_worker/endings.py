"""What is recorded when an attempt of the body, or a claim, ends."""

from __future__ import annotations

from ty_worker.clock import now_ms, stamp
from ty_worker.errors import LimitError, is_final, record_error
from ty_worker.lines import encode_json, encode_text
from ty_worker.values import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.policy import Settings

    Records = list[tuple[str, str]]

# Outcomes after which nobody waits for the steps in flight.
ABORTED = ("returned", "threw", "refused", "canceled", "expired")


def conclusion(outcome: tuple[str, Any], number: int, settings: Settings, deadline: int | None) -> tuple[int | None, Records]:
    """Return the records of how attempt `number` of the body ended, and the instant of the next attempt, if there is one."""
    kind, what = outcome
    if kind == "returned":
        return None, _returned(what, settings)
    if kind == "threw":
        return _threw(what, number, settings)
    if kind == "refused":
        return None, _failed(what)
    if kind == "canceled":
        return None, [("finished", f',"status":"canceled","reason":{encode_text(what["reason"])}')]
    if kind == "expired":
        error = TimeoutError(f"the run did not end before its deadline {stamp(deadline or 0)}")
        return None, _failed(error, ',"reason":"deadline"')
    if kind == "parked":
        return None, [("parked", f',"until":"{stamp(what["until"])}","waits":{encode_json(what["waits"])}')]
    if kind == "suspended":
        return None, [("released", ',"reason":"suspended"')]
    if kind == "stuck":
        return None, [("warning", f',"code":"grace","message":{encode_text(str(what))}'), ("released", ',"reason":"grace"')]
    return None, []


def _returned(value: object, settings: Settings) -> Records:
    try:
        text = encode_json(plain(value))
        if len(text) * 3 > settings.value and len(text.encode()) > settings.value:
            message = f"what the workflow returned is larger than {settings.value} bytes (limits.value)"
            raise LimitError(message)
    except Exception as error:  # noqa: BLE001 - values may have methods of the user
        return _failed(error)
    return [("finished", f',"status":"completed","output":{text}')]


def _threw(error: BaseException, number: int, settings: Settings) -> tuple[int | None, Records]:
    record = record_error(error)
    if is_final(record) or not settings.retry.allows_more(number):
        return None, _failed(error)
    retry_at = now_ms() + settings.retry.pause_after(number)
    tail = f',"attempt":{number},"error":{encode_json(record)},"retry_at":"{stamp(retry_at)}"'
    return retry_at, [("body.failed", tail)]


def _failed(error: BaseException, tail: str = "") -> Records:
    return [("finished", f',"status":"failed","error":{encode_json(record_error(error))}{tail}')]
