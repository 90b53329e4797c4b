"""What happens to folders under a living loop takes nothing down: half-written, emptied, removed, on another branch."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.loop import LivingLoop, living
from tests.support.site import Site, eventually

SLEEPER = """\
def workflow(input, ctx):
    ctx.step("first", lambda: 1)
    ctx.sleep("wait", 600)
"""
RUNS = ("one", "two", "three")


@pytest.fixture
def sleepers(site: Site) -> Site:
    """Three runs that sleep, in a project of three files."""
    site.write("ty-openworkflow.yaml", "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\n")
    site.workflow("sleeper", "sleeper.py", SLEEPER)
    for name in RUNS:
        site.start(name, "sleeper")
    return site


def asleep(site: Site) -> None:
    eventually(lambda: all(site.reached(name, "requested", kind="sleep") for name in RUNS))


def beaten(loop: LivingLoop) -> None:
    """Wait until the loop has been through a full pass after this moment, several seconds of its time."""
    before = (loop.site.data / "loop" / "passed").stat().st_mtime_ns
    end = time.monotonic() + 3.5  # longer than anything counts as too young
    eventually(lambda: time.monotonic() > end and (loop.site.data / "loop" / "passed").stat().st_mtime_ns > before)


def untouched(site: Site) -> None:
    """Say that nothing was canceled, started again or forgotten."""
    assert site.statuses() == dict.fromkeys(RUNS, "sleeping")
    assert all(site.status(name)["claims"] == 1 for name in RUNS)
    assert [row["id"] for row in site.cli.run("list", "workflows", "--json").json] == ["sleeper"]


SHORT = "poll_interval: 1s\n"


def test_I12_a_folder_that_is_removed_takes_nothing_down(sleepers: Site) -> None:
    with living(sleepers, settings=SHORT) as loop:
        asleep(sleepers)
        shutil.rmtree(sleepers.folder)
        beaten(loop)
        sleepers.cli = sleepers.cli.__class__(sleepers.home, sleepers.data, cwd=sleepers.home)

        untouched(sleepers)
        sleepers.folder.mkdir()
        beaten(loop)
        untouched(sleepers)
        once = sleepers.cli.run("reconcile", "--once", str(sleepers.folder), expect=6)

    assert "project-missing" in once.stdout or "prune-held" in once.stdout


def test_I12_an_unparsable_file_beside_a_removed_one_takes_nothing_down(sleepers: Site) -> None:
    with living(sleepers, settings=SHORT) as loop:
        asleep(sleepers)
        (sleepers.folder / "one.yaml").unlink()
        (sleepers.folder / "two.yaml").write_text("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: two\n")
        beaten(loop)

        untouched(sleepers)
        assert sleepers.pass_(expect=6).stdout.count("prune-held") == 1


def test_I12_a_file_that_is_empty_for_a_second_takes_nothing_down(sleepers: Site) -> None:
    with living(sleepers, settings=SHORT) as loop:
        asleep(sleepers)
        content = (sleepers.folder / "one.yaml").read_text()
        (sleepers.folder / "one.yaml").write_text("")
        time.sleep(1)
        (sleepers.folder / "one.yaml").write_text(content)
        beaten(loop)

        untouched(sleepers)
    assert "cancel" not in loop.said()


def test_I12_a_file_of_three_documents_that_is_cut_at_every_byte_takes_nothing_down(site: Site) -> None:
    site.workflow("sleeper", "sleeper.py", SLEEPER)
    text = "---\n".join(f"apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {{name: {name}}}\nspec: {{workflow: sleeper}}\n" for name in RUNS)
    site.write("runs.yaml", text)
    with living(site, settings=SHORT) as loop:
        asleep(site)
        for length in range(len(text)):
            (site.folder / "runs.yaml").write_text(text[:length])
            time.sleep(0.012)  # longer than the loop waits after one path, so that each prefix is looked at
        (site.folder / "runs.yaml").write_text(text)
        beaten(loop)

        untouched(site)
    assert "cancel" not in loop.said()
    assert "remove" not in loop.said()


def git(folder: Path, *words: str, check: bool = True) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main", "-C", str(folder), *words]
    subprocess.run(command, check=check, capture_output=True)


def test_I12_a_branch_that_lacks_three_runs_holds_the_pass(sleepers: Site) -> None:
    git(sleepers.folder, "init")
    git(sleepers.folder, "add", ".")
    git(sleepers.folder, "commit", "-m", "all")
    git(sleepers.folder, "checkout", "-b", "less")
    git(sleepers.folder, "rm", *(f"{name}.yaml" for name in RUNS))
    git(sleepers.folder, "commit", "-m", "less")
    git(sleepers.folder, "checkout", "main")
    with living(sleepers, settings=SHORT) as loop:
        asleep(sleepers)
        git(sleepers.folder, "checkout", "less")
        loop.says("branch-changed")
        beaten(loop)

        untouched(sleepers)
        assert "branch-changed" in sleepers.pass_(expect=6).stdout
        git(sleepers.folder, "checkout", "main")
        loop.says("resolved")


def test_I12_a_rebase_in_progress_holds_the_pass(sleepers: Site) -> None:
    git(sleepers.folder, "init")
    git(sleepers.folder, "add", ".")
    git(sleepers.folder, "commit", "-m", "all")
    git(sleepers.folder, "checkout", "-b", "other")
    (sleepers.folder / "one.yaml").write_text((sleepers.folder / "one.yaml").read_text() + "# other\n")
    git(sleepers.folder, "commit", "-am", "other")
    git(sleepers.folder, "checkout", "main")
    (sleepers.folder / "one.yaml").write_text((sleepers.folder / "one.yaml").read_text() + "# main\n")
    git(sleepers.folder, "commit", "-am", "main")
    with living(sleepers, settings=SHORT) as loop:
        asleep(sleepers)
        git(sleepers.folder, "rebase", "other", check=False)  # it stops at the conflict
        loop.says("rebase-in-progress")

        untouched(sleepers)
        assert "rebase-in-progress" in sleepers.pass_(expect=6).stdout
        git(sleepers.folder, "rebase", "--abort")
        loop.says("resolved")
        beaten(loop)
        untouched(sleepers)


# Several folders, and the pieces of a loop


def test_one_loop_reconciles_several_projects_and_the_local_folder(site: Site) -> None:
    others = []
    for name in ("left", "right"):
        folder = site.home / name
        folder.mkdir()
        (folder / "ty-openworkflow.yaml").write_text(f"apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {{name: {name}}}\n")
        (folder / "same.py").write_text("def workflow(input, ctx):\n    return input\n")
        (folder / "all.yaml").write_text(
            "apiVersion: ty-openworkflow/v1\nkind: Workflow\nmetadata: {name: same}\nspec: {code: {file: same.py}}\n"
            f"---\napiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {{name: same}}\nspec: {{workflow: same, input: {name}}}\n"
        )
        others.append(str(folder))
    with living(site, *others) as loop:
        loop.says("run/same: completed", times=2)
        site.cli.run("deploy", "mine", "-f", str(site.home / "left" / "same.py"))
        site.cli.run("start", "mine", "--as", "typed", "--wait")

    outputs = {row["metadata"]["project"]: row["output"] for row in site.cli.run("list", "runs", "--json").json}
    assert outputs == {"left": "left", "right": "right", "local": None}


def test_a_loop_that_was_killed_left_nothing_that_the_next_one_does_not_find(sleepers: Site) -> None:
    with living(sleepers) as loop:
        eventually(lambda: sleepers.reached("one", "claim"))
        loop.process.send_signal(signal.SIGKILL)
        loop.process.wait()
    with living(sleepers) as loop:
        asleep(sleepers)
        untouched(sleepers)
        assert loop.end() == 0


def test_a_database_that_is_deleted_under_a_loop_is_rebuilt_and_nothing_runs_twice(sleepers: Site) -> None:
    with living(sleepers, settings=SHORT) as loop:
        asleep(sleepers)
        for path in sleepers.data.glob("state.db*"):
            path.unlink()
        beaten(loop)

        untouched(sleepers)


def test_a_restore_beside_a_loop_is_refused_and_a_backup_is_not(sleepers: Site) -> None:
    with living(sleepers) as loop:
        asleep(sleepers)
        sleepers.cli.run("state", "backup", str(sleepers.home / "shop.tar"))
        refused = sleepers.cli.run("state", "restore", str(sleepers.home / "shop.tar"), expect=4)

        untouched(sleepers)
        assert f"process {loop.process.pid}" in refused.stderr


def test_a_broken_commit_and_its_mend_while_the_first_is_tried_again(site: Site) -> None:
    site.workflow("w", "w.py", "# /// script\n# dependencies = ['no-such-package-anywhere-at-all']\n# ///\ndef workflow(input, ctx):\n    return 1\n")
    site.start("one", "w")
    with living(site) as loop:
        loop.says("deploy-failed")
        site.write("w.py", "def workflow(input, ctx):\n    return 2\n")

        loop.says("run/one: completed")
    assert site.status("one")["output"] == 2
