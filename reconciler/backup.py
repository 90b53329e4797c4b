"""A backup: one file with everything that carrying on elsewhere needs, made beside a living loop, and read back before it counts."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler import installation, tombstones
from reconciler.compute import Adapter, Keepsake
from reconciler.digest import Json
from reconciler.errors import RejectedError, UnavailableError
from reconciler.instants import stamp
from reconciler.journal import encode_line, whole_length
from reconciler.state import Store, proofs, snapshot
from reconciler.values import mutable

FORMAT = 1
CONTENTS = "backup.json"
DATABASE = "state.db"
_PIECE = 1 << 20
_MANIFESTS = "manifests"


@mutable
class Writer:
    """Writes files into an archive, and remembers size and digest of each."""

    archive: tarfile.TarFile
    files: dict[str, dict[str, Json]]

    def bytes(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Add a file."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        self.archive.addfile(info, io.BytesIO(data))
        self.files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self.archive.addfile(info)
        self.files[name] = {"link": target}


def make(data_dir: Path, target: Path, adapters: Mapping[str, Adapter], program: str, *, now: datetime) -> dict[str, Json]:
    """Write a backup, whole or not at all, and return what is in it. Raises RejectedError and UnavailableError."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    copy = target.with_name(f".{target.name}.{os.getpid()}.db")
    try:
        with snapshot(data_dir, copy) as store, open(temporary, "xb", opener=_private) as file:
            contents = _write(file, data_dir, store, copy, adapters, program, now=now)
            file.flush()
            os.fsync(file.fileno())
        read_back = check(temporary)
        if read_back != contents:
            message = f"{target}: the backup does not read back as it was written: look after the disk"
            raise UnavailableError(message)
        temporary.rename(target)
        _sync_folder(target.parent)
    except OSError as error:
        message = f"{target}: the backup cannot be written: {error.strerror}"
        raise UnavailableError(message) from error
    finally:
        for path in (temporary, *copy.parent.glob(f"{copy.name}*")):
            path.unlink(missing_ok=True)
    return contents


def _write(file: Any, data_dir: Path, store: Store, copy: Path, adapters: Mapping[str, Adapter], program: str, *, now: datetime) -> dict[str, Json]:
    """Write the database first and journals after it: a journal that tells more is right. Tombstones stand for runs whose journals are not taken along."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        writer = Writer(archive, {})
        unfinished, digests = proofs.unfinished(store), proofs.needed_revisions(store)
        for name, adapter in adapters.items():
            for item in adapter.keepsakes(unfinished.get(name, []), digests.get(name, [])):
                _keep(writer, f"adapters/{name}/{item.name}", item)
        for path in sorted((data_dir / _MANIFESTS).rglob("*")):
            if path.is_file() and not path.is_symlink():
                writer.bytes(str(path.relative_to(data_dir)), path.read_bytes())
        stones = {**tombstones.read(data_dir).lines, **{row["uid"]: tombstones.tombstone_of(row, now=now) for row in proofs.ended(store)}}
        writer.bytes(tombstones.NAME, b"".join(map(encode_line, stones.values())))
        writer.bytes(installation.ID, (data_dir / installation.ID).read_bytes())
        writer.bytes(DATABASE, copy.read_bytes())
        counts = {
            "runs": proofs.count_runs(store),
            "unfinished": sum(map(len, unfinished.values())),
            "revisions": sum(map(len, digests.values())),
            "tombstones": len(stones),
        }
        contents = {
            "format_version": FORMAT,
            "program": program,
            "made_at": stamp(now),
            "installation": installation.scope_of(data_dir),
            "machine": installation.machine(),
            "data_dir": str(data_dir),
            "counts": counts,
            "files": writer.files,
        }
        data = json.dumps(contents, ensure_ascii=False).encode()
        info = tarfile.TarInfo(CONTENTS)
        info.size, info.mode = len(data), 0o600
        archive.addfile(info, io.BytesIO(data))
    return contents


def _keep(writer: Writer, name: str, item: Keepsake) -> None:
    """Add one file of a platform; one that is gone by now belongs to a run that has ended since."""
    if item.link is not None:
        writer.link(name, item.link)
        return
    try:
        data = Path(item.path).read_bytes()
        mode = os.stat(item.path).st_mode & 0o700
    except FileNotFoundError:
        return
    writer.bytes(name, data[: whole_length(data)] if item.whole_lines else data, mode)


def check(path: Path) -> dict[str, Json]:
    """Read a backup through, and return what it says of itself. Raises RejectedError for one that is not whole."""
    seen: dict[str, dict[str, Json]] = {}
    contents: dict[str, Json] = {}
    for name, info, data in members(path):
        if name == CONTENTS:
            contents = json.loads(data)
        elif info.issym():
            seen[name] = {"link": info.linkname}
        else:
            seen[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if not contents or contents["files"] != seen:
        message = f"{path} is no whole backup: {'it has no list of its contents' if not contents else 'its files are not those of its list'}"
        raise RejectedError(message)
    if contents["format_version"] > FORMAT:
        message = f"{path} was made by a newer ty-openworkflow ({contents['program']}): use that one"
        raise RejectedError(message)
    return contents


def members(path: Path) -> Iterator[tuple[str, tarfile.TarInfo, bytes]]:
    """Return name, facts and bytes of each file of a backup. Raises RejectedError; a name that leaves the folder is refused."""
    try:
        with tarfile.open(path, mode="r:") as archive:
            for info in archive:
                _check_name(path, info)
                file = archive.extractfile(info) if info.isreg() else None
                yield info.name, info, b"" if file is None else file.read()
    except (tarfile.TarError, EOFError, ValueError) as error:
        message = f"{path} is no backup, or not whole: {error}"
        raise RejectedError(message) from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise RejectedError(message) from error


def _check_name(path: Path, info: tarfile.TarInfo) -> None:
    target = os.path.normpath(os.path.join(os.path.dirname(info.name), info.linkname)) if info.issym() else os.path.normpath(info.name)
    if (
        not (info.isreg() or info.issym())
        or os.path.isabs(info.linkname)
        or target.startswith(("..", "/"))
        or info.name != os.path.normpath(info.name)
    ):
        message = f"{path} is no backup of this program: it holds {info.name!r}"
        raise RejectedError(message)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
