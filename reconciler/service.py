"""The program as the command line uses it: settings, folders, state and platforms put together."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from reconciler import follow, manifests
from reconciler.actions import Plan
from reconciler.called import called
from reconciler.clerk import Clerk
from reconciler.clock import Clock
from reconciler.compute import Progress
from reconciler.config import Settings
from reconciler.digest import Json
from reconciler.errands import Errands
from reconciler.errors import DamagedStateError, InvalidError, RejectedError, UsageError
from reconciler.ground import PROJECT_FILE, Approach, Ground, Missed, hold_ground, pass_over, read_folder, source_of, written
from reconciler.hands import Failure, Hands
from reconciler.keeping import Keeping
from reconciler.locks import loop_lock
from reconciler.model import Code, Desired, Place
from reconciler.passed import Passed, Show, View
from reconciler.people import by, here, person, shown
from reconciler.plan import Limits
from reconciler.plan.approval import digest_of_plan
from reconciler.reconcile import Memory, Reconciler, Report, look, needs_manifests_again, next_due
from reconciler.recorded import ActiveRun
from reconciler.relations import input_fault
from reconciler.secret import resolve
from reconciler.state import NAME, Store, marks, places, runs, workflows
from reconciler.values import replace

_SLOW = 2.0


class Service(Keeping):
    """One call of the program."""

    def __init__(self, settings: Settings, clock: Clock, progress: Progress, *, project: str | None = None, environment: str | None = None) -> None:
        """Nothing is opened before it is needed."""
        super().__init__(settings, clock, progress)
        self.project, self.environment = project, environment
        self.local = self.data_dir / "manifests"
        self.errands: Errands | None = None  # a loop sets one: its passes wait for no slow call
        self.stopping: Callable[[], bool] = lambda: False
        self._missed = Missed()
        self._fetched: Any = None
        self._loaders: dict[tuple[Path, Any], Any] = {}

    @cached_property
    def clerk(self) -> Clerk:
        """Who speaks with TaskYou."""
        return Clerk(
            self.data_dir, self.settings.taskyou, self.clock, lambda: self.scope, self.settings.poll_interval, self.progress, called(self.settings)
        )

    @property
    def enabled(self) -> frozenset[str]:
        """The names of the platforms that the settings enable."""
        chosen = self.settings.adapters
        return frozenset(name for name in ("exec", "docker", "cloudflare") if getattr(chosen, name).enabled)

    @property
    def limits(self) -> Limits:
        """How much may go on at the same time."""
        own = self.settings.adapters.exec
        shared = {"exec": own.runs_per_worker} if own.concurrency_is_default else {}
        return Limits(self.settings.concurrency, {"exec": own.concurrency}, self.settings.crash_limit, self.settings.limits.input, shared)

    # Folders and manifests

    def folder(self, given: str | None, *, committed: bool = False) -> Path:
        """Return the folder that is meant: the argument, else the nearest one with a project file, else the local one.

        A folder that is known need not be there any more, and one that is `committed` need not be in the work tree.
        """
        if given is not None:
            folder = Path(given).expanduser()
            path = folder.resolve() if ".." in folder.parts else Path(os.path.abspath(folder))
            if not folder.is_dir() and not committed and not self._holds(path):
                message = f"{given} is not a folder" if folder.exists() else f"{given} does not exist"
                raise UsageError(message)
            return path
        start = here()
        for folder in (start, *start.parents):
            if (folder / PROJECT_FILE).is_file():
                return folder
        return self.local

    def _holds(self, folder: Path) -> bool:
        """Say whether a folder holds a place, so that it is missed when it is not there."""
        with self.reading() as store:
            return store is not None and bool(places.places_in(store, str(folder)))

    def desired(self, folder: Path, *, writing: bool, tree: Path | None = None, waits: bool = True) -> list[Desired]:
        """Return what a folder declares, for each place; the local folder may be of several, and need not exist. `tree` has the files of a commit."""
        options = manifests.LoadOptions(
            environment=self.environment or self.settings.environment or None,
            default_adapter=self.settings.default_adapter,
            enabled_adapters=self.enabled,
            cache_dir=self.data_dir / "cache",
            write_cache=writing and not self.is_loop,
            wait_unstable=waits and not self.is_loop,
            tree=tree,
        )
        if folder == self.local:
            return list(self._loader(folder, options._replace(local=True)).load_local()) if folder.is_dir() else []
        desired = self._loader(folder, options).load()
        if self.project is not None and desired.place.project != self.project:
            message = f"{folder} is project {desired.place.project!r}, not {self.project!r}"
            raise UsageError(message)
        return [desired]

    def _grounds(self, folder: Path, store: Store | None, approach: Approach, *, writing: bool) -> list[Ground]:
        """Return what a folder declares for each place, with what holds it."""
        if folder == self.local:
            found = self.desired(folder, writing=writing) if store is None or not writing else self._declared(folder, store)
            return [hold_ground(Ground(desired), store, self.clock, approach) for desired in found]
        if approach.ref:
            from reconciler.committed import read_commit

            keep = self.data_dir / "git" if writing else None
            return read_commit(folder, lambda tree: self.desired(folder, writing=writing, tree=tree), store, self.clock, approach, keep)
        return read_folder(folder, partial(self.desired, folder, writing=writing, waits=approach.patient), store, self.clock, approach, self._missed)

    def _pull(self, folders: Sequence[Path], approach: Approach) -> list[Failure]:
        """Fetch what is to be read from a commit; returns what did not work."""
        if approach.pull is None:
            return []
        from reconciler import committed

        self._fetched = self._fetched or committed.Fetched()
        return committed.pull([folder for folder in folders if folder != self.local], approach, self._fetched)

    def _loader(self, folder: Path, options: manifests.LoadOptions) -> manifests.Manifests:
        """Return what reads a folder: a loop reads it again and again; a commit is read until another one takes its place."""
        if options.tree is not None:
            for known in [known for known in self._loaders if known[0] == folder and known[1].tree not in (None, options.tree)]:
                self._loaders.pop(known).save()
        if (folder, options) not in self._loaders:
            self._loaders[folder, options] = manifests.Manifests(folder, options)
        loader: manifests.Manifests = self._loaders[folder, options]
        return loader

    def of(self, project: str | None, environment: str | None) -> "Service":
        """Return the same program for another project and environment."""
        other = Service(self.settings, self.clock, self.progress, project=project, environment=environment)
        other.__dict__ |= {"adapters": self.adapters, "clerk": self.clerk}
        other.errands, other.stopping = self.errands, self.stopping
        other._memory, other._loaders, other._kept, other.is_loop = self._memory, self._loaders, self._kept, self.is_loop
        other._missed, other._fetched = self._missed, self._fetched
        return other

    def close(self) -> None:
        """Let go of what a loop keeps open, and leave what it has read to the next process."""
        for loader in self._loaders.values():
            loader.save()
        super().close()

    def _hands(self, store: Store) -> Hands:
        limits = {"value": self.settings.limits.value, "calls": self.settings.limits.calls, "journal": self.settings.limits.journal}
        return Hands(
            store,
            self.adapters,
            self.clock,
            manifests.read_code,
            self._run_environment,
            limits,
            self.progress,
            self.errands,
            self.clerk,
            self.scope,
            self.stopping,
        )

    def _run_environment(self, run: ActiveRun) -> dict[str, str]:
        """Return the variables of a run's workflow, secrets looked up now."""
        return {
            variable.name: resolve(variable.secret, self.settings.secrets) if variable.secret else variable.value or ""
            for variable in run.revision.env
        }

    # Plans and passes

    def plan(self, folder: Path, approach: Approach = Approach()) -> list[View]:  # noqa: B008
        """Return the plans of a folder; nothing at all is written, unless something is to be fetched. Raises UnavailableError."""
        for trouble in self._pull([folder], approach):
            self.progress(trouble.message)
        views = []
        self.clerk.keeps = False
        with self.reading() as store:
            for ground in self._grounds(folder, store, approach, writing=False):
                begin, desired = time.perf_counter(), ground.desired
                hands = self._hands(store)  # type: ignore[arg-type]  # looking only reads
                now = self.clock.now()
                plan = look(store, desired, hands, self.limits, self.scope, now=now, held=ground.held, before=ground.before)
                source = source_of(ground, shown(desired.folder), dirty=not approach.ref) | ({"dirty": False} if approach.ref else {})
                views.append(View(desired, plan, source, time.perf_counter() - begin))
        return views

    def reconcile(  # noqa: PLR0913  # each one is a way in which a pass may differ
        self,
        folders: Sequence[Path],
        who: str,
        show: Show,
        *,
        only: frozenset[str] | None = None,
        approved: frozenset[str] = frozenset(),
        changed: frozenset[str] | None = None,
        eager: bool | None = None,
        deep: bool = False,
        approach: Approach = Approach(),  # noqa: B008
    ) -> Passed:
        """Run one pass over each folder (and with none over what is known), and return what came of it.

        With `changed` only these runs are looked at again; `eager` and `deep` as for `run_pass`. Beside a living loop it is the loop that makes the
        pass. Where the database turns out to be damaged, it was moved aside, and the pass is made over a new one.
        """
        if not self.is_loop and loop_lock(self.data_dir).busy():
            handed = self._asked(folders, who, show, only, approved, approach)
            if handed is not None:
                return handed
        options: dict[str, Any] = {"only": only, "approved": approved, "changed": changed, "eager": eager, "deep": deep, "approach": approach}
        if not self.is_loop and only is None:
            self._look_at_board()
        try:
            return self._reconcile(folders, who, show, **options)
        except DamagedStateError:
            self._memory = Memory()
            return self._reconcile(folders, who, show, **{**options, "changed": None})

    def _reconcile(  # noqa: PLR0913
        self,
        folders: Sequence[Path],
        who: str,
        show: Show,
        *,
        only: frozenset[str] | None,
        approved: frozenset[str],
        changed: frozenset[str] | None,
        eager: bool | None,
        deep: bool,
        approach: Approach,
    ) -> Passed:
        approach = replace(approach, patient=approach.patient and not self.is_loop)
        failed, passed = self._pull(folders, approach), Passed()
        with self.writing(who) as store:
            reconciler = Reconciler(self._hands(store), self.limits, self.scope, self._memory)
            for folder in folders:
                for ground in self._grounds(folder, store, approach, writing=True):
                    begin, source = time.perf_counter(), source_of(ground, shown(ground.desired.folder), dirty=False)
                    told = partial(_tell, show, ground.desired, source, begin)
                    revision = f"{source.get('branch', '')}@{source.get('commit', '')}"
                    run_pass = partial(reconciler.run_pass, revision=revision, show=told, approved=approved, changed=changed, eager=eager, deep=deep)
                    run_pass = partial(run_pass, approve=approach.approve, assume=approach.assume, who=self._signed(who))
                    report = pass_over(store, ground, run_pass, self.clock)
                    report.applied.failures += failed
                    failed = []
                    passed.take(folder, ground, report)
                    self._forget_finished(ground.desired, store)
            if not folders:
                passed.reports.append(reconciler.run_pass(None, changed=changed, eager=eager, who=self._signed(who)))
            passed.active = runs.active_runs(store, self._memory.rows)
        declared = {(desired.place, name) for desired in passed.desired for name in desired.runs}
        owners = {(desired.place, f"schedule/{name}") for desired in passed.desired for name in desired.schedules} if only is None else set()
        mine = {
            run.uid
            for run in passed.active.values()
            if ((run.place, run.name) in declared and (only is None or run.name in only)) or (run.place, run.owner) in owners
        }
        ended = {run.uid for report in passed.reports for run in report.ended if (run.place, run.name) in declared}
        begun = {uid for report in passed.reports for uid in (*report.applied.started, *report.applied.ended)}
        passed.wanted = frozenset(mine)
        passed.started = frozenset(mine | ended | begun)
        return passed

    def _look_at_board(self) -> None:
        """See what people did on TaskYou's board, before a pass that takes it in: nothing is held meanwhile."""
        if not (self.data_dir / NAME).exists():
            return
        with suppress(DamagedStateError), self.reading() as store:  # the pass moves it aside
            if store is not None and self.clerk.look_first(store):
                self._wait_for_board()

    def settle(self) -> None:
        """Wait until TaskYou has been told everything that it can be told now. Nothing is held while it is called."""
        if "clerk" not in self.__dict__ or not self.clerk.is_used:
            return
        begun = True
        while begun or self.clerk.is_busy:
            self._wait_for_board()
            with self.writing("taskyou") as store:
                self.clerk.collect(store)
                self.clerk.send(store, flush=True)
            begun = False

    def _wait_for_board(self) -> None:
        """Wait until calls of TaskYou are over, and say so where that takes long."""
        if not self.clerk.errands.wait_for_all(_SLOW):
            self.progress("waiting for TaskYou")
            self.clerk.errands.wait_for_all()

    def _signed(self, who: str) -> str:
        """Return what is kept of who runs a pass; those who ask a loop have signed already."""
        return who if self.is_loop else by(who)

    def _asked(
        self, folders: Sequence[Path], who: str, show: Show, only: frozenset[str] | None, approved: frozenset[str], approach: Approach
    ) -> Passed | None:
        """Let the living loop make a pass; None if it has ended meanwhile."""
        from reconciler import beside
        from reconciler.handover import Wish

        words = None if only is None else tuple(sorted(only))
        wish = Wish(tuple(map(str, folders)), by(who), words, tuple(sorted(approved)), self.project, self.environment, written(approach))
        told = beside.ask(self.data_dir, wish, self.clock)
        if told is None:
            return None
        for desired, source, plan, seconds in told.shown:
            show(desired, {**source, "folder": shown(desired.folder)}, plan, seconds)
        passed = Passed(list(told.reports), [desired for desired, *_ in told.shown], told.wanted, told.started)
        with self.reading() as store:
            passed.active = {} if store is None else runs.active_runs(store)
        return passed

    def _declared(self, folder: Path, store: Store) -> list[Desired]:
        """Return what a folder declares; the local one also for the places where it declares nothing any more."""
        found = self.desired(folder, writing=True)
        if folder == self.local:
            places, owned = {desired.place for desired in found}, workflows.places_of(store, str(folder))
            found += [Desired(str(folder), place, local=True) for place in owned if place not in places]
            return [desired for desired in found if desired.files or desired.problems or desired.place in owned] or found[:1]
        return found

    def register_new(self, folder: Path, lineage: str) -> None:
        """Remember the place of a new project, so that its own first pass is no loss of state."""
        with self.writing("init") as store, store.transaction():
            place = self.desired(folder, writing=False)[0].place
            workflows.save_place(store, place, lineage=lineage, folder=str(folder), now=self.clock.now())
            marks.make_known(store, place, lineage, answer="init", who=person(), now=self.clock.now())

    def _forget_finished(self, desired: Desired, store: Store) -> None:
        """Remove the manifests that `start` wrote for runs that have ended: they leave a tombstone, not a file."""
        if desired.folder != str(self.local):
            return
        for name, line in runs.latest_runs(store, desired.place).items():
            run = desired.runs.get(name)
            if run is not None and line.ended and run.source.file.startswith("runs/"):
                manifest = self.local / run.source.file
                manifest.unlink(missing_ok=True)
                manifest.with_name(f"{manifest.stem}.input.json").unlink(missing_ok=True)

    def follow(
        self, passed: Passed, uids: frozenset[str], who: str, *, parked: bool, timeout: timedelta | None, seen: Callable[[Report], None]
    ) -> Passed:
        """Go on with passes until these runs have ended, or (with `parked`) until none of them is active."""
        question = follow.parked(uids) if parked else follow.none_of(uids)
        if loop_lock(self.data_dir).busy():
            from reconciler import beside

            began = time.monotonic()
            in_time, passed.active = beside.watch(self.data_dir, passed.active, question, seen, None if timeout is None else timeout.total_seconds())
            if in_time is not None:
                passed.in_time = in_time
                return passed
            timeout = None if timeout is None else timeout - timedelta(seconds=time.monotonic() - began)
        again = [desired for desired in passed.desired if desired.place not in passed.halted]
        again = again if any(needs_manifests_again(report.plan) for report in passed.reports) else []

        def next_pass(changed: frozenset[str] | None) -> Report:
            with self.writing(who) as store:
                reconciler = Reconciler(self._hands(store), self.limits, self.scope, self._memory)
                for desired in again:
                    seen(reconciler.run_pass(desired, eager=False, who=by(who)))
                report = reconciler.run_pass(None, changed=changed, eager=False, who=by(who))
                for desired in passed.desired:
                    if report.ended:
                        self._forget_finished(desired, store)
            seen(report)
            return report

        result = follow.follow(next_pass, next_due, passed.active, question, self.adapters.values(), self.clock, timeout)
        passed.in_time, passed.active = result.in_time, result.active
        return passed

    # Questions

    def workflow_place(self, name: str) -> Place:
        """Return the place that has a workflow of this name: the local one first, then the only one. Raises RejectedError."""
        with self.reading() as store:
            places = [] if store is None else workflows.places_with(store, name)
        if self.project is not None:
            places = [place for place in places if place.project == self.project]
        if self.environment is not None:
            places = [place for place in places if place.environment == self.environment]
        local = Place("local", "local")
        if local in places or len(places) == 1:
            return local if local in places else places[0]
        if not places:
            message = f"there is no workflow {name!r} here: deploy it first, or `ty-openworkflow list workflows` to see what there is"
            raise RejectedError(message)
        message = (
            f"workflow {name!r} is in {', '.join(f'{place.project}/{place.environment}' for place in places)}: say which with --project and --env"
        )
        raise RejectedError(message)

    def means(self, place: Place) -> bool:
        """Say whether a place may be meant: --project and --env say which."""
        return self.project in (None, place.project) and self.environment in (None, place.environment)

    def check_input(self, place: Place, workflow: str, value: Json) -> None:
        """Check an input against the schema of a deployed workflow. Raises InvalidError."""
        with self.reading() as store:
            known = None if store is None else workflows.known_workflows(store, place).get(workflow)
        fault = input_fault(known, value)
        if fault is not None:
            raise InvalidError(fault)

    def read_code(self, code: Code) -> Mapping[str, bytes]:
        """Return the bytes of a workflow's code."""
        return manifests.read_code(code)


def _tell(show: Show, desired: Desired, source: Mapping[str, Any], begin: float, plan: Plan) -> None:
    seconds = time.perf_counter() - begin
    left = replace(plan, actions=())  # what the pass itself does is no more in the plan that is approved afterwards
    show(desired, {**source, "digest": digest_of_plan(desired.place, left)}, plan, seconds)
