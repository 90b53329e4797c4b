"""Runs that could go on if only their revision, or their platform, were there."""

from collections.abc import Mapping, Sequence

from reconciler.actions import Claim, Notice, Postpone
from reconciler.backoff import Pause
from reconciler.model import Desired
from reconciler.plan.workflows import Holdings, WorkflowPart
from reconciler.recorded import Recorded


def pinned_drift(part: WorkflowPart, desired: Desired, recorded: Recorded, holdings: Holdings) -> None:
    """Tell of revisions that only active runs need and that are not as they were deployed: their code is declared no more, so nothing heals them."""
    wanted = {revision.digest for revision, workflow, _ in part.revisions.values() if workflow is not None}
    for run in recorded.active.values():
        digest = run.revision.digest
        if run.place != desired.place or not run.deployed or digest in wanted:
            continue
        what = holdings.altered.get(digest)
        if what is not None:
            declared = part.revisions.get(run.workflow, (None, None, ""))[1]
            message = f"{what} in revision {digest[:12]}, and its code is no longer declared: put the code back, or cancel the run"
            if declared is None or declared.drift == "heal":
                part.waits[digest] = "revision-altered", message
            part.drift.append(Notice(f"run/{run.name}", "altered", message, run.source))


def held_back(claims: Sequence[Claim], waits: Mapping[str, tuple[str, str]], pauses: Mapping[str, Pause]) -> tuple[list[Claim], list[Postpone]]:
    """Return the claims that may be made now, and what the others wait for, where that is news."""
    if not (waits or pauses):
        return list(claims), []
    free: list[Claim] = []
    postponed: list[Postpone] = []
    for claim in claims:
        why = waits.get(claim.run.revision.digest)
        if why is None and claim.run.adapter in pauses:
            why = "rate-limited", f"{claim.run.adapter} wants to be left alone for a while"
        if why is None:
            free.append(claim)
        elif why != (claim.run.reason, claim.run.message):
            postponed.append(Postpone(claim.run, *why))
    return free, postponed
