"""Journals as every reader sees them: lines, the rules of `runtimes/PROTOCOL.md` section 5, and what a run has come to."""

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.errors import DamagedError
from reconciler.values import made, mutable

PROTOCOL = 1
RECONCILER = "reconciler"
Record = Mapping[str, Any]


def encode_json(value: object) -> str:
    """Write a JSON value without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def decode_json(text: str) -> Any:
    """Read a JSON value that `encode_json` wrote into the database. Raises DamagedError: SQLite keeps no checksums."""
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"the state holds {text[:40]!r} where JSON should be: move state.db away, and the next pass rebuilds what the run folders can prove"
        raise DamagedError(message) from error


def encode_line(record: Record) -> bytes:
    """Write one record as a line: CRC-32 of the JSON as 8 hex digits, a space, the JSON, a newline."""
    body = encode_json(record).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode_line(line: bytes) -> dict[str, Any]:
    """Read one line without its newline. Raises DamagedError if the CRC or the shape does not fit."""
    body = line[9:]
    try:
        if line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(body):
            message = "the CRC does not fit"
            raise DamagedError(message)
        record = json.loads(body)
    except ValueError as error:
        message = "is not a line of a journal"
        raise DamagedError(message) from error
    if not isinstance(record, dict) or "type" not in record:
        message = "is not a record"
        raise DamagedError(message)
    return record


def whole_length(data: bytes) -> int:
    """Return how many bytes of a journal are whole lines: what follows is a torn tail, or NULs."""
    end = len(data.rstrip(b"\0")) if data.endswith(b"\0") else len(data)
    return data.rfind(b"\n", 0, end) + 1


def decode_lines(data: bytes) -> list[dict[str, Any]]:
    """Read all whole lines of a journal or of orders. Raises DamagedError and names the line."""
    records = []
    for number, line in enumerate(data[: whole_length(data)].split(b"\n")[:-1], 1):
        try:
            records.append(decode_line(line))
        except DamagedError as error:
            message = f"line {number} {error}"
            raise DamagedError(message) from error
    return records


def accepted(records: Iterable[Record]) -> tuple[list[Record], int]:
    """Return the records that count, and how many were skipped (of older claims, of losers, after the end).

    Raises DamagedError where a sequence has a gap or records before a claim are gone.
    """
    kept: list[Record] = []
    skipped = claim = seq = 0
    for record in records:
        if not kept:
            if record["type"] != "order":
                message = "the first record is no order"
                raise DamagedError(message)
        elif kept[-1]["type"] == "finished":
            skipped += 1
            continue
        elif record["type"] == "claim":
            if record["claim"] <= claim:
                skipped += 1
                continue
            if record["after"] > len(kept):
                message = f"records are gone before claim {record['claim']}"
                raise DamagedError(message)
            claim, seq = record["claim"], 0
        elif record["claim"] < claim:
            skipped += 1
            continue
        seq += 1
        if record["claim"] != claim or record["seq"] != seq:
            message = f"record {record['seq']} of claim {record['claim']} follows record {seq - 1} of claim {claim}"
            raise DamagedError(message)
        kept.append(record)
    return kept, skipped


@mutable
class Call:
    """One call of a run, as its records tell it: what `status` shows as a step."""

    key: str
    kind: str
    status: str
    attempts: int = 0
    output: Any = None
    error: Any = None
    started_at: str = ""
    completed_at: str | None = None
    until: str | None = None
    in_doubt: bool = False

    @property
    def name(self) -> str:
        """The name that the code gave, without the occurrence."""
        head, sep, tail = self.key.rpartition("#")
        return head if sep and tail.isdigit() else self.key


@mutable
class History:
    """What a journal says of its run: who holds it, what it waits for, what has become of it."""

    order: Record
    claim: int = 0
    worker: str = ""
    attempt: int = 1
    claims: int = 0
    records: int = 0
    skipped: int = 0
    calls: dict[str, Call] = made(default_factory=dict)
    started_at: str | None = None
    last_at: str = ""
    let_go: str | None = None
    until: str | None = None
    waits: tuple[str, ...] = ()
    barren_deaths: int = 0
    deaths: int = 0
    graces: int = 0
    canceling: str | None = None
    finished: Record | None = None
    warnings: list[Record] = made(default_factory=list)
    fruitful: bool = False

    @property
    def status(self) -> str:
        """What the run is doing, in one word, if its worker lives."""
        if self.finished is not None:
            return str(self.finished["status"])
        if self.claim == 0:
            return "pending"
        if self.canceling is not None:
            return "canceling"
        open_kinds = {call.kind if call.status != "retrying" else "sleep" for call in self.calls.values() if call.status in ("running", "retrying")}
        if self.let_go == "parked":
            return "waiting" if self.waits and not set(self.waits) <= {"sleep", "retry", "step"} else "sleeping"
        if not open_kinds or "step" in open_kinds:
            return "running"
        return "sleeping" if open_kinds <= {"sleep"} else "waiting"

    def due(self) -> str | None:
        """Return the earliest instant that the run waits for, if any."""
        if self.let_go == "parked":
            return self.until
        return min((call.until for call in self.calls.values() if call.until and call.status in ("running", "retrying")), default=None)


def fold(data: bytes) -> History | None:
    """Read a journal and say what it tells; None if it was never created. Raises DamagedError."""
    records, skipped = accepted(decode_lines(data))
    if not records:
        if whole_length(data) == 0 and data.strip(b"\0"):
            return None
        return None
    history = History(order=records[0], skipped=skipped, records=len(records))
    for record in records[1:]:
        _FOLDS.get(record["type"], _ignore)(history, record)
        history.last_at = record["at"]
    return history


def _ignore(history: History, record: Record) -> None:
    """Pass over a record that says nothing of the run's state."""


def _claim(history: History, record: Record) -> None:
    if history.claim and history.let_go is None:
        history.deaths += 1
        history.barren_deaths = 1 if history.fruitful else history.barren_deaths + 1
        for call in history.calls.values():
            if call.status == "running" and call.kind == "step":
                call.in_doubt = True
    elif history.claim:
        history.barren_deaths = 0
    if history.let_go != "grace" or history.fruitful:
        history.graces = 0
    history.claim, history.worker = record["claim"], record["worker"]
    history.claims += 1
    history.let_go = history.until = None
    history.waits = ()
    history.fruitful = False
    if record["worker"] != RECONCILER:
        history.started_at = history.started_at or record["at"]


def _requested(history: History, record: Record) -> None:
    key = record["key"]
    if record.get("memo"):
        return
    history.calls[key] = Call(key, record["kind"], "running", record.get("try", 0), started_at=record["at"], until=record.get("until"))


def _started(history: History, record: Record) -> None:
    call = history.calls[record["key"]]
    call.status, call.attempts, call.until = "running", record["try"], None


def _retrying(history: History, record: Record) -> None:
    call = history.calls[record["key"]]
    call.status, call.error, call.until = "retrying", record["error"], record["retry_at"]
    history.fruitful = True


def _settled(history: History, record: Record) -> None:
    history.fruitful = True
    if record.get("memo"):
        return
    call = history.calls[record["key"]]
    call.status, call.completed_at, call.until = record["type"], record["at"], None
    call.output, call.error = record.get("value"), record.get("error")


def _abandoned(history: History, record: Record) -> None:
    call = history.calls[record["key"]]
    call.status, call.completed_at = "abandoned", record["at"]


def _body_failed(history: History, record: Record) -> None:
    history.attempt = record["attempt"] + 1
    history.fruitful = True
    history.until = record.get("retry_at")
    history.calls = {key: call for key, call in history.calls.items() if call.status == "completed" and call.kind != "sleep"}


def _let_go(history: History, record: Record) -> None:
    history.let_go = "parked" if record["type"] == "parked" else record["reason"]
    if history.let_go == "grace":
        history.graces = 1 if history.fruitful else history.graces + 1
    history.until = record.get("until")
    history.waits = tuple(wait["kind"] for wait in record.get("waits", ()))


def _canceling(history: History, record: Record) -> None:
    history.canceling = record.get("reason", "")


def _finished(history: History, record: Record) -> None:
    history.finished = record


def _warning(history: History, record: Record) -> None:
    history.warnings.append(record)


_FOLDS = {
    "claim": _claim,
    "requested": _requested,
    "started": _started,
    "retrying": _retrying,
    "completed": _settled,
    "failed": _settled,
    "abandoned": _abandoned,
    "body.failed": _body_failed,
    "parked": _let_go,
    "released": _let_go,
    "canceling": _canceling,
    "finished": _finished,
    "warning": _warning,
}
