"""Prune: what a folder owned and no longer declares. Looks only at its own, and holds still when in doubt."""

from reconciler.actions import Disarm, Edit, Notice, RemoveWorkflow
from reconciler.journal import decode_json
from reconciler.model import Desired, Source
from reconciler.recorded import Recorded
from reconciler.values import made, mutable

LOOKS_LIKE_OURS = "ignored"
_LEAST = 10
_SHARE = 0.2


@mutable
class PrunePart:
    """The prune's part of a plan."""

    actions: list[Edit | RemoveWorkflow | Disarm] = made(default_factory=list)
    held: list[Notice] = made(default_factory=list)


def prune(desired: Desired, recorded: Recorded, approved: frozenset[str]) -> PrunePart:
    """Decide what goes; everything or nothing, so that a half-read folder takes nothing down. `approved` objects were deleted on purpose."""
    part = PrunePart()
    for name, run in recorded.runs.items():
        if run.ended or run.owner != desired.folder or run.cancel is not None or name in desired.runs or f"run/{name}" in desired.invalid:
            continue
        facts = decode_json(run.facts)
        how = facts.get("on_delete", "cancel")
        if facts.get("prune", "enabled") == "disabled" or (how == "finish" and run.claim):
            continue
        if how == "orphan" and run.claim:
            part.actions.append(Edit(run.uid, name, {"owner": ""}, "its manifest is gone; it goes on unowned", _source(run.source)))
        else:
            part.actions.append(Edit(run.uid, name, {"cancel": "its manifest is gone"}, "its manifest is gone: canceled", _source(run.source)))
    busy = {run.workflow for run in recorded.runs.values() if not run.ended}
    for name, workflow in recorded.workflows.items():
        if workflow.owner != desired.folder or name in desired.workflows or f"workflow/{name}" in desired.invalid:
            continue
        if workflow.facts.get("prune") == "disabled":
            continue
        reason = "its manifest is gone; its runs end on their revision" if name in busy else "its manifest is gone"
        part.actions.append(RemoveWorkflow(name, workflow.revision.digest, reason, workflow.source))
    for name, schedule in recorded.schedules.items():
        if schedule.owner != desired.folder or name in desired.schedules or f"schedule/{name}" in desired.invalid:
            continue
        if schedule.spec.get("prune") != "disabled":
            part.actions.append(Disarm(desired.place, name, "its manifest is gone; its runs end by themselves", schedule.source))
    doubtful = [action for action in part.actions if _object(action) not in approved]
    why = _guard(desired, recorded, len(doubtful)) if doubtful else None
    if why is not None:
        return PrunePart([], [Notice(_object(action), "prune-held", why) for action in part.actions])
    return part


def _guard(desired: Desired, recorded: Recorded, number: int) -> str | None:
    """Return what forbids the prune."""
    if any(not problem.warning for problem in desired.problems):
        return "not pruned: there are invalid manifests, and what is missing may be among them"
    if any(problem.code == LOOKS_LIKE_OURS for problem in desired.problems):
        return "not pruned: a document that looks like ours is ignored, and may be what is missing"
    if not desired.complete:
        return "not pruned: the folder could not be read completely"
    if not (desired.workflows or desired.runs or desired.schedules):
        return "not pruned: the folder declares nothing at all: if that is meant, leave one manifest in it"
    known = len(recorded.workflows) + len(recorded.schedules) + sum(not run.ended for run in recorded.runs.values())
    limit = desired.prune_max if desired.prune_max is not None else max(_LEAST, int(known * _SHARE))
    if number > limit:
        return f"not pruned: {number} objects would go, and prune.max is {limit}"
    return None


def _source(text: str) -> Source:
    file, _, line = text.rpartition(":")
    return Source(file, int(line or 0))


def _object(action: Edit | RemoveWorkflow | Disarm) -> str:
    return f"{'run' if isinstance(action, Edit) else 'schedule' if isinstance(action, Disarm) else 'workflow'}/{action.name}"
