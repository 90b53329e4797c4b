"""Workflows: what is declared against what was deployed and what is there."""

from collections.abc import Mapping

from reconciler.actions import Action, Deploy, Notice
from reconciler.compute import Revision
from reconciler.digest import Json
from reconciler.instants import milliseconds
from reconciler.model import Desired, Retry, Workflow
from reconciler.recorded import KnownWorkflow, Recorded
from reconciler.values import made, mutable


@mutable
class WorkflowPart:
    """The workflows' part of a plan, and the revision that a run of each would be pinned to now."""

    actions: list[Action] = made(default_factory=list)
    rejected: list[Notice] = made(default_factory=list)
    revisions: dict[str, tuple[Revision, Workflow | None, str]] = made(default_factory=dict)
    unchanged: int = 0


def decide_workflows(desired: Desired, recorded: Recorded, deployed: frozenset[str], absent: Mapping[str, str], gone: frozenset[str]) -> WorkflowPart:
    """Decide what each declared workflow needs."""
    part = WorkflowPart()
    for name, known in recorded.workflows.items():
        part.revisions[name] = (known.revision, None, str(known.facts.get("adapter", "exec")))
    for workflow in desired.workflows.values():
        known_one = recorded.workflows.get(workflow.name)
        conflict = owner_conflict(desired.folder, known_one.owner if known_one else None, gone)
        if conflict is not None:
            part.rejected.append(Notice(f"workflow/{workflow.name}", "conflict", conflict, workflow.source))
            continue
        revision = revision_of(workflow)
        if revision.digest in absent:
            part.rejected.append(Notice(f"workflow/{workflow.name}", "runtime-missing", absent[revision.digest], workflow.source))
            part.revisions.pop(workflow.name, None)
            continue
        part.revisions[workflow.name] = (revision, workflow, workflow.adapter)
        action = _deploy(desired, workflow, revision, known_one, revision.digest in deployed, recorded)
        if action is None:
            part.unchanged += 1
        else:
            part.actions.append(action)
    return part


def owner_conflict(folder: str, owner: str | None, gone: frozenset[str]) -> str | None:
    """Say who else owns an object; an owner whose folder is gone lets go of it."""
    if owner is None or owner in ("", folder) or owner in gone:
        return None
    return f"belongs to {owner}: remove it there first, or give this one another name"


def _deploy(desired: Desired, workflow: Workflow, revision: Revision, known: KnownWorkflow | None, there: bool, recorded: Recorded) -> Deploy | None:
    if known is None:
        return Deploy(workflow, revision, "create", f"{workflow.runtime} on {workflow.adapter}", ready=there)
    if known.revision.digest != revision.digest:
        reason = _difference(known.revision, revision) + _staying(desired, workflow.name, revision, recorded)
        return Deploy(workflow, revision, "update", reason, known.revision.digest, ready=there)
    if not there:
        return Deploy(workflow, revision, "heal", f"revision {revision.digest[:12]} is not on {workflow.adapter}", known.revision.digest)
    facts = workflow_facts(workflow)
    if known.owner != desired.folder:
        return Deploy(workflow, revision, "update", "taken over from a folder that is gone", known.revision.digest, ready=True)
    if known.facts != facts:
        changed = sorted(name for name in {*known.facts, *facts} if known.facts.get(name) != facts.get(name))
        return Deploy(workflow, revision, "update", f"{', '.join(changed)} changed", known.revision.digest, ready=True)
    return None


def _staying(desired: Desired, name: str, revision: Revision, recorded: Recorded) -> str:
    """Say how many runs go on as they began (I17)."""
    began = [run for run in recorded.active.values() if (run.place, run.workflow) == (desired.place, name) and run.claim]
    number = sum(run.revision.digest != revision.digest for run in began)
    return f"; {number} active {'run stays on its' if number == 1 else 'runs stay on their'} revision" if number else ""


def _difference(before: Revision, after: Revision) -> str:
    names = ("runtime", "entry", "version", "env", "block", "settings")
    changed = [name for name in names if getattr(before, name) != getattr(after, name)]
    return f"{', '.join(changed)} changed" if changed else "code changed"


def workflow_facts(workflow: Workflow) -> dict[str, Json]:
    """Return what is kept of a workflow beside its revision; what is not set is left out."""
    facts: dict[str, Json] = {
        "adapter": workflow.adapter,
        "title": workflow.title,
        "description": workflow.description,
        "concurrency": workflow.concurrency,
        "keep": dict(workflow.keep),
        "labels": dict(workflow.labels),
        "prune": "" if workflow.prune == "enabled" else workflow.prune,
        "input": workflow.input_schema,
        "signals": dict(workflow.signals),
    }
    return {name: value for name, value in facts.items() if value not in ("", None, 0, {})}


def revision_of(workflow: Workflow) -> Revision:
    """Return what an adapter and a worker need to know of a workflow, defaults filled in."""
    settings: dict[str, Json] = {
        "retry": _retry(workflow.retry),
        "step": {"retry": _retry(workflow.step_retry), "timeout_ms": 0 if workflow.step_timeout is None else milliseconds(workflow.step_timeout)},
        "timeout_ms": 0 if workflow.timeout is None else milliseconds(workflow.timeout),
        "cancel": {"grace_ms": milliseconds(workflow.grace), "cleanup_ms": milliseconds(workflow.cleanup)},
    }
    return Revision(
        workflow.revision, workflow.name, workflow.runtime, workflow.code.entry, workflow.version, workflow.env, dict(workflow.block), settings
    )


def _retry(retry: Retry) -> Json:
    return {
        "max_attempts": retry.max_attempts,
        "initial_interval_ms": milliseconds(retry.initial_interval),
        "factor": retry.factor,
        "max_interval_ms": milliseconds(retry.max_interval),
        "jitter": retry.jitter,
    }
