"""What a journal tells of its run: who holds it, what it has done, what it waits for, what has become of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from reconciler.journal import RECONCILER, Acceptance, Record, decode_lines, whole_length
from reconciler.values import made, mutable

# Calls that return at once: they are requests only, and no steps of the run.
INSTANT = frozenset({"now", "random", "uuid", "on-cancel"})
# Requests that somebody else answers, with a message.
ASKING = frozenset({"child", "send"})
ON_CANCEL = "ty/on-cancel"
IN_DOUBT = "~in-doubt"
UNDOES = "~compensate"


@mutable
class Call:
    """One call of a run, as its records tell it: what `status` shows as a step.

    `status` is `running`, `retrying`, `in-doubt` (a person shall decide), `completed`, `failed` or `abandoned`. `request_seq` is kept of approvals only:
    the position of the request among the records that count.
    """

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
    expired: bool = False
    request: Record = made(default_factory=dict)
    request_seq: int = 0
    try_began: str = ""
    heartbeat: Record | None = None

    @property
    def name(self) -> str:
        """The name that the code gave, without the occurrence."""
        head, sep, tail = self.key.rpartition("#")
        return head if sep and tail.isdigit() else self.key

    @property
    def open(self) -> bool:
        """Whether it has no result yet."""
        return self.status in ("running", "retrying", "in-doubt")


@mutable
class History:
    """What a journal says of its run."""

    order: Record
    claim: int = 0
    worker: str = ""
    boot: str | None = None
    attempt: int = 1
    claims: int = 0
    records: int = 0
    skipped: int = 0
    calls: dict[str, Call] = made(default_factory=dict)
    approvals: list[Call] = made(default_factory=list)
    started_at: str | None = None
    last_at: str = ""
    claimed_at: str | None = None
    let_go: str | None = None
    until: str | None = None
    waits: tuple[str, ...] = ()
    inbox: int | None = None
    barren_deaths: int = 0
    deaths: int = 0
    graces: int = 0
    canceling: str | None = None
    ending: Record | None = None
    on_cancel: bool = False
    finished: Record | None = None
    warnings: list[Record] = made(default_factory=list)
    fruitful: bool = False
    memo: dict[str, Any] = made(default_factory=dict)

    @property
    def status(self) -> str:
        """What the run is doing, in one word, if its worker lives."""
        if self.finished is not None:
            return str(self.finished["status"])
        if self.claim == 0:
            return "pending"
        if self.canceling is not None:
            return "canceling"
        if self.let_go == "parked":
            return "waiting" if self.waits and not set(self.waits) <= {"sleep", "retry", "step"} else "sleeping"
        kinds = {_waits_as(call) for call in self.calls.values() if call.open}
        if not kinds or kinds & {"step", "clean-up"}:
            return "running"
        return "sleeping" if kinds <= {"sleep"} else "waiting"

    def due(self) -> str | None:
        """Return the earliest instant that the run waits for, if any."""
        if self.let_go == "parked":
            return self.until
        return min((call.until for call in self.calls.values() if call.until and call.open), default=None)

    def unread(self, messages: int) -> bool:
        """Say whether an inbox with so many messages holds one that the claim has not read; a worker that knew of none never says so."""
        return self.inbox is not None and messages > self.inbox

    def open_approvals(self) -> list[Call]:
        """Return the waits that a person can answer now; those of a body that is over are none."""
        if not self.approvals or self.canceling is not None or self.ending is not None or self.finished is not None:
            return []
        return [call for call in self.approvals if call.open]

    def failed_step(self, error: Record) -> str | None:
        """Return the key of the call that failed with this error, the latest such; None where the code raised it outside of all."""
        told = (error.get("name"), error.get("message"))
        return next(
            (
                call.key
                for call in reversed(self.calls.values())
                if call.status == "failed" and call.error is not None and (call.error.get("name"), call.error.get("message")) == told
            ),
            None,
        )

    @property
    def undoes(self) -> bool:
        """Whether a completed step has something that undoes it."""
        return any(call.status == "completed" and call.request.get("compensate") for call in self.calls.values())

    def overrun_at(self) -> datetime | None:
        """Return when the earliest running try has taken as long as it may, None without such a limit."""
        ends = [
            datetime.fromisoformat(call.try_began) + timedelta(milliseconds=call.request["timeout_ms"])
            for call in self.calls.values()
            if call.status == "running" and call.request.get("timeout_ms") and call.try_began
        ]
        return min(ends, default=None)


def _waits_as(call: Call) -> str:
    """Return what an open call looks like from outside: a step between two tries sleeps."""
    return {"retrying": "sleep", "in-doubt": "decision"}.get(call.status, call.kind)


class Reader:
    """Reads a journal that grows: each time what is new. `consumed` bytes were whole lines, `history` is None until there is a first record."""

    def __init__(self) -> None:
        """Begin at the beginning."""
        self.history: History | None = None
        self.consumed = 0
        self._acceptance = Acceptance()

    def feed(self, data: bytes) -> None:
        """Take in what follows the consumed bytes. Raises DamagedError; the reader is of no use then."""
        for record in decode_lines(data):
            if self._acceptance.takes(record):
                self._take(record)
        self.consumed += whole_length(data)
        if self.history is not None:
            self.history.skipped = self._acceptance.skipped

    def _take(self, record: Record) -> None:
        if self.history is None:
            self.history = History(order=record, records=self._acceptance.kept)
            self.history.memo = {entry["key"]: entry["value"] for entry in record.get("memo") or ()}
            return
        self.history.records = self._acceptance.kept
        fold_one = _FOLDS.get(record["type"])
        if fold_one is not None:
            fold_one(self.history, record)
        self.history.last_at = record["at"]


def fold(data: bytes) -> History | None:
    """Read a journal and say what it tells; None if it was never created. Raises DamagedError."""
    reader = Reader()
    reader.feed(data)
    return reader.history


def _claim(history: History, record: Record) -> None:
    if history.claim and history.let_go is None and not record.get("before"):
        _ended_by_death(history, record)
    elif history.claim:
        history.barren_deaths = 0
    if history.let_go != "grace" or history.fruitful:
        history.graces = 0
    history.claim, history.worker, history.boot = record["claim"], record["worker"], record.get("boot")
    history.claims, history.claimed_at = history.claims + 1, record["at"]
    history.let_go = history.until = None
    history.waits = ()
    history.fruitful = False
    for call in history.calls.values():
        if call.status == "running" and call.kind in ("step", "clean-up"):
            call.in_doubt = True
        call.try_began = ""  # nothing of it runs until the claim says so
    if record["worker"] != RECONCILER:
        history.started_at = history.started_at or record["at"]


def _ended_by_death(history: History, record: Record) -> None:
    """Count a death; a machine that was started anew is not the run's fault."""
    if died_with_machine(history.boot, record.get("boot")):
        return
    history.deaths += 1
    history.barren_deaths = 1 if history.fruitful else history.barren_deaths + 1


def died_with_machine(then: str | None, now: str | None) -> bool:
    """Say whether the machine was started anew between two boots' ids; not where one is unknown."""
    return then is not None and now is not None and then != now


def _requested(history: History, record: Record) -> None:
    key, kind = record["key"], record["kind"]
    if kind in INSTANT:
        history.on_cancel = history.on_cancel or kind == "on-cancel"
        return
    if record.get("memo"):
        if key not in history.calls:
            history.calls[key] = Call(key, kind, "completed", output=history.memo.get(key), started_at=record["at"], completed_at=record["at"])
        history.calls[key].request = record
        return
    call = Call(
        key, kind, "running", record.get("try", 0), started_at=record["at"], until=record.get("until"), request=record, try_began=record["at"]
    )
    history.calls[key] = call
    if "approval" in record:
        call.request_seq = history.records
        history.approvals.append(call)


def _started(history: History, record: Record) -> None:
    call = history.calls[record["key"]]
    call.status, call.attempts, call.until, call.try_began = "running", record["try"], None, record["at"]


def _retrying(history: History, record: Record) -> None:
    call = history.calls[record["key"]]
    call.status, call.error, call.until = "retrying", record["error"], record["retry_at"]
    history.fruitful = True


def _asked(history: History, record: Record) -> None:
    history.calls[record["key"]].status = "in-doubt"


def _heartbeat(history: History, record: Record) -> None:
    history.calls[record["key"]].heartbeat = record


def _settled(history: History, record: Record) -> None:
    history.fruitful = True
    if record.get("memo"):
        return
    call = history.calls[record["key"]]
    call.status, call.completed_at, call.until = record["type"], record["at"], None
    call.output, call.error, call.expired = record.get("value"), record.get("error"), record.get("expired", False)


def _abandoned(history: History, record: Record) -> None:
    call = history.calls[record["key"]]
    call.status, call.completed_at = "abandoned", record["at"]


def _body_failed(history: History, record: Record) -> None:
    history.attempt = record["attempt"] + 1
    history.fruitful = True
    history.until = record.get("retry_at")
    history.calls = {key: call for key, call in history.calls.items() if call.status == "completed" and not call.expired}
    history.approvals = []


def _let_go(history: History, record: Record) -> None:
    history.let_go = "parked" if record["type"] == "parked" else record["reason"]
    if history.let_go == "grace":
        history.graces = 1 if history.fruitful else history.graces + 1
    history.until = record.get("until")
    history.waits = tuple(wait["kind"] for wait in record.get("waits", ()))
    history.inbox = record.get("inbox")


def _canceling(history: History, record: Record) -> None:
    history.canceling = record.get("reason", "")


def _ending(history: History, record: Record) -> None:
    history.ending = record


def _finished(history: History, record: Record) -> None:
    history.finished = record


def _warning(history: History, record: Record) -> None:
    history.warnings.append(record)


_FOLDS = {
    "claim": _claim,
    "requested": _requested,
    "started": _started,
    "retrying": _retrying,
    "asked": _asked,
    "heartbeat": _heartbeat,
    "completed": _settled,
    "failed": _settled,
    "abandoned": _abandoned,
    "body.failed": _body_failed,
    "parked": _let_go,
    "released": _let_go,
    "canceling": _canceling,
    "ending": _ending,
    "finished": _finished,
    "warning": _warning,
}


def memo_of(records: Sequence[Record], before: str | None = None) -> list[dict[str, Any]]:
    """Return the completed results that a further incarnation starts with: a list of `{key, kind, value}`, in the order of the records.

    What was undone is not among them. With `before` only those that were recorded before the last request of that key. Raises KeyError if it
    was never asked for.
    """
    end = len(records)
    if before is not None:
        asked = [position for position, record in enumerate(records) if record["type"] == "requested" and record["key"] == before]
        if not asked:
            raise KeyError(before)
        end = asked[-1]
    known = {entry["key"]: dict(entry) for entry in records[0].get("memo") or ()}
    memo: dict[str, dict[str, Any]] = {} if before is not None else dict(known)
    kinds: dict[str, str] = {}
    for record in records[1:end]:
        key = record.get("key", "")
        if "~" in key:
            continue
        if record["type"] == "requested":
            kinds[key] = record["kind"]
            if record["kind"] == "now":
                memo[key] = {"key": key, "kind": "now", "value": record["value"]}
        elif record["type"] == "completed" and not record.get("expired"):
            if not record.get("memo"):
                known[key] = {"key": key, "kind": kinds[key], "value": record.get("value")}
            if key in known:
                memo[key] = known[key]
    undone = undone_of(records)
    return [entry for key, entry in memo.items() if key not in undone]


def undone_of(records: Sequence[Record]) -> frozenset[str]:
    """Return the keys of the steps that clean-up has undone."""
    return frozenset(record["key"].removesuffix(UNDOES) for record in records if record["type"] == "completed" and record["key"].endswith(UNDOES))
