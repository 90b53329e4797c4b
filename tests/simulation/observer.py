"""Somebody outside the code who checks the invariants from what can be seen: journals, calls, the database, the folder."""

import hashlib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.actions import Edit, Plan, RemoveWorkflow
from reconciler.compute import Order, Revision
from reconciler.instants import stamp
from reconciler.journal import RECONCILER, accepted, decode_lines
from reconciler.model import Status
from reconciler.moves import may_follow
from tests.simulation.folder import Folder
from tests.simulation.platform import Stage

_TERMINAL = ("completed", "failed", "canceled", "skipped")
_END = "uid, status, reason, completed_at, output, error"


class Broken(AssertionError):
    """An invariant does not hold."""


def check(holds: object, invariant: str, told: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(f"{invariant}: {told}")


@dataclass
class Observer:
    """Watches one simulation. It reads the database through a connection of its own, so it sees only what is committed."""

    stage: Stage
    folder: Folder
    path: Path
    trace: list[str]
    ends: dict[str, bytes] = field(default_factory=dict)
    rows: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    reruns: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    moves: Counter[str] = field(default_factory=Counter)
    slots: int = 0
    version: int = -1
    digest: str = ""

    def __post_init__(self) -> None:
        self.db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)

    # While calls are made

    def called(self, call: str, about: str, what: Any) -> None:
        """See a call of the adapter, before it has an effect."""
        self.calls[call] += 1
        self.trace.append(f"    {call} {about}")
        match call:
            case "start":
                self._started(what)
            case "send":
                self._sent(about.split(" ", maxsplit=1)[0], what)
            case "end":
                self._ended(*what)
            case "deploy":
                self._deployed(what)
            case "retire":
                self._retired(what)

    def _one(self, statement: str, *values: Any) -> Any:
        return self.db.execute(statement, values).fetchone()

    def _started(self, order: Order) -> None:
        uid = order.uid
        row = self._one("SELECT name, claim, completed_at, revision FROM runs WHERE uid = ?", uid)
        check(row is not None and row[1] >= order.claim, "I9", f"claim {order.claim} of {uid} is ordered before it is committed: {row}")
        check(row[2] is None, "I5", f"claim {order.claim} of {row[0]} is ordered after its end was recorded")
        check(
            row[3] == order.revision.digest, "I17", f"{row[0]} is ordered with revision {order.revision.digest[:12]}, and {row[3][:12]} is recorded"
        )
        check(order.revision.digest in self.stage.revisions, "I9", f"{row[0]} is ordered before its revision is there")
        history = self.stage.history(uid)
        if history is None:
            check(order.claim == 1, "I8", f"the first claim of {row[0]} is {order.claim}")
            self._meant(order)
            return
        check(history.order["revision"] == order.revision.digest, "I17", f"{row[0]} began with another revision")
        if uid in self.stage.alive:
            check(order.claim <= history.claim, "I7", f"claim {order.claim} of {row[0]} is ordered while the worker of claim {history.claim} lives")
        elif self.stage.ordered.get(uid) is not None:
            check(
                order.claim == self.stage.ordered[uid],
                "I7",
                f"claim {order.claim} of {row[0]} is ordered while a worker may take {self.stage.ordered[uid]}",
            )
        if history.finished is None and order.claim > max(history.claim, self.claims.get(uid, 0)):
            self._woken(uid, row[0])

    def _meant(self, order: Order) -> None:
        first = order.first
        if "parent" not in first:
            name = first["schedule"]["name"] if "schedule" in first else first["run"]
            spec = (name, first["workflow"], json.dumps(first["input"]))
            check(spec in self.folder.meant, "I12", f"{spec} was started, and nobody ever wrote that")

    def _woken(self, uid: str, name: str) -> None:
        """A sleep ends when its time has come, by the machine's clock, or when somebody asks for the run."""
        history = self.stage.history(uid)
        assert history is not None
        if history.let_go != "parked" or history.until is None or history.unread(len(self.stage.inboxes.get(uid, ()))):
            return
        canceled = self._one("SELECT cancel FROM runs WHERE uid = ?", uid)[0]
        now = stamp(self.stage.clock.now())
        check(canceled is not None or history.until <= now, "I15", f"{name} sleeps until {history.until}, and is woken at {now}")

    def _sent(self, uid: str, message: Any) -> None:
        row = self._one("SELECT cancel, completed_at FROM runs WHERE uid = ?", uid)
        known = (
            row is not None and row[0] is not None
            if message["type"] == "cancel"
            else self._one("SELECT 1 FROM messages WHERE uid = ? AND id = ?", uid, message["id"])
        )
        check(known, "I9", f"{message['id']} is sent to {uid} before it is committed")

    def _ended(self, uid: str, claim: int, record: Any) -> None:
        row = self._one("SELECT name, completed_at FROM runs WHERE uid = ?", uid)
        check(row is not None, "I9", f"an end of {uid} is written, and nobody knows the run")
        check(row[1] is None, "I5", f"an end of {row[0]} is written after its end was recorded")

    def _deployed(self, revision: Revision) -> None:
        check(
            self._one("SELECT 1 FROM revisions WHERE digest = ?", revision.digest),
            "I9",
            f"revision {revision.digest[:12]} is deployed before that is committed",
        )

    def _retired(self, digest: str) -> None:
        used = self._one("SELECT name FROM runs WHERE revision = ? AND completed_at IS NULL", digest) or self._one(
            "SELECT name FROM workflows WHERE revision = ?", digest
        )
        check(used is None, "I17", f"revision {digest[:12]} is removed, and {used} needs it")

    # Around passes

    def planned(self, plan: Plan) -> None:
        """See what a pass is about to do."""
        for change in plan.changes:
            self.trace.append(f"    {change.symbol} {change.kind}/{change.name} {change.action} ({change.reason})")
        for notice in (*plan.rejected, *plan.held):
            self.trace.append(f"    ! {notice.object} {notice.reason} ({notice.message})")
        if not self.folder.doubtful:
            return
        for action in plan.actions:
            gone = isinstance(action, RemoveWorkflow) or (isinstance(action, Edit) and action.reason.startswith("its manifest is gone"))
            check(not gone, "I12", f"{action} although the folder is in doubt")

    def looked(self) -> str:
        """Look at all journals that have grown, and at the database, after something was done; return a digest of all that is committed."""
        for uid, data in self.stage.journals.items():
            if self.sizes.get(uid) != len(data):
                self.sizes[uid] = len(data)
                self._journal(uid, data)
        version = self._one("PRAGMA data_version")[0]
        if version == self.version:
            return self.digest
        self.version = version
        ended = self.db.execute(f"SELECT {_END} FROM runs WHERE completed_at IS NOT NULL ORDER BY uid").fetchall()
        for row in ended:
            self._row(row)
        for uid, claim, status in self.db.execute("SELECT uid, claim, status FROM runs"):
            self.claims[uid] = claim
            self._moved(uid, Status(status))
        self._slots()
        check(len(ended) == len(self.rows), "I5", f"{self.rows.keys() - {row[0] for row in ended}} had ended, and have not any more")
        self.digest = self._digest()
        return self.digest

    def _slots(self) -> None:
        """A slot makes one run at the most, when its time has come, and none before its schedule was there."""
        made: dict[tuple[str, str], str] = {}
        rows = self.db.execute("SELECT name, created_at, origin FROM runs WHERE incarnation = 1 AND origin LIKE '%schedule%' ORDER BY uid")
        for name, created_at, origin in rows:
            schedule = json.loads(origin)["schedule"]
            slot = (schedule["name"], schedule["slot"])
            check(made.setdefault(slot, name) == name, "I15", f"{made[slot]} and {name} are both of {slot}")
            check(schedule["slot"] <= created_at, "I15", f"{name} was made at {created_at}")
            check(schedule["slot"] >= stamp(self.folder.armed[schedule["name"]])[:19], "I15", f"{name} is older than its schedule")
        self.slots = len(made)

    def _moved(self, uid: str, status: Status) -> None:
        before = self.statuses.get(uid, Status.PENDING)
        if before is not status:
            check(may_follow(before, status), "I5", f"{uid} was {before.value}, and is {status.value}")
            self.moves[f"{before.value} to {status.value}"] += 1
        self.statuses[uid] = status

    def _journal(self, uid: str, data: bytes) -> None:
        records = decode_lines(data)
        kept, skipped = accepted(records)
        check(skipped == 0, "I8", f"{uid}: {skipped} records of another claim")
        ends = [record for record in records if record["type"] == "finished"]
        check(len(ends) <= 1, "I5", f"{uid} has ended {len(ends)} times")
        if ends:
            check(self.ends.setdefault(uid, data) == data, "I5", f"something was written after the end of {uid}")
        claims = Counter(record["claim"] for record in kept if record["type"] == "claim" and record["worker"] != RECONCILER)
        check(all(number == 1 for number in claims.values()), "I7", f"{uid}: a claim was taken twice: {claims}")
        inbox = [message["id"] for message in self.stage.inboxes.get(uid, ())]
        check(len(inbox) == len(set(inbox)), "I8", f"{uid} got a message twice")

    def _row(self, row: tuple[Any, ...]) -> None:
        uid, status = row[0], row[1]
        check(status in _TERMINAL, "I5", f"{uid} is complete and {status}")
        check(self.rows.setdefault(uid, row) == row, "I5", f"the end of {uid} has changed: {self.rows[uid]} to {row}")
        history = self.stage.history(uid)
        end = None if history is None else history.finished
        check(end is not None and end["status"] == status, "I6", f"{uid} is {status} in the database, and its journal says {end and end['status']}")

    def _digest(self) -> str:
        tables = [row[0] for row in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        text = "".join(f"{table}{self.db.execute(f'SELECT * FROM {table}').fetchall()}" for table in tables)
        return hashlib.sha256(text.replace(str(self.folder.path), "FOLDER").encode()).hexdigest()[:16]

    # When the faults have stopped

    def incarnations(self) -> None:
        """Check that nothing was run again that nobody asked to run again, and that the database knows every end."""
        again: Counter[str] = Counter()
        before: tuple[Any, ...] = ()
        for row in self.db.execute("SELECT name, rerun, spec_hash, incarnation, origin FROM runs ORDER BY name, incarnation"):
            check(row[3] == (before[3] + 1 if before[:1] == row[:1] else 1), "I11", f"{row[0]}: incarnation {row[3]} follows {before}")
            if "parent" not in json.loads(row[4]):
                again[row[0]] += before[:3] == row[:3]
            before = row
        for name, number in again.items():
            check(number <= self.reruns[name], "I11", f"{name} was run again {number} times without a change, and {self.reruns[name]} were asked for")
        for uid in sorted(self.stage.journals):
            history = self.stage.history(uid)
            row = self._one("SELECT status, completed_at FROM runs WHERE uid = ?", uid)
            check(row is not None, "I6", f"the database knows nothing of {uid}")
            if history is not None and history.finished is not None:
                check(row[0] == history.finished["status"], "I6", f"{uid} is {row[0]}, and its journal says {history.finished['status']}")
