"""`delete --all`: everything that was made is removed, and nothing of it runs again."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import clean_environment
from tests.support.loop import living
from tests.support.site import Site, eventually

ECHO = "def workflow(input, ctx):\n    print('secret output')\n    return ctx.step('x', lambda: input)\n"
PARENT = "def workflow(input, ctx):\n    return ctx.run_workflow('sleeper', 1, name='kid')\n"
SLEEPER = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def busy(site: Site) -> Site:
    """A project with a run that has ended, one in a worker, one asleep with a parent, and one that waits for its time."""
    site.write("ty-openworkflow.yaml", "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\nspec: {}\n")
    site.workflow("echo", "echo.py", ECHO)
    site.workflow("parent", "parent.py", PARENT)
    site.workflow("sleeper", "sleeper.py", SLEEPER)
    site.gated()
    site.start("done", "echo", input="hello")
    site.start("works", "gated")
    site.start("asks", "parent")
    site.start("later", "echo", startAfter="2100-01-01T00:00:00Z")
    eventually(lambda: (site.pass_(expect=None), len(site.statuses()) == 5)[1])
    eventually(lambda: site.statuses()["done"] == "completed" and site.reached("works", "requested", key="gate"))
    return site


def test_everything_is_ended_and_removed_and_the_next_pass_runs_nothing_again(busy: Site) -> None:
    told = busy.cli.run("delete", "--all", "--yes").stdout

    assert "nothing is left" in told
    assert "project shop, environment default" in told
    assert "still declares 4 workflows" in told
    assert busy.statuses() == {}
    assert busy.cli.run("list", "workflows", "--json").json == []
    assert busy.processes() == {}
    assert len((busy.data / "tombstones.jsonl").read_text().splitlines()) == 5
    assert not [name for name in files_below(busy.data / "exec") if name.startswith(("runs/", "revisions/", "deps/"))]
    assert b"secret output" not in b"".join(path.read_bytes() for path in (busy.data / "exec").rglob("*") if path.is_file())
    busy.pass_(expect=None)
    assert busy.statuses() == {}
    assert len(busy.cli.run("list", "workflows", "--json").json) == 4
    assert busy.processes() == {}


def test_a_database_that_is_lost_after_it_runs_nothing_again(busy: Site) -> None:
    busy.cli.run("delete", "--all", "--yes")
    for path in busy.data.glob("state.db*"):
        path.unlink()

    busy.pass_(expect=None)

    assert busy.processes() == {}
    assert set(busy.statuses().values()) <= {"completed", "canceled"}


def test_history_is_kept_where_that_is_asked_for(busy: Site) -> None:
    told = busy.cli.run("delete", "--all", "--yes", "--keep-history").stdout

    assert "nothing is left but the history" in told
    statuses = busy.statuses()
    assert statuses.pop("done") == "completed"
    assert set(statuses.values()) == {"canceled"}
    assert busy.status("done")["steps"][0]["output"] == "hello"
    assert "secret output" in busy.cli.run("logs", "done").stdout
    assert busy.cli.run("list", "workflows", "--json").json == []
    assert not [name for name in files_below(busy.data / "exec") if name.startswith("revisions/")]


def test_a_person_is_asked_and_without_a_terminal_it_takes_a_word(busy: Site) -> None:
    before = busy.statuses()
    refused = busy.cli.run("delete", "--all", expect=64).stderr
    assert "4 workflows and 5 runs" in refused
    assert "--yes" in refused
    for answer, expected in (("no\n", 1), ("yes\n", 0)):
        ours, theirs = pty.openpty()
        command = [*busy.cli.command, "--data-dir", str(busy.data), "delete", "--all"]
        process = subprocess.Popen(
            command, cwd=busy.folder, env=clean_environment(busy.home), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        os.close(theirs)
        os.write(ours, answer.encode())
        _, err = process.communicate(timeout=90)
        os.close(ours)
        assert process.returncode == expected, err
        assert "Type `yes`" in err
        assert busy.statuses() == (before if expected else {})


def test_another_environment_and_another_project_are_not_touched(site: Site) -> None:
    project: dict[str, object] = {"environments": {"dev": {}, "prod": {}}}
    site.write(
        "ty-openworkflow.yaml",
        json.dumps({"apiVersion": "ty-openworkflow/v1", "kind": "Project", "metadata": {"name": "shop"}, "spec": project}),
    )
    site.workflow("echo", "echo.py", ECHO)
    site.start("done", "echo", input=1)
    for environment in ("dev", "prod"):
        site.cli.run("--env", environment, "reconcile", "--once", "--wait", str(site.folder))
    site.cli.run("deploy", "mine", "-f", "echo.py")

    told = site.cli.run("--project", "shop", "delete", "--all", "--yes", expect=64).stderr
    assert "say which with --env" in told
    site.cli.run("--env", "dev", "delete", "--all", "--yes")

    left = site.cli.run("list", "runs", "--json").json
    assert [(run["id"], run["metadata"]["environment"], run["output"]) for run in left] == [("done", "prod", 1)]
    places = {(flow["id"], flow["metadata"]["project"]) for flow in site.cli.run("list", "workflows", "--json").json}
    assert places == {("echo", "shop"), ("mine", "local")}
    assert site.cli.run("--project", "shop", "--env", "prod", "logs", "done").stdout == "secret output\n"


def test_the_local_folder_goes_with_what_it_made_and_projects_stay(site: Site, tmp_path: Path) -> None:
    code = site.write("echo.py", ECHO)
    site.workflow("declared", "declared.py", ECHO)
    site.pass_()
    site.cli.run("deploy", "echo", "-f", str(code))
    site.cli.run("start", "echo", "--as", "one", "--wait")
    spec = {"cron": "0 2 * * *", "run": {"workflow": "echo"}}
    nightly = {"apiVersion": "ty-openworkflow/v1", "kind": "Schedule", "metadata": {"name": "nightly"}, "spec": spec}
    (site.data / "manifests/nightly.yaml").write_text(json.dumps(nightly))
    assert "nightly" in site.cli.run("reconcile", "--once", str(site.data / "manifests")).stdout
    site.cli.run("start", "declared", "--as", "two", "--wait")

    told = site.cli.run("delete", "--all", "--yes").stdout

    assert "the local folder" in told
    assert "1 workflow, 1 schedule, 2 runs" in told
    assert site.cli.run("list", "schedules", "--json").json == []
    assert site.statuses() == {}
    assert [flow["id"] for flow in site.cli.run("list", "workflows", "--json").json] == ["declared"]
    assert files_below(site.data / "manifests") == []
    again = site.cli.run("delete", "--all").stdout
    assert "nothing is left to delete" in again


def test_what_cannot_be_ended_is_named(site: Site) -> None:
    site.gated()
    site.start("bad", "gated")
    site.pass_()
    eventually(lambda: site.reached("bad", "requested", key="gate"))
    (journal,) = (site.data / "exec/runs").glob("*.journal.jsonl")
    site.close()
    data = journal.read_bytes()
    journal.write_bytes(b"00000000" + data[8:])
    site.cli.run("--project", "default", "delete", "--all", "--yes", expect=1)

    told = site.cli.run("--project", "default", "delete", "--all", "--yes", expect=1)
    assert "left run/bad (default/default)" in told.stderr
    assert "damaged" in told.stderr
    assert journal.exists()


def test_beside_a_living_loop_runs_end_and_what_is_still_declared_is_said_to_come_back(site: Site) -> None:
    site.gated()
    site.start("a", "gated")
    with living(site):
        eventually(lambda: site.reached("a", "requested", key="gate"))
        told = site.cli.run("--project", "default", "delete", "--all", "--yes")

        site.workflow("echo", "echo.py", ECHO)  # what makes the loop look again
        eventually(lambda: len(site.cli.run("list", "workflows", "--json").json) == 2)
    assert "1 workflow, 1 run" in told.stdout
    assert "still declares 1 workflow, 1 run" in told.stdout
    assert site.statuses() == {}
    assert site.processes() == {}


@pytest.mark.parametrize("words", [("delete", "--yes", "run/x"), ("delete", "run/x", "--keep-history"), ("delete", "run/x", "--timeout", "1s")])
def test_words_that_go_with_all_are_refused_elsewhere(site: Site, words: tuple[str, ...]) -> None:
    assert "go with --all" in site.cli.run(*words, expect=64).stderr
