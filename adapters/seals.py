"""What a folder held when it was made: a look at names, sizes and times tells whether somebody touched it, a look at the bytes what became of it."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.values import frozen

STAMP, SEAL = "stamp", "seal"
_NOT_OURS = "__pycache__"
_MOST_NAMED = 3
Contents = dict[str, list[str]]


@frozen
class Kept:
    """Where the stamp and the seal of a folder are kept."""

    folder: Path
    beside: Path
    prefix: str = ""

    @property
    def stamp(self) -> Path:
        """The short one, looked at in every pass."""
        return self.beside / f"{self.prefix}{STAMP}"

    @property
    def seal(self) -> Path:
        """The long one, read when something was touched."""
        return self.beside / f"{self.prefix}{SEAL}"


def write(kept: Kept) -> None:
    """Seal a folder as it is now; its files may not be touched any more without being found out."""
    kept.seal.write_text(json.dumps(contents(kept), separators=(",", ":")))
    kept.stamp.write_text(f"{_stamp(kept)}\n{_names(kept)}\n")
    for path in (kept.seal, kept.stamp):
        _sync(path)


def touched(kept: Kept, *, shallow: bool = False) -> str | None:
    """Return the stamp that a folder has now if it is not the one that it was sealed with; `shallow` looks at the names on top only.

    None where nothing was touched, and where there is no seal: then it was made by an earlier version.
    """
    try:
        known = kept.stamp.read_text().split()
    except FileNotFoundError:
        if not kept.seal.exists():
            return None
        known = ["", ""]
    now, before = (_names(kept), known[-1]) if shallow else (_stamp(kept), known[0])
    return None if now == before else now


def difference(kept: Kept, expected: Mapping[str, list[str]] | None = None) -> str | None:
    """Say how the bytes, names and permissions of a folder differ from what was sealed, or is `expected`; None if they do not."""
    if expected is None:
        try:
            expected = json.loads(kept.seal.read_text())
        except (OSError, ValueError):
            return f"{kept.seal.name} cannot be read"
        assert expected is not None
    found = contents(kept)
    told = [f"{path} is missing" for path in expected if path not in found]
    told += [f"{path} was added" for path in found if path not in expected]
    for path, (mode, sha) in expected.items():
        if path in found and found[path][1] != sha:
            told.append(f"{path} was changed")
        elif path in found and found[path][0] != mode:
            told.append(f"{path} has permissions {found[path][0]}, not {mode}")
    if not told:
        return None
    more = len(told) - _MOST_NAMED
    return f"{', '.join(told[:_MOST_NAMED])}{f' and {more} more' if more > 0 else ''}"


def contents(kept: Kept) -> Contents:
    """Return permissions and SHA-256 of everything in a folder, by path; what cannot be read has another one."""
    return {path: [f"{stat.S_IMODE(facts.st_mode):04o}", _sha(kept.folder / path, facts)] for path, facts in _walk(kept)}


def expected_of(code: Mapping[str, bytes], name: str) -> Contents:
    """Return what the folder `name` of a snapshot holds when it holds this code."""
    found: Contents = {}
    for path, content in code.items():
        parts = path.split("/")
        for number in range(1, len(parts)):
            found["/".join([name, *parts[:number]])] = ["0700", "folder"]
        found[f"{name}/{path}"] = ["0400", hashlib.sha256(content).hexdigest()]
    return {name: ["0700", "folder"], **found}


def _walk(kept: Kept) -> Iterator[tuple[str, os.stat_result]]:
    """Return everything below a folder that is sealed, sorted by path."""
    found: list[tuple[str, os.stat_result]] = []
    top = "code" if kept.folder == kept.beside and not kept.prefix else ""
    waiting = [top]
    if top:
        try:
            found.append((top, os.lstat(kept.folder / top)))
        except FileNotFoundError:
            return iter(found)
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(kept.folder / below if below else kept.folder) as entries:
                for entry in entries:
                    if entry.name == _NOT_OURS or (not below and kept.prefix and entry.name in (kept.prefix + STAMP, kept.prefix + SEAL)):
                        continue
                    path = f"{below}/{entry.name}" if below else entry.name
                    found.append((path, entry.stat(follow_symlinks=False)))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
        except OSError:
            continue  # what is below is missing then
    found.sort(key=lambda item: item[0])
    return iter(found)


def _stamp(kept: Kept) -> str:
    digest = hashlib.sha256()
    for path, facts in _walk(kept):
        times = "" if stat.S_ISDIR(facts.st_mode) else f" {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"
        digest.update(f"{path}\0{facts.st_mode}{times}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _names(kept: Kept) -> str:
    """Return what stands for the names on top of a folder, and of the packages in it."""
    found = []
    for below in ("", "node_modules"):
        try:
            found += [
                f"{below}/{name}" for name in os.listdir(kept.folder / below) if name not in (_NOT_OURS, kept.prefix + STAMP, kept.prefix + SEAL)
            ]
        except OSError:
            continue
    return hashlib.sha256("\n".join(sorted(found)).encode(errors="surrogateescape")).hexdigest()[:32]


def _sha(path: Path, facts: os.stat_result) -> str:
    if stat.S_ISDIR(facts.st_mode):
        return "folder"
    try:
        if stat.S_ISLNK(facts.st_mode):
            return f"link to {os.readlink(path)}"
        if not stat.S_ISREG(facts.st_mode):
            return "something else"
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
