"""What a journal tells the engine: who holds the run, and what the present attempt of the body has asked for and got."""

from __future__ import annotations

from ty_worker.clock import parse_stamp
from ty_worker.lines import DamageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Record = dict[str, Any]


class Tries:
    """How far the tries of a recorded step have come."""

    __slots__ = ("failures", "in_doubt", "last", "over", "retry_at")

    def __init__(self, last: int) -> None:
        self.last, self.failures, self.in_doubt, self.over, self.retry_at = last, 0, False, False, 0


class History:
    """The records of a journal, taken in one by one."""

    def __init__(self) -> None:
        self.order: Record = {}
        self.claim, self.worker, self.accepted = 0, "", 0
        self.finished: Record | None = None
        self.canceling: Record | None = None
        self.memo: dict[str, tuple[str, Any]] = {}
        self._seq = 0
        self._begin(1, 0)

    def _begin(self, attempt: int, retry_at: int) -> None:
        self.attempt, self.retry_at = attempt, retry_at
        self.requests: list[Record] = []
        self.by_key: dict[str, Record] = {}
        self.results: list[Record] = []
        self.settled: dict[str, Record] = {}
        self._tries: dict[str, Tries] = {}

    def accept(self, record: Record) -> None:
        """Take in the next record of the journal. Raises DamageError where records are missing."""
        if self.finished is not None:
            return
        claim = record["claim"]
        if not self.order:
            self._first(record)
        elif record["type"] == "claim":
            if claim <= self.claim:
                return
            self._take(record)
        elif claim < self.claim:
            return
        self._seq += 1
        if claim != self.claim or record["seq"] != self._seq:
            message = f"record {record['seq']} of claim {claim} follows record {self._seq - 1} of claim {self.claim}"
            raise DamageError(message)
        self.accepted += 1
        fold = _FOLDS.get(record["type"])
        if fold is not None:
            fold(self, record)

    def _first(self, record: Record) -> None:
        if record["type"] != "order":
            message = "the first record is no order"
            raise DamageError(message)
        self.order = record
        for entry in record.get("memo", ()):
            self.memo[entry["key"]] = (entry["kind"], entry["value"])

    def _take(self, record: Record) -> None:
        if record["after"] > self.accepted:
            message = f"records are gone before claim {record['claim']}"
            raise DamageError(message)
        self.claim, self.worker, self._seq = record["claim"], record["worker"], 0

    def requested(self, record: Record) -> None:
        """The code made a call."""
        key = record["key"]
        self.requests.append(record)
        self.by_key[key] = record

    def started(self, record: Record) -> None:
        """A further try of a step began."""
        tries = self.tries_of(record["key"])
        tries.in_doubt = tries.in_doubt or not tries.over
        tries.last, tries.over = record["try"], False

    def retrying(self, record: Record) -> None:
        """A try of a step failed, and another follows."""
        tries = self.tries_of(record["key"])
        tries.failures += 1
        tries.over, tries.retry_at = True, parse_stamp(record["retry_at"])

    def tries_of(self, key: str) -> Tries:
        """Return how far the tries of a step have come."""
        tries = self._tries.get(key)
        if tries is None:
            tries = self._tries[key] = Tries(self.by_key[key].get("try", 1))
        return tries

    def settle(self, record: Record) -> None:
        """A call has its result."""
        self.results.append(record)
        self.settled[record["key"]] = record

    def restart(self, record: Record) -> None:
        """The body is tried again: completed steps become the memo, everything else is forgotten."""
        for result in self.results:
            key = result["key"]
            kind = self.by_key[key]["kind"] if key in self.by_key else ""
            if result["type"] == "completed" and not result.get("memo") and kind == "step":
                self.memo[key] = (kind, result["value"])
        self._begin(record["attempt"] + 1, parse_stamp(record["retry_at"]))

    def cancel(self, record: Record) -> None:
        """A cancel request was acknowledged."""
        self.canceling = record

    def finish(self, record: Record) -> None:
        """The run has ended."""
        self.finished = record


_FOLDS: dict[str, Callable[[History, Record], None]] = {
    "requested": History.requested,
    "started": History.started,
    "retrying": History.retrying,
    "completed": History.settle,
    "failed": History.settle,
    "body.failed": History.restart,
    "canceling": History.cancel,
    "finished": History.finish,
}
