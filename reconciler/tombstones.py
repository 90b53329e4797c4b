"""The file of tombstones: what has ended and keeps no journal, one line each, beside the database and outliving it."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from reconciler.digest import Json
from reconciler.errors import DamagedError, UnavailableError
from reconciler.instants import stamp
from reconciler.journal import decode_json, decode_line, encode_line, whole_length
from reconciler.values import frozen, made

NAME = "tombstones.jsonl"
_COLUMNS = (
    "uid",
    "project",
    "environment",
    "incarnation",
    "workflow",
    "revision",
    "adapter",
    "owner",
    "source",
    "spec_hash",
    "rerun",
    "status",
    "reason",
    "claim",
    "created_at",
    "started_at",
    "completed_at",
)


@frozen
class Tombstones:
    """What the file holds: the last tombstone of each uid, and how many lines cannot be read."""

    lines: Mapping[str, Mapping[str, Json]] = made(default_factory=dict)
    damaged: int = 0


def tombstone_of(row: Mapping[str, Json], *, now: datetime) -> dict[str, Json]:
    """Return the tombstone of a row of the table of runs that has ended."""
    origin = decode_json(row["origin"])
    facts = {name: row[name] for name in _COLUMNS if row[name] is not None}
    more = {name: origin[name] for name in ("parent", "schedule") if name in origin}
    return {"type": "tombstone", "at": stamp(now), **facts, "run": row["name"], **more}


def append(data_dir: Path, tombstones: Iterable[Mapping[str, Json]]) -> None:
    """Append tombstones, and return when they are durable. Raises UnavailableError; what was written in part is cut again."""
    path = data_dir / NAME
    lines = b"".join(map(encode_line, tombstones))
    if not lines:
        return
    try:
        new = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = _cut_torn_tail(fd)
            _write(fd, lines, size)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        if new:
            _sync_folder(data_dir)
    except OSError as error:
        message = f"{path}: tombstones cannot be written: {error.strerror}; nothing is collected until they can"
        raise UnavailableError(message) from error


def _cut_torn_tail(fd: int) -> int:
    """Cut what a dying writer left of its last line, and return the size."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        size = whole_length(os.pread(fd, size, 0))
        os.ftruncate(fd, size)
    return size


def _write(fd: int, lines: bytes, size: int) -> None:
    written = 0
    try:
        while written < len(lines):
            written += os.write(fd, lines[written:])
    except OSError:
        os.ftruncate(fd, size)
        raise


def read(data_dir: Path) -> Tombstones:
    """Return what the file holds; an incomplete last line was never written."""
    try:
        data = (data_dir / NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Tombstones()
    except OSError as error:
        message = f"{data_dir / NAME} cannot be read: {error.strerror}"
        raise UnavailableError(message) from error
    found, damaged = {}, 0
    for line in data[: whole_length(data)].split(b"\n")[:-1]:
        try:
            record = decode_line(line)
        except DamagedError:
            damaged += 1
        else:
            found[record.get("uid", "")] = record
    return Tombstones({uid: record for uid, record in found.items() if uid}, damaged)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
