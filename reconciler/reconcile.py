"""The pass: load, observe, decide, perform, record. It looks at the present, never at how it got here."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from reconciler import deploys, retrying
from reconciler.actions import Edit, End, Notice, Plan, Postpone
from reconciler.apply import apply, record
from reconciler.backoff import Pause
from reconciler.clerk import Clerk
from reconciler.collection import collect, note_ends
from reconciler.collection import remember as remember_keep
from reconciler.compute import Adapter, Finished, Gone, LetGo, Live, Unclaimed
from reconciler.errors import UnavailableError
from reconciler.hands import Applied, Failure, Hands
from reconciler.instants import stamp
from reconciler.model import Desired, Place
from reconciler.observe import Looks, News, news, observe, settled
from reconciler.plan import Limits, Observed, decide, lost
from reconciler.plan.approval import approved_objects
from reconciler.plan.progress import dues
from reconciler.reasons import FOR_A_PERSON
from reconciler.recorded import ActiveRun, Recorded, overrides_of
from reconciler.relations import answering
from reconciler.remember import remember
from reconciler.state import Store, cards, marks, messages, requests, runs, schedules, workflows
from reconciler.values import frozen, made, mutable, replace

NOWHERE = Place("", "")


@frozen
class Report:
    """What one pass saw and did.

    `active` are the runs that had not ended when it was over, `dues` the instants at which something needs a look. Among these are `slots`, the next
    ones of the schedules of each folder, and `again`, when something of this folder that failed is tried again: both need the folder.
    """

    place: Place
    plan: Plan
    applied: Applied
    ended: tuple[ActiveRun, ...] = ()
    active: Mapping[str, ActiveRun] = made(default_factory=dict)
    dues: tuple[datetime, ...] = ()
    slots: Mapping[str, datetime] = made(default_factory=dict)
    again: tuple[datetime, ...] = ()


@mutable
class Memory:
    """What one process keeps between its passes, so that a pass costs what changed. Nothing is lost with it."""

    rows: runs.KnownRows = made(default_factory=dict)
    lines: runs.KnownLines = made(default_factory=dict)
    looks: Looks = made(default_factory=dict)
    begun: datetime | None = None


class Reconciler:
    """Runs passes over one folder at a time, and over the runs that are known already."""

    def __init__(self, hands: Hands, limits: Limits, scope: str, memory: Memory | None = None) -> None:
        """`scope` is the random id of this installation, for folders without a lineage."""
        self._hands, self._limits, self._scope = hands, limits, scope
        self._memory = Memory() if memory is None else memory

    def run_pass(  # noqa: PLR0913  # each one is a way in which a pass may differ
        self,
        desired: Desired | None,
        *,
        revision: str = "",
        show: Callable[[Plan], None] = lambda _: None,
        approved: frozenset[str] = frozenset(),
        changed: frozenset[str] | None = None,
        eager: bool | None = None,
        deep: bool = False,
        assume: str = "",
        who: str = "",
        held: tuple[Notice, ...] = (),
        approve: str = "",
    ) -> Report:
        """Move the world one step towards the manifests; without manifests, carry on what is known.

        `show` is called with the plan before it is carried out. With `changed` only these runs are looked at again. Who is `eager` tries at once what
        failed before (by default who has no queue for slow calls: one call of a person, or of CI); `deep` looks at everything of a revision.
        `assume` is what a person says of runs that nothing here knows of: `start` or `done`. `who` is kept with the pass. With `held` nothing of the
        manifests is carried out, and the plan says why. `approve` is the digest of a plan whose held prunes may go.
        """
        store, clock = self._hands.store, self._hands.clock
        began_at = clock.now()
        make_ready(store, self._hands.adapters, self._hands.progress, now=began_at)
        place = NOWHERE if desired is None else desired.place
        if held:
            desired = None
        back = Applied()
        deploys.collect(self._hands, back)
        clerk = self._hands.clerk
        if clerk is not None:
            clerk.collect(store)
        eager = self._hands.errands is None if eager is None else eager
        recorded = self._load(desired, eager=eager)
        if changed is not None:
            changed |= self._due(recorded, now=clock.now())
        observed = observe(desired, recorded, self._hands.adapters, {}, self._memory.looks, changed, deep=deep, told=back.paused)
        fresh, left = self._swept(recorded, news(recorded, observed))
        ended = record(store, recorded, fresh, now=clock.now())
        retrying.settle(store, recorded, fresh, desired)
        recorded = with_pauses(recorded, retrying.pause(self._hands, back.paused))
        recorded = answering(store, settled(recorded, fresh), observed)
        under_way, now = self._under_way(desired), clock.now()
        observed = replace(observed, statuses=dependencies(store, recorded), under_way=under_way)  # also of runs whose end was just seen
        board = None if clerk is None else clerk.board
        recorded = with_cards(store, recorded, observed, clerk) if clerk is not None else recorded
        plan = decide(desired, recorded, observed, self._limits, now=now, approved=approved, assume=assume, board=board)
        if approve and (more := approved_objects(place, plan, approve)):
            plan = decide(desired, recorded, observed, self._limits, now=now, approved=approved | more, assume=assume, board=board)
        plan = replace(plan, held=held + plan.held) if held else plan
        show(plan)
        applied = apply(self._hands, place, plan, "" if desired is None else desired.folder)
        applied.failures += left
        if desired is not None:
            self._register(desired, plan, "" if recorded.known else assume, who)
        history = {"who": who, "revision": revision, "began_at": began_at, "ended": len(ended) + len(applied.ended)}
        remember(store, desired, recorded.active, plan, applied, history, now=clock.now())
        for uid in applied.told:
            self._memory.looks.pop(uid, None)
        applied.failures[:0] = back.failures
        active = runs.active_runs(store, self._memory.rows)
        due = tuple(due for uid, run in active.items() for due in dues(run, observed.runs.get(uid)))
        due += self._collect(desired, [*ended, *(action.run for action in plan.actions if isinstance(action, End))], active, applied)
        due += () if clerk is None else tuple(clerk.send(store, eager=eager))
        again = tuple(retrying.dues(store, desired, now=clock.now()))
        slots = schedules.next_instants(store)
        return Report(place, plan, applied, tuple(ended), active, (*due, *again, *slots), schedules.next_slots(store), again)

    def _load(self, desired: Desired | None, *, eager: bool) -> Recorded:
        """Return what is remembered, with what holds back further tries."""
        now = self._hands.clock.now()
        if self._memory.begun is None:
            self._memory.begun = datetime.fromisoformat(stamp(now))
        recorded = load(self._hands.store, desired, self._scope, self._memory.rows, self._memory.lines)
        return retrying.with_retries(self._hands.store, recorded, eager=eager, begun=self._memory.begun, now=now)

    def _under_way(self, desired: Desired | None) -> frozenset[tuple[str, str]]:
        """Return what is being deployed, after taking back what is not wanted any more."""
        if desired is None or self._hands.errands is None:
            return frozenset()
        deploys.withdraw(self._hands, desired)
        return deploys.under_way(self._hands, desired.place)

    def _due(self, recorded: Recorded, *, now: datetime) -> frozenset[str]:
        """Return the runs that are to be looked at again although nobody told of them: what was seen may be over by now."""
        looks = self._memory.looks
        return frozenset(uid for uid, run in recorded.active.items() if uid in looks and any(due <= now for due in dues(run, looks[uid][1])))

    def _swept(self, recorded: Recorded, fresh: News) -> tuple[News, list[Failure]]:
        """Kill what canceled runs have left behind, before their ends are recorded; where that fails, the end waits for the next pass (I16)."""
        failures = []
        for uid in [uid for uid, seen in fresh.items() if isinstance(seen, Finished) and recorded.active[uid].cancel is not None]:
            run = recorded.active[uid]
            try:
                self._hands.adapters[run.adapter].kill(uid)
            except UnavailableError as error:
                fresh = {other: seen for other, seen in fresh.items() if other != uid}
                failures.append(Failure(f"run/{run.name}", "unavailable", str(error), again=True))
        return fresh, failures

    def _register(self, desired: Desired, plan: Plan, answer: str, who: str) -> None:
        """Register the place at its first pass."""
        store, now = self._hands.store, self._hands.clock.now()
        known = workflows.place_known(store, desired.place)
        named = desired.place.project and (not desired.local or desired.place.project == "local")
        if named and known != (desired.lineage, desired.folder):
            with store.transaction():
                workflows.save_place(store, desired.place, lineage=desired.lineage, folder=desired.folder, now=now)
        if self._is_new(desired, plan):
            with store.transaction():
                marks.make_known(store, desired.place, desired.lineage, answer=answer, who=who, now=now)

    def _collect(self, desired: Desired | None, ended: list[ActiveRun], active: Mapping[str, ActiveRun], applied: Applied) -> tuple[datetime, ...]:
        """Remove what is no longer kept of ended runs; returns when to look again."""
        store, now = self._hands.store, self._hands.clock.now()
        if desired is not None:
            remember_keep(store, desired, now=now)
        note_ends(store, ended, now=now)
        try:
            due = collect(store, self._hands.adapters, active, now=now)
        except UnavailableError as error:
            applied.failures.append(Failure("keep", "unavailable", str(error), again=True))
            return ()
        return () if due is None else (due,)

    def _is_new(self, desired: Desired, plan: Plan) -> bool:
        """Say whether a place becomes known by this pass: everything in its folder could be read, and nothing of it waits for a person's answer."""
        if plan.held and any(notice.reason == lost.REASON and notice.object.startswith("project/") for notice in plan.held):
            return False
        whole = desired.complete and not desired.invalid and not any(not problem.warning for problem in desired.problems)
        return whole and not marks.is_registered(self._hands.store, desired.place, desired.lineage)


def make_ready(store: Store, adapters: Mapping[str, Adapter], say: Callable[[str], None], *, now: datetime) -> None:
    """Have a new database take in what is proven before anything is done with it; of one that has, nothing is asked."""
    if not marks.is_ready(store):
        from reconciler.rebuild import prepare

        prepare(store, adapters, say, now=now)


def with_cards(store: Store, recorded: Recorded, observed: Observed, clerk: Clerk) -> Recorded:
    """Return what is remembered with the cards that may have to be written, and those of approvals."""
    waiting = [uid for uid, seen in observed.runs.items() if isinstance(seen, Live | LetGo | Gone | Unclaimed) and seen.seen.approvals]
    known, asked = clerk.known(store), cards.approvals_of(store, waiting)
    return replace(recorded, cards=known, approvals=frozenset(asked)) if known or asked else recorded


def with_pauses(recorded: Recorded, pauses: Mapping[str, Pause]) -> Recorded:
    """Return what is remembered with platforms that have just asked to be left alone."""
    return replace(recorded, pauses={**recorded.pauses, **pauses}) if pauses else recorded


def look(
    store: Store | None, desired: Desired, hands: Hands, limits: Limits, scope: str, *, now: datetime, held: tuple[Notice, ...] = (), before: str = ""
) -> Plan:
    """Return the plan of a pass without writing anything, also not what was seen. `before` is where the folder was until now."""
    begun = Recorded(known=not desired.lineage, scope=scope) if store is None else load(store, desired, scope)
    recorded = begun if store is None else retrying.with_retries(store, begun, eager=True, begun=now, now=now)
    recorded = _moved(recorded, before, desired.folder) if before else recorded
    observed = observe(desired, recorded, hands.adapters, {} if store is None else dependencies(store, recorded))
    recorded = settled(recorded, news(recorded, observed))
    if store is not None:
        recorded = answering(store, recorded, observed)
        recorded = recorded if hands.clerk is None else with_cards(store, recorded, observed, hands.clerk)
    plan = decide(desired, recorded, observed, limits, now=now, board=None if hands.clerk is None else hands.clerk.board)
    return replace(plan, held=held + plan.held) if held else plan


def _moved(recorded: Recorded, before: str, folder: str) -> Recorded:
    """Return what is remembered as it will be once the property of a folder has moved along with it."""
    return replace(
        recorded,
        workflows={name: replace(known, owner=folder) if known.owner == before else known for name, known in recorded.workflows.items()},
        schedules={name: replace(known, owner=folder) if known.owner == before else known for name, known in recorded.schedules.items()},
        runs={name: run._replace(owner=folder) if run.owner == before else run for name, run in recorded.runs.items()},
        active={uid: replace(run, owner=folder) if run.owner == before else run for uid, run in recorded.active.items()},
    )


def next_due(dues: Sequence[datetime], after: datetime) -> datetime | None:
    """Return the next instant at which a look is worth while without any news; what was due when the last pass began has been looked at."""
    return min((due for due in dues if due > after), default=None)


def load(store: Store, desired: Desired | None, scope: str, known: runs.KnownRows | None = None, lines: runs.KnownLines | None = None) -> Recorded:
    """Return what is remembered of a place, and every run that has not ended."""
    active = runs.active_runs(store, known)
    told = messages.messages_of_active(store)
    asked = requests.standing_requests(store)
    recorded = Recorded(active=active, scope=scope, messages=told, asked=asked, overrides=overrides_of(asked))
    if desired is None:
        return recorded
    declared, known_schedules = workflows.known_workflows(store, desired.place), schedules.known_schedules(store, desired.place)
    no_stranger = marks.is_known(store, desired.place, desired.lineage)
    latest = runs.latest_runs(store, desired.place, lines)
    return replace(recorded, workflows=declared, runs=latest, schedules=known_schedules, known=no_stranger)


def dependencies(store: Store, recorded: Recorded) -> dict[str, str]:
    """Return the statuses of the runs that pending ones wait for."""
    found = {}
    for run in recorded.active.values():
        for other in (*run.facts.get("depends_on", ()), *run.facts.get("follows", ())):
            name = other.removeprefix("run/")
            status = runs.status_of(store, run.place, name)
            if status is not None:
                found[f"{run.place.project}/{run.place.environment}/{name}"] = status
    return found


def held_for_a_person(report: Report) -> bool:
    """Say whether something waits for a person (exit 6)."""
    postponed = any(isinstance(action, Postpone) and action.reason in FOR_A_PERSON for action in report.plan.actions)
    return bool(report.plan.held) or postponed


def needs_manifests_again(plan: Plan) -> bool:
    """Say whether a later pass must see the manifests again: a run is canceled first and followed by its next incarnation."""
    return any(isinstance(action, Edit) and "cancel" in action.changes for action in plan.actions)
