"""What an attempt of the body stands between: the front that runs the code, and the port to what surrounds the run. Types only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from typing import Any

    from ty_worker.journal import Journal
    from ty_worker.orders import Inbox
    from ty_worker.policy import Settings
    from ty_worker.steps import StepCall


class Front(Protocol):
    """What runs the code of an attempt. All but `commit` and `body` are called under the lock of the run."""

    @property
    def resting(self) -> bool:
        """Whether the code is quiet, and nothing can be released."""

    @property
    def foreign(self) -> bool:
        """Whether the code waits for something that is no call."""

    @property
    def leftover(self) -> bool:
        """Whether something of the code is left that never ends."""

    def body(self, workflow: Callable[..., Any], *arguments: object) -> None:
        """Run the body in this thread, and report how it ended."""

    def wake(self) -> None:
        """Release what may be released, as soon as the code is quiet."""

    def start(self, call: StepCall) -> None:
        """Run the function of a step; its `running` is the try."""

    def give_up(self, call: StepCall) -> None:
        """A try took too long: go on without it."""

    def stuck_at(self) -> float:
        """Return the moment at which the code must start again in another thread."""

    def stop(self) -> None:
        """Run no code any more."""

    def commit(self, offset: int) -> None:
        """Make the journal durable up to `offset`, then release what may be released."""


class Port(Protocol):
    """What surrounds an attempt."""

    seed: str
    lock: LockType
    journal: Journal
    settings: Settings
    inbox: Inbox
    warned: set[tuple[str, str]]

    def look_for_messages(self) -> None:
        """Read the inbox, and hand out what has come. Under the lock."""

    def changed(self) -> None:
        """Tell that somebody should look at the run."""

    def plan_at(self, ms: int) -> None:
        """Look at the attempt at this instant, at the latest."""

    def plan(self, moment: float) -> None:
        """Look at the attempt when the monotonic clock shows this, at the latest."""

    def conclude(self) -> None:
        """Record how the attempt ended, if it has. Not under the lock."""
