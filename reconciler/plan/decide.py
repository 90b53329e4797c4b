"""The plan of one pass, from what is declared, remembered and seen, and the time."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from reconciler.actions import (
    Action,
    Advance,
    Arm,
    Assume,
    Cancel,
    Claim,
    Deploy,
    Disarm,
    Edit,
    End,
    EndWait,
    Fulfil,
    Kill,
    Notice,
    OpenCard,
    Plan,
    Postpone,
    RemoveWorkflow,
    Send,
    Start,
    WriteCard,
)
from reconciler.card import Board
from reconciler.compute import LetGo, Missing, Observation
from reconciler.digest import Json
from reconciler.journal import decode_json
from reconciler.model import Desired, Place
from reconciler.plan.cards import decide_cards, with_cards
from reconciler.plan.family import decide_family, deliveries
from reconciler.plan.held_back import held_back, pinned_drift
from reconciler.plan.progress import next_steps
from reconciler.plan.prune import prune
from reconciler.plan.queue import Limits, admit, front, queued
from reconciler.plan.requests import decide_reruns, declared_signals
from reconciler.plan.runs import Revisions, decide_runs
from reconciler.plan.schedules import Facts, decide_schedules
from reconciler.plan.suspension import asked_of, released, requests_over, with_suspensions
from reconciler.plan.workflows import Holdings, WorkflowPart, decide_workflows
from reconciler.recorded import ActiveRun, Recorded
from reconciler.values import frozen, made, mutable, replace

_ORDER: dict[type, int] = {
    kind: place
    for place, kind in enumerate(
        (
            Deploy,
            Arm,
            Advance,
            Edit,
            Assume,
            Start,
            Fulfil,
            Send,
            Cancel,
            Kill,
            End,
            Postpone,
            Claim,
            Disarm,
            RemoveWorkflow,
            OpenCard,
            WriteCard,
            EndWait,
        )
    )
}


@frozen
class Observed:
    """What the platforms hold now.

    `deployed` are revisions that are there; `absent` says what keeps this machine from running a revision; `gone` are owners whose folder is
    gone; `statuses` are those of the runs that others depend on, by `project/environment/name`. `altered` and `unsure` are about revisions too
    (`Holdings`), `under_way` are (workflow, digest) that are being deployed in the place at hand.
    """

    runs: Mapping[str, Observation] = made(default_factory=dict)
    deployed: frozenset[str] = frozenset()
    absent: Mapping[str, str] = made(default_factory=dict)
    gone: frozenset[str] = frozenset()
    statuses: Mapping[str, str] = made(default_factory=dict)
    altered: Mapping[str, str] = made(default_factory=dict)
    unsure: Mapping[str, str] = made(default_factory=dict)
    under_way: frozenset[tuple[str, str]] = frozenset()


@mutable
class _Declared:
    """The part of a plan that is about what is declared, and the active runs as they are after it."""

    active: dict[str, ActiveRun]
    actions: list[Action] = made(default_factory=list)
    rejected: list[Notice] = made(default_factory=list)
    held: list[Notice] = made(default_factory=list)
    workflows: WorkflowPart = made(default_factory=WorkflowPart)
    unchanged: int = 0


def decide(
    desired: Desired | None,
    recorded: Recorded,
    observed: Observed,
    limits: Limits,
    *,
    now: datetime,
    approved: frozenset[str] = frozenset(),
    assume: str = "",
    board: Board | None = None,
) -> Plan:
    """Return what a pass would do. Without `desired` only runs that are known already are carried on; without a `board` there are no cards."""
    part = _Declared(dict(recorded.active))
    if desired is not None:
        _decide_declared(part, desired, recorded, observed, limits, board, now=now, approved=approved, assume=assume)
    actions, rejected, held, active, workflows = part.actions, part.rejected, part.held, part.active, part.workflows
    reruns = with_cards(decide_reruns(desired, recorded, active, now=now), recorded, board)
    actions += reruns
    active = _as_edited(active, reruns, {})
    if desired is not None:
        signals = declared_signals(desired, recorded, active, observed.runs)
        actions += signals.actions
        rejected += signals.rejected
    family = decide_family(active, recorded, observed.runs, _coming(desired), now=now)
    rejected += family.rejected
    edited = _as_edited(active, family.actions, {})
    active = with_suspensions(edited, recorded)
    actions += [*family.actions, *deliveries(active, recorded, observed.runs)]
    seen = _with_mail(observed.runs, actions)
    queue = [run for run in active.values() if queued(run, seen.get(run.uid))]
    waiting = {run.uid for run in queue}
    steps: list[Action] = [Claim(run, 1, "start", f"of {run.workflow}") for run in front(queue, limits)]
    for uid, run in active.items():
        if uid not in waiting:
            steps += next_steps(run, seen.get(uid, Missing()), observed.statuses, limits.crash_limit, now=now)
    ready = {action.revision.digest for action in actions if isinstance(action, Deploy)} | observed.deployed | workflows.waits.keys()
    wanted = _possible(desired, steps, rejected, ready)
    wanted, postponed = held_back(wanted, workflows.waits, recorded.pauses)
    steps += postponed
    admitted = admit(wanted, active, observed.runs, limits)
    actions += [step for step in steps if not isinstance(step, Claim)]
    actions += [*admitted, *released(queue, wanted, admitted), *requests_over(desired, recorded, edited, steps)]
    held += _held(active, steps)
    rejected += _left_alone(recorded)
    actions += decide_cards(active, recorded, observed.runs, board, now=now)
    return Plan(_in_order(actions), tuple(rejected), tuple(held), tuple(workflows.drift), part.unchanged, asked_of(desired, recorded, actions))


def _decide_declared(  # noqa: PLR0913
    part: _Declared,
    desired: Desired,
    recorded: Recorded,
    observed: Observed,
    limits: Limits,
    board: Board | None,
    *,
    now: datetime,
    approved: frozenset[str],
    assume: str,
) -> None:
    """Decide what workflows, runs and schedules of a folder need."""
    holdings = Holdings(observed.deployed, observed.absent, observed.altered, observed.unsure, observed.under_way)
    workflows = part.workflows = decide_workflows(desired, recorded, holdings, observed.gone, now=now)
    pinned_drift(workflows, desired, recorded, holdings)
    runs = decide_runs(desired, recorded, workflows.revisions, observed.gone, now=now, most_input=limits.input, assume=assume)
    started = with_cards(runs.actions, recorded, board)
    pruned = prune(desired, recorded, approved, now=now)
    part.active = _as_edited(part.active, [*started, *pruned.actions], workflows.revisions)
    schedules = decide_schedules(Facts(desired, recorded, workflows.revisions, part.active, observed.gone, now, limits.input))
    slots = with_cards(schedules.actions, recorded, board)
    part.active = _as_edited(part.active, slots, workflows.revisions)
    part.actions += [*workflows.actions, *started, *pruned.actions, *slots]
    part.rejected += [*workflows.rejected, *runs.rejected, *schedules.rejected]
    part.held += [*runs.held, *pruned.held]
    part.unchanged = workflows.unchanged + runs.unchanged + schedules.unchanged


def _in_order(actions: Sequence[Action]) -> tuple[Action, ...]:
    """Return actions in the order in which they are carried out."""
    return tuple(sorted(actions, key=lambda action: _ORDER[type(action)]))


def _coming(desired: Desired | None) -> frozenset[tuple[Place, str]]:
    """Return the workflows that are declared, by place and name."""
    return frozenset() if desired is None else frozenset((desired.place, name) for name in desired.workflows)


def _possible(desired: Desired | None, steps: Sequence[Action], rejected: Sequence[Notice], ready: AbstractSet[str]) -> list[Claim]:
    """Return the claims of runs whose revision is there, or comes in this plan; of some only the digest is known until they are deployed again."""
    broken = {notice.object for notice in rejected if notice.reason == "runtime-missing"}
    return [
        step
        for step in steps
        if isinstance(step, Claim)
        and not (desired is not None and step.run.place == desired.place and f"workflow/{step.run.workflow}" in broken)
        and (step.run.deployed or step.run.revision.digest in ready)
        and step.run.revision.runtime
    ]


def _left_alone(recorded: Recorded) -> list[Notice]:
    """Tell which platforms have asked to be left alone for a while."""
    return [
        Notice(f"adapter/{name}", "rate-limited", f"left alone until {pause.until:%Y-%m-%dT%H:%M:%SZ}: {pause.message}")
        for name, pause in recorded.pauses.items()
    ]


def _with_mail(seen: Mapping[str, Observation], actions: Sequence[Action]) -> Mapping[str, Observation]:
    """Return what is seen as it will be once the messages of this plan are delivered: who waits for them is woken in the same pass."""
    told = {action.run.uid for action in actions if isinstance(action, Send) and action.deliver}
    after = dict(seen) if told else seen
    for uid in told:
        observation = seen.get(uid)
        if isinstance(observation, LetGo):
            after = {**after, uid: replace(observation, seen=replace(observation.seen, mail=True))}
    return after


def _as_edited(active: Mapping[str, ActiveRun], actions: list[Action], revisions: Revisions) -> dict[str, ActiveRun]:
    """Return the active runs as they will be after the edits and starts of this plan."""
    runs = dict(active)
    for action in actions:
        if isinstance(action, Start):
            runs[action.run.uid] = action.run
        elif isinstance(action, Edit) and action.uid in runs:
            runs[action.uid] = _edited(runs[action.uid], action.changes, revisions)
    return runs


def _edited(run: ActiveRun, changes: Mapping[str, Json], revisions: Revisions) -> ActiveRun:
    """Return a run with an edit applied, as the database will have it: what is started in this pass is what was declared last."""
    plain = {name: changes[name] for name in ("suspend", "priority", "cancel", "workflow", "spec_hash", "adapter") if name in changes}
    if "input" in changes:
        plain["input"] = decode_json(changes["input"])
    if "facts" in changes:
        plain["facts"] = decode_json(changes["facts"])
    if "revision" in changes:
        plain["revision"] = revisions[plain.get("workflow", run.workflow)][0]
        plain["deployed"] = False  # it is there already, or deployed in this very plan
    return replace(run, **plain)


def _held(active: Mapping[str, ActiveRun], steps: Sequence[Action]) -> list[Notice]:
    """Return what waits for a person, and since this pass too."""
    held = {uid: (run.reason, run.message) for uid, run in active.items()}
    held |= {step.run.uid: (step.reason, step.message) for step in steps if isinstance(step, Postpone)}
    reasons = ("state-unknown", "quarantined", "revision-altered")
    return [Notice(f"run/{active[uid].name}", *told, active[uid].source, active[uid].place) for uid, told in held.items() if told[0] in reasons]
