"""Runs: what is declared against what was asked for before."""

from collections.abc import Mapping
from datetime import datetime

from reconciler.actions import Action, Assume, Edit, Notice, Start
from reconciler.compute import Revision
from reconciler.digest import Json, uid_of
from reconciler.instants import milliseconds, stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Desired, Run, Workflow
from reconciler.plan import lost
from reconciler.plan.workflows import owner_conflict
from reconciler.recorded import UNKNOWN_TOKEN, ActiveRun, Recorded, RunLine, pending_run
from reconciler.values import made, mutable, replace

Revisions = Mapping[str, tuple[Revision, Workflow | None, str]]


@mutable
class RunPart:
    """The runs' part of a plan."""

    actions: list[Action] = made(default_factory=list)
    rejected: list[Notice] = made(default_factory=list)
    held: list[Notice] = made(default_factory=list)
    unchanged: int = 0
    most_input: int = 0


def decide_runs(
    desired: Desired, recorded: Recorded, revisions: Revisions, gone: frozenset[str], *, now: datetime, most_input: int = 0, assume: str = ""
) -> RunPart:
    """Decide what each declared run needs; one that has ended as it was declared needs nothing, for ever.

    Where nothing proves what was run before, `assume` says what a person answers of runs that are not known: `start`, `done`, or nothing yet.
    """
    part = RunPart(most_input=most_input)
    unproven: list[Run] = []
    folder = desired.folder
    for name, want in desired.runs.items():
        known = recorded.runs.get(name)
        if known is not None and known.ended and known.spec_hash == want.spec_hash and (not want.rerun or want.rerun == known.rerun):
            part.unchanged += 1
            continue
        if known is None and not recorded.known and assume != lost.START:
            unproven.append(want)
            continue
        if known is None:
            _start(part, desired, recorded, revisions, want, 1, "", now=now)
            continue
        conflict = None if known.ended else owner_conflict(folder, known.owner, gone)
        if conflict is not None:
            part.rejected.append(Notice(f"run/{name}", "conflict", conflict, want.source))
        elif want.rerun and known.rerun == UNKNOWN_TOKEN:
            part.actions.append(
                Edit(known.uid, name, {"rerun": want.rerun}, "its token is taken for handled: no journal tells of another", want.source)
            )
        elif want.rerun and want.rerun != known.rerun:
            _rerun(part, desired, recorded, revisions, want, known, f"rerun {want.rerun!r}", now=now)
        elif want.spec_hash != known.spec_hash:
            _changed(part, desired, recorded, revisions, want, known, now=now)
        else:
            _edit(part, desired, revisions, want, known)
    if assume == lost.DONE:
        part.actions += [_assumed(desired, recorded, revisions, want, now=now) for want in unproven]
    else:
        part.held += lost.unproven(desired, unproven)
    return part


def _assumed(desired: Desired, recorded: Recorded, revisions: Revisions, want: Run, *, now: datetime) -> Assume:
    """Return what makes a run a finished one that was carried out elsewhere."""
    nothing = Revision("unknown", want.workflow, "", "")
    revision, _, adapter = revisions.get(want.workflow, (nothing, None, ""))
    return Assume(_pending(desired, recorded, want, 1, revision, adapter, now=now), revision)


def _start(
    part: RunPart, desired: Desired, recorded: Recorded, revisions: Revisions, want: Run, incarnation: int, why: str, *, now: datetime
) -> None:
    pinned = revisions.get(want.workflow)
    if pinned is None or f"workflow/{want.workflow}" in desired.invalid:
        message = f"workflow {want.workflow!r} is not valid" if pinned else f"workflow {want.workflow!r} cannot be run here"
        part.rejected.append(Notice(f"run/{want.name}", "workflow-missing", message, want.source))
        return
    size = len(encode_json(want.input)) if part.most_input else 0
    if size > part.most_input:
        message = f"its input has {size} bytes, and limits.input of the settings is {part.most_input}: pass a path or an address instead"
        part.rejected.append(Notice(f"run/{want.name}", "input-too-large", message, want.source))
        return
    revision, workflow, adapter = pinned
    run = replace(
        _pending(desired, recorded, want, incarnation, revision, adapter, now=now),
        concurrency=0 if workflow is None else workflow.concurrency,
        cancel="canceled by its manifest" if want.cancel else None,
        deployed=workflow is None,  # a workflow of this folder is deployed by now, or in this very plan
    )
    part.actions.append(Start(run, want.rerun, why or f"of {want.workflow}"))


def _pending(desired: Desired, recorded: Recorded, want: Run, incarnation: int, revision: Revision, adapter: str, *, now: datetime) -> ActiveRun:
    return pending_run(
        uid=uid_of(desired.lineage or recorded.scope, desired.place.project, desired.place.environment, want.name, incarnation),
        place=desired.place,
        name=want.name,
        incarnation=incarnation,
        owner=desired.folder,
        workflow=want.workflow,
        adapter=adapter,
        spec_hash=want.spec_hash,
        input=want.input,
        revision=revision,
        created_at=now,
        facts=run_facts(want),
        suspend=want.suspend,
        priority=want.priority,
        source=want.source,
        rerun=want.rerun,
    )


def _rerun(part: RunPart, desired: Desired, recorded: Recorded, revisions: Revisions, want: Run, known: RunLine, why: str, *, now: datetime) -> None:
    """Start the next incarnation; one that is active is canceled first, and followed in the pass after its end."""
    if known.ended:
        _start(part, desired, recorded, revisions, want, known.incarnation + 1, why, now=now)
    elif known.cancel is None:
        part.actions.append(Edit(known.uid, want.name, {"cancel": f"replaced ({why})"}, f"canceled first: {why}", want.source))


def _changed(part: RunPart, desired: Desired, recorded: Recorded, revisions: Revisions, want: Run, known: RunLine, *, now: datetime) -> None:
    """Another workflow or input: fine before the first start, a new incarnation or a rejected edit after it."""
    if not known.ended and known.claim == 0 and want.workflow in revisions:
        revision, _, adapter = revisions[want.workflow]
        changes: dict[str, Json] = {"workflow": want.workflow, "input": encode_json(want.input), "spec_hash": want.spec_hash}
        changes |= {**_edits(desired, revisions, want, known)[0], "revision": revision.digest, "adapter": adapter}
        part.actions.append(Edit(known.uid, want.name, changes, "changed before its start", want.source, revision))
    elif want.on_change == "rerun":
        _rerun(part, desired, recorded, revisions, want, known, "its manifest changed", now=now)
    else:
        what = "workflow" if want.workflow != known.workflow else "input"
        state = "has ended" if known.ended else "is under way"
        message = f"{what} changed, and the run {state}: give the new one another name, or set spec.rerun or onChange: rerun"
        part.rejected.append(Notice(f"run/{want.name}", "edited-after-start", message, want.source))
        if not known.ended:
            _edit(part, desired, revisions, want, known)


def _edit(part: RunPart, desired: Desired, revisions: Revisions, want: Run, known: RunLine) -> None:
    changes, revision = _edits(desired, revisions, want, known)
    if changes:
        part.actions.append(Edit(known.uid, want.name, changes, f"{', '.join(sorted(changes))} changed", want.source, revision))
    else:
        part.unchanged += 1


def _edits(desired: Desired, revisions: Revisions, want: Run, known: RunLine) -> tuple[dict[str, Json], Revision | None]:
    """Return what may change of a run at any time, as columns of its row, and the revision that it is pinned to then, if that changes."""
    changes: dict[str, Json] = {}
    if bool(known.suspend) != want.suspend:
        changes["suspend"] = want.suspend
    if known.priority != want.priority:
        changes["priority"] = want.priority
    if want.cancel and known.cancel is None:
        changes["cancel"] = "canceled by its manifest"
    if known.owner != desired.folder:
        changes["owner"] = desired.folder
    before, facts = decode_json(known.facts), run_facts(want)
    if "at_once" in before:
        facts = at_once(facts)
    if facts != before:
        changes["facts"] = encode_json(facts)
    pinned = revisions.get(want.workflow)
    revision = None
    if known.claim == 0 and pinned is not None and pinned[0].digest != known.revision:
        revision = pinned[0]
        changes |= {"revision": revision.digest, "adapter": pinned[2]}
    return changes, revision


def at_once(facts: Mapping[str, Json]) -> dict[str, Json]:
    """Return the facts of a run that a person asked for by command: what its manifest says of its first start holds it no more."""
    return {**{name: value for name, value in facts.items() if name not in ("start_after", "start_deadline_ms", "depends_on")}, "at_once": True}


def run_facts(run: Run) -> dict[str, Json]:
    """Return what is kept of a run's manifest beside its own columns; what is not set is left out."""
    facts: dict[str, Json] = {}
    if run.start_after is not None:
        facts["start_after"] = stamp(run.start_after)
    if run.start_deadline is not None:
        facts["start_deadline_ms"] = milliseconds(run.start_deadline)
    if run.depends_on:
        facts["depends_on"] = list(run.depends_on)
    if run.on_delete != "cancel":
        facts["on_delete"] = run.on_delete
    if run.prune != "enabled":
        facts["prune"] = run.prune
    if run.labels:
        facts["labels"] = dict(run.labels)
    if run.task is not None:
        facts["task"] = run.task
    if run.signals:
        facts["signals"] = dict(run.signals)
    return facts
