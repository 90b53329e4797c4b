"""Remembers what files hold, so that a load reads only what changed."""

import contextlib
import gc
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.manifests.records import NO_KEY, Attachment, FileRecord

_FORMAT = 1
_OURS = Path(__file__).resolve().parent
_PROGRAM = (_OURS, _OURS.parent, _OURS.parent.parent / "schemas")


class Cache:
    """What is known of the files of one folder. A cache that cannot be read is an empty one."""

    def __init__(self, folder: Path, cache_dir: Path | None, *, kind: str = "") -> None:
        name = hashlib.sha256(f"{kind}{folder}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._path = None if cache_dir is None else cache_dir / f"{name}.json"
        self._program = _program()
        self.files: dict[str, FileRecord] = {}
        self.attachments: dict[str, Attachment] = {}
        self.changed = False
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._read()

    def _read(self) -> None:
        if self._path is None:
            return
        with collection_paused():
            kept = json.loads(self._path.read_bytes())
            if kept["format"] != _FORMAT:
                return
            trusted = kept["program"] == self._program
            files = {path: FileRecord.from_row(row) for path, row in kept["files"].items()}
            attachments = {path: Attachment(tuple(row[0]), *row[1:]) for path, row in kept["attachments"].items()}
        if not trusted:  # another version of the program: what files held is still worth knowing, what it means is not
            files = {path: _forgotten(record) for path, record in files.items()}
        self.files, self.attachments = files, attachments

    def write(self) -> None:
        """Put the cache on disk if anything changed; others see the old one or the new one, whole."""
        if self._path is None or not self.changed:
            return
        kept = {
            "format": _FORMAT,
            "program": self._program,
            "files": {path: record.to_row() for path, record in self.files.items()},
            "attachments": self.attachments,
        }
        with contextlib.suppress(OSError, RecursionError):
            self._replace(json.dumps(kept, separators=(",", ":")).encode("ascii"))
            self.changed = False

    def _replace(self, data: bytes) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(beside, self._path)


@contextlib.contextmanager
def collection_paused(*, keep: bool = False) -> Iterator[None]:
    """Keep the garbage collector from walking thousands of new objects that all stay; with `keep` it never will."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if keep:
            gc.freeze()
        gc.enable()


def _forgotten(record: FileRecord) -> FileRecord:
    return FileRecord(NO_KEY, "", [], racy=True, held=sorted(set(record.objects())), folders=record.folders)


def _program() -> str:
    """Return a digest of the program, by the stamps of the files that give manifests their meaning."""
    stamps: list[Any] = [sys.version_info[:3]]
    for folder in _PROGRAM:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            ours = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith((".py", ".json"))]
            stamps += sorted((name, found.st_size, found.st_mtime_ns) for name, found in ours)
    return hashlib.sha256(repr(stamps).encode()).hexdigest()[:32]
