"""Lists the manifests of a folder: names and stamps, nothing is opened."""

import os
from dataclasses import dataclass, field

from reconciler.manifests.files import Key, key_of, reason

ENDINGS = (".yaml", ".yml")
NOT_SEARCHED = frozenset({".git", "node_modules", ".venv", "__pycache__"})


@dataclass(slots=True)
class Scan:
    """The files that may be manifests, by path below the folder; what is odd among them; and folders that could not be listed."""

    files: dict[str, Key] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)


def scan(folder: str) -> Scan:
    """List the folder, and everything below it but the folders of tools."""
    found = Scan()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = os.scandir(os.path.join(folder, below) if below else folder)
            with entries:
                for entry in entries:
                    _look(entry, f"{below}/{entry.name}" if below else entry.name, found, waiting)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or not below:
                found.closed[below] = reason(error)
    return found


def _look(entry: os.DirEntry[str], path: str, found: Scan, waiting: list[str]) -> None:
    name = entry.name
    is_manifest = name.endswith(ENDINGS) and not name.startswith(".#")  # editors lock files with links of such names
    if entry.is_file(follow_symlinks=False):
        if is_manifest:
            try:
                found.files[path] = key_of(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                return
    elif entry.is_dir(follow_symlinks=False):
        if name not in NOT_SEARCHED:
            waiting.append(path)
    elif is_manifest:
        found.odd[path] = "is a symbolic link, which is not followed" if entry.is_symlink() else "is not a regular file"
    elif entry.is_symlink():
        found.links.append(path)
