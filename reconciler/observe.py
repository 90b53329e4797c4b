"""Looking: what the platforms hold now, asked of each adapter, and laid over what is remembered."""

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta

from reconciler.compute import Adapter, Finished, LetGo, Live, Observation, Revision, Unclaimed, Unknown
from reconciler.errors import UnavailableError
from reconciler.model import Desired, Status
from reconciler.plan import Observed
from reconciler.plan.workflows import revision_of
from reconciler.recorded import ActiveRun, Recorded
from reconciler.values import made, mutable, replace

Looks = dict[str, tuple[int, Observation]]
Told = dict[str, tuple[timedelta, str]]
News = Mapping[str, Finished | Live | LetGo | Unclaimed]


def observe(
    desired: Desired | None,
    recorded: Recorded,
    adapters: Mapping[str, Adapter],
    statuses: Mapping[str, str],
    looks: Looks | None = None,
    changed: frozenset[str] | None = None,
    *,
    deep: bool = False,
    told: Told | None = None,
) -> Observed:
    """Ask every adapter once for its unfinished runs, and for the revisions that are wanted.

    `looks` is what earlier passes of this process saw, under which claim. With `changed` only those runs, and those whose claim is another
    now, are looked at again: observation costs what changed. Platforms that want to be left alone are; `told` takes those that say so now.
    `deep` looks at everything of a revision.
    """
    looks = {} if looks is None else looks
    told = {} if told is None else told
    runs = {uid: look for uid, (claim, look) in looks.items() if _holds(recorded, uid, claim, changed)}
    for name, claims in _by_adapter(run for uid, run in recorded.active.items() if uid not in runs or run.adapter in recorded.pauses).items():
        adapter = adapters.get(name)
        if adapter is None:
            runs |= dict.fromkeys(claims, Unknown(f"adapter {name} is not enabled in the settings"))
            continue
        if name in recorded.pauses:
            runs |= dict.fromkeys(claims, Unknown(f"{name} wants to be left alone: {recorded.pauses[name].message}"))
            continue
        try:
            runs |= adapter.observe(claims)
        except UnavailableError as error:
            runs |= dict.fromkeys(claims, Unknown(str(error)))
            _note(told, name, error)
    looks.clear()
    looks.update({uid: (recorded.active[uid].claim, look) for uid, look in runs.items() if not isinstance(look, Unknown)})
    shelves = _Shelves()
    if desired is not None:
        _revisions(desired, recorded, adapters, shelves, told, deep=deep)
    gone = _gone(desired, recorded)
    return Observed(runs, frozenset(shelves.deployed), shelves.absent, gone, statuses, shelves.altered, shelves.unsure)


@mutable
class _Shelves:
    """What is found out about revisions."""

    deployed: set[str] = made(default_factory=set)
    absent: dict[str, str] = made(default_factory=dict)
    altered: dict[str, str] = made(default_factory=dict)
    unsure: dict[str, str] = made(default_factory=dict)


def _note(told: Told, name: str, error: UnavailableError) -> None:
    if error.retry_after is not None:
        told[name] = error.retry_after, str(error)


def _holds(recorded: Recorded, uid: str, claim: int, changed: frozenset[str] | None) -> bool:
    """Say whether an earlier look is as good as a new one."""
    run = recorded.active.get(uid)
    return changed is not None and uid not in changed and run is not None and run.claim == claim


def _by_adapter(active: Iterable[ActiveRun]) -> dict[str, dict[str, int]]:
    claims: dict[str, dict[str, int]] = {}
    for run in active:
        claims.setdefault(run.adapter, {})[run.uid] = run.claim
    return claims


def _revisions(desired: Desired, recorded: Recorded, adapters: Mapping[str, Adapter], shelves: _Shelves, told: Told, *, deep: bool) -> None:
    """Find out which revisions are there: of the declared workflows, and those that runs under way are pinned to."""
    wanted: dict[str, list[Revision]] = {}
    for workflow in desired.workflows.values():
        wanted.setdefault(workflow.adapter, []).append(revision_of(workflow))
    pinned: dict[str, set[str]] = {}
    for run in recorded.active.values():
        if run.deployed and run.place == desired.place:
            pinned.setdefault(run.adapter, set()).add(run.revision.digest)
    for name in {**wanted, **pinned}:
        revisions = wanted.get(name, [])
        digests = list({**dict.fromkeys(revision.digest for revision in revisions), **dict.fromkeys(pinned.get(name, ()))})
        adapter = adapters.get(name)
        if adapter is None:
            shelves.absent.update({revision.digest: f"adapter {name} is not enabled in the settings" for revision in revisions})
            continue
        if name in recorded.pauses:
            shelves.unsure.update(dict.fromkeys(digests, f"{name} wants to be left alone: {recorded.pauses[name].message}"))
            continue
        try:
            there = adapter.deployed(digests)
            shelves.altered.update(adapter.altered([digest for digest in digests if digest in there], deep=deep))
            shelves.deployed |= there
        except UnavailableError as error:
            shelves.unsure.update(dict.fromkeys(digests, str(error)))
            _note(told, name, error)
        shelves.absent.update({revision.digest: why for revision in revisions if (why := adapter.missing(revision)) is not None})


def _gone(desired: Desired | None, recorded: Recorded) -> frozenset[str]:
    """Return the folders that own something here and are no longer there."""
    if desired is None:
        return frozenset()
    owners = {item.owner for items in (recorded.runs, recorded.workflows, recorded.schedules) for item in items.values()}
    return desired.released | frozenset(owner for owner in owners - {desired.folder, ""} if os.path.isabs(owner) and not os.path.isdir(owner))


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
