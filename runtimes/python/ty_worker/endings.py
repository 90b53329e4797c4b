"""What is recorded when an attempt of the body, or a claim, ends."""

from __future__ import annotations

from ty_worker.clock import now_ms, stamp
from ty_worker.errors import LimitError, NonDeterminismError, is_final, record_error
from ty_worker.lines import encode_json, encode_text
from ty_worker.values import limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.history import History, Record
    from ty_worker.policy import Settings

    Records = list[tuple[str, str]]

# Outcomes after which nobody waits for the steps in flight.
ABORTED = ("returned", "unfit", "threw", "refused", "canceled", "expired")
# Outcomes that come from outside while the body may still have much to do.
CUT_SHORT = ("canceled", "expired", "ending")


class Finish:
    """How a run ends: the members of its terminal record, as JSON text."""

    __slots__ = ("cleans", "size", "status", "tail")

    def __init__(self, status: str, tail: str, *, cleans: bool = True, size: int = 0) -> None:
        """`cleans` says whether clean-up comes before; `size` is that of the output, if it is large."""
        self.status, self.tail, self.cleans, self.size = status, tail, cleans, size

    @property
    def canceled(self) -> bool:
        """Whether the run is canceled."""
        return self.status == "canceled"

    def members(self) -> str:
        """Return the JSON text of the members of the record."""
        return f',"status":"{self.status}"{self.tail}'


class Again:
    """The body is tried again at the instant `retry_at`, and `records` say so."""

    __slots__ = ("records", "retry_at")

    def __init__(self, retry_at: int, records: Records) -> None:
        self.retry_at, self.records = retry_at, records


class Leave:
    """The claim ends, the run does not: `records` say so."""

    __slots__ = ("records",)

    def __init__(self, records: Records) -> None:
        self.records = records


def conclusion(outcome: tuple[str, Any], number: int, settings: Settings, read: int) -> Finish | Again | Leave:
    """Return what follows from how attempt `number` of the body ended; `read` is the number of the last message that was read."""
    kind, what = outcome
    if kind == "returned":
        return _returned(what, settings)
    if kind == "unfit":
        return _failed(what)
    if kind == "threw":
        return _threw(what, number, settings)
    if kind == "refused":
        return _failed(what, cleans=not isinstance(what, NonDeterminismError))
    if kind == "canceled":
        return Finish("canceled", f',"reason":{encode_text(what["reason"])}')
    if kind == "expired":
        error = TimeoutError(f"the run did not end within its timeout of {settings.run_timeout_ms} ms")
        return _failed(error, ',"reason":"timeout"')
    if kind == "ending":
        return _recorded(what)
    return Leave(_leaving(kind, what, read))


def _leaving(kind: str, what: Any, read: int) -> Records:
    inbox = f',"inbox":{read}'
    if kind == "parked":
        until = f',"until":"{stamp(what["until"])}"' if what["until"] is not None else ""
        return [("parked", f'{until},"waits":{encode_json(what["waits"])}{inbox}')]
    if kind == "released":
        return [("released", f',"reason":"{what}"{inbox}')]
    if kind == "stuck":
        return [("warning", f',"code":"grace","message":{encode_text(str(what))}'), ("released", f',"reason":"grace"{inbox}')]
    return []


def _returned(value: object, settings: Settings) -> Finish:
    try:
        text = limited(encode_json(value), settings.value, "what the workflow returned")
    except LimitError as error:
        return _failed(error)
    return Finish("completed", f',"output":{text}', cleans=False, size=len(text.encode()) if len(text) * 4 > settings.value else 0)


def _threw(error: BaseException, number: int, settings: Settings) -> Finish | Again:
    record = record_error(error)
    if is_final(record) or not settings.retry.allows_more(number):
        return _failed(error, cleans=record["name"] != "NonDeterminismError")
    retry_at = now_ms() + settings.retry.pause_after(number)
    tail = f',"attempt":{number},"error":{encode_json(record)},"retry_at":"{stamp(retry_at)}"'
    return Again(retry_at, [("body.failed", tail)])


def _failed(error: BaseException, tail: str = "", *, cleans: bool = True) -> Finish:
    return Finish("failed", f',"error":{encode_json(record_error(error))}{tail}', cleans=cleans)


def _recorded(ending: Record) -> Finish:
    """Return the end that `ending` has announced."""
    tail = "".join(f',"{member}":{encode_json(ending[member])}' for member in ("error", "reason") if member in ending)
    return Finish(ending["status"], tail)


def interruption(history: History) -> tuple[str, Any] | None:
    """Return the outcome that an earlier claim has recorded, if it has."""
    if history.ending is not None:
        return "ending", history.ending
    if history.canceling is not None:
        return "canceled", {"reason": history.canceling.get("reason", ""), "acknowledged": True}
    return None
