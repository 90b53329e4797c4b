"""A work tree that stands elsewhere, or in the middle of something, has nothing carried out: a person says what is meant."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import commit, git, init
from tests.support.site import Site, eventually

NAP = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"
RUNS = ("one", "two", "three")


@pytest.fixture
def shop(site: Site) -> Iterator[Site]:
    """A repository on `main` with three runs under way, and a branch `lacking` without them."""
    site.workflow("nap", "nap.py", NAP)
    site.start("stays", "nap")
    init(site.folder)
    git(site.folder, "branch", "lacking")
    for name in RUNS:
        site.start(name, "nap")
    commit(site.folder, "three runs")
    site.pass_("--until", "parked")
    eventually(lambda: not site.processes())
    yield site


def untouched(site: Site) -> bool:
    """Say whether all runs sleep as before, each under its first claim."""
    return {name: (view["status"], view["claims"]) for name in (*RUNS, "stays") for view in [site.status(name)]} == dict.fromkeys(
        (*RUNS, "stays"), ("sleeping", 1)
    )


def test_I12_a_checkout_of_a_branch_that_lacks_three_runs_cancels_nothing_until_a_person_says_so(shop: Site) -> None:
    git(shop.folder, "checkout", "-q", "lacking")

    held = shop.pass_(expect=6)
    planned = shop.plan()

    assert "project/default  branch-changed  nothing is carried out: this is branch lacking, and the last pass was on main" in held.stdout
    assert untouched(shop)
    assert [notice["reason"] for notice in planned["held"]] == ["branch-changed"]
    assert sorted(change["name"] for change in planned["changes"]) == sorted(RUNS)  # what it would do is shown beside it
    git(shop.folder, "checkout", "-q", "main")
    assert "No changes, 5 unchanged" in shop.pass_().stdout
    git(shop.folder, "checkout", "-q", "lacking")
    shop.pass_("--accept-branch", "--wait", "--timeout", "20s", expect=None)
    eventually(lambda: [shop.pass_(expect=None), {shop.status(name)["status"] for name in RUNS} == {"canceled"}][-1])
    assert shop.pass_().exit == 0  # the branch is remembered
    git(shop.folder, "checkout", "-q", "main")
    assert "this is branch main, and the last pass was on lacking" in shop.pass_(expect=6).stdout


def test_a_held_pass_carries_on_what_is_known(shop: Site) -> None:
    git(shop.folder, "checkout", "-q", "lacking")
    shop.pass_(expect=6)

    shop.cli.run("cancel", "one")

    eventually(lambda: [shop.pass_(expect=6), shop.status("one")["status"] == "canceled"][-1])
    assert shop.status("two")["status"] == "sleeping"


def test_I10_a_pass_that_is_held_as_before_writes_nothing(shop: Site) -> None:
    git(shop.folder, "checkout", "-q", "lacking")
    shop.pass_(expect=6)
    before = {path.name: path.read_bytes() for path in shop.data.glob("state.db*")}

    shop.pass_(expect=6)

    assert {path.name: path.read_bytes() for path in shop.data.glob("state.db*")} == before


def test_moving_along_a_branch_is_no_change_of_it(shop: Site) -> None:
    shop.start("four", "nap")
    commit(shop.folder, "a fourth")
    git(shop.folder, "checkout", "-q", "--detach", "main")
    assert "1 change (1 start)" in shop.pass_("--until", "parked").stdout
    git(shop.folder, "pack-refs", "--all")
    assert "No changes" in shop.pass_().stdout
    git(shop.folder, "checkout", "-q", "main")
    assert "No changes" in shop.pass_().stdout
    git(shop.folder, "checkout", "-q", "--detach", "main~1")
    assert "the detached commit" in shop.pass_(expect=6).stdout


def test_a_rebase_that_stopped_half_way_holds_whatever_is_accepted(shop: Site) -> None:
    (shop.folder / "one.yaml").write_text("{}")
    commit(shop.folder, "theirs")
    git(shop.folder, "branch", "theirs")
    git(shop.folder, "reset", "-q", "--hard", "HEAD~1")
    (shop.folder / "one.yaml").unlink()
    commit(shop.folder, "ours")
    git(shop.folder, "rebase", "theirs", check=False)

    held = shop.pass_("--accept-branch", expect=6)

    assert "rebase-in-progress" in held.stdout
    assert untouched(shop)
    git(shop.folder, "rebase", "--abort")
    (shop.folder / "again").touch()
    git(shop.folder, "checkout", "-q", "main~1", "--", "one.yaml")
    assert "No changes" in shop.pass_().stdout


def test_a_merge_that_is_under_way_holds_the_folders_own_objects_and_not_those_of_others(shop: Site, tmp_path: Path) -> None:
    git(shop.folder, "checkout", "-q", "lacking")
    shop.start("one", "nap", priority=3)
    commit(shop.folder, "another one")
    git(shop.folder, "checkout", "-q", "main")
    git(shop.folder, "merge", "-q", "lacking", check=False)
    other = tmp_path / "other"
    other.mkdir()
    (other / "ty-openworkflow.yaml").write_text("apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: other}\n")
    (other / "a.yaml").write_text(
        "apiVersion: ty-openworkflow/v1\nkind: Workflow\nmetadata: {name: echo}\nspec: {runtime: python, code: {inline: 'def workflow(input, ctx): return 1'}}\n"
        "---\napiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: elsewhere}\nspec: {workflow: echo}\n"
    )

    done = shop.pass_("--wait", "--timeout", "1s", str(other), expect=6)

    assert "merge-in-progress" in done.stdout
    assert "2 changes (1 deploy, 1 start)" in done.stdout
    assert untouched(shop)
    assert shop.status("elsewhere")["status"] == "completed"


def test_a_lock_that_is_left_behind_holds_after_some_patience_and_one_that_goes_does_not(shop: Site) -> None:
    lock = shop.folder / ".git/index.lock"
    lock.touch()
    waiting = shop.spawn("reconcile", "--once", str(shop.folder))
    eventually(lambda: (shop.data / "lock").exists() and waiting.poll() is None)
    lock.unlink()

    output, _ = waiting.communicate(timeout=30)
    lock.touch()
    held = shop.pass_(expect=6)

    assert (waiting.returncode, "No changes, 5 unchanged" in output) == (0, True)
    assert "git-busy" in held.stdout
    assert untouched(shop)


def test_a_project_names_the_branch_that_counts(site: Site) -> None:
    site.workflow("nap", "nap.py", NAP)
    site.write("ty-openworkflow.yaml", "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\nspec: {branch: main}\n")
    init(site.folder)
    git(site.folder, "checkout", "-q", "-b", "feature")

    held = site.pass_(expect=6).stdout
    planned = site.plan()

    assert "wrong-branch  nothing is carried out: this is branch feature, and the project says branch main" in held
    assert ([change["action"] for change in planned["changes"]], planned["held"][0]["reason"]) == (["deploy"], "wrong-branch")
    assert "1 deploy" in site.pass_("--accept-branch").stdout
    site.pass_(expect=6)
    git(site.folder, "checkout", "-q", "main")
    assert "No changes" in site.pass_().stdout


def test_a_folder_outside_of_git_has_nothing_of_this(site: Site) -> None:
    site.workflow("nap", "nap.py", NAP)
    (site.folder / "MERGE_HEAD").touch()
    (site.folder / "index.lock").touch()

    assert "1 deploy" in site.pass_().stdout


# What CI systems check out: the commands of GitHub's checkout action and of GitLab's runner, over a remote repository.


def remote(site: Site) -> tuple[Path, str]:
    """Publish the project, and empty its folder for a checkout by CI."""
    site.workflow("nap", "nap.py", NAP)
    site.start("one", "nap")
    init(site.folder)
    origin = site.home / "origin.git"
    git(site.home, "clone", "-q", "--bare", str(site.folder), str(origin))
    git(origin, "config", "uploadpack.allowReachableSHA1InWant", "true")
    return origin, git(site.folder, "rev-parse", "HEAD")


def fresh(site: Site, origin: Path, commit: str, *refspecs: str) -> None:
    """Make the folder anew as a checkout action does, and fetch."""
    for path in sorted(site.folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()
    git(site.folder, "init", "-q")
    git(site.folder, "remote", "add", "origin", f"file://{origin}")
    git(site.folder, "fetch", "-q", "--no-tags", "--depth=1", "origin", *(refspec.format(commit) for refspec in refspecs))


def github(site: Site, origin: Path, commit: str) -> None:
    fresh(site, origin, commit, "+{}:refs/remotes/origin/main")
    git(site.folder, "checkout", "-q", "--force", "-B", "main", "refs/remotes/origin/main")


def gitlab(site: Site, origin: Path, commit: str) -> None:
    fresh(site, origin, commit, "+{}:refs/pipelines/1", "+refs/heads/main:refs/remotes/origin/main")
    git(site.folder, "checkout", "-q", "-f", commit)


@pytest.mark.parametrize("check_out", [github, gitlab])
def test_checkouts_of_ci_count_as_the_branch_that_was_pushed(site: Site, check_out: object) -> None:
    assert callable(check_out)
    origin, first = remote(site)
    check_out(site, origin, first)
    (site.folder / "ty-openworkflow.yaml").write_text("apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\nspec: {branch: main}\n")
    assert f"environment default  main@{first[:12]}" in site.pass_("--until", "parked").stdout

    git(origin, "worktree", "add", "-q", str(site.home / "work"), "main")
    (site.home / "work" / "more.txt").write_text("x")
    second = commit(site.home / "work", "second")
    check_out(site, origin, second)
    (site.folder / "ty-openworkflow.yaml").write_text("apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\nspec: {branch: main}\n")

    assert "No changes" in site.pass_().stdout


def test_the_checkout_of_a_pull_request_plans_and_is_held_from_reconciling(site: Site) -> None:
    origin, first = remote(site)
    github(site, origin, first)
    site.pass_("--until", "parked")
    git(origin, "worktree", "add", "-q", "-b", "feature", str(site.home / "work"), "main")
    (site.home / "work" / "one.yaml").unlink()
    merged = commit(site.home / "work", "without the run")
    git(origin, "update-ref", "refs/pull/7/merge", merged)
    git(origin, "worktree", "remove", "--force", str(site.home / "work"))

    fresh(site, origin, merged, "+{}:refs/remotes/pull/7/merge")
    git(site.folder, "checkout", "-q", "--force", "refs/remotes/pull/7/merge")

    assert [change["name"] for change in site.plan()["changes"]] == ["one"]
    held = site.pass_(expect=6)
    assert "branch-changed" in held.stdout
    assert site.status("one")["status"] == "sleeping"
