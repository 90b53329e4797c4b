"""Workflows: what is declared against what was deployed and what is there."""

from collections.abc import Mapping
from datetime import datetime

from reconciler.actions import Action, Deploy, Notice
from reconciler.backoff import holds
from reconciler.compute import Revision
from reconciler.digest import Json
from reconciler.instants import milliseconds
from reconciler.model import Desired, Retry, Workflow
from reconciler.recorded import KnownWorkflow, Recorded
from reconciler.values import frozen, made, mutable


@frozen
class Holdings:
    """What the platforms hold of revisions, by digest: what is there, what was `altered` since and how, and `unsure` where nobody could be asked.

    `absent` says what keeps this machine from running a revision; `under_way` are (workflow, digest) that are being deployed.
    """

    deployed: frozenset[str] = frozenset()
    absent: Mapping[str, str] = made(default_factory=dict)
    altered: Mapping[str, str] = made(default_factory=dict)
    unsure: Mapping[str, str] = made(default_factory=dict)
    under_way: frozenset[tuple[str, str]] = frozenset()


@mutable
class WorkflowPart:
    """The workflows' part of a plan, and the revision that a run of each would be pinned to now.

    `waits` says of revisions that are not to be used now what their runs wait for: a reason and a message.
    """

    actions: list[Action] = made(default_factory=list)
    rejected: list[Notice] = made(default_factory=list)
    drift: list[Notice] = made(default_factory=list)
    revisions: dict[str, tuple[Revision, Workflow | None, str]] = made(default_factory=dict)
    waits: dict[str, tuple[str, str]] = made(default_factory=dict)
    unchanged: int = 0


def decide_workflows(desired: Desired, recorded: Recorded, holdings: Holdings, gone: frozenset[str], *, now: datetime) -> WorkflowPart:
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
        if revision.digest in holdings.absent:
            part.rejected.append(Notice(f"workflow/{workflow.name}", "runtime-missing", holdings.absent[revision.digest], workflow.source))
            part.revisions.pop(workflow.name, None)
            continue
        part.revisions[workflow.name] = (revision, workflow, workflow.adapter)
        action = _deploy(part, desired, workflow, revision, known_one, holdings, recorded)
        if action is None:
            part.unchanged += 1
        elif action.ready or not _waits(part, desired, recorded, action, holdings, now=now):
            part.actions.append(action)
    return part


def _waits(part: WorkflowPart, desired: Desired, recorded: Recorded, action: Deploy, holdings: Holdings, *, now: datetime) -> bool:
    """Say whether a deploy is not to be begun now: it is under way, failed a moment ago or for good, or its platform is not there."""
    name, digest, source = action.workflow.name, action.revision.digest, action.workflow.source
    if (name, digest) in holdings.under_way:
        part.waits[digest] = "deploying", f"revision {digest[:12]} of workflow {name!r} is being deployed"
        return True
    if digest in holdings.unsure:
        part.waits[digest] = "unavailable", f"revision {digest[:12]} of workflow {name!r} cannot be deployed now"
        part.rejected.append(Notice(f"workflow/{name}", "unavailable", holdings.unsure[digest], source))
        return True
    tried = recorded.tried.get((desired.place, f"workflow/{name}"))
    if tried is None or not holds(tried, digest, now=now):
        return False
    part.waits[digest] = "deploy-failed", f"revision {digest[:12]} of workflow {name!r} could not be deployed"
    again = "not tried again until it changes" if tried.next_at is None else f"tried again at {tried.next_at:%Y-%m-%dT%H:%M:%SZ}"
    part.rejected.append(Notice(f"workflow/{name}", "deploy-failed" if tried.next_at else "stalled", f"{tried.message} ({again})", source))
    return True


def owner_conflict(folder: str, owner: str | None, gone: frozenset[str]) -> str | None:
    """Say who else owns an object; an owner whose folder is gone lets go of it."""
    if owner is None or owner in ("", folder) or owner in gone:
        return None
    return f"belongs to {owner}: remove it there first, or give this one another name"


def _deploy(
    part: WorkflowPart,
    desired: Desired,
    workflow: Workflow,
    revision: Revision,
    known: KnownWorkflow | None,
    holdings: Holdings,
    recorded: Recorded,
) -> Deploy | None:
    digest = revision.digest
    there = digest in holdings.deployed or digest in holdings.unsure
    sound = there and digest not in holdings.altered
    if known is None:
        return Deploy(workflow, revision, "create", f"{workflow.runtime} on {workflow.adapter}", ready=sound and digest not in holdings.unsure)
    if known.revision.digest != digest:
        ready = sound and digest not in holdings.unsure
        reason = _difference(known.revision, revision) + _staying(desired, workflow.name, revision, recorded)
        return Deploy(workflow, revision, "update", reason, known.revision.digest, ready=ready)
    if not sound:
        what = holdings.altered.get(digest) or f"revision {digest[:12]} is not on {workflow.adapter}"
        part.drift.append(_drift(workflow, "altered" if there else "missing", what))
        if workflow.drift == "heal":
            return Deploy(workflow, revision, "heal", what, digest)
    facts = workflow_facts(workflow)
    if known.owner != desired.folder:
        return Deploy(workflow, revision, "update", "taken over from a folder that is gone", digest, ready=True)
    if known.facts != facts:
        changed = sorted(name for name in {*known.facts, *facts} if known.facts.get(name) != facts.get(name))
        return Deploy(workflow, revision, "update", f"{', '.join(changed)} changed", digest, ready=True)
    return None


def _drift(workflow: Workflow, reason: str, what: str) -> Notice:
    policy = "healed by a pass" if workflow.drift == "heal" else "only reported: its manifest says drift: report"
    return Notice(f"workflow/{workflow.name}", reason, f"{what} ({policy})", workflow.source)


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
        "drift": "" if workflow.drift == "heal" else workflow.drift,
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
