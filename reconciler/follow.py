"""Passes, one after another, until the runs in question have come far enough."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from reconciler.clock import Clock
from reconciler.compute import Adapter
from reconciler.model import Status
from reconciler.reasons import FOR_A_PERSON
from reconciler.reconcile import Report
from reconciler.recorded import ActiveRun
from reconciler.triggers.hints import Hints
from reconciler.values import made, mutable


@mutable
class Followed:
    """How following ended: in time, or by its time-out, with the runs that were still active."""

    in_time: bool
    active: Mapping[str, ActiveRun] = made(default_factory=dict)


def follow(
    run_pass: Callable[[frozenset[str] | None], Report],
    next_due: Callable[[Sequence[datetime], datetime], datetime | None],
    active: Mapping[str, ActiveRun],
    wanted: Callable[[Mapping[str, ActiveRun]], bool],
    adapters: Iterable[Adapter],
    clock: Clock,
    timeout: timedelta | None,
) -> Followed:
    """Run passes whenever something wakes it, until `wanted` is true of the active runs, or time is over."""
    end = None if timeout is None else time.monotonic() + timeout.total_seconds()
    began, again = clock.now(), False
    dues: Sequence[datetime] = ()
    with Hints(adapters, clock) as hints:
        while not wanted(active):
            left = math.inf if end is None else end - time.monotonic()
            if left <= 0:
                return Followed(False, active)
            changed = hints.runs(next_due(dues, began), left, wait=not again)
            began = clock.now()
            report = run_pass(changed)
            active, dues, again = report.active, report.dues, bool(report.applied.ended)  # others may have waited for an end of our own making
    return Followed(True, active)


def none_of(uids: frozenset[str]) -> Callable[[Mapping[str, ActiveRun]], bool]:
    """Return the question whether all these runs have ended."""
    return lambda active: not uids & active.keys()


def parked(uids: frozenset[str]) -> Callable[[Mapping[str, ActiveRun]], bool]:
    """Return the question whether none of these runs is active: each has ended, or waits without a worker."""
    return lambda active: not any(uid in uids and _moves(run) for uid, run in active.items())


def is_parked(run: ActiveRun) -> bool:
    """Say whether a run waits and holds nothing."""
    return run.reason in ("parked", "suspended")


def _moves(run: ActiveRun) -> bool:
    if run.reason in FOR_A_PERSON:
        return False
    if run.status in (Status.SLEEPING, Status.WAITING):
        return not is_parked(run)
    return not (
        run.status is Status.PENDING and run.reason not in ("", "concurrency", "backoff", "unavailable", "deploying", "rate-limited", "not-taken")
    )
