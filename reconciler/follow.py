"""Passes, one after another, until the runs in question have come far enough."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from reconciler.clock import Clock
from reconciler.compute import Adapter
from reconciler.model import Status
from reconciler.reconcile import Report
from reconciler.recorded import ActiveRun
from reconciler.triggers.wakeups import Wakeups
from reconciler.values import made, mutable

_LONGEST = timedelta(seconds=30)


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
    adapters = list(adapters)
    end = None if timeout is None else time.monotonic() + timeout.total_seconds()
    looked, began, again, first = time.monotonic(), clock.now(), False, True
    dues: Sequence[datetime] = ()
    with Wakeups() as wakeups:
        while not wanted(active):
            left = _LONGEST.total_seconds() if end is None else end - time.monotonic()
            if left <= 0:
                return Followed(False, active)
            watched = [adapter.watched() for adapter in adapters]
            wakeups.watch(folder for one in watched for folder in one.folders)
            changed = _changes(adapters)
            if first:
                first, changed = False, None  # what happened before the watch began may have been told to somebody else
            elif not changed and not again:
                told = wakeups.wait((fd for one in watched for fd in one.descriptors), _patience(next_due(dues, began), clock, left))
                changed = _changes(adapters)
                if told and not changed:
                    changed = None  # somebody else took the hint, and may have died with it
            if time.monotonic() - looked > _LONGEST.total_seconds():
                looked, changed = time.monotonic(), None  # hints may be lost: now and then everything is looked at
            began = clock.now()
            report = run_pass(changed)
            active, dues, again = report.active, report.dues, bool(report.applied.ended)  # others may have waited for an end of our own making
    return Followed(True, active)


def _changes(adapters: Iterable[Adapter]) -> frozenset[str] | None:
    return frozenset[str]().union(*(adapter.drain_changes() for adapter in adapters))


def _patience(due: datetime | None, clock: Clock, left: float) -> int:
    """Return how long to wait, in milliseconds: to the next due instant, rounded up so that nothing is early."""
    seconds = min(left, _LONGEST.total_seconds())
    if due is not None:
        seconds = min(seconds, (due - clock.now()).total_seconds())
    return max(1, int(seconds * 1000) + 1)


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
    if run.status in (Status.SLEEPING, Status.WAITING):
        return not is_parked(run)
    return not (run.status is Status.PENDING and run.reason not in ("", "concurrency", "backoff", "unavailable"))
