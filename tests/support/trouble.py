"""A loop over the platform in memory, with deploys that take as long as a test wants and platforms in trouble."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.compute import Observation, Order, Outcome, Progress, Refused, Revision
from reconciler.digest import Json
from reconciler.errands import Errands
from reconciler.model import Code, Desired, Workflow
from reconciler.plan import Limits
from reconciler.reconcile import Memory, Report
from reconciler.recorded import ActiveRun
from reconciler.state import open_store, queries, runs
from reconciler.values import replace
from tests.support.builders import a_workflow
from tests.support.memory import MemoryAdapter, Platform
from tests.support.world import World


def behaves(behaviour: str, name: str = "", revision: str = "", **changes: Any) -> Workflow:
    """Declare a workflow whose runs behave like this."""
    name = name or behaviour
    return a_workflow(name, revision=revision or f"revision-of-{name}", code=Code({}, behaviour, "/srv"), **changes)


@dataclass
class Trouble:
    """What goes wrong, until a test takes it away: by the digest of a revision, by the name of a run, or at every call."""

    deploys: dict[str, Exception] = field(default_factory=dict)
    orders: dict[str, Refused] = field(default_factory=dict)
    calls: Exception | None = None
    starts: Exception | None = None
    asked: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)


class Troubled(MemoryAdapter):
    """A platform in memory that has trouble."""

    def __init__(self, platform: Platform, trouble: Trouble) -> None:
        super().__init__(platform)
        self.trouble = trouble

    def deploy(self, revision: Revision, code: Mapping[str, bytes], progress: Progress) -> Json:
        if revision.digest in self.trouble.deploys:
            self.trouble.asked.append(f"deploy {revision.digest}")
            raise self.trouble.deploys[revision.digest]
        return super().deploy(revision, code, progress)

    def abandon(self, digest: str) -> None:
        self.trouble.abandoned.append(digest)

    def observe(self, claims: Mapping[str, int]) -> dict[str, Observation]:
        self.trouble.asked.append("observe")
        return super().observe(claims)

    def start(self, orders: Sequence[Order], progress: Progress) -> list[Outcome]:
        self.trouble.asked.append("start")
        self._up()
        refused = {
            uid: replace(answer, uid=uid) for order in orders if (answer := self.trouble.orders.get(str(order.first["run"]))) for uid in [order.uid]
        }
        if self.trouble.starts is not None:
            raise self.trouble.starts
        return [refused.get(order.uid) or self._start(order) for order in orders]

    def _up(self) -> None:
        super()._up()
        if self.trouble.calls is not None:
            raise self.trouble.calls


class Loop:
    """One process that lives on: passes over a folder, and errands that begin, and end, when a test says so."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.platform, self.trouble = Platform(), Trouble()
        self.held: list[Callable[[], None]] = []
        self.woken = 0
        self.world = World(folder, limits or Limits(), self.platform, adapters=lambda: {"memory": Troubled(self.platform, self.trouble)})
        self.restart()

    def restart(self) -> None:
        """Go on as another process: what was under way there is nobody's any more."""
        self.held.clear()
        self.world.memory, self.world.errands = Memory(), Errands(self._wake, begin=self.held.append)

    def _wake(self) -> None:
        self.woken += 1

    def step(self, desired: Desired | None, **how: Any) -> Report:
        """Run one pass."""
        report = self.world.run_pass(desired, **how)
        assert report is not None
        return report

    def finish_errands(self) -> None:
        """Let everything that was begun come to its end, and what begins because of that too."""
        while self.held:
            self.held.pop(0)()

    def later(self, seconds: float) -> None:
        """Move the clock."""
        self.world.clock.at += timedelta(seconds=seconds)

    def run(self, name: str) -> dict[str, Any]:
        """Return what is remembered of a run."""
        store = open_store(self.world.folder)
        try:
            (row,) = queries.runs_named(store, name, None, None)
            return row
        finally:
            store.close()

    def active(self) -> dict[str, ActiveRun]:
        """Return the runs that have not ended, by name."""
        store = open_store(self.world.folder)
        try:
            return {run.name: run for run in runs.active_runs(store).values()}
        finally:
            store.close()
