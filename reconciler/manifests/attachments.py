"""The files that manifests name, code and inputs: looked at in every load, read only when they changed."""

import hashlib
import json
import os
import stat
from collections.abc import Sequence

from reconciler.digest import Json, canonical
from reconciler.manifests.files import Patience, RefusedError, UnstableError, key_of, open_folder, read_settled, stat_inside
from reconciler.manifests.records import Attachment
from reconciler.manifests.scan import NOT_SEARCHED
from reconciler.values import made, mutable

MOST_CODE_FILES = 10_000
MOST_CODE_BYTES = 64 << 20
MOST_INPUT_BYTES = 16 << 20
_KEPT_TEXT = 64 << 10


def inside(folder: str, path: str) -> tuple[str, ...]:
    """Return the parts below the manifests of a path that starts at `folder`. Raises RefusedError if it leaves them."""
    if "\0" in path or "\\" in path or path.startswith("/"):
        message = f"{path!r} is not a path below the manifest's folder"
        raise RefusedError(message)
    parts = folder.split("/") if folder else []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                message = f"{path!r} leaves the folder of the manifests"
                raise RefusedError(message)
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


@mutable
class Attachments:
    """Digests and contents of files below `root`; what was looked at is remembered for the length of a load."""

    root: int
    patience: Patience
    known: dict[str, Attachment]
    used: dict[str, Attachment] = made(default_factory=dict)
    listed: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = made(default_factory=dict)
    unstable: list[str] = made(default_factory=list)
    changed: bool = False

    def digest(self, parts: Sequence[str], limit: int = MOST_CODE_BYTES) -> str:
        """Return the SHA-256 of a file. Raises RefusedError and UnstableError."""
        return self._look(parts, limit, keep=False).sha

    def value(self, parts: Sequence[str]) -> tuple[str, Json]:
        """Return the SHA-256 of an input file, and the value in it. Raises RefusedError and UnstableError."""
        found = self._look(parts, MOST_INPUT_BYTES, keep=True)
        if found.text is not None:
            return found.sha, json.loads(found.text)
        from reconciler.manifests.inputs import parse_input

        data = read_settled(self.root, parts, MOST_INPUT_BYTES, self.patience).data
        return hashlib.sha256(data).hexdigest(), parse_input(parts[-1], data)

    def listing(self, parts: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """List the files of a folder of code, by path below it. Raises RefusedError."""
        found: dict[str, tuple[str, ...]] = {}
        self.listed[tuple(parts)] = found
        size = 0
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            below = waiting.pop()
            for name, kind, length in _entries(self.root, (*parts, *below)):
                path = "/".join((*below, name))
                if stat.S_ISDIR(kind):
                    if name not in NOT_SEARCHED:
                        waiting.append((*below, name))
                    continue
                if not stat.S_ISREG(kind):
                    what = "a symbolic link, which is not followed" if stat.S_ISLNK(kind) else "not a regular file"
                    message = f"{path!r} in it is {what}"
                    raise RefusedError(message)
                found[path] = (*parts, *below, name)
                size += length
                _check_caps(len(found), size)
        return found

    def _look(self, parts: Sequence[str], limit: int, *, keep: bool) -> Attachment:
        path = "/".join(parts)
        if (seen := self.used.get(path)) is not None:
            return seen
        before = self.known.get(path)
        key = key_of(stat_inside(self.root, parts))
        if before is None or before.racy or before.key != key or (keep and before.text is None and key[1] <= _KEPT_TEXT):
            before = self._read(path, parts, limit, keep=keep)
        self.used[path] = before
        return before

    def _read(self, path: str, parts: Sequence[str], limit: int, *, keep: bool) -> Attachment:
        try:
            contents = read_settled(self.root, parts, limit, self.patience)
        except UnstableError:
            self.unstable.append(path)
            raise
        if contents.large:
            message = f"is larger than {limit >> 20} MiB"
            raise RefusedError(message)
        text = _parsed(parts[-1], contents.data) if keep and len(contents.data) <= _KEPT_TEXT else None
        racy = self.patience.is_recent(contents.key)
        attachment = Attachment(contents.key, hashlib.sha256(contents.data).hexdigest(), racy, text)
        self.changed = self.changed or attachment != self.known.get(path)
        return attachment

    def still_as_it_was(self, root: int, patience: Patience) -> bool:
        """Tell whether everything that this load looked at is unchanged."""
        again = Attachments(root, patience, {})
        try:
            return all(again.listing(parts) == found for parts, found in self.listed.items()) and all(
                not seen.racy and key_of(stat_inside(root, path.split("/"))) == seen.key for path, seen in self.used.items()
            )
        except RefusedError:
            return False


def _parsed(name: str, data: bytes) -> str:
    from reconciler.manifests.inputs import parse_input

    return canonical(parse_input(name, data)).decode("utf-8")


def _entries(root: int, parts: Sequence[str]) -> list[tuple[str, int, int]]:
    folder = open_folder(root, parts)
    try:
        with os.scandir(folder) as entries:
            listed = ((_name(entry), entry.stat(follow_symlinks=False)) for entry in entries)
            return sorted((name, found.st_mode, found.st_size) for name, found in listed)
    except OSError as error:
        message = f"cannot be listed: {error.strerror}"
        raise RefusedError(message) from error
    finally:
        os.close(folder)


def _name(entry: os.DirEntry[str]) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in entry.name):
        message = f"holds a file whose name is not UTF-8: {os.fsencode(entry.name)!r}"
        raise RefusedError(message)
    return entry.name


def _check_caps(files: int, size: int) -> None:
    if files > MOST_CODE_FILES or size > MOST_CODE_BYTES:
        message = f"holds more than {MOST_CODE_FILES:,} files or {MOST_CODE_BYTES >> 20} MiB"
        raise RefusedError(message)
