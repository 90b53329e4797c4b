"""What a power cut can leave: states of a file system that are computed from the system calls of a real run.

The rules are those of POSIX, not those of one file system. What was written to a file is durable once `fdatasync` or `fsync` of the file has returned;
until then any beginning of it may be there, also with zeros in the place of the rest. A name is durable once `fsync` of its folder has returned; until
then changes of names may be missing, whatever became of the data behind them.
"""

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.strace import Event

FOLDER = None
Tree = dict[str, bytes | str | None]
"""Paths, relative to the root, with what is there: the bytes of a file, the target of a link, or None for a folder."""

_MOST_SINGLE_CHANGES = 12


@dataclass(eq=False)
class _File:
    """A file with the changes of its data, in sequence: each is (offset, bytes), or (size, None) where it was cut."""

    changes: list[tuple[int, bytes | None]] = field(default_factory=list)
    durable: int = 0
    target: str | None = None  # of a link

    def size(self) -> int:
        return len(self.content(len(self.changes)))

    def content(self, count: int) -> bytes:
        data = bytearray()
        for offset, new in self.changes[:count]:
            if new is None:
                del data[offset:]
                data.extend(bytes(offset - len(data)))
            else:
                data.extend(bytes(offset - len(data)))
                data[offset : offset + len(new)] = new
        return bytes(data)


@dataclass(eq=False)
class _Folder:
    """A folder with the changes of its names: (name, what it stands for from then on or None) for each name that changes together."""

    changes: list[list[tuple[str, "_File | _Folder | None"]]] = field(default_factory=list)
    durable: int = 0

    def names(self, kept: Sequence[int]) -> dict[str, "_File | _Folder"]:
        result: dict[str, _File | _Folder] = {}
        for number in kept:
            for name, node in self.changes[number]:
                if node is None:
                    result.pop(name, None)
                else:
                    result[name] = node
        return result

    def now(self) -> dict[str, "_File | _Folder"]:
        return self.names(range(len(self.changes)))


@dataclass(frozen=True)
class State:
    """What is left after a power cut at a position in the record of system calls."""

    position: int
    tree: Tree
    what: str


class Disk:
    """A file system below `root` while a record is played to it."""

    def __init__(self, root: Path, *, ignored: Callable[[str], bool]) -> None:
        """Begin with what is there now: all of that is durable. Nothing is known of `ignored` paths, which are relative."""
        self._root, self._ignored = str(root), ignored
        self._top = self._load(str(root))
        self._syncs: dict[int, tuple[_File | _Folder, int]] = {}

    def _load(self, path: str) -> _Folder:
        folder = _Folder()
        for entry in os.scandir(path):
            if self._ignored(os.path.relpath(entry.path, self._root)):
                continue
            node: _File | _Folder
            if entry.is_symlink():
                node = _File(target=os.readlink(entry.path))
            elif entry.is_dir():
                node = self._load(entry.path)
            elif entry.is_file():
                node = _File([(0, Path(entry.path).read_bytes())], 1)
            else:
                continue
            folder.changes.append([(entry.name, node)])
        folder.durable = len(folder.changes)
        return folder

    def _relative(self, path: str) -> str | None:
        path = path.removesuffix(" (deleted)")
        if path != self._root and not path.startswith(self._root + "/"):
            return None
        relative = os.path.relpath(path, self._root)
        return None if self._ignored(relative) else relative

    def _find(self, path: str) -> "_File | _Folder | None":
        node: _File | _Folder | None = self._top
        for part in path.split("/") if path != "." else ():
            if not isinstance(node, _Folder):
                return None
            node = node.now().get(part)
        return node

    def _change(self, *names: tuple[str, "_File | _Folder | None"]) -> None:
        """Change names that are in one folder."""
        folder = self._find(os.path.dirname(names[0][0]) or ".")
        assert isinstance(folder, _Folder), names[0][0]
        folder.changes.append([(os.path.basename(path), node) for path, node in names])

    def begin(self, event: Event) -> None:
        """Take note of what a sync will cover: what was there before it began."""
        if event.name in ("fdatasync", "fsync"):
            path = self._relative(event.paths[0])
            node = None if path is None else self._find(path)
            if node is not None:
                self._syncs[id(event)] = (node, len(node.changes))

    def end(self, event: Event) -> bool:
        """Carry a call out; say whether it has changed anything."""
        if event.name == "sync":
            self._sync_all(self._top)
            return True
        if event.name in ("fdatasync", "fsync"):
            node, count = self._syncs.pop(id(event), (None, 0))
            if node is not None:
                node.durable = max(node.durable, count)
            return node is not None
        paths = [self._relative(path) for path in event.paths]
        return bool(paths) and all(path is not None for path in paths) and self._apply(event, [path for path in paths if path is not None])

    def _sync_all(self, node: "_File | _Folder") -> None:
        node.durable = len(node.changes)
        if isinstance(node, _Folder):
            for child in node.now().values():
                self._sync_all(child)

    def _apply(self, event: Event, paths: list[str]) -> bool:
        node = self._find(paths[0])
        match event.name:
            case "openat" | "open" | "creat":
                if node is None and "O_CREAT" in event.flags:
                    self._change((paths[0], _File()))
                elif isinstance(node, _File) and "O_TRUNC" in event.flags and node.size():
                    node.changes.append((0, None))
                else:
                    return False
            case "write" | "writev":
                assert isinstance(node, _File), paths[0]
                node.changes.append((node.size(), event.data))
            case "pwrite64":
                assert isinstance(node, _File), paths[0]
                node.changes.append((int(event.flags.rsplit(",", 1)[1]), event.data))
            case "ftruncate" | "truncate":
                assert isinstance(node, _File), paths[0]
                node.changes.append((int(event.flags.rsplit(",", 1)[1]), None))
            case "mkdir" | "mkdirat":
                self._change((paths[0], _Folder()))
            case "symlink":
                self._change((paths[0], _File(target=event.data.decode())))
            case "rename" | "renameat" | "renameat2":
                assert os.path.dirname(paths[0]) == os.path.dirname(paths[1]), paths
                self._change((paths[0], None), (paths[1], node))
            case "unlink" | "unlinkat" | "rmdir":
                self._change((paths[0], None))
            case other:
                message = f"nothing is known of {other}: {event}"
                raise AssertionError(message)
        return True

    def tree(self, *, durable: bool = False) -> Tree:
        """Return what is there now, or what is durable of it."""
        return self._render({}, {}, durable=durable)

    def _render(self, names: "dict[_Folder, Sequence[int]]", data: "dict[_File, bytes]", *, durable: bool, names_durable: bool | None = None) -> Tree:
        tree: Tree = {}
        only = durable if names_durable is None else names_durable

        def walk(folder: _Folder, prefix: str) -> None:
            kept = names.get(folder, range(folder.durable if only else len(folder.changes)))
            for name, node in folder.names(kept).items():
                path = f"{prefix}{name}"
                if isinstance(node, _Folder):
                    tree[path] = FOLDER
                    walk(node, f"{path}/")
                elif node.target is not None:
                    tree[path] = node.target
                else:
                    known = data.get(node)
                    tree[path] = node.content(node.durable if durable else len(node.changes)) if known is None else known

        walk(self._top, "")
        return tree

    def states(self, every: int) -> Iterator[tuple[Tree, str]]:
        """Return what a power cut at this moment can leave, with words for it. Of the ends within unsynced data it looks at `every` so many bytes."""
        yield self._render({}, {}, durable=True), "only what was synced"
        yield self._render({}, {}, durable=False), "everything"
        yield self._render({}, {}, durable=True, names_durable=False), "all names, synced data"
        yield self._render({}, {}, durable=False, names_durable=True), "synced names, all data"
        files, folders = self._dirty(self._top)
        for folder, path in folders:
            for kept, what in _subsets(folder):
                for durable in (True, False):
                    yield (
                        self._render({folder: kept}, {}, durable=durable, names_durable=False),
                        f"{path}: {what}, {'synced' if durable else 'all'} data",
                    )
        for file, path in files:
            for content, what in _contents(file, every):
                yield self._render({}, {file: content}, durable=False), f"{path}: {what}"

    def _dirty(self, folder: _Folder, prefix: str = "") -> tuple[list[tuple[_File, str]], list[tuple[_Folder, str]]]:
        files: list[tuple[_File, str]] = []
        folders = [(folder, prefix)] if folder.durable < len(folder.changes) else []
        for name, node in folder.now().items():
            path = f"{prefix}{name}"
            if isinstance(node, _Folder):
                more_files, more_folders = self._dirty(node, f"{path}/")
                files, folders = files + more_files, folders + more_folders
            elif node.durable < len(node.changes):
                files.append((node, path))
        return files, folders


def _subsets(folder: _Folder) -> Iterator[tuple[Sequence[int], str]]:
    count = len(folder.changes)
    for kept in range(folder.durable, count):
        yield range(kept), f"the last {count - kept} changes of names lost"
    for lost in range(max(folder.durable, count - _MOST_SINGLE_CHANGES), count):
        yield [number for number in range(count) if number != lost], f"change {lost} of names lost"


def _contents(file: _File, every: int) -> Iterator[tuple[bytes, str]]:
    """Return what may be left of data that is not synced: every beginning, with and without zeros in the place of the rest."""
    full = file.content(len(file.changes))
    for count in range(file.durable, len(file.changes)):
        start, new = file.content(count), file.content(count + 1)
        if len(new) <= len(start):
            yield start, f"{len(start)} bytes, before they were cut"
            continue
        for size in {*range(len(start), len(new), every), len(new) - 1}:
            yield new[:size], f"{size} bytes"
            yield new[:size] + bytes(len(full) - size), f"{size} bytes and {len(full) - size} zeros"


def cuts(disk: Disk, events: Sequence[Event], sample: int, chance: random.Random, *, every: int = 1) -> list[State]:
    """Play a record to the disk and return distinct states that power cuts can leave: all the coarse ones, and `sample` of the fine ones."""
    coarse: dict[bytes, State] = {}
    fine: dict[bytes, State] = {}
    moments = sorted(
        [(event.begun, False, event) for event in events] + [(event.ended, True, event) for event in events], key=lambda moment: moment[:2]
    )
    possible = _possible(disk, every)
    for position, ended, event in moments:
        if not ended:
            disk.begin(event)
            continue
        if disk.end(event):
            possible = _possible(disk, every)
        at = f", at {event.name} {' '.join(map(os.path.basename, event.paths))}"
        for digest, tree, what, is_coarse in possible:
            (coarse if is_coarse else fine)[digest] = State(position, tree, what + at)  # the latest moment asks for most
    extra = [state for digest, state in fine.items() if digest not in coarse]
    return [*coarse.values(), *(extra if len(extra) <= sample else chance.sample(extra, sample))]


def _possible(disk: Disk, every: int) -> list[tuple[bytes, Tree, str, bool]]:
    found = []
    for number, (tree, what) in enumerate(disk.states(every)):
        digest = hashlib.blake2b(repr(sorted(tree.items())).encode()).digest()
        found.append((digest, tree, what, number < 4 or "names lost" in what))
    return found
