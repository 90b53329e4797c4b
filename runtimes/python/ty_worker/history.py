"""What a journal tells the engine: who holds the run, and what the present attempt of the body has asked for and got."""

from __future__ import annotations

from ty_worker.clock import parse_stamp
from ty_worker.lines import DamageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Record = dict[str, Any]

_REMEMBERED = frozenset(("step", "sleep", "signal", "send", "child"))


class Tries:
    """How far the tries of a recorded step have come."""

    __slots__ = ("asked", "failures", "in_doubt", "last", "over", "retry_at")

    def __init__(self, last: int) -> None:
        self.last, self.failures, self.in_doubt, self.retry_at = last, 0, False, 0
        self.over = False  # the last one failed, and was not cut off
        self.asked = False  # a person was asked what becomes of the last one


class History:
    """The records of a journal, taken in one by one."""

    def __init__(self) -> None:
        self.order: Record = {}
        self.claim, self.worker, self.accepted, self.began = 0, "", 0, ""
        self.finished: Record | None = None
        self.canceling: Record | None = None
        self.ending: Record | None = None
        self.memo: dict[tuple[str, str], Any] = {}
        self.compensable: set[str] = set()  # steps of the memo that had something to undo them
        self.spent: set[int] = set()  # numbers of messages that are no news
        self.warned: set[tuple[str, str]] = set()  # code and key of warnings
        self._boot: str | None = None
        self._held = False  # the claim has not been given back
        self._seq = 0
        self._begin(1, 0)

    def _begin(self, attempt: int, retry_at: int) -> None:
        self.attempt, self.retry_at = attempt, retry_at
        self.requests: list[Record] = []
        self.by_key: dict[str, Record] = {}
        self.results: list[Record] = []
        self.settled: dict[str, Record] = {}
        self.abandoned: set[str] = set()
        self.markers: set[str] = set()
        self.cleaning: dict[str, Record] = {}  # requests of clean-up functions
        self.cleaned: dict[str, Record] = {}  # and their results
        self._tries: dict[str, Tries] = {}
        self._in_flight: set[str] = set()
        self.results_before: dict[int, int] = {}  # by claim: results that were there when it began

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
            self.memo[entry["key"], entry["kind"]] = entry.get("value")
            if entry["kind"] == "step":
                self.compensable.add(entry["key"])  # it may have had something, and only the code knows

    def _take(self, record: Record) -> None:
        if record["after"] > self.accepted:
            message = f"records are gone before claim {record['claim']}"
            raise DamageError(message)
        died = self._held and record.get("boot") == self._boot and record.get("before") is None
        self._cut_off(died=died)
        self.claim, self.worker, self._seq = record["claim"], record["worker"], 0
        self._boot, self._held = record.get("boot"), True
        self.results_before[self.claim] = len(self.results)
        self.began = self.began or record["at"]

    def _cut_off(self, *, died: bool) -> None:
        """Take note of the tries that ended with their claim; those that died with it are failures."""
        for key in self._in_flight:
            tries = self.tries_of(key)
            tries.in_doubt = True
            tries.failures += died
        self._in_flight.clear()

    def requested(self, record: Record) -> None:
        """The code made a call, or clean-up began."""
        key, kind = record["key"], record["kind"]
        if kind == "clean-up":
            self.cleaning[key] = record
        else:
            self.requests.append(record)
            self.by_key[key] = record
        if kind in ("step", "clean-up"):
            self._in_flight.add(key)

    def started(self, record: Record) -> None:
        """A further try of a step began."""
        tries = self.tries_of(record["key"])
        tries.in_doubt = tries.in_doubt or not tries.over
        tries.last, tries.over, tries.asked = record["try"], False, False
        self._in_flight.add(record["key"])
        self._spend(record)

    def retrying(self, record: Record) -> None:
        """A try of a step failed, and another follows."""
        tries = self.tries_of(record["key"])
        tries.failures += 1
        tries.over, tries.retry_at = True, parse_stamp(record["retry_at"])
        self._in_flight.discard(record["key"])

    def ask(self, record: Record) -> None:
        """A person was asked what becomes of a try that was cut off."""
        self.tries_of(record["key"]).asked = True

    def tries_of(self, key: str) -> Tries:
        """Return how far the tries of a step have come."""
        tries = self._tries.get(key)
        if tries is None:
            request = self.by_key.get(key) or self.cleaning[key]
            tries = self._tries[key] = Tries(request.get("try", 1))
        return tries

    def settle(self, record: Record) -> None:
        """A call has its result."""
        key = record["key"]
        self._in_flight.discard(key)
        if "inbox" in record:
            self._spend(record)
        if key in self.cleaning:
            self.cleaned[key] = record
            return
        self.results.append(record)
        self.settled[key] = record

    def _spend(self, record: Record) -> None:
        """Take note of the message that a record is about: it is no news any more."""
        if "inbox" in record:
            self.spent.add(record["inbox"])

    def abandon(self, record: Record) -> None:
        """Nobody waits for a step any more."""
        self.abandoned.add(record["key"])
        self._in_flight.discard(record["key"])

    def mark(self, record: Record) -> None:
        """The code was told that it may go the new way."""
        self.markers.add(record["id"])

    def restart(self, record: Record) -> None:
        """The body is tried again: what was completed becomes the memo, everything else is forgotten."""
        for result in self.results:
            request = self.by_key.get(result["key"], {})
            if result["type"] == "completed" and not result.get("memo") and not result.get("expired") and request.get("kind") in _REMEMBERED:
                self.memo[result["key"], request["kind"]] = result.get("value")
                if request.get("compensate"):
                    self.compensable.add(result["key"])
        for request in self.requests:
            if request["kind"] in ("now", "on-cancel"):
                self.memo[request["key"], request["kind"]] = request.get("value")
        self._begin(record["attempt"] + 1, parse_stamp(record["retry_at"]))

    def has_on_cancel(self) -> bool:
        """Say whether the code gave a function for a cancel, in this attempt or in an earlier one."""
        return any(kind == "on-cancel" for _, kind in self.memo) or any(request["kind"] == "on-cancel" for request in self.requests)

    def cancel(self, record: Record) -> None:
        """A cancel request was acknowledged."""
        self.canceling = record
        self._spend(record)

    def end(self, record: Record) -> None:
        """The body is over, and clean-up began."""
        self.ending = record

    def warn(self, record: Record) -> None:
        """A person was told something."""
        self.warned.add((record["code"], record.get("key", "")))
        self._spend(record)

    def let_go(self, _record: Record) -> None:
        """The claim was given back."""
        self._held = False

    def finish(self, record: Record) -> None:
        """The run has ended."""
        self.finished = record


_FOLDS: dict[str, Callable[[History, Record], None]] = {
    "requested": History.requested,
    "started": History.started,
    "retrying": History.retrying,
    "asked": History.ask,
    "completed": History.settle,
    "failed": History.settle,
    "abandoned": History.abandon,
    "marker": History.mark,
    "body.failed": History.restart,
    "canceling": History.cancel,
    "ending": History.end,
    "parked": History.let_go,
    "released": History.let_go,
    "warning": History.warn,
    "finished": History.finish,
}
