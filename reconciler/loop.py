"""The loop: passes, whenever something wakes it. It looks at the present, and everything that wakes it is a hint."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from reconciler import beside, handover
from reconciler.digest import Json
from reconciler.errands import Errands
from reconciler.errors import TyOpenworkflowError
from reconciler.follow import parked
from reconciler.git.heads import is_busy
from reconciler.ground import Approach, approach_from
from reconciler.handover import Shown, Wish
from reconciler.locks import follower_lock, loop_lock
from reconciler.manifests.scan import NOT_SEARCHED
from reconciler.passed import Passed
from reconciler.reconcile import Report, needs_manifests_again, next_due
from reconciler.recorded import ActiveRun
from reconciler.service import Service
from reconciler.state import runs, wishes
from reconciler.triggers.hints import Hints
from reconciler.triggers.quiet import Quiet
from reconciler.triggers.timer import Timer
from reconciler.triggers.trees import Trees
from reconciler.values import frozen, made, mutable

WHO = "the loop"
_UNSTABLE_SECONDS = 2.0
_LEAST_PULL_SECONDS = 1.0
_PATIENCE = 0.3
_INDEX_LOCK_SECONDS, _INDEX_LOCK_STEP = 10.0, 0.02
Until = Callable[[Mapping[str, ActiveRun]], bool]


class Teller(Protocol):
    """Whom a loop tells what it does."""

    def show(self, shown: Shown) -> None:
        """Show the plan of a pass, before it is carried out."""

    def seen(self, report: Report) -> None:
        """Tell what came of a pass."""

    def fault(self, about: str, message: str) -> None:
        """Tell what keeps a folder, or all of it, from being reconciled; an empty message when that is over."""


@frozen
class News:
    """What a turn is about: everything, or some folders, and the runs that there are hints about (None: all of them).

    `due`: an instant has come for which a run waited. `woken`: somebody asks for something.
    """

    folders: frozenset[Path] = frozenset()
    runs: frozenset[str] | None = frozenset()
    everything: bool = False
    due: bool = False
    woken: bool = False

    def __bool__(self) -> bool:
        """Say whether there is anything to look at."""
        return self.everything or self.due or self.woken or self.runs != frozenset() or bool(self.folders)


class Loop:
    """Reconciles folders, and carries on every run that is known, until it is told to stop."""

    def __init__(
        self,
        service: Service,
        folders: Sequence[Path],
        teller: Teller,
        until: Until | None = None,
        approach: Approach = Approach(),  # noqa: B008
    ) -> None:
        """With `until` it ends by itself when that is true of the active runs; `approach` is how the folders are taken."""
        self._approach = approach
        self.service, self.folders, self.teller, self._until = service, list(dict.fromkeys(folders)), teller, until
        self.active: Mapping[str, ActiveRun] = {}
        self.stopped, self._again = False, False
        self._wake: Callable[[], None] = lambda: None
        service.stopping = lambda: self.stopped
        self._quiet, self._lock = Quiet(), threading.Lock()
        self._dirty: set[Path] = set()
        self._look_again: dict[Path, float] = {}
        self._replaced: set[Path] = set()
        self._dues: Sequence[datetime] = ()
        self._slots: Mapping[str, datetime] = {}
        self._began: datetime | None = None
        self._looked: dict[str, datetime] = {}
        self._tries: dict[str, Sequence[datetime]] = {}
        self._granting: list[_Grant] = []
        self._known: set[str] = set()  # folders whose revisions were looked at in full
        self._outcome, self._told = False, False
        self._full_at, self._wake_stamp = 0.0, (0, 0)
        self._locked_since: float | None = None

    def stop(self) -> None:
        """End after the pass that is under way. May be called by signal handlers."""
        self.stopped = True
        self._wake()

    def run(self) -> None:
        """Make passes until the end. Raises BusyError if another loop lives."""
        interval = self.service.settings.poll_interval
        with ExitStack() as stack:
            hints = stack.enter_context(Hints(self.service.adapters.values(), self.service.clock, interval, alone=True))
            self._wake = hints.wake
            hints.watch(str(self.service.data_dir))
            trees = Trees(self._heard, NOT_SEARCHED)
            stack.callback(trees.close)
            timer = Timer(hints.wake)
            stack.callback(timer.close)
            timer.every(interval)
            stack.callback(self.service.close)
            self.service.errands = Errands(self._came_back)
            stack.callback(self.service.errands.close)
            self.service.clerk.wake = self._board_told
            self._watch(trees)
            while not self.stopped:
                news = self._listen(hints)
                if not news:
                    continue
                self._watch(trees)
                self.turn(news)
                if self._until is not None and not self._dirty and self._until(self.active):
                    self.service.settle()
                    return
                timer.at(self._due())

    # What there is to look at

    def _heard(self, path: str, closed: bool, before: str) -> None:
        """Note a change below a folder; an empty path stands for changes that were lost. Called by the thread that watches."""
        with self._lock:
            self._quiet.heard(path, time.monotonic(), closed=closed, before=before)
        self._wake()

    def _came_back(self) -> None:
        """Note that a slow call has an outcome. Called by the thread that made it."""
        self._outcome = True
        self._wake()

    def _board_told(self) -> None:
        """Note that TaskYou has answered. Called by the thread that asked."""
        self._told = True
        self._wake()

    def _watch(self, trees: Trees) -> None:
        for folder in self.folders:
            self.teller.fault(f"watching {folder}", trees.renew(str(folder)) or "")

    def _listen(self, hints: Hints) -> News:
        """Wait until something is worth a look, and say what."""
        now = time.monotonic()
        runs = hints.runs(None, self._patience(now), wait=not self._again and not self.stopped)
        now = time.monotonic()
        everything = now >= self._full_at
        if everything:
            self._full_at = now + self.service.settings.poll_interval.total_seconds()
        folders = set(self._changed_folders(now)) | {folder for folder, at in self._look_again.items() if at <= now}
        if everything:
            folders, runs = set(self.folders), None
        instant = self.service.clock.now()
        folders |= {folder for folder in self.folders if (slot := self._slot(folder)) is not None and slot <= instant}
        outcome, self._outcome = self._outcome, False
        if outcome:
            folders = set(self.folders)
        due = next_due(self._dues, self._began) if self._began is not None else None
        told, self._told = self._told, False
        at_hand = self._again or told or (due is not None and due <= instant)
        return News(frozenset(folders), runs, everything, at_hand or bool(self._dirty), self._woken())

    def _slot(self, folder: Path) -> datetime | None:
        """Return when a folder needs a pass whatever is heard: the next slot of its schedules, or the next try of what failed.

        What was due when the last pass over it began has been looked at.
        """
        slot, looked = self._slots.get(str(folder)), self._looked.get(str(folder))
        instants = [*(() if slot is None else (slot,)), *self._tries.get(str(folder), ())]
        return min((instant for instant in instants if looked is None or instant > looked), default=None)

    def _due(self) -> datetime | None:
        """Return the next instant at which a look is worth while."""
        instants = [slot for folder in self.folders if (slot := self._slot(folder)) is not None]
        if self._began is not None and (due := next_due(self._dues, self._began)) is not None:
            instants.append(due)
        return min(instants, default=None)

    def _patience(self, now: float) -> float:
        """Return for how many seconds nothing needs to be done unless a hint comes."""
        with self._lock:
            instants = [self._full_at, *self._look_again.values(), *(() if self._quiet.due is None else (self._quiet.due,))]
        return max(0.0, float(min(instants)) - now)

    def _changed_folders(self, now: float) -> frozenset[Path]:
        """Return the folders in which a burst of changes is over; git is waited for while it works on its index."""
        with self._lock:
            if self._quiet.due is None or now < self._quiet.due:
                return frozenset()
            if self._git_is_busy(now):
                self._quiet.due = now + _INDEX_LOCK_STEP
                return frozenset()
            paths = self._quiet.take(now)
        if "" in paths:
            return frozenset(self.folders)
        return frozenset(folder for folder in self.folders if any(_below(path, str(folder)) for path in paths))

    def _git_is_busy(self, now: float) -> bool:
        if not any(is_busy(folder) for folder in self.folders):
            self._locked_since = None
            return False
        self._locked_since = self._locked_since or now
        return now - self._locked_since < _INDEX_LOCK_SECONDS

    # What is done about it

    def turn(self, news: News) -> None:
        """Run the passes that the news ask for: one for each folder that changed, else one over what is known."""
        asked = self._wishes() if news.woken or news.everything else []
        folders = [folder for folder in self.folders if folder in news.folders or folder in self._dirty]
        self._dirty.clear()
        if folders and self._git_is_busy(time.monotonic()):
            self._look_again |= dict.fromkeys(folders, time.monotonic() + _INDEX_LOCK_STEP)
            folders = []
        self._again = False
        changed, passes = news.runs, 0
        for folder in folders:
            if self._pass([folder], changed) is not None:
                changed, passes = frozenset(), passes + 1
        if not passes and not asked:
            self._pass([], changed)
        for number, wish in asked:
            self._granting.append(_Grant(number, wish, self.service.of(wish.project, wish.environment)))
        for grant in [grant for grant in self._granting if not grant.reports or news.folders]:
            self._grant(grant)
        beside.mark_pass(self.service.data_dir)

    def _pass(self, folders: list[Path], changed: frozenset[str] | None) -> Passed | None:
        """Run one pass; what keeps it from being made is told, and the next full pass tries again."""
        about = str(folders[0]) if folders else "pass"
        self._began = self.service.clock.now()
        self._looked.update((str(folder), self._began) for folder in folders)
        try:
            passed = self.service.reconcile(
                folders, WHO, lambda *shown: self.teller.show(shown), changed=changed, deep=about not in self._known, approach=self._approach
            )
            self._known.add(about)
        except (TyOpenworkflowError, OSError) as error:
            self.teller.fault(about, str(error))
            return None
        self.teller.fault(about, "")
        self._learn(passed)
        return passed

    def _learn(self, passed: Passed) -> None:
        """Take from a pass what the next one needs to know."""
        now = time.monotonic()
        for desired in passed.desired:
            folder = Path(desired.folder)
            self._look_again.pop(folder, None)
            if desired.unstable:
                self._look_again[folder] = now + _UNSTABLE_SECONDS
            if self._approach.ref and self._approach.pull is not None and not desired.local:
                self._look_again[folder] = now + max(_LEAST_PULL_SECONDS, self._approach.pull.total_seconds())
        for folder, at in passed.again.items():
            seconds = max(0.0, (at - self.service.clock.now()).total_seconds())
            self._look_again[folder] = min(now + seconds, self._look_again.get(folder, math.inf))
        for number, report in enumerate(passed.reports):
            if number < len(passed.desired) and needs_manifests_again(report.plan):
                self._replaced.add(Path(passed.desired[number].folder))
            if report.ended or report.applied.ended:
                self._dirty |= self._replaced
                self._replaced.clear()
                self._again = True  # others may have waited for this end
            self._dues, self._slots = report.dues, report.slots
            if number < len(passed.desired):
                self._tries[passed.desired[number].folder] = report.again
            self.teller.seen(report)
        self.active = passed.active

    def _woken(self) -> bool:
        """Say whether somebody touched the wake file since the last look."""
        before, self._wake_stamp = self._wake_stamp, beside.wake_stamp(self.service.data_dir)
        return before != self._wake_stamp

    def _wishes(self) -> list[tuple[int, Wish]]:
        try:
            with self.service.writing(WHO) as store:
                asked = [(number, handover.wish_from(wish)) for number, wish in wishes.open_wishes(store)]
        except (TyOpenworkflowError, OSError):
            return []  # the pass that follows tells why
        known = {grant.number for grant in self._granting}
        return [(number, wish) for number, wish in asked if number not in known]

    def _grant(self, grant: "_Grant") -> None:
        """Make the pass that another process asked for, and tell it what came of it once no slow call is under way for it."""

        def show(*one: Any) -> None:
            if not grant.reports:
                grant.shown.append(one)
            self.teller.show(one)

        wish = grant.wish
        folders, only = [Path(folder) for folder in wish.folders], None if wish.only is None else frozenset(wish.only)
        try:
            passed = grant.service.reconcile(
                folders,
                wish.who,
                show,
                only=only,
                approved=frozenset(wish.approved),
                eager=not grant.reports,
                approach=approach_from(wish.approach),
            )
        except TyOpenworkflowError as error:
            self._answer(grant, handover.refusal(error))
            return
        self._learn(passed)
        grant.reports += passed.reports
        grant.wanted |= passed.wanted
        grant.started |= passed.started
        places = {desired.place for desired in passed.desired}
        under_way = frozenset() if self.service.errands is None else self.service.errands.under_way()
        if not any(isinstance(key, tuple) and key[1] in places for key, _ in under_way):
            self._answer(grant, handover.answer(grant.shown, grant.reports, grant.wanted, grant.started))

    def _answer(self, grant: "_Grant", told: Json) -> None:
        self._granting.remove(grant)
        with self.service.writing(WHO) as store:
            wishes.answer(store, grant.number, told, now=self.service.clock.now())


@mutable
class _Grant:
    """A wish that is being granted: what was shown and done so far."""

    number: int
    wish: Wish
    service: Service
    shown: list[Shown] = made(default_factory=list)
    reports: list[Report] = made(default_factory=list)
    wanted: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def run(
    service: Service,
    folders: Sequence[Path],
    teller: Teller,
    begin: Callable[[Loop], None],
    until: Until | None = None,
    approach: Approach = Approach(),  # noqa: B008
) -> Loop:
    """Run the loop of this data folder; `begin` is given it before it begins, to stop it by signals. Raises BusyError if there is one."""
    with loop_lock(service.data_dir).held("reconcile", _PATIENCE):
        beside.touch_wake(service.data_dir)  # a follower gives way
        return _run(service, folders, teller, begin, until, approach)


def follow(service: Service, folders: Sequence[Path], teller: Teller, begin: Callable[[Loop], None]) -> None:
    """Be the follower of this data folder: make passes until every run has ended or is parked, or a loop comes. Raises BusyError if there is one."""

    def over(active: Mapping[str, ActiveRun]) -> bool:
        return loop_lock(service.data_dir).busy() or all_parked(active)

    while True:
        with follower_lock(service.data_dir).held("follower", _PATIENCE):
            stopped = _run(service, folders, teller, begin, over).stopped
        if stopped or loop_lock(service.data_dir).busy():
            return
        with service.reading() as store:  # who saw the lock held left its run to us
            if store is None or all_parked(runs.active_runs(store)):
                return


def all_parked(active: Mapping[str, ActiveRun]) -> bool:
    """Say whether no run is active: each waits without a worker."""
    return parked(frozenset(active))(active)


def _run(
    service: Service,
    folders: Sequence[Path],
    teller: Teller,
    begin: Callable[[Loop], None],
    until: Until | None,
    approach: Approach = Approach(),  # noqa: B008
) -> Loop:
    service.is_loop = True
    made = Loop(service, folders, teller, until, approach)
    begin(made)
    made.run()
    return made
