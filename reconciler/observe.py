"""Looking: what the platforms hold now, asked of each adapter, and laid over what is remembered."""

import os
from collections.abc import Iterable, Mapping

from reconciler.compute import Adapter, Finished, LetGo, Live, Observation, Revision, Unclaimed, Unknown
from reconciler.errors import UnavailableError
from reconciler.model import Desired, Status
from reconciler.plan import Observed
from reconciler.plan.workflows import revision_of
from reconciler.recorded import ActiveRun, Recorded
from reconciler.values import replace

Looks = dict[str, tuple[int, Observation]]
News = Mapping[str, Finished | Live | LetGo | Unclaimed]


def observe(
    desired: Desired | None,
    recorded: Recorded,
    adapters: Mapping[str, Adapter],
    statuses: Mapping[str, str],
    looks: Looks | None = None,
    changed: frozenset[str] | None = None,
) -> Observed:
    """Ask every adapter once for its unfinished runs, and for the revisions that are wanted.

    `looks` is what earlier passes of this process saw, under which claim. With `changed` only those runs, and those whose claim is another
    now, are looked at again: observation costs what changed.
    """
    looks = {} if looks is None else looks
    runs = {uid: look for uid, (claim, look) in looks.items() if _holds(recorded, uid, claim, changed)}
    for name, claims in _by_adapter(run for uid, run in recorded.active.items() if uid not in runs).items():
        adapter = adapters.get(name)
        if adapter is None:
            runs |= dict.fromkeys(claims, Unknown(f"adapter {name} is not enabled in the settings"))
            continue
        try:
            runs |= adapter.observe(claims)
        except UnavailableError as error:
            runs |= dict.fromkeys(claims, Unknown(str(error)))
    looks.clear()
    looks.update({uid: (recorded.active[uid].claim, look) for uid, look in runs.items() if not isinstance(look, Unknown)})
    deployed, absent = _revisions(desired, recorded, adapters)
    return Observed(runs, deployed, absent, _gone(desired, recorded), statuses)


def _holds(recorded: Recorded, uid: str, claim: int, changed: frozenset[str] | None) -> bool:
    """Say whether an earlier look is as good as a new one."""
    run = recorded.active.get(uid)
    return changed is not None and uid not in changed and run is not None and run.claim == claim


def _by_adapter(active: Iterable[ActiveRun]) -> dict[str, dict[str, int]]:
    claims: dict[str, dict[str, int]] = {}
    for run in active:
        claims.setdefault(run.adapter, {})[run.uid] = run.claim
    return claims


def _revisions(desired: Desired | None, recorded: Recorded, adapters: Mapping[str, Adapter]) -> tuple[frozenset[str], dict[str, str]]:
    """Return which revisions are there, and what keeps others from running here.

    Where a platform cannot be asked, what was deployed before counts as there; what is new is deployed, which does nothing to what is there.
    """
    before = {workflow.revision.digest for workflow in recorded.workflows.values()}
    wanted: dict[str, list[Revision]] = {}
    for workflow in () if desired is None else desired.workflows.values():
        wanted.setdefault(workflow.adapter, []).append(revision_of(workflow))
    deployed: frozenset[str] = frozenset()
    absent: dict[str, str] = {}
    for name, revisions in wanted.items():
        adapter = adapters.get(name)
        if adapter is None:
            absent |= {revision.digest: f"adapter {name} is not enabled in the settings" for revision in revisions}
            continue
        try:
            deployed |= adapter.deployed([revision.digest for revision in revisions])
        except UnavailableError:
            deployed |= before & {revision.digest for revision in revisions}
        for revision in revisions:
            why = adapter.missing(revision)
            if why is not None:
                absent[revision.digest] = why
    return deployed, absent


def _gone(desired: Desired | None, recorded: Recorded) -> frozenset[str]:
    """Return the folders that own something here and are no longer there."""
    if desired is None:
        return frozenset()
    owners = {run.owner for run in recorded.runs.values()} | {workflow.owner for workflow in recorded.workflows.values()}
    return frozenset(owner for owner in owners - {desired.folder, ""} if os.path.isabs(owner) and not os.path.isdir(owner))


def news(recorded: Recorded, observed: Observed) -> dict[str, Finished | Live | LetGo | Unclaimed]:
    """Return the observations that say something which is not remembered yet."""
    found: dict[str, Finished | Live | LetGo | Unclaimed] = {}
    for uid, seen in observed.runs.items():
        run = recorded.active[uid]
        if (
            isinstance(seen, Finished)
            or (isinstance(seen, Live | LetGo) and (seen.seen.size, status_of(run, seen)) != (run.journal_size, run.status))
            or (isinstance(seen, Unclaimed) and seen.seen.claim and seen.seen.size != run.journal_size)
        ):
            found[uid] = seen
    return found


def status_of(run: ActiveRun, seen: Live | LetGo) -> Status:
    """Return the status that an observation gives a run."""
    return Status.CANCELING if run.cancel_sent_at is not None else seen.status


def settled(recorded: Recorded, fresh: Mapping[str, Finished | Live | LetGo | Unclaimed]) -> Recorded:
    """Return what is remembered once the news is recorded: runs that have ended are active no more."""
    runs = dict(recorded.runs)
    active = dict(recorded.active)
    for uid, seen in fresh.items():
        run = active[uid]
        if isinstance(seen, Finished):
            del active[uid]
            line = runs.get(run.name)
            if line is not None and line.uid == uid:
                runs[run.name] = line._replace(status=seen.status.value)
        elif isinstance(seen, Live | LetGo):
            started_at = run.started_at or seen.seen.started_at
            active[uid] = replace(
                run,
                status=status_of(run, seen),
                confirmed=True,
                claim=max(run.claim, seen.seen.claim),
                deaths=seen.seen.deaths,
                started_at=started_at,
                not_before=None,
            )
    return replace(recorded, runs=runs, active=active)
