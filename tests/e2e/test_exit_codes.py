"""What a command ends with, so that scripts and CI can tell one end from another."""

import signal

import pytest

from tests.support.site import Site, eventually

ECHO = "def workflow(input, ctx):\n    return ctx.step('echo', lambda: input)\n"
FAIL = "def workflow(input, ctx):\n    raise ValueError('as it was asked')\n"


@pytest.fixture
def gated(site: Site) -> Site:
    """An installation with a run that waits at the gate."""
    site.gated()
    site.start("waits", "gated", input=1)
    return site


def test_0_when_everything_went_well_and_when_there_was_nothing_to_do(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo")

    site.finish(expect=0)
    site.finish(expect=0)
    site.cli.run("plan", "--detailed-exitcode", str(site.folder), expect=0)


def test_1_when_an_action_did_not_work_and_the_others_go_on(site: Site) -> None:
    site.settings("adapters: {exec: {node: /nowhere/node}}\n")
    site.workflow("echo", "echo.py", ECHO)
    site.workflow("other", "other.js", "async function workflow() {}\n")
    site.start("one", "echo")
    site.start("two", "other")

    done = site.finish(expect=1)

    assert "/nowhere/node" in done.stdout + done.stderr
    assert site.statuses() == {"one": "completed"}


def test_2_of_a_plan_with_changes_only_where_it_was_asked_for(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO)

    site.cli.run("plan", str(site.folder), expect=0)
    site.cli.run("plan", "--detailed-exitcode", str(site.folder), expect=2)


def test_3_when_a_manifest_is_invalid_and_the_others_are_carried_out(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo")
    site.write("bad.yaml", "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: bad}\nspec: {workflow: echo, colour: red}\n")

    done = site.finish(expect=3)

    assert "bad.yaml:4:24: /spec/colour: unknown field" in done.stderr
    assert site.statuses() == {"one": "completed"}
    for command in ("plan", "validate"):
        site.cli.run(command, str(site.folder), expect=3)


def test_3_when_the_settings_are_invalid(site: Site) -> None:
    settings = site.settings("poll_intervall: 5s\n")

    error = site.pass_(expect=3).stderr

    assert f"{settings}:1:1: " in error
    assert "poll_interval" in error.replace("poll_intervall", "")


def test_5_when_a_run_failed_that_the_command_started_or_found_active(site: Site) -> None:
    site.workflow("fail", "fail.py", FAIL)
    site.start("one", "fail")

    site.finish(expect=5)
    site.finish(expect=0)
    site.cli.run("start", "fail", "--as", "two", "--wait", expect=5)
    site.cli.run("wait", "two", expect=5)


def test_5_when_the_time_for_waiting_was_over_and_the_run_goes_on(gated: Site) -> None:
    site = gated

    site.finish("--timeout", "200ms", expect=5)
    site.cli.run("wait", "waits", "--timeout", "100ms", expect=5)
    site.open_gate()
    site.cli.run("wait", "waits", expect=0)

    assert site.status("waits")["claims"] == 1


def test_6_when_something_is_held_for_a_person_before_every_other_code(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO)
    site.workflow("gone", "gone.py", ECHO)
    site.workflow("fail", "fail.py", FAIL)
    site.pass_()

    (site.folder / "workflow-gone.yaml").unlink()
    site.start("one", "fail")
    site.write("bad.yaml", "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: bad}\nspec: {}\n")
    done = site.finish(expect=6)

    assert "not pruned: there are invalid manifests" in done.stdout
    assert "gone" in [workflow["id"] for workflow in site.cli.run("list", "workflows", "--json").json]


def test_6_when_a_journal_is_damaged_and_its_bytes_stay_as_they_are(gated: Site) -> None:
    site = gated
    site.pass_()
    eventually(lambda: site.reached("waits", "requested"))
    site.close()
    journal = next((site.data / "exec" / "runs").glob("*.journal.jsonl"))
    damaged = journal.read_bytes().replace(b'"claim"', b'"clown"', 1)
    journal.write_bytes(damaged)

    done = site.pass_(expect=6)

    assert "quarantined" in done.stdout + done.stderr
    assert site.status("waits")["reason"] == "quarantined"
    assert journal.read_bytes() == damaged


def test_64_when_the_command_was_called_in_a_way_that_it_does_not_know(site: Site) -> None:
    for words in (["plann"], ["plan", "--nope"], ["plan", "/nowhere"], ["start"], ["reconcile", "--until", "noon", str(site.folder)]):
        site.cli.run(*words, expect=64)


def test_130_when_it_was_interrupted_while_the_runs_go_on(gated: Site) -> None:
    site = gated
    waiting = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    assert waiting.stdout is not None
    assert waiting.stdout.readline().startswith("Pass:")  # Python itself ends by the signal while it is still starting
    eventually(lambda: site.reached("waits", "requested"))

    waiting.send_signal(signal.SIGINT)
    _, error = waiting.communicate(timeout=20)
    alive = site.processes()
    site.open_gate()

    assert waiting.returncode == 130, error
    assert "interrupted; runs go on" in error
    assert "Traceback" not in error
    assert len(alive) == 1
    eventually(lambda: site.reached("waits", "finished", status="completed"))
