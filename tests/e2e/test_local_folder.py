"""The local folder, which commands write and people may too."""

import sqlite3
from contextlib import closing

from tests.support.site import Site

ECHO = "def workflow(input, ctx):\n    return ctx.step('x', lambda: input)\n"


def test_an_invalid_object_of_the_local_folder_can_be_deleted(site: Site) -> None:
    bad = site.data / "manifests" / "bad.yaml"
    bad.parent.mkdir(parents=True)
    bad.write_text("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: bad}\nspec: {}\n")

    site.cli.run("delete", "run/bad")

    assert not bad.exists()


def test_deleting_a_workflow_removes_the_code_that_deploy_wrote_and_leaves_a_persons_file(site: Site) -> None:
    code = site.write("echo.py", ECHO)
    site.cli.run("deploy", "echo", "-f", str(code))
    mine = site.data / "manifests" / "echo" / "notes.txt"
    mine.write_text("mine")

    site.cli.run("delete", "workflow/echo")

    assert [path.name for path in mine.parent.iterdir()] == ["notes.txt"]


def test_a_failed_deploy_of_dependencies_starts_nothing_and_the_next_pass_does(site: Site) -> None:
    site.write("bp/main.py", "def workflow(input, ctx):\n    return 'ran'\n")
    site.write("bp/requirements.txt", "./nowhere/package-1.0-py3-none-any.whl\n")
    site.declare("Workflow", "bp", {"code": {"dir": "bp", "entry": "main.py"}})
    site.start("bp-1", "bp")

    failed = site.finish("--timeout", "3s", expect=1)
    site.write("bp/requirements.txt", "# nothing\n")
    site.finish()

    assert "deploy-failed" in failed.stdout + failed.stderr or "installing dependencies failed" in failed.stderr
    assert site.status("bp-1")["output"] == "ran"
    assert site.status("bp-1")["claims"] == 1


def test_a_damaged_cell_of_the_database_is_an_error_that_says_what_to_do(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo", input=1)
    site.finish()
    with closing(sqlite3.connect(site.data / "state.db")) as db:
        db.execute("UPDATE runs SET input = '{'")
        db.commit()

    told = site.cli.run("status", "one", expect=1).stderr

    assert "Traceback" not in told
    assert "state rebuild" in told
