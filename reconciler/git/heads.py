"""Where a work tree stands, read from git's own files: branch, commit, and whether something is under way in it."""

import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.model import Standing
from reconciler.values import frozen, replace

_OPERATIONS = (
    ("MERGE_HEAD", "merge-in-progress"),
    ("rebase-merge", "rebase-in-progress"),
    ("rebase-apply", "rebase-in-progress"),
    ("CHERRY_PICK_HEAD", "cherry-pick-in-progress"),
    ("REVERT_HEAD", "revert-in-progress"),
    ("sequencer", ""),
    ("BISECT_LOG", "bisect-in-progress"),
    ("index.lock", "git-busy"),
)
_NO_FILES = "refs/heads/.invalid"  # what HEAD says where references are kept in another way (reftable)


@frozen
class Repository:
    """A repository around a folder: the root of its work tree (a bare one is its own), its git dir, and the one that it shares with others."""

    root: Path
    git: Path
    common: Path
    bare: bool = False


def repository_of(folder: Path) -> Repository | None:
    """Return the repository around `folder`, which need not be there; None outside of one."""
    folder = Path(os.path.realpath(folder))
    for root in (folder, *folder.parents):
        try:
            git = root / ".git"
            if git.is_file():  # a linked work tree, or a submodule
                git = (root / git.read_text().removeprefix("gitdir:").strip()).resolve()
            elif not git.is_dir():
                git = root
            if (git / "HEAD").is_file() and ((git / "objects").is_dir() or (git / "commondir").is_file()):
                return Repository(root, git, _common(git), bare=git == root)
        except (OSError, UnicodeDecodeError):
            return None
    return None


def _common(git: Path) -> Path:
    pointer = git / "commondir"
    return (git / pointer.read_text().strip()).resolve() if pointer.is_file() else git


def standing_of(folder: Path) -> Standing | None:
    """Return where the work tree around `folder` stands, None outside of one."""
    repository = repository_of(folder)
    if repository is None or repository.bare:
        return None
    try:
        head = (repository.git / "HEAD").read_text().strip()
        if head == f"ref: {_NO_FILES}":
            from reconciler.git.history import ask_standing

            found = ask_standing(repository)
        elif head.startswith("ref: "):
            ref = head.removeprefix("ref: ")
            branch = ref.removeprefix("refs/heads/")
            found = Standing(str(repository.root), branch, _commit(repository, ref), frozenset({branch}))
        else:
            found = Standing(str(repository.root), "", head, branches_at(repository, head))
    except (OSError, UnicodeDecodeError):
        return None
    return replace(found, operation=operation_in(repository.git))


def operation_in(git: Path) -> str:
    """Return what is under way in a work tree, as a reason, or nothing. What is shared with other work trees is not looked at."""
    return next((reason or _sequence(git) for name, reason in _OPERATIONS if (git / name).exists()), "")


def _sequence(git: Path) -> str:
    """Return what a series of commits is being made of, between two of them."""
    try:
        reverts = (git / "sequencer" / "todo").read_text(errors="replace").startswith("revert")
    except OSError:
        reverts = False
    return "revert-in-progress" if reverts else "cherry-pick-in-progress"


def is_busy(folder: Path) -> bool:
    """Say whether git is working on the index of the work tree around `folder`: files come and go until it is done."""
    repository = repository_of(folder)
    return repository is not None and (repository.git / "index.lock").exists()


def branches_at(repository: Repository, commit: str) -> frozenset[str]:
    """Return the branches whose commit this is: B for `refs/heads/B` and for `refs/remotes/*/B`."""
    return frozenset(name for ref, found in _references(repository) if found == commit and (name := branch_of(ref)))


def branch_of(ref: str) -> str:
    """Return the branch that a reference stands for, or nothing."""
    if ref.startswith("refs/heads/"):
        return ref.removeprefix("refs/heads/")
    if ref.startswith("refs/remotes/"):
        name = ref.removeprefix("refs/remotes/").partition("/")[2]
        return "" if name == "HEAD" else name
    return ""


def _commit(repository: Repository, ref: str) -> str:
    for place in (repository.git, repository.common):
        loose = place / ref
        if loose.is_file():
            return loose.read_text().strip()
    return next((commit for name, commit in _packed(repository) if name == ref), "")


def _references(repository: Repository) -> Iterator[tuple[str, str]]:
    """Return references of branches with their commits; a loose one goes before a packed one of the same name."""
    seen = set()
    for kind in ("refs/heads", "refs/remotes"):
        for folder, _, names in os.walk(repository.common / kind):
            for name in names:
                path = Path(folder, name)
                ref = str(path.relative_to(repository.common))
                seen.add(ref)
                yield ref, path.read_text(errors="replace").strip()
    for ref, commit in _packed(repository):
        if ref not in seen:
            yield ref, commit


def _packed(repository: Repository) -> Iterator[tuple[str, str]]:
    packed = repository.common / "packed-refs"
    for line in packed.read_text(errors="replace").splitlines() if packed.is_file() else ():
        commit, _, ref = line.partition(" ")
        if ref and not line.startswith(("#", "^")):
            yield ref, commit
