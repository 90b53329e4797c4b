"""What acting needs, and what comes of it."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from reconciler.clerk import Clerk
from reconciler.clock import Clock
from reconciler.compute import Adapter, Progress
from reconciler.digest import Json
from reconciler.errands import Errands
from reconciler.model import Code
from reconciler.recorded import ActiveRun
from reconciler.state import Store
from reconciler.values import frozen, made, mutable


@frozen
class Failure:
    """An action that did not work; `again` says whether a later pass tries it by itself."""

    object: str
    reason: str
    message: str
    again: bool


@mutable
class Applied:
    """What came of a plan. `paused` are platforms that asked to be left alone, with for how long and why."""

    failures: list[Failure] = made(default_factory=list)
    started: list[str] = made(default_factory=list)
    ended: list[str] = made(default_factory=list)
    told: list[str] = made(default_factory=list)
    paused: dict[str, tuple[timedelta, str]] = made(default_factory=dict)


@frozen
class Hands:
    """What acting needs: the store, the platforms, the clock, how to read code and secrets, and where progress goes.

    `errands` is the queue for slow calls of a process that lives on; without it a pass waits for them. `seed` is what this installation draws
    its jitter from. `clerk` speaks with TaskYou. Once `stopping` is true what is left of a plan is left to the next pass: every intent is remembered by then.
    """

    store: Store
    adapters: Mapping[str, Adapter]
    clock: Clock
    read_code: Callable[[Code], Mapping[str, bytes]]
    environment: Callable[[ActiveRun], Mapping[str, str]]
    limits: Json
    progress: Progress
    errands: Errands | None = None
    clerk: Clerk | None = None
    seed: str = ""
    stopping: Callable[[], bool] = lambda: False
