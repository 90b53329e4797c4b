"""A database or a whole machine is gone: what can be proven comes back, what cannot waits for a person."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.broken import ECHO
from tests.support.site import Site, eventually

PROJECT = "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {{name: shop}}\nspec: {{lineage: 7f3a9c1e{more}}}\n"
ENVIRONMENTS = ", environments: {dev: {}, prod: {}}"


@pytest.fixture
def project(site: Site) -> Site:
    """A project with a lineage, whose workflow leaves a line for each run."""
    site.write("ty-openworkflow.yaml", PROJECT.format(more=""))
    site.workflow("echo", "echo.py", ECHO)
    return site


def lose(site: Site, *, everything: bool = False) -> None:
    """Take the database away, or the whole data folder."""
    if everything:
        shutil.rmtree(site.data)
        return
    for path in site.data.glob("state.db*"):
        path.unlink()


def held(site: Site, *words: str) -> list[str]:
    return [notice["object"] for notice in site.plan(*words)["held"]]


def advised(done: Any, answer: str) -> list[str]:
    """Return the words of the command that a held pass tells to paste."""
    import shlex

    start = done.stdout.index("`ty-openworkflow", done.stdout.index("state-unknown"))
    commands = [part for part in done.stdout[start:].split("`") if f"--assume {answer}" in part]
    return shlex.split(commands[0])[1:]


def test_a_fresh_runner_starts_none_of_a_hundred_runs_of_a_project_with_a_lineage(project: Site) -> None:
    for number in range(100):
        project.start(f"run-{number}", "echo")

    plan = project.plan()
    done = project.pass_(expect=6)
    again = project.pass_(expect=6)

    assert len([notice for notice in plan["held"] if notice["object"].startswith("run/")]) == 100
    assert {notice["reason"] for notice in plan["held"]} == {"state-unknown"}
    assert [change["kind"] for change in plan["changes"]] == ["workflow"]
    assert project.effects() == []
    assert project.statuses() == {}
    assert "workflow/echo" in done.stdout
    assert "No changes" in again.stdout
    assert project.cli.run("list", "workflows", "--json").json[0]["id"] == "echo"


def test_assume_done_leaves_tombstones_and_new_runs_start(project: Site) -> None:
    project.start("old", "echo")
    held_pass = project.pass_(expect=6)

    done = project.cli.run(*advised(held_pass, "done"))
    project.start("new", "echo")
    project.finish()

    assert "assume done" in done.stdout
    assert project.statuses() == {"old": "completed", "new": "completed"}
    assert project.status("old")["reason"] == "assumed-done"
    assert project.effects() == ["echo"]
    lose(project)
    project.finish()
    assert project.statuses() == {"old": "completed", "new": "completed"}
    assert project.effects() == ["echo"]


def test_assume_start_starts_what_was_held_and_is_not_asked_again(project: Site) -> None:
    project.start("one", "echo")
    held_pass = project.pass_(expect=6)

    project.cli.run(*advised(held_pass, "start"), "--wait")
    project.start("two", "echo")
    project.finish()

    assert project.statuses() == {"one": "completed", "two": "completed"}
    assert project.effects() == ["echo", "echo"]
    assert project.plan()["changes"] == []


def test_without_a_lineage_a_folder_just_starts(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo")

    site.finish()

    assert site.effects() == ["echo"]


def test_a_project_that_init_has_written_starts_at_its_first_pass(site: Site) -> None:
    folder = site.home / "shop"
    site.cli.run("init", str(folder))
    shutil.copy(site.write("echo.py", ECHO), folder)
    (folder / "hello.yaml").unlink()
    (folder / "all.yaml").write_text(
        json.dumps({"apiVersion": "ty-openworkflow/v1", "kind": "Run", "metadata": {"name": "one"}, "spec": {"workflow": "echo"}})
        + "\n---\n"
        + json.dumps(
            {
                "apiVersion": "ty-openworkflow/v1",
                "kind": "Workflow",
                "metadata": {"name": "echo"},
                "spec": {"code": {"file": "echo.py"}, "env": {"EFFECTS": {"value": str(site.effects_file)}}},
            }
        )
    )

    site.cli.run("reconcile", "--once", "--wait", str(folder))

    assert site.effects() == ["echo"]


def test_a_machine_that_knows_dev_only_starts_nothing_of_prod_until_a_person_says_so(site: Site) -> None:
    site.write("ty-openworkflow.yaml", PROJECT.format(more=ENVIRONMENTS))
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo")
    in_dev = ("--env", "dev", "reconcile", "--once", "--wait", str(site.folder))
    site.cli.run(*in_dev, "--assume", "start")

    in_prod = site.cli.run("--env", "prod", "reconcile", "--once", str(site.folder), expect=6)
    again = site.cli.run(*in_dev)

    assert site.effects() == ["echo"]
    assert "no memory of shop/prod" in in_prod.stdout
    assert "No changes" in again.stdout
    assert advised(in_prod, "start")[:2] == ["--env", "prod"]
    site.cli.run(*advised(in_prod, "start"), "--wait")
    assert site.effects() == ["echo", "echo"]


def test_an_invalid_manifest_keeps_a_strange_place_strange(project: Site) -> None:
    project.write("late.yaml", "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: late}\nspec: {workflow: echo, nonsense: 1}\n")
    project.pass_(expect=3)
    project.start("late", "echo")

    project.pass_(expect=6)

    assert held(project) == ["project/shop", "run/late"]
    assert project.effects() == []


def test_a_lost_database_comes_back_from_the_run_folders_with_outputs_and_nothing_runs_again(project: Site) -> None:
    project.cli.run("reconcile", "--once", "--assume", "start", str(project.folder))
    project.workflow("value", "value.py", "def workflow(input, ctx):\n    return ctx.step('double', lambda: input * 2)\n")
    project.workflow("fails", "fails.py", "def workflow(input, ctx):\n    raise ValueError('no')\n")
    project.start("value", "value", input=21)
    project.start("bad", "fails")
    project.start("echo", "echo", rerun="first")
    project.finish(expect=5)
    before = {name: project.status(name) for name in ("value", "bad", "echo")}
    lose(project)

    looked = {name: project.status(name) for name in before}
    assert not (project.data / "state.db").exists()
    done = project.pass_()
    after = {name: project.status(name) for name in before}

    assert "3 runs are back: 2 completed, 1 failed" in done.stderr
    for name, view in before.items():
        for field in ("status", "output", "error", "input", "steps", "started_at", "completed_at", "incarnation"):
            assert after[name][field] == looked[name][field] == view[field], (name, field)
    assert project.effects() == ["echo"]
    assert project.plan()["changes"] == []
    project.start("echo", "echo", rerun="second")
    project.finish()
    assert project.effects() == ["echo", "echo"]
    assert project.status("echo")["incarnation"] == 2


def test_a_pending_run_of_a_lost_database_waits_for_a_person(project: Site) -> None:
    project.cli.run("reconcile", "--once", "--assume", "start", str(project.folder))
    project.start("ran", "echo")
    project.start("later", "echo", startAfter="2100-01-01T00:00:00Z")
    project.pass_()
    eventually(lambda: project.effects() == ["echo"])
    lose(project)

    project.pass_(expect=6)

    assert held(project) == ["project/shop", "run/later"]


def test_a_database_that_knows_another_lineage_holds_what_it_does_not_know(project: Site) -> None:
    project.cli.run("reconcile", "--once", "--assume", "start", str(project.folder))
    project.write("ty-openworkflow.yaml", PROJECT.format(more="").replace("7f3a9c1e", "0123abcd"))
    project.start("one", "echo")

    project.pass_(expect=6)

    assert project.effects() == []


def test_damaged_tombstones_hold_what_they_may_have_told_also_without_a_lineage(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo")
    site.finish()
    lose(site, everything=True)
    Path(site.data).mkdir()
    (site.data / "tombstones.jsonl").write_text("00000000 {}\n")

    site.pass_(expect=6)

    assert site.effects() == ["echo"]
