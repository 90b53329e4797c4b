"""A whole reconciler over the platform in memory: real pass, real plan, real database."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.compute import Adapter
from reconciler.errands import Errands
from reconciler.hands import Hands
from reconciler.model import Code, Desired
from reconciler.plan import Limits
from reconciler.reconcile import Memory, Reconciler, Report
from reconciler.recorded import ActiveRun
from reconciler.state import Store, open_store
from tests.support.builders import NOON
from tests.support.memory import MemoryAdapter, Platform


class Crash(BaseException):
    """The reconciler died here."""


@dataclass
class HandClock:
    """A clock that a test moves."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at


class Dying(MemoryAdapter):
    """An adapter whose caller dies before or after one of its calls."""

    def __init__(self, platform: Platform, countdown: list[int], installation: str = "") -> None:
        super().__init__(platform, installation)
        self.countdown = countdown

    def _up(self) -> None:
        super()._up()
        if self.countdown and self.countdown[0] == 0:
            self.countdown.clear()
            raise Crash
        if self.countdown:
            self.countdown[0] -= 1


@dataclass
class World:
    """A data folder, a platform and a clock; each pass opens the database anew, as a new process would.

    With a `memory` it is one process that lives on, with `errands` one that waits for no deploy. `adapters` may stand for other platforms.
    """

    folder: Path
    limits: Limits = field(default_factory=Limits)
    platform: Platform = field(default_factory=Platform)
    clock: HandClock = field(default_factory=HandClock)
    writes: int = 0
    memory: Memory | None = None
    errands: Errands | None = None
    adapters: Callable[[], Mapping[str, Adapter]] | None = None
    installation: str = ""

    def run_pass(self, desired: Desired | None, *, die_after: int | None = None, **how: Any) -> Report | None:
        """Run one pass; with `die_after` the process dies at that call of the adapter, and None is returned."""
        store = open_store(self.folder)
        before = store.db.total_changes
        try:
            return self._reconciler(store, [] if die_after is None else [die_after]).run_pass(desired, **how)
        except Crash:
            return None
        finally:
            self.writes = store.db.total_changes - before
            store.close()

    def _reconciler(self, store: Store, countdown: list[int]) -> Reconciler:
        def read_code(_: Code) -> Mapping[str, bytes]:
            return {"workflow.py": b""}

        def environment(_: ActiveRun) -> Mapping[str, str]:
            return {}

        adapters = {"memory": Dying(self.platform, countdown, self.installation)} if self.adapters is None else self.adapters()
        hands = Hands(store, adapters, self.clock, read_code, environment, {}, lambda _: None, self.errands)
        return Reconciler(hands, self.limits, "home", self.memory)
