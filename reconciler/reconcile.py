"""The pass: load, observe, decide, perform, record. It looks at the present, never at how it got here."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from reconciler import deploys, retrying
from reconciler.actions import Edit, Plan, Postpone
from reconciler.apply import apply, record
from reconciler.backoff import Pause
from reconciler.errors import UnavailableError
from reconciler.hands import Applied, Hands
from reconciler.instants import stamp
from reconciler.model import Desired, Place
from reconciler.observe import Looks, news, observe, settled
from reconciler.plan import Limits, decide
from reconciler.plan.progress import dues
from reconciler.reasons import FOR_A_PERSON
from reconciler.recorded import ActiveRun, Recorded, overrides_of
from reconciler.relations import answering
from reconciler.remember import remember
from reconciler.state import Store, messages, requests, runs, schedules, workflows
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

    def run_pass(
        self,
        desired: Desired | None,
        *,
        revision: str = "",
        show: Callable[[Plan], None] = lambda _: None,
        approved: frozenset[str] = frozenset(),
        changed: frozenset[str] | None = None,
        eager: bool | None = None,
        deep: bool = False,
        who: str = "",
    ) -> Report:
        """Move the world one step towards the manifests; without manifests, carry on what is known.

        `show` is called with the plan before it is carried out. With `changed` only these runs are looked at again. Who is `eager` tries at once what
        failed before (by default who has no queue for slow calls: one call of a person, or of CI); `deep` looks at everything of a revision. `who` is
        kept with the pass.
        """
        store, clock = self._hands.store, self._hands.clock
        began_at = clock.now()
        back = Applied()
        deploys.collect(self._hands, back)
        recorded = self._load(desired, eager=self._hands.errands is None if eager is None else eager)
        if changed is not None:
            changed |= self._due(recorded, now=clock.now())
        observed = observe(desired, recorded, self._hands.adapters, {}, self._memory.looks, changed, deep=deep, told=back.paused)
        fresh = news(recorded, observed)
        ended = record(store, recorded, fresh, now=clock.now())
        retrying.settle(store, recorded, fresh, desired)
        recorded = with_pauses(recorded, retrying.pause(self._hands, back.paused))
        self._sweep(ended)
        recorded = answering(store, settled(recorded, fresh), observed)
        observed = replace(
            observed, statuses=dependencies(store, recorded), under_way=self._under_way(desired)
        )  # also of runs whose end was just seen
        plan = decide(desired, recorded, observed, self._limits, now=clock.now(), approved=approved)
        show(plan)
        place = NOWHERE if desired is None else desired.place
        applied = apply(self._hands, place, plan, "" if desired is None else desired.folder)
        if desired is not None:
            self._register(desired)
        history = {"who": who, "revision": revision, "began_at": began_at, "ended": len(ended) + len(applied.ended)}
        remember(store, desired, recorded.active, plan, applied, history, now=clock.now())
        for uid in applied.told:
            self._memory.looks.pop(uid, None)
        applied.failures[:0] = back.failures
        active = runs.active_runs(store, self._memory.rows)
        due = tuple(due for uid, run in active.items() for due in dues(run, observed.runs.get(uid)))
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

    def _sweep(self, ended: list[ActiveRun]) -> None:
        """Kill what a canceled run has left behind: its whole tree is gone after its end."""
        for run in ended:
            if run.cancel is not None and run.adapter in self._hands.adapters:
                with suppress(UnavailableError):  # it has ended: only what it left behind is not killed
                    self._hands.adapters[run.adapter].kill(run.uid)

    def _register(self, desired: Desired) -> None:
        """Register the place at its first pass."""
        store, now = self._hands.store, self._hands.clock.now()
        known = workflows.place_known(store, desired.place)
        if known != (desired.lineage, desired.folder):
            with store.transaction():
                workflows.save_place(store, desired.place, lineage=desired.lineage, folder=desired.folder, now=now)


def with_pauses(recorded: Recorded, pauses: Mapping[str, Pause]) -> Recorded:
    """Return what is remembered with platforms that have just asked to be left alone."""
    return replace(recorded, pauses={**recorded.pauses, **pauses}) if pauses else recorded


def look(store: Store | None, desired: Desired, hands: Hands, limits: Limits, scope: str, *, now: datetime) -> Plan:
    """Return the plan of a pass without writing anything, also not what was seen."""
    recorded = Recorded(scope=scope) if store is None else retrying.with_retries(store, load(store, desired, scope), eager=True, begun=now, now=now)
    observed = observe(desired, recorded, hands.adapters, {} if store is None else dependencies(store, recorded))
    recorded = settled(recorded, news(recorded, observed))
    if store is not None:
        recorded = answering(store, recorded, observed)
    return decide(desired, recorded, observed, limits, now=now)


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
    return replace(recorded, workflows=declared, runs=runs.latest_runs(store, desired.place, lines), schedules=known_schedules)


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
