"""`--git REF`: what a commit declares, whatever the work tree holds, and without one."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_plan import listing
from tests.support.repository import commit, git, init
from tests.support.site import Site, eventually

ECHO = "def workflow(input, ctx):\n    return ctx.step('echo', lambda: input)\n"
NAP = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"


@pytest.fixture
def shop(site: Site) -> Iterator[Site]:
    """A repository with code in a folder, an input in a file, and an empty file that counts."""
    site.write("flows/echo/main.py", "import helper\n" + ECHO)
    site.write("flows/echo/helper.py", "")
    site.declare("Workflow", "echo", {"code": {"dir": "./echo", "entry": "main.py"}}, "flows/echo.yaml")
    site.declare("Run", "one", {"workflow": "echo", "inputFile": "one.json"}, "flows/one.yaml")
    site.write("flows/one.json", '{"a": [1]}')
    init(site.folder)
    yield site


def reconcile(site: Site, *words: str, folder: Path | None = None, expect: int | None = 0) -> str:
    return site.cli.run("reconcile", "--once", "--wait", *words, str(folder or site.folder / "flows"), expect=expect).stdout


def test_a_commit_is_carried_out_without_its_work_tree(shop: Site) -> None:
    first = git(shop.folder, "rev-parse", "HEAD")
    shop.write("flows/one.json", '{"a": [2]}')
    (shop.folder / "flows/echo.yaml").unlink()

    done = reconcile(shop, "--git", "main")

    assert f"project default  environment default  main@{first[:12]}\n" in done
    assert shop.status("one")["output"] == {"a": [1]}
    assert "No changes, 2 unchanged" in reconcile(shop, "--git", "main")
    assert git(shop.folder, "status", "--porcelain") == "D flows/echo.yaml\n M flows/one.json".removeprefix(" ")


def test_the_folder_owns_what_it_declares_whichever_way_it_is_read(shop: Site) -> None:
    reconcile(shop, "--git", "HEAD")

    assert "No changes, 2 unchanged" in reconcile(shop)


def test_a_plan_of_a_commit_leaves_nothing_behind(shop: Site, tmp_path: Path) -> None:
    reconcile(shop, "--git", "main")
    shop.declare("Run", "two", {"workflow": "echo"}, "flows/two.yaml")
    commit(shop.folder, "second")
    (tmp_path / "tmp").mkdir()
    shop.cli = type(shop.cli)(shop.home, shop.data, env={"TMPDIR": str(tmp_path / "tmp")})
    before = listing(shop.data, shop.folder, shop.home)

    for ref in ("main", "HEAD~1"):
        planned = shop.cli.run("plan", "--git", ref, "--json", str(shop.folder / "flows")).json
        assert planned["source"]["dirty"] is False

    assert listing(shop.data, shop.folder, shop.home) == before
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_bare_clone_is_enough_and_a_folder_in_it_too(shop: Site) -> None:
    bare = shop.home / "shop.git"
    git(shop.home, "clone", "-q", "--bare", str(shop.folder), str(bare))

    assert "2 changes (1 deploy, 1 start)" in reconcile(shop, "--git", "main", folder=bare / "flows")
    assert shop.status("one")["output"] == {"a": [1]}
    assert "no folder 'nowhere'" in shop.cli.run("plan", "--git", "main", str(bare / "nowhere"), expect=3).stderr


def test_a_work_tree_in_the_middle_of_a_merge_is_no_matter_for_a_commit(shop: Site) -> None:
    (shop.folder / ".git/MERGE_HEAD").write_text(git(shop.folder, "rev-parse", "HEAD") + "\n")

    assert "1 start" in reconcile(shop, "--git", "main")


def test_another_branch_is_held_as_in_a_work_tree_and_a_tag_counts_as_the_branch_whose_commit_it_is(shop: Site) -> None:
    reconcile(shop, "--git", "main")
    git(shop.folder, "tag", "v1")
    git(shop.folder, "checkout", "-q", "-b", "other")
    (shop.folder / "flows/one.yaml").unlink()
    commit(shop.folder, "other")

    assert "No changes" in reconcile(shop, "--git", "v1")
    assert "this is branch other, and the last pass was on main" in reconcile(shop, "--git", "other", expect=6)
    assert "this is branch other, and the last pass was on main" in reconcile(shop, expect=6)
    assert "No changes" in reconcile(shop, "--git", "main")
    assert "No changes" in reconcile(shop, "--git", "other", "--accept-branch")


def test_a_folder_that_a_commit_does_not_have_is_missed(shop: Site) -> None:
    reconcile(shop, "--git", "main")
    git(shop.folder, "mv", "flows", "elsewhere")
    commit(shop.folder, "moved")

    assert "folder-missing" in reconcile(shop, "--git", "main", expect=6)


@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=touch x", "main:flows"])
def test_a_name_that_is_no_commit_is_an_error(shop: Site, ref: str) -> None:
    done = shop.cli.run("plan", f"--git={ref}", str(shop.folder / "flows"), expect=None)

    assert done.exit in (1, 64)
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (shop.folder / "flows/x").exists()


def test_outside_of_a_repository_there_is_no_commit(site: Site) -> None:
    assert "is in no git repository" in site.cli.run("plan", "--git", "main", str(site.folder), expect=64).stderr


# What a tree may hold beside plain files


def test_links_are_what_they_are_in_a_work_tree_and_nothing_is_written_through_them(shop: Site) -> None:
    outside = shop.home / "outside"
    outside.mkdir()
    (shop.folder / "flows/link").symlink_to(outside)
    (shop.folder / "flows/echo/shared.py").symlink_to("/etc/passwd")
    commit(shop.folder, "links")

    done = shop.cli.run("reconcile", "--once", "--git", "main", str(shop.folder / "flows"), expect=3)

    assert "'shared.py' in it is a symbolic link, which is not followed" in done.stderr
    assert list(outside.iterdir()) == []


def test_a_submodule_is_not_read_and_what_was_declared_in_it_is_not_taken_for_gone(shop: Site) -> None:
    vendor = shop.folder.with_name("vendor")
    vendor.mkdir()
    (vendor / "nap.py").write_text(NAP)
    (vendor / "nap.yaml").write_text(
        "apiVersion: ty-openworkflow/v1\nkind: Workflow\nmetadata: {name: nap}\nspec: {code: {file: nap.py}}\n---\n"
        "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: naps}\nspec: {workflow: nap}\n"
    )
    init(vendor)
    git(shop.folder, "submodule", "--quiet", "add", str(vendor), "flows/vendor")
    commit(shop.folder, "vendor")
    shop.cli.run("reconcile", "--once", "--until", "parked", str(shop.folder / "flows"))

    held = shop.cli.run("reconcile", "--once", "--git", "main", str(shop.folder / "flows"), expect=6).stdout

    assert "run/naps      prune-held  not pruned: its manifest was where this commit cannot be read" in held
    assert shop.status("naps")["status"] == "sleeping"


def pointer(oid: str, size: int) -> str:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"


def test_a_pointer_of_git_lfs_is_never_taken_for_its_content(shop: Site) -> None:
    content = b'{"large": true}'
    oid = hashlib.sha256(content).hexdigest()
    shop.write("flows/one.json", pointer(oid, len(content)))
    shop.write("flows/echo/table.bin", pointer("0" * 64, 10))
    commit(shop.folder, "large files")

    missing = shop.cli.run("plan", "--git", "main", str(shop.folder / "flows"), expect=3).stderr
    (shop.folder / "flows/echo/table.bin").unlink()
    commit(shop.folder, "one that is here")
    store = shop.folder / ".git/lfs/objects" / oid[:2] / oid[2:4]
    store.mkdir(parents=True)
    (store / oid).write_bytes(content)
    reconcile(shop, "--git", "main")

    assert "echo/table.bin:1:1: warning: is kept in Git LFS, and its content is not in this repository" in missing
    assert "'table.bin' in it is a symbolic link" in missing
    assert shop.status("one")["output"] == {"large": True}


def test_names_that_no_folder_can_have_are_refused(shop: Site) -> None:
    """A tree is made by hand, as git itself would not make it."""
    blob = git(shop.folder, "hash-object", "-w", "flows/one.json")
    tree = f"100644 blob {blob}\t..\n"
    made = subprocess.run(["git", "-C", str(shop.folder), "mktree"], input=tree, capture_output=True, text=True, check=True).stdout.strip()
    whole = subprocess.run(
        ["git", "-C", str(shop.folder), "mktree"], input=f"040000 tree {made}\tflows\n", capture_output=True, text=True, check=True
    ).stdout.strip()
    evil = git(shop.folder, "commit-tree", "-m", "evil", whole)

    done = shop.cli.run("plan", "--git", evil, str(shop.folder / "flows"), expect=1)

    assert "holds a file named '..', which no folder can have" in done.stderr


def test_a_commit_whose_content_is_not_here_is_an_error_and_changes_nothing(shop: Site) -> None:
    reconcile(shop, "--git", "main")
    shop.write("flows/more.json", "{}")
    second = commit(shop.folder, "second")
    blob = git(shop.folder, "rev-parse", f"{second}:flows/more.json")
    path = shop.folder / ".git/objects" / blob[:2] / blob[2:]
    path.unlink()

    done = shop.cli.run("reconcile", "--once", "--git", "main", str(shop.folder / "flows"), expect=1)

    assert "more.json of this commit is not in the repository" in done.stderr
    assert shop.status("one")["status"] == "completed"


def test_files_of_the_commit_before_are_taken_over_and_only_the_last_commit_is_kept(shop: Site) -> None:
    reconcile(shop, "--git", "main")
    (kept,) = (shop.data / "git").glob("*/*/files/echo.yaml")
    inode = kept.stat().st_ino
    shop.write("flows/one.json", '{"a": [1]}\n')
    commit(shop.folder, "second")

    reconcile(shop, "--git", "main")

    (again,) = (shop.data / "git").glob("*/*/files/echo.yaml")
    assert (again != kept, again.stat().st_ino) == (True, inode)
    assert again.parent.joinpath("one.json").read_text() == '{"a": [1]}\n'


# Fetching


@pytest.fixture
def clone(shop: Site) -> Path:
    """A clone whose work tree is the user's, with a change in it."""
    path = shop.home / "clone"
    git(shop.home, "clone", "-q", str(shop.folder), str(path))
    (path / "mine.txt").write_text("mine")
    return path


def test_a_pull_takes_what_is_new_and_leaves_work_tree_and_branches_alone(shop: Site, clone: Path) -> None:
    reconcile(shop, "--git", "main", "--pull", "1m", folder=clone / "flows")
    shop.declare("Run", "two", {"workflow": "echo", "input": 2}, "flows/two.yaml")
    second = commit(shop.folder, "second")
    refs = git(clone, "for-each-ref", "refs/heads", "refs/remotes", "refs/tags")
    head = (clone / ".git/HEAD").read_bytes()

    assert "No changes" in reconcile(shop, "--git", "main", folder=clone / "flows")  # without --pull the branch is what it is here
    done = reconcile(shop, "--git", "main", "--pull", "1m", folder=clone / "flows")

    assert f"main@{second[:12]}" in done
    assert git(clone, "for-each-ref", "refs/heads", "refs/remotes", "refs/tags") == refs
    assert ((clone / ".git/HEAD").read_bytes(), (clone / ".git/FETCH_HEAD").exists()) == (head, False)
    assert git(clone, "status", "--porcelain") == "?? mine.txt"


def test_a_fetch_that_fails_is_told_and_the_last_known_commit_is_kept(shop: Site, clone: Path) -> None:
    reconcile(shop, "--git", "main", "--pull", "1m", folder=clone / "flows")
    away = shop.folder.rename(shop.folder.with_name("away"))
    shop.cli = type(shop.cli)(shop.home, shop.data)

    done = shop.cli.run("reconcile", "--once", "--git", "main", "--pull", "1m", str(clone / "flows"), expect=1)

    assert "the last known commit of main is used" in done.stderr
    assert "No changes, 2 unchanged" in done.stdout
    away.rename(shop.folder)
    git(shop.folder, "checkout", "-q", "--detach")
    git(shop.folder, "branch", "-D", "main")
    gone = shop.cli.run("reconcile", "--once", "--git", "main", "--pull", "1m", str(clone / "flows"), expect=1)
    assert "origin has no branch and no tag 'main'; the last known commit of main is used" in gone.stderr
    assert "No changes, 2 unchanged" in gone.stdout


def test_a_branch_a_tag_and_the_branch_of_a_remote_can_be_pulled_and_a_commit_cannot(shop: Site, clone: Path) -> None:
    git(shop.folder, "tag", "v1")
    for name in ("origin/main", "HEAD", "v1", "refs/heads/main"):
        assert shop.cli.run("plan", "--git", name, "--pull", "0s", str(clone / "flows")).exit == 0
    refused = shop.cli.run("plan", "--git", "a" * 40, "--pull", "1m", str(clone / "flows"), expect=64)
    alone = shop.cli.run("plan", "--pull", "1m", str(clone / "flows"), expect=64)

    assert "--pull needs a branch or a tag" in refused.stderr
    assert "--pull fetches what --git names" in alone.stderr


def test_a_shallow_clone_can_be_pulled(shop: Site) -> None:
    commit(shop.folder, "second")
    git(shop.home, "clone", "-q", "--depth", "1", f"file://{shop.folder}", "shallow")
    third = commit(shop.folder, "third")

    assert f"main@{third[:12]}" in reconcile(shop, "--git", "main", "--pull", "1m", folder=shop.home / "shallow/flows")


def test_neither_a_fetch_nor_a_read_runs_what_a_repository_says(shop: Site, clone: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\ntouch "{tmp_path}/sprung"\n')
    trap.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("reference-transaction", "post-merge", "post-checkout", "pre-auto-gc", "post-index-change"):
        (hooks / hook).symlink_to(trap)
    for name in ("core.fsmonitor", "filter.trap.smudge", "filter.trap.clean", "core.pager", "core.alternateRefsCommand"):
        git(clone, "config", name, str(trap))
    git(clone, "config", "core.hooksPath", str(hooks))
    git(clone, "config", "remote.evil.url", f"ext::{trap}")
    shop.write(".gitattributes", "* filter=trap\n")
    commit(shop.folder, "attributes")

    reconcile(shop, "--git", "main", "--pull", "0s", folder=clone / "flows")
    evil = shop.cli.run("plan", "--git", "evil/main", "--pull", "0s", str(clone / "flows"), expect=None)

    assert evil.exit != 0
    assert not (tmp_path / "sprung").exists()


def test_a_git_hook_that_calls_us_does_not_send_us_to_another_repository(shop: Site) -> None:
    other = init(shop.home / "other")
    shop.cli = type(shop.cli)(shop.home, shop.data, env={"GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": os.devnull, "GIT_WORK_TREE": str(other)})

    assert git(shop.folder, "rev-parse", "HEAD")[:12] in reconcile(shop, "--git", "main")
    eventually(lambda: not shop.processes())
    assert shop.cli.run("plan", "--json", str(shop.folder / "flows")).json["source"]["dirty"] is False
