"""Where a work tree stands, read from git's files, is what git itself says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.git.heads import operation_in, repository_of, standing_of
from reconciler.git.history import ask_standing, is_dirty, is_same_repository
from reconciler.model import Standing
from reconciler.values import replace
from tests.support.repository import commit, git, init


def stands(folder: Path) -> Standing:
    """Return where a work tree stands, after comparing it with what git says."""
    found, repository = standing_of(folder), repository_of(folder)
    assert found is not None
    assert repository is not None
    assert replace(found, operation="") == ask_standing(repository)
    return found


def test_a_folder_outside_of_git_stands_nowhere(tmp_path: Path) -> None:
    assert standing_of(tmp_path) is None


def test_a_repository_without_a_commit_is_on_its_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")

    assert stands(tmp_path) == Standing(str(tmp_path), "main", "", frozenset({"main"}))


@pytest.mark.parametrize("packed", [False, True])
def test_an_attached_head_is_on_its_branch_and_no_other(tmp_path: Path, packed: bool) -> None:
    init(tmp_path)
    git(tmp_path, "branch", "team/other")
    if packed:
        git(tmp_path, "pack-refs", "--all")

    found = stands(tmp_path)

    assert (found.branch, found.commit, found.branches) == ("main", git(tmp_path, "rev-parse", "HEAD"), frozenset({"main"}))
    (tmp_path / "below/it").mkdir(parents=True)
    assert standing_of(tmp_path / "below" / "it") == found


@pytest.mark.parametrize("packed", [False, True])
def test_a_detached_head_is_on_every_branch_whose_commit_it_is(tmp_path: Path, packed: bool) -> None:
    init(tmp_path / "origin")
    git(tmp_path / "origin", "branch", "release/1.0")
    git(tmp_path, "clone", "-q", str(tmp_path / "origin"), "clone")
    clone = tmp_path / "clone"
    git(clone, "branch", "mine")
    git(clone, "checkout", "-q", "--detach")
    if packed:
        git(clone, "pack-refs", "--all")

    assert stands(clone).branches == {"main", "mine", "release/1.0"}
    commit(clone, "on nothing")
    assert stands(clone).branches == frozenset()
    git(clone, "checkout", "-q", "--detach", "main")
    git(clone, "branch", "-f", "mine", git(clone, "commit-tree", "-m", "x", "HEAD^{tree}"))
    assert stands(clone).branches == {"main", "release/1.0"}  # a loose reference goes before a packed one


def test_a_linked_work_tree_stands_on_its_own_and_shares_the_branches(tmp_path: Path) -> None:
    main = init(tmp_path / "main")
    git(main, "worktree", "add", "-q", "-b", "feature", str(tmp_path / "linked"))
    commit(tmp_path / "linked", "second")

    assert stands(tmp_path / "linked").branch == "feature"
    git(tmp_path / "linked", "checkout", "-q", "--detach")
    assert stands(tmp_path / "linked").branches == {"feature"}
    assert stands(main).branch == "main"


def test_a_submodule_stands_on_its_own(tmp_path: Path) -> None:
    init(tmp_path / "flows")
    outer = init(tmp_path / "outer")
    git(outer, "submodule", "--quiet", "add", str(tmp_path / "flows"), "flows")

    assert stands(outer / "flows").root == str(outer / "flows")
    assert stands(outer / "flows").commit == git(tmp_path / "flows", "rev-parse", "HEAD")


def test_a_bare_repository_has_no_work_tree(tmp_path: Path) -> None:
    init(tmp_path / "origin")
    git(tmp_path, "clone", "-q", "--bare", str(tmp_path / "origin"), "bare.git")

    repository = repository_of(tmp_path / "bare.git" / "some" / "folder")

    assert repository is not None
    assert repository.bare
    assert repository.root == tmp_path / "bare.git"
    assert standing_of(tmp_path / "bare.git") is None


def conflicting(folder: Path) -> None:
    """Make two branches whose changes do not go together, and two commits on each."""
    folder.mkdir()
    (folder / "a").write_text("1")
    init(folder)
    git(folder, "branch", "other")
    for branch, text in (("main", "2"), ("other", "3")):
        git(folder, "checkout", "-q", branch)
        (folder / "a").write_text(text)
        commit(folder, text)
        (folder / branch).write_text(text)
        commit(folder, f"{text} again")
    git(folder, "checkout", "-q", "main")


@pytest.mark.parametrize(
    ("begin", "end", "operation"),
    [
        (("merge", "other"), ("merge", "--abort"), "merge-in-progress"),
        (("rebase", "other"), ("rebase", "--abort"), "rebase-in-progress"),
        (("rebase", "--apply", "other"), ("rebase", "--abort"), "rebase-in-progress"),
        (("cherry-pick", "other~1"), ("cherry-pick", "--abort"), "cherry-pick-in-progress"),
        (("cherry-pick", "other~1", "other"), ("cherry-pick", "--abort"), "cherry-pick-in-progress"),
        (("revert", "--no-edit", "HEAD~1", "other~1"), ("revert", "--abort"), "revert-in-progress"),
        (("bisect", "start", "HEAD", "HEAD~2"), ("bisect", "reset"), "bisect-in-progress"),
    ],
)
@pytest.mark.parametrize("where", ["main", "linked", "submodule"])
def test_what_is_under_way_is_seen_and_its_end_too(tmp_path: Path, begin: tuple[str, ...], end: tuple[str, ...], operation: str, where: str) -> None:
    folder = PLACES[where](tmp_path)

    git(folder, *begin, check=False)

    under_way = standing_of(folder)
    assert under_way is not None
    assert under_way.operation == operation
    git(folder, *end)
    over = standing_of(folder)
    assert over is not None
    assert over.operation == ""


def _main(root: Path) -> Path:
    conflicting(root / "main")
    return root / "main"


def _linked(root: Path) -> Path:
    conflicting(root / "main")
    git(root / "main", "worktree", "add", "-q", "-b", "linked", str(root / "linked"))
    return root / "linked"


def _submodule(root: Path) -> Path:
    conflicting(root / "flows")
    init(root / "outer")
    git(root / "outer", "submodule", "--quiet", "add", str(root / "flows"), "flows")
    git(root / "outer" / "flows", "branch", "other", "origin/other")
    return root / "outer" / "flows"


PLACES: dict[str, Callable[[Path], Path]] = {"main": _main, "linked": _linked, "submodule": _submodule}


def test_a_lock_of_the_index_says_that_git_is_at_work(tmp_path: Path) -> None:
    init(tmp_path)
    (tmp_path / ".git/index.lock").touch()

    assert operation_in(tmp_path / ".git") == "git-busy"


def test_the_same_folder_of_the_same_history_is_known_elsewhere(tmp_path: Path) -> None:
    first = init(tmp_path / "first")
    for folder in ("flows", "others"):
        (first / folder).mkdir()
        (first / folder / "a").write_text("a")
    commit(first, "second")
    git(tmp_path, "clone", "-q", "first", "second")
    git(first, "worktree", "add", "-q", str(tmp_path / "third"))
    other = init(tmp_path / "other" / "flows")
    commit(other, "another beginning")

    assert is_same_repository(first / "flows", tmp_path / "second" / "flows")
    assert is_same_repository(first / "flows", tmp_path / "third" / "flows")
    assert not is_same_repository(first / "flows", tmp_path / "second" / "others")
    assert not is_same_repository(first / "flows", first / "others")
    assert not is_same_repository(first / "flows", other)
    assert not is_same_repository(first / "flows", tmp_path)


def test_shallow_clones_are_the_same_where_they_come_from_the_same_address(tmp_path: Path) -> None:
    init(tmp_path / "first")
    commit(tmp_path / "first", "second")
    address = f"file://{tmp_path}/first"
    for name in ("one", "two"):
        git(tmp_path, "clone", "-q", "--depth", "1", address, name)
    init(tmp_path / "other")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tmp_path}/other", "three")

    assert is_same_repository(tmp_path / "one", tmp_path / "two")
    assert not is_same_repository(tmp_path / "one", tmp_path / "three")
    git(tmp_path / "one", "remote", "set-url", "origin", "https://token:secret@git.example.test/shop.git")
    git(tmp_path / "two", "remote", "set-url", "origin", "https://git.example.test/shop.git")
    assert is_same_repository(tmp_path / "one", tmp_path / "two")


def test_a_repository_cannot_make_us_run_a_program(tmp_path: Path) -> None:
    """A folder that came with its `.git` has the configuration of whoever made it."""
    folder = init(tmp_path / "repository")
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\ntouch "{tmp_path}/sprung"\ncat\n')
    trap.chmod(0o755)
    (folder / "a.txt").write_text("a")
    (folder / ".gitattributes").write_text("* filter=trap diff=trap\n")
    commit(folder, "second")
    for name in (
        "core.fsmonitor",
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.trap.process",
        "diff.trap.textconv",
        "core.pager",
        "diff.external",
    ):
        git(folder, "config", name, str(trap))
    git(folder, "config", "core.hooksPath", str(tmp_path / "hooks"))
    (tmp_path / "hooks").mkdir()
    for hook in ("reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc"):
        (tmp_path / "hooks" / hook).symlink_to(trap)
    (folder / "a.txt").write_text("b")

    assert is_dirty(folder) is True
    assert standing_of(folder) is not None
    assert not (tmp_path / "sprung").exists()


def test_dirt_is_seen_below_the_folder_only(tmp_path: Path) -> None:
    init(tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/a.yaml").write_text("a: 1")
    commit(tmp_path, "second")
    (tmp_path / "elsewhere").write_text("x")

    assert is_dirty(tmp_path / "flows") is False
    (tmp_path / "flows/a.yaml").write_text("a: 2")
    assert is_dirty(tmp_path / "flows") is True
