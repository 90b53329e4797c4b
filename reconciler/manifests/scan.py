"""Lists the manifests of a folder: names and stamps, nothing is opened."""

import os

from reconciler.manifests.files import Key, key_of, reason
from reconciler.values import made, mutable

ENDINGS = (".yaml", ".yml")
_LOCKS = ".#"  # editors lock files with links of such names
NOT_SEARCHED = frozenset({".git", "node_modules", ".venv", "__pycache__"})


@mutable
class Scan:
    """The files that may be manifests, by path below the folder; what is odd among them; and folders that could not be listed.

    `listed_ns` is when the youngest of the folders last changed.
    """

    files: dict[str, Key] = made(default_factory=dict)
    odd: dict[str, str] = made(default_factory=dict)
    links: list[str] = made(default_factory=list)
    closed: dict[str, str] = made(default_factory=dict)
    listed_ns: int = 0


def scan(folder: str) -> Scan:
    """List the folder, and everything below it but the folders of tools."""
    found = Scan()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            path = os.path.join(folder, below) if below else folder
            listed = os.stat(path)
            found.listed_ns = max(found.listed_ns, listed.st_mtime_ns, listed.st_ctime_ns)
            with os.scandir(path) as entries:
                prefix = f"{below}/" if below else ""
                for entry in entries:
                    name = entry.name
                    if name.endswith(ENDINGS) and entry.is_file(follow_symlinks=False) and not name.startswith(_LOCKS):
                        found.files[prefix + name] = key_of(entry.stat(follow_symlinks=False))
                    else:
                        _look(entry, prefix + name, found, waiting)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or not below:
                found.closed[below] = reason(error)
    return found


def _look(entry: os.DirEntry[str], path: str, found: Scan, waiting: list[str]) -> None:
    """Note what is no manifest: a folder to search, or something odd."""
    if entry.is_dir(follow_symlinks=False):
        if entry.name not in NOT_SEARCHED:
            waiting.append(path)
    elif entry.is_file(follow_symlinks=False):
        return
    elif entry.name.endswith(ENDINGS) and not entry.name.startswith(_LOCKS):
        found.odd[path] = "is a symbolic link, which is not followed" if entry.is_symlink() else "is not a regular file"
    elif entry.is_symlink():
        found.links.append(path)
