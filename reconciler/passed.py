"""What a command is told of the plans and passes that it asked for."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.actions import Plan
from reconciler.ground import Ground
from reconciler.model import Desired, Place
from reconciler.reconcile import Report, held_for_a_person
from reconciler.recorded import ActiveRun
from reconciler.values import frozen, made, mutable

Show = Callable[[Desired, Mapping[str, Any], Plan, float], None]


@frozen
class View:
    """What one folder declares for one place, with its plan."""

    desired: Desired
    plan: Plan
    source: Mapping[str, Any]
    seconds: float


@mutable
class Passed:
    """What `reconcile` did: a report for each place, the runs it waited for, and whether they ended in time.

    A command that is `about` one object (`run/x`) answers for that one only. `halted` are the places of which nothing is carried out, `again` says
    when to look at a folder again.
    """

    reports: list[Report] = made(default_factory=list)
    desired: list[Desired] = made(default_factory=list)
    wanted: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    in_time: bool = True
    about: str | None = None
    active: Mapping[str, ActiveRun] = made(default_factory=dict)
    halted: set[Place] = made(default_factory=set)
    again: dict[Path, datetime] = made(default_factory=dict)

    def take(self, folder: Path, ground: Ground, report: Report) -> None:
        """Add what came of one pass over a place of a folder."""
        self.reports.append(report)
        self.desired.append(ground.desired)
        if ground.held:
            self.halted.add(ground.desired.place)
        if ground.due_at is not None:
            self.again[folder] = min(ground.due_at, self.again.get(folder, ground.due_at))

    @property
    def held(self) -> bool:
        """Say whether something waits for a person."""
        return self.about is None and any(held_for_a_person(report) for report in self.reports)

    @property
    def failed(self) -> bool:
        """Say whether an action did not work, or an object could not be carried out here."""
        wrong: tuple[str, ...] = (
            "conflict",
            "workflow-missing",
            "runtime-missing",
            "input-too-large",
            "edited-after-start",
            "child-workflow-missing",
            "signal-sent",
            "time-zone-missing",
        )
        wrong += ("deploy-failed", "stalled", "unavailable")
        objects = [failure.object for report in self.reports for failure in report.applied.failures]
        objects += [notice.object for report in self.reports for notice in report.plan.rejected if notice.reason in wrong]
        return any(self.about in (None, name) for name in objects)
