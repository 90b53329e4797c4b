"""What git knows of a folder: read from its files where that is enough, since a process costs more than a pass."""

import os
from pathlib import Path

from reconciler.values import frozen

_SECONDS = 30


@frozen
class Head:
    """Where a work tree stands; `branch` is empty when it is detached."""

    root: Path
    branch: str
    commit: str

    def __str__(self) -> str:
        """Write `branch@commit`, cut to what people compare."""
        return f"{self.branch or 'detached'}@{self.commit[:12]}" if self.commit else f"{self.branch or 'git'} (no commit yet)"


def head_of(folder: Path) -> Head | None:
    """Return where the work tree around `folder` stands, None outside of one."""
    for root in (folder, *folder.parents):
        git = root / ".git"
        if git.exists():
            return _read_head(root, git)
    return None


def _read_head(root: Path, git: Path) -> Head | None:
    try:
        if git.is_file():  # a linked work tree, or a submodule
            git = _linked(root, git)
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return Head(root, "", head)
        ref = head.removeprefix("ref: ")
        return Head(root, ref.removeprefix("refs/heads/"), _commit(git, ref))
    except OSError:
        return None


def _commit(git: Path, ref: str) -> str:
    common = git / "commondir"
    places = [git, (git / common.read_text().strip()).resolve()] if common.exists() else [git]
    for place in places:
        if (place / ref).exists():
            return (place / ref).read_text().strip()
        packed = place / "packed-refs"
        for line in packed.read_text().splitlines() if packed.exists() else ():
            if line.endswith(f" {ref}"):
                return line.split(" ")[0]
    return ""


def is_busy(folder: Path) -> bool:
    """Say whether git is working on the index of the work tree around `folder`: files come and go until it is done."""
    for root in (folder, *folder.parents):
        git = root / ".git"
        if git.is_dir():
            return (git / "index.lock").exists()
        if git.is_file():
            return (_linked(root, git) / "index.lock").exists()
    return False


def _linked(root: Path, git: Path) -> Path:
    """Return the folder of a linked work tree, or of a submodule."""
    return (root / git.read_text().removeprefix("gitdir:").strip()).resolve()


def is_dirty(folder: Path) -> bool | None:
    """Say whether something below `folder` is not committed; None if git cannot tell."""
    import subprocess

    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), "status", "--porcelain", "--", "."]
    try:
        said = subprocess.run(command, capture_output=True, env=env, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(said.stdout.strip())
