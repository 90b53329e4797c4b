"""A backup becomes a data folder again: what was there is moved aside and closed, and journals that tell more than the backup are kept."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from reconciler import backup, installation, tombstones
from reconciler.compute import Adapter
from reconciler.digest import Json
from reconciler.errors import RejectedError
from reconciler.instants import stamp
from reconciler.state import NAME, marks, open_store

_OURS = (NAME, f"{NAME}-wal", f"{NAME}-shm", installation.ID, installation.MACHINE, tombstones.NAME, "manifests", "cache")


def restore(data_dir: Path, file: Path, adapters: Mapping[str, Adapter], *, now: datetime) -> dict[str, Json]:
    """Put a backup into a data folder whose lock is held, and return what came of it.

    Killed anywhere it leaves a closed folder, and may be called again. Raises RejectedError where workers live that would go on beside the restored runs.
    """
    contents = backup.check(file)
    old = _old_place(data_dir, contents)
    homes = {name: Path(home) for name, adapter in adapters.items() if (home := adapter.home()) is not None}
    sources = _sources(data_dir, old, homes)
    for name, folders in sources.items():
        _check_nobody_works(adapters[name], [homes[name], *folders])
    installation.fence(data_dir, f"a restore of {file} was not finished: run it again")
    aside = _move_aside(data_dir, homes, now=now)
    _extract(data_dir, file, homes)
    newer = 0
    for name, adapter in adapters.items():
        found = [aside / "adapters" / name] if aside is not None else []
        newer += sum(adapter.take_newer(str(folder)) for folder in [*found, *sources.get(name, [])])
    store = open_store(data_dir)
    with store.transaction():
        marks.remove_mark(store, marks.REBUILT)  # the next pass takes in what the journals tell beyond the backup
    store.close()
    os.sync()
    if old is not None:
        installation.fence(old, f"restored into {data_dir} at {stamp(now)}")
    installation.settle(data_dir)
    return {
        **{name: contents[name] for name in ("made_at", "program", "counts")},
        "newer_journals": newer,
        "moved_aside": None if aside is None else str(aside),
        "closed": None if old is None else str(old),
        "made_in": contents["data_dir"],
        "elsewhere": bool(contents["machine"]) and contents["machine"] != installation.machine(),
    }


def _old_place(data_dir: Path, contents: Mapping[str, Json]) -> Path | None:
    """Return the folder that the backup was made of, if it is within reach and another one than this."""
    old = Path(contents["data_dir"])
    same = installation.scope_of(old) == contents["installation"]
    return old if same and old.resolve() != data_dir.resolve() else None


def _sources(data_dir: Path, old: Path | None, homes: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Return other folders of each platform that may hold more than the backup does: those of the old place, and of a restore that was not finished."""
    found: dict[str, list[Path]] = {name: [] for name in homes}
    for name, home in homes.items():
        if old is not None and home.is_relative_to(data_dir):
            found[name].append(old / home.relative_to(data_dir))
        if installation.fence_of(data_dir).startswith("a restore"):
            found[name] += [path / "adapters" / name for path in sorted(data_dir.glob("before-restore-*"))][-1:]
    return {name: [path for path in paths if path.is_dir()] for name, paths in found.items()}


def _check_nobody_works(adapter: Adapter, folders: Sequence[Path]) -> None:
    busy = {str(folder): number for folder in folders if (number := adapter.workers(str(folder)))}
    if busy:
        told = ", ".join(f"{number} in {folder}" for folder, number in busy.items())
        message = f"workers are alive ({told}): they would go on beside the restored runs. Let their runs end or park, or `ty-openworkflow cancel` them, and restore then"
        raise RejectedError(message)


def _move_aside(data_dir: Path, homes: Mapping[str, Path], *, now: datetime) -> Path | None:
    """Move everything that a restore replaces into a closed folder below the data folder; None if there was nothing."""
    ours = [data_dir / name for name in _OURS if os.path.lexists(data_dir / name)]
    theirs = {name: home for name, home in homes.items() if os.path.lexists(home)}
    if not (ours or theirs):
        return None
    aside = data_dir / f"before-restore-{stamp(now).replace(':', '').replace('-', '').replace('.', '').lower()}"
    (aside / "adapters").mkdir(parents=True, exist_ok=True, mode=0o700)
    installation.fence(aside, f"moved aside by a restore at {stamp(now)}")
    try:
        for path in ours:
            path.rename(aside / path.name)
        for name, home in theirs.items():
            home.rename(aside / "adapters" / name)
    except OSError as error:
        message = f"{error.filename} cannot be moved aside ({error.strerror}): move it away yourself, and restore again"
        raise RejectedError(message) from error
    return aside


def _extract(data_dir: Path, file: Path, homes: Mapping[str, Path]) -> None:
    """Write the files of a backup; names were checked when it was read."""
    for name, info, data in backup.members(file):
        if name == backup.CONTENTS:
            continue
        parts = Path(name).parts
        if parts[0] == "adapters":
            if parts[1] not in homes:
                message = f"{file} holds runs of adapter {parts[1]}, which is not enabled in the settings"
                raise RejectedError(message)
            target = homes[parts[1]].joinpath(*parts[2:])
        else:
            target = data_dir / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if info.issym():
            target.symlink_to(info.linkname)
            continue
        with open(target, "xb", opener=lambda path, flags, mode=info.mode: os.open(path, flags, mode & 0o700)) as out:  # type: ignore[misc]
            out.write(data)
