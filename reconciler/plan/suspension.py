"""What people asked for by command and what still holds: suspended objects, and requests that are over."""

from collections.abc import Mapping, Sequence

from reconciler.actions import Action, Claim, End, Fulfil, Postpone
from reconciler.model import Desired, Place
from reconciler.recorded import ActiveRun, Asked, Override, Recorded
from reconciler.values import replace

_GATES = frozenset({"suspended", "start-after", "dependency"})
CHANGED = "its manifest changed"
ENDED = "the run has ended"


def by_whom(override: Override) -> str:
    """Say who suspended something, and why: the same in every pass."""
    return f"suspended by {override.who}{f': {override.why}' if override.why else ''}"


def with_suspensions(active: dict[str, ActiveRun], recorded: Recorded) -> dict[str, ActiveRun]:
    """Return the active runs as requests leave them: suspended by command, themselves or by their workflow, or resumed."""
    if not recorded.overrides:
        return active
    return {uid: _with_suspension(run, recorded) for uid, run in active.items()}


def _with_suspension(run: ActiveRun, recorded: Recorded) -> ActiveRun:
    about = f"run/{run.name}"
    suspended = recorded.suspended(run.place, about, declared=run.suspend)
    own = recorded.overrides.get((run.place, about))
    why = by_whom(own) if own is not None and own.suspend and suspended else ""
    workflow = recorded.overrides.get((run.place, f"workflow/{run.workflow}"))
    if workflow is not None and workflow.suspend and not suspended:
        suspended, why = True, f"workflow/{run.workflow} is {by_whom(workflow)}"
    return run if (suspended, why) == (run.suspend, "") else replace(run, suspend=suspended, suspended_by=why)


def released(queue: Sequence[ActiveRun], wanted: Sequence[Claim], admitted: Sequence[Claim]) -> list[Postpone]:
    """Return what is to be forgotten of runs that nothing but room keeps from their start now."""
    going = {claim.run.uid for claim in admitted}
    waiting = {run.uid: run for run in (*queue, *(claim.run for claim in wanted)) if run.reason in _GATES and run.uid not in going}
    return [Postpone(run, "", "") for run in waiting.values()]


def requests_over(desired: Desired | None, recorded: Recorded, active: Mapping[str, ActiveRun], steps: Sequence[Action]) -> list[Fulfil]:
    """Return the requests that hold no more: the manifest's own field has changed since, or their run has ended.

    `active` are the runs as their manifests leave them, before any request.
    """
    if not recorded.asked:
        return []
    ending = {step.run.uid for step in steps if isinstance(step, End)}
    going = {uid: run for uid, run in active.items() if uid not in ending}
    declared = {(run.place, f"run/{run.name}"): run.suspend for run in going.values()}
    over = []
    for asked in recorded.asked:
        if asked.verb == "cancel" and asked.uid not in going:
            over.append(Fulfil(asked.id))
        elif asked.verb in ("suspend", "resume"):
            about = asked.place, asked.object
            if asked.object.startswith("run/") and about not in declared:
                over.append(Fulfil(asked.id, ENDED))
            elif declared.get(about, _declared_schedule(desired, asked)) != asked.declared:
                over.append(Fulfil(asked.id, CHANGED))
    return over


def _declared_schedule(desired: Desired | None, asked: Asked) -> bool:
    """Return what the manifest of a schedule says of its suspension now; where none is to be seen, what it said."""
    kind, _, name = asked.object.partition("/")
    if desired is None or desired.place != asked.place or kind != "schedule" or name not in desired.schedules:
        return asked.declared
    return bool(desired.schedules[name].spec.get("suspend", False))


def asked_of(desired: Desired | None, recorded: Recorded, actions: Sequence[Action]) -> tuple[Asked, ...]:
    """Return the requests that hold, as the plan shows them: those of its own place."""
    if not recorded.asked:
        return ()
    over = {action.request for action in actions if isinstance(action, Fulfil)}
    place: Place | None = None if desired is None else desired.place
    return tuple(asked for asked in recorded.asked if asked.id not in over and place in (None, asked.place))
