"""One reconciler after another over the same data folder: what a loop keeps between passes, and what a death takes away."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.actions import Plan
from reconciler.config import Settings
from reconciler.errands import Errands
from reconciler.errors import InvalidError, UnavailableError
from reconciler.manifests import LoadOptions, Manifests
from reconciler.model import Desired
from reconciler.plan import Limits
from reconciler.reconcile import Memory, Reconciler, Report
from reconciler.service import Service
from reconciler.state import Store, named_errors, open_store
from tests.simulation.faults import Connection, Faults
from tests.simulation.platform import Stage, StageAdapter
from tests.support.world import HandClock

SCOPE = "simulation"
LIMITS = Limits(concurrency=5, crash_limit=3)


class OneProcess(Service):
    """The program as its commands use it, over the state of a living process."""

    def __init__(self, process: "Process") -> None:
        super().__init__(Settings(process.data_dir), process.clock, lambda _: None)
        self.process = process
        self.__dict__["adapters"] = {"exec": process.adapter}
        self.__dict__["scope"] = SCOPE

    @contextmanager
    def writing(self, who: str) -> Iterator[Store]:
        with named_errors(self.process.store.path):
            yield self.process.store

    @contextmanager
    def reading(self) -> Iterator[Store | None]:
        yield self.process.store

    def desired(self, folder: Path, *, writing: bool, tree: Path | None = None, waits: bool = True) -> list[Desired]:
        return [self.process.manifests.load()]


@dataclass
class Process:
    """A living process: a connection, a memory, hints that it has heard and not yet acted on."""

    data_dir: Path
    folder: Path
    stage: Stage
    faults: Faults
    clock: HandClock
    watch: Callable[[str, str, Any], None]
    keeps_cache: bool
    memory: Memory = field(default_factory=Memory)
    hints: set[str] = field(default_factory=set)
    dues: tuple[datetime, ...] = ()
    looked: bool = False
    lives_on: bool = True
    under_way: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = open_store(self.data_dir)
        self.store.db.execute("PRAGMA busy_timeout = 0")
        self.store.db = Connection(self.store.db, self.faults)  # type: ignore[assignment]
        self.adapter = StageAdapter(self.stage, self.faults, self.watch)
        cache = self.data_dir / "cache" if self.keeps_cache else None
        options = LoadOptions(cache_dir=cache, write_cache=self.keeps_cache)
        self.manifests = Manifests(self.folder, options, self.clock)
        self.service = OneProcess(self)
        if self.lives_on:  # slow calls are made beside the passes, when the simulation says so
            self.service.errands = Errands(begin=self.under_way.append)

    def desired(self) -> Desired | None:
        """Return what the folder declares now, None while it is not there."""
        try:
            return self.manifests.load()
        except InvalidError:
            return None

    def run_pass(self, desired: Desired | None, *, hinted: bool, show: Callable[[Plan], None]) -> Report | str:
        """Run a pass, over everything or only over what was hinted at; say what went wrong if it could not be made."""
        self.hints |= self.adapter.drain_changes()
        changed = frozenset(self.hints) if hinted and self.looked else None
        hands = self.service._hands(self.store)
        try:
            with named_errors(self.store.path):
                report = Reconciler(hands, LIMITS, SCOPE, self.memory).run_pass(desired, changed=changed, show=show)
        except UnavailableError as error:
            if not isinstance(error.__cause__, sqlite3.Error):
                raise
            return str(error).partition(": ")[2]
        self.hints.clear()
        self.looked, self.dues = True, report.dues
        return report

    def carry_out(self) -> int:
        """Make the slow calls that passes have asked for; return how many. A process that dies of one does nothing more."""
        number = 0
        while self.under_way:
            self.under_way.pop(0)()
            number += 1
            self.faults.live()
        return number

    def close(self) -> None:
        """End the process; everything that it knew is lost."""
        self.store.db.close()


def template(folder: Path) -> Path:
    """Return a data folder with an empty database, to be copied for each seed."""
    open_store(folder).close()
    return folder


def copy(source: Path, target: Path) -> Path:
    """Make the data folder of a seed."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        shutil.copy(path, target)
    return target
