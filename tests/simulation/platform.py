"""A platform whose workers move when the simulation moves them, behind the real contract of an adapter."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.runfiles import finished, instant, seen
from reconciler.compute import (
    Finished,
    Gone,
    LetGo,
    Live,
    Missing,
    Observation,
    Order,
    Ordered,
    Outcome,
    Progress,
    Refused,
    Revision,
    Unclaimed,
    Unknown,
)
from reconciler.digest import Json
from reconciler.errors import RejectedError, UnavailableError
from reconciler.history import History, Reader
from reconciler.instants import stamp
from reconciler.journal import RECONCILER, encode_line
from reconciler.model import Status
from reconciler.values import replace
from tests.simulation.faults import Faults
from tests.support.memory import MemoryAdapter, Platform
from tests.support.world import HandClock


@dataclass
class Stage(Platform):
    """What is there whoever lives: journals, inboxes, revisions, workers. `ordered` are claims that a living worker may still take."""

    clock: HandClock = field(default_factory=HandClock)
    readers: dict[str, Reader] = field(default_factory=dict)
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)
    firsts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    before: dict[str, Observation] = field(default_factory=dict)
    ordered_at: dict[str, datetime] = field(default_factory=dict)

    def create(self, uid: str, first: Mapping[str, Any]) -> None:
        """Write the first record of a run."""
        self.journals[uid] = b""
        self.readers[uid] = Reader()
        self._write(uid, first)

    def append(self, uid: str, claim: int, *records: Mapping[str, Any]) -> None:
        """Append records of a claim to a journal."""
        self.before[uid] = look_at(self, uid, claim)
        for record in records:
            number = 1 if record["type"] == "claim" else self.numbers[uid][1] + 1
            self.numbers[uid] = (claim, number)
            self._write(uid, {**record, "claim": claim, "seq": number, "at": stamp(self.clock.now())})
        self.changed.add(uid)

    def _write(self, uid: str, record: Mapping[str, Any]) -> None:
        line = encode_line(record)
        self.journals[uid] += line
        self.readers[uid].feed(line)

    def history(self, uid: str) -> History | None:
        """Return what a journal tells."""
        reader = self.readers.get(uid)
        return None if reader is None else reader.history

    def take(self, uid: str) -> None:
        """Let a worker take the claim that was ordered."""
        history = self.history(uid)
        assert history is not None
        claim = self.ordered.pop(uid)
        self.append(uid, claim, {"type": "claim", "worker": f"w{claim}-{uid}", "after": history.records})
        self.alive.add(uid)


def look_at(stage: Stage, uid: str, claim: int) -> Observation:
    """Return what is true of a run."""
    history, size = stage.history(uid), len(stage.journals.get(uid, b""))
    if history is None:
        return Missing()
    if history.finished is not None:
        return finished(history, size)
    facts = seen(history, size)
    if history.claim < claim:
        ordered = stage.ordered.get(uid) == claim
        return Unclaimed(facts, ordered, stage.ordered_at[uid] if ordered else None)
    if history.let_go is not None:
        mail = history.unread(len(stage.inboxes.get(uid, ())))
        return LetGo(replace(facts, mail=mail), history.let_go, Status(history.status), instant(history.due()))
    return Live(facts, Status(history.status), instant(history.due())) if uid in stage.alive else Gone(facts)


class StageAdapter(MemoryAdapter):
    """The adapter of one process: each call is shown to the observer, and may go wrong."""

    name = "exec"

    def __init__(self, stage: Stage, faults: Faults, watch: Callable[[str, str, Any], None]) -> None:
        super().__init__(stage)
        self.stage, self.faults, self.watch = stage, faults, watch

    @contextmanager
    def _call(self, call: str, about: str, what: Any = None) -> Iterator[str]:
        kind = self.faults.of_call(call)
        self.watch(call, f"{about} {kind}".rstrip(), what)
        self.faults.before(kind)
        yield kind
        self.faults.after(kind)

    def deployed(self, digests: Sequence[str]) -> frozenset[str]:
        with self._call("deployed", str(len(digests))):
            return super().deployed(digests)
        raise AssertionError

    def deploy(self, revision: Revision, code: Mapping[str, bytes], progress: Progress) -> Json:
        with self._call("deploy", revision.digest[:12], revision):
            return super().deploy(revision, code, progress)
        raise AssertionError

    def retire(self, digest: str) -> None:
        with self._call("retire", digest[:12], digest):
            super().retire(digest)

    def observe(self, claims: Mapping[str, int]) -> dict[str, Observation]:
        with self._call("observe", f"{len(claims)}") as kind:
            found: dict[str, Observation] = {uid: look_at(self.stage, uid, claim) for uid, claim in claims.items()}
            if kind == "unknown":
                found = {uid: Unknown("no answer in time") if self.faults.dice.random() < 0.5 else look for uid, look in found.items()}
            if kind == "late":
                found = {uid: self._late(uid, claims[uid], look) for uid, look in found.items()}
            return found
        raise AssertionError

    def _late(self, uid: str, claim: int, now: Observation) -> Observation:
        """Return how a run looked before its last record, as far as that is no lie about who may still hold it."""
        before = self.stage.before.get(uid)
        ordered_at = self.stage.ordered_at.get(uid)
        if not isinstance(before, Live | Missing | Unclaimed) or isinstance(now, Missing) or ordered_at is None:
            return now
        if isinstance(before, Unclaimed) or (isinstance(before, Live) and before.seen.claim < claim):
            return Unclaimed(before.seen, True, ordered_at)
        return before

    def start(self, orders: Sequence[Order], progress: Progress) -> list[Outcome]:
        return [self._start(order) for order in orders]

    def _start(self, order: Order) -> Outcome:
        with self._call("start", f"{order.uid} {order.claim}", order) as kind:
            if kind == "refused":
                return Refused(order.uid, "no-space", "there is no room", again=True)
            return self._order(order)
        raise AssertionError

    def _order(self, order: Order) -> Outcome:
        stage, uid = self.stage, order.uid
        history = stage.history(uid)
        if history is None:
            stage.before[uid] = Missing()
            stage.create(uid, order.first)
        elif history.order["spec_hash"] != order.first["spec_hash"]:
            return Refused(uid, "conflict", f"{uid} holds another run", again=False)
        elif history.finished is not None or history.claim >= order.claim:
            return Ordered(uid, adopted=True)
        stage.writes += 1
        stage.ordered[uid], stage.ordered_at[uid] = order.claim, stage.clock.now()
        if self.faults.dice.random() < 0.8:
            stage.take(uid)
        return Ordered(uid)

    def send(self, uid: str, message: Mapping[str, Any]) -> None:
        with self._call("send", f"{uid} {message['id']}", message):
            inbox = self.stage.inboxes.setdefault(uid, [])
            if all(known["id"] != message["id"] for known in inbox):
                inbox.append(message)
                self.stage.writes += 1

    def kill(self, uid: str) -> None:
        with self._call("kill", uid, uid):
            self.stage.alive.discard(uid)
            self.stage.ordered.pop(uid, None)
            self.stage.changed.add(uid)

    def end(self, uid: str, claim: int, first: Mapping[str, Any], finished_record: Mapping[str, Any]) -> Finished:
        with self._call("end", f"{uid} {finished_record['status']}", (uid, claim, finished_record)):
            return self._end(uid, claim, first, finished_record)
        raise AssertionError

    def _end(self, uid: str, claim: int, first: Mapping[str, Any], record: Mapping[str, Any]) -> Finished:
        stage = self.stage
        if uid in stage.alive:
            raise UnavailableError(f"a worker still holds {uid}")
        if stage.history(uid) is None:
            stage.create(uid, first)
        history = stage.history(uid)
        assert history is not None
        if history.order["spec_hash"] != first["spec_hash"]:
            raise RejectedError(f"{uid} holds another run")
        if history.finished is None:
            stage.writes += 1
            number = max(claim, history.claim + 1)
            stage.ordered.pop(uid, None)
            stage.append(
                uid, number, {"type": "claim", "worker": RECONCILER, "after": history.records}, {"type": "finished", "output": None, **record}
            )
        end = look_at(stage, uid, 0)
        assert isinstance(end, Finished)
        return end

    def history(self, uid: str) -> History | None:
        return self.stage.history(uid)

    def records(self, uid: str) -> list[Mapping[str, Any]]:
        with self._call("records", uid):
            return super().records(uid)
        raise AssertionError
