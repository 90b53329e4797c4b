"""What a pass found out about objects: rejected edits, holds, failed deploys. They stay visible until a pass finds them gone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from reconciler.actions import Edit, Notice, Plan, RemoveWorkflow, Start
from reconciler.instants import stamp
from reconciler.model import Desired, Place

HELD, READY, SUSPENDED, SYNCED, BOARD = "Held", "Ready", "Suspended", "Synced", "TaskSynced"
Key = tuple[Place, str, str]

# Holds of runs that every pass looks at, also one without manifests. Their events are written where the run is held.
_OF_RUNS = frozenset({"state-unknown", "quarantined", "revision-altered", "child-workflow-missing"})
_TOLD_BY_RUNS = frozenset({"state-unknown", "quarantined", "revision-altered"})

# What is refused or held is Synced or Held; these say more.
_TYPES = {"child-workflow-missing": HELD, "deploy-failed": READY, "stalled": READY}


class Known(NamedTuple):
    """A condition as it is remembered; `since` is when `status` last flipped."""

    status: str
    reason: str
    message: str
    since: str


class Found(NamedTuple):
    """What is new: conditions to remember (None: to forget), and what to tell of it, as (place, object, reason, message)."""

    conditions: list[tuple[Key, Known | None]]
    events: list[tuple[Place, str, str, str]]


def news(known: Mapping[Key, Known], desired: Desired | None, plan: Plan, failed: Mapping[str, str], *, now: datetime) -> Found:
    """Compare what a pass found with what is remembered; `failed` are the objects whose deploy failed, with the error."""
    if not (known or plan.actions or plan.rejected or plan.held or (desired is not None and desired.problems)):
        return Found([], [])
    wanted = _wanted(desired, plan, failed)
    gone = {f"workflow/{action.name}" for action in plan.actions if isinstance(action, RemoveWorkflow)}
    whole = desired is not None and desired.complete and not any(notice.object.startswith("project/") for notice in plan.held)
    found = Found([], [])
    if desired is not None:
        _suspensions(found, desired.place, plan, known, now=now)
    for key, bad in wanted.items():
        _worse(found, key, bad, known.get(key), now=now)
    for key, was in known.items():
        if key not in wanted and _looked_at(key, was, desired, gone, whole=whole):
            _better(found, key, was, desired, gone, now=now)
    return found


def _suspensions(found: Found, place: Place, plan: Plan, known: Mapping[Key, Known], *, now: datetime) -> None:
    """Remember since when manifests suspend their runs, and tell of it."""
    said = {
        f"run/{action.name}": bool(action.changes["suspend"]) for action in plan.actions if isinstance(action, Edit) and "suspend" in action.changes
    }
    said |= {f"run/{action.run.name}": True for action in plan.actions if isinstance(action, Start) and action.run.suspend}
    for about, suspended in said.items():
        key = (place, about, SUSPENDED)
        if suspended and key not in known:
            found.conditions.append((key, Known("True", "suspended", "by its manifest", stamp(now))))
            found.events.append((place, about, "suspended", "by its manifest"))
        elif not suspended:
            found.conditions.append((key, None))
            found.events.append((place, about, "resumed", "by its manifest"))


def _wanted(desired: Desired | None, plan: Plan, failed: Mapping[str, str]) -> dict[Key, Notice]:
    """Return what is wrong now, the first of several things of a type."""
    place = None if desired is None else desired.place
    wanted: dict[Key, Notice] = {}
    for notice in (*plan.rejected, *plan.held):
        where = notice.place or place
        if where is not None:
            wanted.setdefault((where, notice.object, _TYPES.get(notice.reason, HELD if notice in plan.held else SYNCED)), notice)
    if desired is None:
        return wanted
    for problem in desired.problems:
        if problem.about and not problem.warning:
            told = f"{problem.file}:{problem.line}: {problem.message}"
            wanted.setdefault((desired.place, problem.about, SYNCED), Notice(problem.about, "invalid", told))
    for about, message in failed.items():
        wanted[desired.place, about, READY] = Notice(about, "deploy-failed", message)
    return wanted


def _worse(found: Found, key: Key, bad: Notice, was: Known | None, *, now: datetime) -> None:
    status = "True" if key[2] == HELD else "False"
    if was is not None and (was.status, was.reason, was.message) == (status, bad.reason, bad.message):
        return
    since = was.since if was is not None and was.status == status else stamp(now)
    found.conditions.append((key, Known(status, bad.reason, bad.message, since)))
    if bad.reason not in _TOLD_BY_RUNS and key[2] != READY:
        found.events.append((key[0], key[1], bad.reason, bad.message))


def _looked_at(key: Key, was: Known, desired: Desired | None, gone: set[str], *, whole: bool) -> bool:
    """Say whether this pass would have found it again; one that is held as a `whole`, or could not read everything, finds nothing."""
    place, about, kind = key
    if kind in (SUSPENDED, BOARD):
        return False
    if kind == HELD and was.reason in _OF_RUNS:
        return True
    if desired is None or place != desired.place:
        return False
    if about in gone:
        return True
    return whole and (was.status == ("True" if kind == HELD else "False") or not _declared(desired, about))


def _better(found: Found, key: Key, was: Known, desired: Desired | None, gone: set[str], *, now: datetime) -> None:
    """What was wrong is over: said of what is still declared, forgotten of what is not."""
    place, about, kind = key
    there = desired is not None and kind in (READY, SYNCED) and _declared(desired, about)
    good = Known("True", "deployed" if kind == READY else "declared", "", stamp(now)) if there and about not in gone else None
    found.conditions.append((key, good))
    if was.status == ("True" if kind == HELD else "False"):
        found.events.append((place, about, "resolved", f"was {was.reason}"))


def _declared(desired: Desired, about: str) -> bool:
    kind, _, name = about.partition("/")
    return name in {"run": desired.runs, "workflow": desired.workflows, "schedule": desired.schedules}.get(kind, {})


def deploys_that_failed(failures: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Return the objects whose deploy failed with the error, of failures as (object, reason, message)."""
    return {about: message for about, reason, message in failures if reason == "deploy-failed"}
