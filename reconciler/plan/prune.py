"""Prune: what a folder owned and no longer declares. Looks only at its own, and holds still when in doubt."""

from collections.abc import Iterator
from datetime import datetime

from reconciler.actions import Disarm, Edit, Notice, RemoveWorkflow
from reconciler.journal import decode_json
from reconciler.model import Desired, Source
from reconciler.recorded import Recorded
from reconciler.values import frozen, made, mutable

LOOKS_LIKE_OURS = "ignored"
HELD, CONFIRM, SETTLING = "prune-held", "prune-confirm", "settling"
FOR_APPROVAL = frozenset({HELD, CONFIRM})
_LEAST = 10
_SHARE = 0.2


@mutable
class PrunePart:
    """The prune's part of a plan."""

    actions: list[Edit | RemoveWorkflow | Disarm] = made(default_factory=list)
    held: list[Notice] = made(default_factory=list)


@frozen
class Candidate:
    """Something that would go: what it is, how its manifest said that it goes (`enabled` or `confirm`), and where that manifest was."""

    object: str
    action: Edit | RemoveWorkflow | Disarm
    prune: str
    source: Source


def prune(desired: Desired, recorded: Recorded, approved: frozenset[str], *, now: datetime) -> PrunePart:
    """Decide what goes; everything or nothing, so that a half-read folder takes nothing down. `approved` objects were deleted on purpose."""
    candidates = [*_runs(desired, recorded), *_workflows(desired, recorded), *_schedules(desired, recorded)]
    if not candidates:
        return PrunePart()
    doubtful = [candidate for candidate in candidates if candidate.object not in approved]
    if doubtful and desired.settled_at is not None and now < desired.settled_at:
        why = "its manifest is gone since a moment, and may be back in another: it counts once that is two seconds old"
        return PrunePart([], [_notice(candidate, SETTLING, why) for candidate in candidates])
    waiting = [candidate for candidate in doubtful if candidate.prune == "confirm"]
    why_not = _guard(desired, recorded, len(doubtful) - len(waiting)) if len(doubtful) > len(waiting) else None
    if why_not is not None:
        return PrunePart([], [_notice(candidate, HELD, why_not) for candidate in candidates])
    held = [_notice(candidate, CONFIRM, "not pruned: its manifest, which is gone, said `prune: confirm`") for candidate in waiting]
    shut = [candidate for candidate in doubtful if candidate not in waiting and _is_unread(candidate, desired)]
    held += [_notice(candidate, HELD, "not pruned: its manifest was where this commit cannot be read") for candidate in shut]
    return PrunePart([candidate.action for candidate in candidates if candidate not in waiting and candidate not in shut], held)


def _runs(desired: Desired, recorded: Recorded) -> Iterator[Candidate]:
    for name, run in recorded.runs.items():
        if run.ended or run.owner != desired.folder or run.cancel is not None or name in desired.runs or f"run/{name}" in desired.invalid:
            continue
        facts = decode_json(run.facts)
        how, mode = facts.get("on_delete", "cancel"), facts.get("prune", "enabled")
        if mode == "disabled" or (how == "finish" and run.claim):
            continue
        if how == "orphan" and run.claim:
            action = Edit(run.uid, name, {"owner": ""}, "its manifest is gone; it goes on unowned", source_of(run.source))
        else:
            action = Edit(run.uid, name, {"cancel": "its manifest is gone"}, "its manifest is gone: canceled", source_of(run.source))
        yield Candidate(f"run/{name}", action, mode, action.source)


def _workflows(desired: Desired, recorded: Recorded) -> Iterator[Candidate]:
    gone = [
        workflow
        for name, workflow in recorded.workflows.items()
        if workflow.owner == desired.folder and name not in desired.workflows and f"workflow/{name}" not in desired.invalid
    ]
    busy = {run.workflow for run in recorded.runs.values() if not run.ended} if gone else set()
    for workflow in gone:
        mode = str(workflow.facts.get("prune", "enabled"))
        if mode == "disabled":
            continue
        reason = "its manifest is gone; its runs end on their revision" if workflow.name in busy else "its manifest is gone"
        action = RemoveWorkflow(workflow.name, workflow.revision.digest, reason, workflow.source)
        yield Candidate(f"workflow/{workflow.name}", action, mode, workflow.source)


def _schedules(desired: Desired, recorded: Recorded) -> Iterator[Candidate]:
    for name, schedule in recorded.schedules.items():
        if schedule.owner != desired.folder or name in desired.schedules or f"schedule/{name}" in desired.invalid:
            continue
        mode = str(schedule.spec.get("prune", "enabled"))
        if mode != "disabled":
            action = Disarm(desired.place, name, "its manifest is gone; its runs end by themselves", schedule.source)
            yield Candidate(f"schedule/{name}", action, mode, schedule.source)


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


def _is_unread(candidate: Candidate, desired: Desired) -> bool:
    return any(candidate.source.file == path or candidate.source.file.startswith(f"{path}/") for path in desired.unread)


def _notice(candidate: Candidate, reason: str, message: str) -> Notice:
    return Notice(candidate.object, reason, message, candidate.source)


def source_of(text: str) -> Source:
    """Read where an object was declared, as it is kept."""
    file, _, line = text.rpartition(":")
    return Source(file, int(line or 0))
