"""What is in the folder of the `exec` adapter, read as a whole: for a lost database, for a check, for a backup."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.runfiles import RunFiles
from reconciler.compute import Found, Inventory, Keepsake
from reconciler.errors import DamagedError
from reconciler.history import History
from reconciler.journal import decode_line, whole_length

_JOURNAL = ".journal.jsonl"
Histories = Callable[[str], History | None]


def found(runs: Path, history: Histories) -> Iterator[Found]:
    """Return every run whose first record can be read; what follows may be damaged."""
    for uid in _uids(runs):
        order = _order(runs, uid, history)
        if order is not None:
            yield Found(uid, order)


def _uids(runs: Path) -> list[str]:
    if not runs.is_dir():
        return []
    return sorted(name.removesuffix(_JOURNAL) for name in os.listdir(runs) if name.endswith(_JOURNAL))


def _order(runs: Path, uid: str, history: Histories) -> Mapping[str, Any] | None:
    try:
        read = history(uid)
    except DamagedError:
        return _first_record(runs / f"{uid}{_JOURNAL}")
    return None if read is None else read.order


def _first_record(journal: Path) -> Mapping[str, Any] | None:
    with open(journal, "rb") as file:
        line = file.readline()
    try:
        record = decode_line(line.removesuffix(b"\n"))
    except DamagedError:
        return None
    return record if record["type"] == "order" else None


def inventory(work_dir: Path, history: Histories) -> Inventory:
    """Read every journal, and name what belongs to nothing."""
    runs = work_dir / "runs"
    uids = {name.partition(".")[0] for name in os.listdir(runs)} if runs.is_dir() else set()
    told = {uid: _trouble(runs, uid, history) for uid in sorted(uids)}
    revisions = _names(work_dir / "revisions")
    whole = frozenset(name for name in revisions if not name.startswith("."))
    strays = [str(work_dir / "revisions" / name) for name in revisions if name.startswith(".")]
    strays += [str(work_dir / "deps" / name) for name in _names(work_dir / "deps") if name.partition("-")[0] not in whole]
    return Inventory(told, whole, tuple(strays))


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def _trouble(runs: Path, uid: str, history: Histories) -> str | None:
    journal = runs / f"{uid}{_JOURNAL}"
    if not journal.exists():
        return f"run {uid} has files and no journal"
    try:
        return f"{journal} has no first record" if history(uid) is None else None
    except DamagedError as error:
        return f"{journal}: {error}"


def keepsakes(work_dir: Path, files: Callable[[str], RunFiles], uids: Sequence[str], digests: Sequence[str]) -> Iterator[Keepsake]:
    """Return the files of these runs, and of the revisions that they are pinned to."""
    for uid in uids:
        run = files(uid)
        for path in (run.journal, run.output):
            if os.path.exists(path):
                yield Keepsake(os.path.relpath(path, work_dir), path, whole_lines=path == run.journal)
        for folder in (run.inbox, run.files):
            yield from _below(work_dir, folder)
    for digest in digests:
        for place in (work_dir / "revisions" / digest, *sorted((work_dir / "deps").glob(f"{digest}-*"))):
            yield from _below(work_dir, str(place))


def take_newer(work_dir: Path, other: Path) -> int:
    """Copy the files of runs whose journals go on where ours end, with their revisions; a journal that says something else is left where it is."""
    taken = 0
    for uid in _uids(other / "runs"):
        ours, theirs = RunFiles(str(work_dir / "runs" / f"{uid}.")), RunFiles(str(other / "runs" / f"{uid}."))
        before, after = ours.read(), theirs.read()
        known, told = before[: whole_length(before)], after[: whole_length(after)]
        more = len(told) > len(known) or theirs.messages() > ours.messages()
        if told and more and told.startswith(known):
            _copy(theirs.prefix, ours.prefix)
            order = _first_record(Path(theirs.journal))
            if order is not None:
                _copy_revision(other, work_dir, order["revision"])
            taken += 1
    return taken


def _copy(theirs: str, ours: str) -> None:
    for name in ("files", "inbox"):
        if os.path.isdir(theirs + name):
            shutil.copytree(theirs + name, ours + name, symlinks=True, dirs_exist_ok=True)
    for name in ("output.log", "journal.jsonl"):
        if os.path.exists(theirs + name):
            shutil.copy2(theirs + name, ours + name)


def _copy_revision(other: Path, work_dir: Path, digest: str) -> None:
    for source in (other / "revisions" / digest, *(other / "deps").glob(f"{digest}-*")):
        target = work_dir / source.relative_to(other)
        if source.is_dir() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copytree(source, target, symlinks=True)


def _below(work_dir: Path, folder: str) -> Iterator[Keepsake]:
    """Return the files and links below a folder; a link that leaves the adapter's folder is left out, and so is what is being written."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted([*names, *(name for name in folders if os.path.islink(os.path.join(place, name)))]):
            path = os.path.join(place, name)
            if name.startswith(".") and place.endswith(".inbox"):
                continue
            if not os.path.islink(path):
                if os.path.isfile(path):
                    yield Keepsake(os.path.relpath(path, work_dir), path)
            elif (link := _inside(work_dir, path)) is not None:
                yield Keepsake(os.path.relpath(path, work_dir), path, link=link)


def _inside(work_dir: Path, path: str) -> str | None:
    """Return the target of a link, relative to where the link is; None if it leads out of the adapter's folder."""
    target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return os.path.relpath(target, os.path.dirname(path)) if Path(target).is_relative_to(work_dir) else None
