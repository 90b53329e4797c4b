"""One simulation: what follows from one seed."""

import json
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler import asking
from reconciler.errors import TyOpenworkflowError
from reconciler.reconcile import Report
from reconciler.state import queries
from tests.simulation.faults import Faults
from tests.simulation.folder import RUNS, WORKFLOWS, Folder
from tests.simulation.observer import Broken, Observer, check
from tests.simulation.platform import Stage
from tests.simulation.process import Process, copy
from tests.simulation.workers import Workers
from tests.support.world import Crash, HandClock

BEGIN = datetime(2040, 1, 2, 12, tzinfo=UTC)  # after any real stamp of a file
OPS = 160
EDITS = (
    *("add_run", "add_run", "add_run", "remove_run", "remove_run", "move", "duplicate", "remove_duplicate", "remove_duplicate"),
    *("add_workflow", "remove_workflow", "edit_code", "edit_limits", "edit_input", "edit_workflow_of_run", "label", "signal", "priority"),
    *("suspend", "cancel", "rerun_token", "depends_on", "on_change", "on_delete", "start_after", "check_out"),
    *("break_value", "break_syntax", "mend", "mend", "half_write", "empty", "write_the_rest", "write_the_rest"),
    *("take_away", "bring_back", "bring_back"),
    *("add_schedule", "add_schedule", "edit_schedule", "suspend_schedule", "remove_schedule"),
)
REQUESTS = ("cancel", "rerun", "rerun_failed", "rerun_failed", "signal")
# What happens, and how often out of all.
WEIGHTS = {
    "edit": 24,
    "worker": 34,
    "take": 5,
    "hinted_pass": 17,
    "full_pass": 7,
    "errand": 6,
    "known_pass": 2,
    "wait": 9,
    "wait_for_due": 4,
    "clock_set_back": 0.5,
    "restart": 2,
    "kill": 1,
    "lose_hint": 1.5,
    "double_hint": 1,
    "request": 3.5,
    "lock_database": 0.7,
    "unlock_database": 5,
    "fill_disk": 0.7,
    "free_disk": 4,
    "stand_still": 0.4,
}
_PATIENCE = 60


@dataclass
class Simulation:
    """A folder, a platform, a clock and a chain of reconcilers; `trace` tells everything that happened."""

    seed: int
    root: Path
    template: Path
    trace: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.clock = HandClock(BEGIN)
        self.data_dir = copy(self.template, self.root / "data")
        self.faults = Faults(self.dice, self.clock)
        self.stage = Stage(clock=self.clock)
        self.folder = Folder(self.root / "manifests", self.clock, self.dice)
        self.workers = Workers(self.stage, self.dice, RUNS, (*WORKFLOWS, "nowhere"))
        self.observer = Observer(self.stage, self.folder, self.data_dir / "state.db", self.trace)
        self.blocker = sqlite3.connect(self.data_dir / "state.db", isolation_level=None)
        self.process: Process | None = None
        self.full = False
        self.latest = BEGIN
        self.dues: tuple[datetime, ...] = ()

    def run(self) -> None:
        """Let everything happen, then stop the faults and see that all comes to rest as declared. Raises Broken."""
        kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
        for number, kind in enumerate(self.dice.choices(kinds, weights, k=OPS)):
            self.clock.at += timedelta(milliseconds=self.dice.randrange(1, 2500))
            self._do(number, kind, getattr(self, f"_{kind}"))
        self._settle()

    def close(self) -> None:
        """Let go of files."""
        if self.process is not None:
            self.process.close()
        if self.folder.writer is not None:
            self.folder.writer[1].close()
        self.blocker.close()
        self.observer.db.close()

    def _do(self, number: int, kind: str, op: Callable[[], str]) -> None:
        place = len(self.trace)
        self.trace.append("")
        told = op()
        self.trace[place] = f"{number} {self.clock.at:%m-%d %H:%M:%S.%f} {kind}: {told}"
        self.counts[kind] += 1

    # Ops: the world

    def _edit(self) -> str:
        name = self.dice.choice(EDITS)
        told = getattr(self.folder, name)()
        self.counts[f"edit {name}"] += told != "nothing"
        return f"{name} {told}"

    def _worker(self) -> str:
        return self.workers.act()

    def _take(self) -> str:
        return self.workers.take()

    def _wait(self) -> str:
        self.clock.at += timedelta(seconds=self.dice.choice((3, 20, 20, 75, 600, 8000)))
        return f"{self.clock.at}"

    def _wait_for_due(self) -> str:
        later = [due for due in self.dues if due > self.clock.at]
        if not later:
            return "nothing is due"
        self.clock.at = min(later) + timedelta(milliseconds=1)
        return self._hinted_pass()

    def _clock_set_back(self) -> str:
        self.latest = max(self.latest, self.clock.at)
        self.clock.at -= timedelta(hours=1)
        self.folder.armed = {name: min(at, self.clock.at) for name, at in self.folder.armed.items()}
        return f"{self.clock.at}"

    def _lose_hint(self) -> str:
        if not self.stage.changed:
            return "nothing"
        lost = self.dice.choice(sorted(self.stage.changed))
        self.stage.changed.discard(lost)
        return lost

    def _double_hint(self) -> str:
        if not self.stage.journals:
            return "nothing"
        told = self.dice.choice(sorted(self.stage.journals))
        self.stage.changed.add(told)
        return told

    def _lock_database(self) -> str:
        if self.blocker.in_transaction:
            return "nothing"
        self.blocker.execute("BEGIN IMMEDIATE")
        self.faults.counts["db-locked"] += 1
        return "locked"

    def _unlock_database(self) -> str:
        if not self.blocker.in_transaction:
            return "nothing"
        self.blocker.execute("ROLLBACK")
        return "unlocked"

    def _fill_disk(self) -> str:
        self.full = True
        self.faults.counts["db-full"] += 1
        return "full"

    def _free_disk(self) -> str:
        self.full = False
        return "free"

    # Ops: the reconciler

    def _errand(self) -> str:
        """Make the slow calls that passes have asked for."""
        if self.process is None or not self.process.under_way:
            return "nothing"
        self.faults.arm()
        try:
            return f"{self.process.carry_out()} made"
        except Crash:
            self._restart()
            return "the reconciler died"
        finally:
            self.faults.disarm()

    def _restart(self) -> str:
        if self.process is not None:
            self.process.close()
            self.process = None
        return "restarted"

    def _kill(self) -> str:
        """Let the reconciler die somewhere in its next pass, whatever else goes wrong."""
        return self._pass(hinted=False, killed=self.dice.randrange(8))

    def _hinted_pass(self) -> str:
        return self._pass(hinted=True)

    def _full_pass(self) -> str:
        return self._pass(hinted=False)

    def _known_pass(self) -> str:
        return self._pass(hinted=False, known=True)

    def _running(self) -> Process:
        if self.process is None:
            caches, lives_on = self.seed % 2 == 0, self.dice.random() < 0.7
            self.process = Process(
                self.data_dir, self.folder.path, self.stage, self.faults, self.clock, self.observer.called, caches, lives_on=lives_on
            )
        pages = self.process.store.db.execute("PRAGMA page_count").fetchone()[0] if self.full else 1 << 30
        self.process.store.db.execute(f"PRAGMA max_page_count = {pages}")
        return self.process

    def _pass(self, *, hinted: bool, known: bool = False, killed: int | None = None, faults: bool = True) -> str:
        self.faults.disarm()
        process = self._running()
        if faults:
            self.faults.arm()
        if killed is not None:
            self.faults.calls, self.faults.kill_at = set(), killed
        desired = None if known else process.desired()
        try:
            result = process.run_pass(desired, hinted=hinted, show=self.observer.planned)
        except Crash:
            self._restart()
            result = "the reconciler died"
        self.faults.disarm()
        told = result if isinstance(result, str) else self._told(result)
        return f"{told} {self.observer.looked()}"

    def _told(self, report: Report) -> str:
        self.dues = report.dues
        failures = sorted(f"{failure.object} {failure.reason}" for failure in report.applied.failures)
        return f"{len(report.plan.actions)} actions, {len(report.ended)} ended, {failures}"

    def _request(self) -> str:
        """Ask for something by command."""
        verb = self.dice.choice(REQUESTS)
        service = self._running().service
        rows = queries.runs_named(self._running().store, self.dice.choice(RUNS), None, None)
        if not rows:
            return "nothing"
        row = rows[0]
        try:
            self._ask(service, verb, row)
        except TyOpenworkflowError as error:
            return f"{verb} {row['name']}: {error}".replace(str(self.root), "ROOT")
        self.counts[f"request {verb}"] += 1
        return f"{verb} {row['name']}"

    def _ask(self, service: Any, verb: str, row: dict[str, Any]) -> None:
        match verb:
            case "cancel":
                asking.cancel(service, row, "no longer wanted")
            case "signal":
                asking.signal(service, row, "go", 1, f"{len(self.trace)}")
            case "rerun" | "rerun_failed":
                asking.rerun(service, row, asking.Again(failed=verb == "rerun_failed"))
                self.observer.reruns[row["name"]] += 1

    # Coming to rest

    def _stand_still(self) -> str:
        """While nothing but the reconciler moves, three passes do all there is to do, and the fourth does nothing (I10, I11)."""
        self._unlock_database()
        self._free_disk()
        self.workers.good = True
        self._wake_the_deaf()
        for _ in range(3):
            self.trace.append(f"  {self._pass(hinted=False, faults=False)}")
            self._running().carry_out()
        writes, changes = self.stage.writes, self._running().store.db.total_changes
        told = self._pass(hinted=False, faults=False)
        check(told.startswith("0 actions, 0 ended, []"), "I11", f"a fourth pass still does something: {told}")
        check(writes == self.stage.writes, "I10", "a pass over an unchanged world wrote to the platform")
        check(changes == self._running().store.db.total_changes, "I10", "a pass over an unchanged world wrote to the database")
        self.workers.good = False
        return told

    def _wake_the_deaf(self) -> None:
        """Let workers that hang take what they were told to, and end runs whose end was asked for."""
        while self.stage.ordered:
            self.trace.append(f"    {self.workers.take()}")
        for uid in sorted(self.stage.alive):
            while uid in self.stage.alive and self.workers.must_end(uid):
                self.trace.append(f"    {self.workers.act_for(uid)}")

    def _settle(self) -> None:
        """Stop the faults: what is declared comes about, and nothing else."""
        self.folder.settle()
        self.clock.at = max(self.latest, self.clock.at) + timedelta(minutes=10)  # it is right again
        self._do(OPS, "stand_still", self._stand_still)
        for number in range(_PATIENCE):
            self.workers.good = True
            while self.stage.ordered:
                self.workers.take()
            for uid in sorted(self.stage.alive):
                for _ in range(200):
                    if uid in self.stage.alive:
                        self.workers.act_for(uid)
            self.clock.at += timedelta(minutes=5)
            self._running().carry_out()
            told = self._pass(hinted=number % 2 == 1, faults=False)
            self.trace.append(f"  settling: {told}")
            if not self.stage.alive and not self.stage.ordered and told.startswith("0 actions, 0 ended"):
                if not self._pass(hinted=False, faults=False).startswith("0 actions, 0 ended"):
                    continue
                break
        else:
            raise Broken(f"I11: it does not come to rest: {self.trace[-3:]}")
        self._at_rest()
        self._do(OPS + 1, "stand_still", self._stand_still)

    def _at_rest(self) -> None:
        """Check that whatever has not ended has a reason that is true."""
        self.observer.incarnations()
        docs = self.folder.docs("Run")
        rows = self.observer.db.execute(
            "SELECT uid, name, status, reason, message, suspend, owner, facts, workflow FROM runs WHERE completed_at IS NULL ORDER BY name"
        ).fetchall()
        for uid, name, status, reason, message, suspend, owner, facts, workflow in rows:
            history = self.stage.history(uid)
            waits = () if history is None else history.waits
            if status == "pending" and (workflow not in self.folder.docs("Workflow") or name not in self.folder.runnable()):
                continue  # it was asked for, and then what it is to run was taken away, or its manifest
            fine = suspend or reason in ("dependency", "start-after", "overlap") or "signal" in waits or "child" in waits or "send" in waits
            fine = fine or (history is not None and history.until is not None and datetime.fromisoformat(history.until) > self.clock.at)
            check(fine, "I11", f"{name} is {status} ({reason}: {message}), waits for {waits}, and nothing comes of it")
            lost = [name for name, doc in self.folder.docs("Schedule").items() if doc["spec"]["run"]["workflow"] not in self.folder.docs("Workflow")]
            held = lost or len(self.folder.runnable()) < len(docs) or json.loads(facts).get("on_delete") == "finish"
            check(owner == "" or owner.startswith(("run/", "schedule/")) or name in docs or held, "I11", f"{name} goes on undeclared")
        known = {row[0] for row in self.observer.db.execute("SELECT name FROM runs")}
        for name in self.folder.runnable():
            check(name in known, "I11", f"{name} is declared and was never started")


@dataclass
class Outcome:
    """What came of a seed."""

    seed: int
    digest: str
    error: str
    counts: dict[str, int]
    trace: list[str]


def simulate(seed: int, template: Path, where: Path | None = None) -> Outcome:
    """Carry out one seed, in a folder that is gone afterwards."""
    import hashlib
    import traceback

    with tempfile.TemporaryDirectory(prefix="tyow-", dir=where) as folder:
        simulation = Simulation(seed, Path(folder), template)
        error = ""
        try:
            simulation.run()
        except Broken as broken:
            error = str(broken)
        except Exception:
            error = f"I13: {traceback.format_exc()}"
        finally:
            simulation.close()
        trace = [line.replace(folder, "ROOT") for line in simulation.trace]
    counts = {**simulation.counts, **{f"fault {kind}": count for kind, count in simulation.faults.counts.items()}}
    counts["slots"] = simulation.observer.slots
    counts |= {f"move {kind}": count for kind, count in simulation.observer.moves.items()}
    counts |= {f"worker {kind}": count for kind, count in simulation.workers.counts.items()}
    digest = hashlib.sha256("\n".join([*trace, error.replace(folder, "ROOT")]).encode()).hexdigest()
    return Outcome(seed, digest, error.replace(folder, "ROOT"), counts, trace)


def as_line(outcome: Outcome, *, trace: bool) -> str:
    """Write an outcome as a line for another process."""
    facts = {"seed": outcome.seed, "digest": outcome.digest, "error": outcome.error, "counts": outcome.counts}
    return json.dumps(facts | ({"trace": outcome.trace} if trace or outcome.error else {}))
