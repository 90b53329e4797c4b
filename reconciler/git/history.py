"""What only git itself can tell: whether a work tree is dirty, what a repository began with, where it comes from."""

import re
from pathlib import Path

from reconciler.errors import UnavailableError
from reconciler.git.call import run_git
from reconciler.git.heads import Repository, branch_of, repository_of
from reconciler.model import Standing

_LOGIN = re.compile(r"^([a-z+]+://)[^/@]*@")
_SECONDS = 30


def is_dirty(folder: Path) -> bool | None:
    """Say whether something below `folder` is not committed; None if git cannot tell."""
    try:
        found = run_git(folder, "status", "--porcelain", "--ignore-submodules=dirty", "--", ".", config=_without_filters(folder), seconds=_SECONDS)
    except UnavailableError:
        return None
    return bool(found.strip())


def _without_filters(folder: Path) -> list[str]:
    """Return settings that keep `git status` from running what the repository's configuration calls filters."""
    try:
        names = run_git(folder, "config", "--null", "--name-only", "--get-regexp", r"^filter\.", seconds=_SECONDS).decode(errors="replace")
    except UnavailableError:  # there are none
        return []
    drivers = {name.rpartition(".")[0] for name in names.split("\0") if name}
    return [f"{driver}.{key}" for driver in sorted(drivers) if "=" not in driver for key in ("clean=", "smudge=", "process=", "required=false")]


def ask_standing(repository: Repository) -> Standing:
    """Return where a work tree stands, asked of git: for references that are not kept in files."""
    words = ("symbolic-ref", "--quiet", "HEAD")
    try:
        ref = run_git(repository.root, *words).decode(errors="replace").strip()
    except UnavailableError:
        ref = ""
    try:
        commit = run_git(repository.root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except UnavailableError:
        commit = ""
    if ref:
        branch = ref.removeprefix("refs/heads/")
        return Standing(str(repository.root), branch, commit, frozenset({branch}))
    return Standing(str(repository.root), "", commit, ask_branches(repository.root, commit) if commit else frozenset())


def ask_branches(root: Path, commit: str) -> frozenset[str]:
    """Return the branches whose commit this is, asked of git."""
    words = ("for-each-ref", "--format=%(refname)", "--points-at", commit, "refs/heads", "refs/remotes")
    found = run_git(root, *words).decode(errors="replace").split()
    return frozenset(name for ref in found if (name := branch_of(ref)))


def is_same_repository(one: Path, other: Path) -> bool:
    """Say whether two folders are the same folder of the same history: the same path below the root, and the same first commit.

    A shallow clone does not know its first commit; there the address that it was cloned from decides.
    """
    first, second = repository_of(one), repository_of(other)
    if first is None or second is None or first.root == second.root:
        return False
    if _below(one, first) != _below(other, second):
        return False
    if first.common == second.common:
        return True
    if any((repository.common / "shallow").is_file() for repository in (first, second)):
        origins = {_origin(repository) for repository in (first, second)}
        return len(origins) == 1 and "" not in origins
    roots = [_first_commits(repository) for repository in (first, second)]
    return bool(roots[0] & roots[1])


def _below(folder: Path, repository: Repository) -> Path:
    return Path(folder).resolve().relative_to(repository.root)


def _first_commits(repository: Repository) -> frozenset[str]:
    try:
        return frozenset(run_git(repository.root, "rev-list", "--max-parents=0", "HEAD").decode().split())
    except UnavailableError:
        return frozenset()


def _origin(repository: Repository) -> str:
    """Return the address that a repository was cloned from, without what logs in there."""
    try:
        url = run_git(repository.root, "config", "--get", "remote.origin.url").decode(errors="replace").strip()
    except UnavailableError:
        return ""
    return _LOGIN.sub(r"\1", url)
