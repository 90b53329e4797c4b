"""What a pass stands on: a folder's manifests, read while nothing moves, where its work tree stands, and whether the pass may go."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from reconciler.actions import Notice
from reconciler.clock import Clock
from reconciler.digest import Json
from reconciler.errors import UnreadableError
from reconciler.git.heads import standing_of
from reconciler.model import Desired, Place, Standing
from reconciler.plan.holds import Claimant, holds, remembered
from reconciler.reconcile import Report
from reconciler.recorded import KnownPlace
from reconciler.state import Store, places
from reconciler.values import frozen, made, mutable, replace

PROJECT_FILE = "ty-openworkflow.yaml"
_SETTLED = timedelta(seconds=2)
_PATIENCE = 10.0
_PAUSE = 0.02
_NEVER = datetime.max.replace(tzinfo=UTC)
_LONGEST_NAME = 63


@frozen
class Approach:
    """How a command wants its folders to be taken.

    `ref` names the commit to read instead of the work tree, `pull` how old what was fetched for that may be. `accept_branch` lets another branch
    through, `approve` is the digest of a plan whose held prunes may go, `assume` what a person says of runs that nothing here knows of. Who is not
    `patient` is told when to look again instead of waiting.
    """

    ref: str = ""
    pull: timedelta | None = None
    accept_branch: bool = False
    approve: str = ""
    assume: str = ""
    patient: bool = True


def written(approach: Approach) -> dict[str, Json]:
    """Return an approach as JSON."""
    pull = None if approach.pull is None else approach.pull.total_seconds()
    return {"ref": approach.ref, "pull": pull, "accept_branch": approach.accept_branch, "approve": approach.approve, "assume": approach.assume}


def approach_from(facts: Mapping[str, Any]) -> Approach:
    """Read what `written` wrote."""
    pull = facts.get("pull")
    return Approach(**{**facts, "pull": None if pull is None else timedelta(seconds=pull)})


@frozen
class Ground:
    """One place of a folder. `held` is why nothing of it is carried out, `due_at` when to look again, `before` the folder that it was until now."""

    desired: Desired
    standing: Standing | None = None
    held: tuple[Notice, ...] = ()
    due_at: datetime | None = None
    before: str = ""
    known: KnownPlace | None = None


@mutable
class Missed:
    """What one process has seen missing, by place: which objects, and since when. Nothing is lost with it."""

    since: dict[Place, tuple[frozenset[str], datetime]] = made(default_factory=dict)


Load = Callable[[], list[Desired]]


def read_folder(folder: Path, load: Load, store: Store | None, clock: Clock, approach: Approach, missed: Missed) -> list[Ground]:
    """Return what a folder declares, for each place, read while its work tree stands still and old enough that what is missing is gone."""
    end = time.monotonic() + (_PATIENCE if approach.patient else 0)
    while True:
        standing = standing_of(folder)
        try:
            found = load()
        except UnreadableError as error:
            held = unreadable(folder, store, error)
            if not held:
                raise
            return held
        moved = standing_of(folder)
        grounds = [_ground(desired, moved, store, clock, approach, missed) for desired in found]
        busy = moved != standing or (moved is not None and moved.operation == "git-busy")
        due = min((ground.due_at for ground in grounds if ground.due_at is not None), default=None)
        if not busy and due is None:
            return grounds
        if time.monotonic() >= end:
            return [_moving(ground, clock) if moved != standing else ground for ground in grounds]
        Event().wait(_PAUSE if busy or due is None else min(1.0, max(_PAUSE, (due - clock.now()).total_seconds())))


def hold_ground(ground: Ground, store: Store | None, clock: Clock, approach: Approach) -> Ground:
    """Return a place with the reasons that hold it, and what it is under the name that it is known by."""
    desired, standing = ground.desired, ground.standing
    if desired.local or not desired.place.project or store is None:
        held = [] if desired.local else holds(desired, standing, None, None, accept_branch=approach.accept_branch)
        return replace(ground, held=tuple(held))
    known = places.known_place(store, desired.place)
    desired = _as_known(desired, known)
    claimant, before, released = _claim(desired, known, store)
    if released:
        desired = replace(desired, released=frozenset({released}))
    held = holds(desired, standing, known, claimant, accept_branch=approach.accept_branch)
    due = clock.now() + timedelta(seconds=1) if any(notice.reason == "git-busy" for notice in held) else None
    return replace(ground, desired=desired, held=tuple(held), due_at=due, before=before, known=known)


def _ground(desired: Desired, standing: Standing | None, store: Store | None, clock: Clock, approach: Approach, missed: Missed) -> Ground:
    ground = hold_ground(Ground(desired, standing), store, clock, approach)
    due = None if store is None or ground.held else _due(ground.desired, store, missed, clock.now())
    if due is not None:  # whatever comes of this load later, nothing is taken away by it
        return replace(ground, desired=replace(ground.desired, settled_at=_NEVER), due_at=due)
    return replace(ground, desired=replace(ground.desired, settled_at=None))


def _due(desired: Desired, store: Store, missed: Missed, now: datetime) -> datetime | None:
    """Return from when on what is missing counts, None if it does already, or nothing is."""
    if desired.settled_at is None or now >= desired.settled_at or desired.local:
        missed.since.pop(desired.place, None)
        return None
    gone = places.owned(store, desired.place, desired.folder) - declared(desired)
    if not gone:
        missed.since.pop(desired.place, None)
        return None
    before, since = missed.since.get(desired.place, (frozenset[str](), now))
    if not gone <= before:
        since = now
    missed.since[desired.place] = (gone, since)
    due = min(desired.settled_at, max(desired.files_settled_at or desired.settled_at, since + _SETTLED))
    return due if due > now else None


def declared(desired: Desired) -> frozenset[str]:
    """Return every object that a folder has, also those that cannot be used: `kind/name`."""
    named: Mapping[str, Iterable[str]] = {"workflow": desired.workflows, "run": desired.runs, "schedule": desired.schedules}
    return frozenset(f"{kind}/{name}" for kind, names in named.items() for name in names) | desired.invalid


def _moving(ground: Ground, clock: Clock) -> Ground:
    message = "nothing is carried out: the work tree changed while it was read, again and again"
    notice = Notice(f"project/{ground.desired.place.project}", "git-busy", message)
    return replace(ground, held=(*ground.held, notice), due_at=clock.now() + timedelta(seconds=1))


def unreadable(folder: Path, store: Store | None, error: UnreadableError) -> list[Ground]:
    """Return the places that a folder holds which cannot be read: for a pass, what they had stays as it is; a plan has nothing to show."""
    reason, what = ("folder-unreadable", f"{error}") if os.path.lexists(folder) else ("folder-missing", f"{folder} is not there")
    message = f"nothing is carried out: {what}. Put it back, and everything is as it was"
    found = [] if store is None or not store.writable else places.places_in(store, str(folder))
    return [
        Ground(
            Desired(str(folder), known.place, known.lineage, complete=False),
            None,
            (Notice(f"project/{known.place.project}", reason, message),),
            known=known,
        )
        for known in found
    ]


def _as_known(desired: Desired, known: KnownPlace | None) -> Desired:
    """Return a folder under the path that it is known by, if that is another way to the same one."""
    if known is None or known.folder == desired.folder:
        return desired
    try:
        same = os.path.samefile(known.folder, desired.folder)
    except OSError:
        return desired
    return replace(desired, folder=known.folder) if same else desired


def _claim(desired: Desired, known: KnownPlace | None, store: Store) -> tuple[Claimant | None, str, str]:
    """Return who else claims the place; the folder whose property moves along; and one that has let go of what it owned."""
    former = _former(desired, store)
    if known is None or former is not None:
        return former, "", ""
    if known.folder == desired.folder:
        return None, "", ""
    same_lineage = bool(desired.lineage) and desired.lineage == known.lineage
    if not os.path.isdir(known.folder):
        return None, known.folder if same_lineage else "", "" if same_lineage else known.folder
    from reconciler.git.history import is_same_repository

    if is_same_repository(Path(known.folder), Path(desired.folder)):
        return None, known.folder, ""
    if _project_of(Path(known.folder)) not in (None, desired.place.project):
        return None, "", known.folder
    return Claimant(known.folder, _suggested(desired)), "", ""


def _former(desired: Desired, store: Store) -> Claimant | None:
    """Notice that a folder has lost its project file: everything in it would look new."""
    if desired.place.project != "default" or os.path.lexists(os.path.join(desired.folder, PROJECT_FILE)):
        return None
    others = sorted({known.place.project for known in places.places_in(store, desired.folder)} - {"default"})
    return Claimant(missing_project=others[0]) if others else None


def _project_of(folder: Path) -> str | None:
    """Return the project that a folder says it is; None if that cannot be read: nobody takes its place then."""
    from reconciler.yaml12 import YamlError, read_documents

    try:
        documents = read_documents((folder / PROJECT_FILE).read_bytes())
    except (OSError, YamlError):
        return None
    found = [document.value for document in documents if isinstance(document.value, dict) and document.value.get("kind") == "Project"]
    metadata = found[0].get("metadata") if found else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def _suggested(desired: Desired) -> str:
    """Return a name for the project of a folder, made of the folder's own."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in Path(desired.folder).name.lower())
    name = "-".join(part for part in words.split("-") if part)[: _LONGEST_NAME - 2].strip("-") or "project"
    return f"{name}-2" if name in (desired.place.project, "default") else name


def pass_over(store: Store, ground: Ground, run_pass: Callable[..., Report], clock: Clock) -> Report:
    """Run the pass of a place, and keep where it stood."""
    _take_over(store, ground)
    report = run_pass(ground.desired, held=ground.held)
    _remember(store, ground, now=clock.now())
    return report


def _remember(store: Store, ground: Ground, *, now: datetime) -> None:
    """Keep where a pass stood, and whether it was held: written only where that is news."""
    desired, known = ground.desired, ground.known
    if desired.local or not desired.place.project:
        return
    reason = ground.held[0].reason if ground.held else ""
    if known is not None and known.held != reason:
        with store.transaction():
            places.save_held(store, desired.place, reason, ground.held[0].message if ground.held else "it goes on", now=now)
    if ground.held or ground.standing is None:
        return
    branches = remembered(desired, ground.standing, known)
    if branches != (frozenset() if known is None else known.branches):
        with store.transaction():
            places.save_branches(store, desired.place, branches)


def _take_over(store: Store, ground: Ground) -> None:
    """Let the property of a folder that has moved move along."""
    if ground.before and not ground.held:
        with store.transaction():
            places.take_over(store, ground.desired.place, ground.before, ground.desired.folder)


def source_of(ground: Ground, folder: str, *, dirty: bool) -> dict[str, Any]:
    """Return where a plan comes from; `folder` is how it is shown. Whether the work tree is `dirty` takes a process to find out."""
    desired, standing = ground.desired, ground.standing
    facts: dict[str, Any] = {"folder": folder, "project": desired.place.project, "environment": desired.place.environment}
    if standing is None:
        return facts
    return {**facts, "branch": _branch(ground, standing), "commit": standing.commit, "dirty": _dirt(desired) if dirty else None}


def _dirt(desired: Desired) -> bool | None:
    from reconciler.git.history import is_dirty

    return is_dirty(Path(desired.folder))


def _branch(ground: Ground, standing: Standing) -> str:
    """Return the branch that people would name: where HEAD is detached, the one that its commit is known to be on."""
    before = frozenset() if ground.known is None else ground.known.branches
    for named in ({standing.branch} - {""}, standing.branches & {ground.desired.branch}, standing.branches & before, standing.branches):
        if len(named) == 1:
            return next(iter(named))
    return ""
