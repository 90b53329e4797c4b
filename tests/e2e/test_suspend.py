"""`suspend` and `resume`: by whom, when and why; before a start, asleep, and for a whole workflow."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Result
from tests.support.site import Site, eventually

NAP = """
def workflow(input, ctx):
    ctx.step("first", lambda: print("first", flush=True))
    ctx.sleep("nap", input)
    return ctx.step("last", lambda: "done")
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.settings("park_after: 50ms\n")
    site.workflow("nap", "nap.py", NAP)
    yield site
    site.close()


def conditions(site: Site, run: str) -> dict[str, tuple[str, str, str]]:
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in site.status(run)["conditions"]}


def events(site: Site, *args: str) -> list[tuple[str, str, str]]:
    return [(one["object"], one["reason"], one["message"]) for one in json.loads(site.cli.run("events", "-o", "json", *args).stdout)]


def as_ana(site: Site, *args: str, expect: int = 0) -> Result:
    site.cli.env.update({"LOGNAME": "ana"})  # type: ignore[attr-defined]
    return site.cli.run(*args, expect=expect)


def test_a_run_that_is_suspended_before_its_start_waits_across_passes_and_redeploys_until_it_is_resumed(site: Site) -> None:
    site.start("later", "nap", input=0.01, startAfter="2001-01-01T00:00:00Z", dependsOn=["run/gate"])
    site.start("gate", "nap", input=0.01, suspend=True)
    site.pass_()

    said = as_ana(site, "suspend", "run/later", "--why", "the database is down")
    site.declare("Run", "gate", {"workflow": "nap", "input": 0.01}, "gate.yaml")
    site.pass_("--until", "parked")
    site.workflow("nap", "nap.py", NAP + "# another revision\n")
    passed = site.pass_()
    quiet = site.pass_()
    view = site.status("later")

    assert said.stdout == "run/later is suspended\n"
    assert site.statuses() == {"gate": "completed", "later": "pending"}
    assert (view["reason"], view["metadata"]["message"]) == ("suspended", "suspended by ana: the database is down")
    assert "= run/later  suspended  by ana " in passed.stdout and "ago: the database is down" in passed.stdout
    assert "No changes" in quiet.stdout
    assert [(one["verb"], one["who"], one["why"], one["state"]) for one in view["requests"]] == [
        ("suspend", "ana", "the database is down", "in effect")
    ]
    assert as_ana(site, "resume", "run/later").stdout == "run/later is resumed\n"
    site.finish()
    assert site.status("later")["status"] == "completed"
    assert [one["state"] for one in site.status("later")["requests"]] == ["taken back by ana", "done"]
    assert [reason for _, reason, _ in events(site, "run/later")] == [
        "asked-for",
        "dependency",
        "suspended",
        "edited",
        "resumed",
        "started",
        "completed",
    ]


def test_a_run_asleep_is_not_woken_while_it_is_suspended_and_goes_on_in_the_pass_of_resume(site: Site) -> None:
    site.start("sleeper", "nap", input=2)
    site.pass_("--until", "parked")
    as_ana(site, "suspend", "run/sleeper", "--reason", "not now")
    eventually(lambda: site.status("sleeper")["metadata"]["overdue"])
    for _ in range(2):
        site.pass_()
    held = site.status("sleeper")
    overview = json.loads(site.cli.run("status", "--json").stdout)

    assert (held["status"], held["reason"], held["claims"]) == ("sleeping", "suspended", 1)
    assert conditions(site, "sleeper")["Suspended"] == ("True", "suspended", "suspended by ana: not now")
    assert [(one["object"], one["who"], one["why"]) for one in overview["suspended"]] == [("run/sleeper", "ana", "not now")]
    assert overview["attention"] == []
    assert "suspended" in site.cli.run("list", "runs").stdout

    site.cli.run("resume", "run/sleeper")
    eventually(lambda: site.reached("sleeper", "finished", status="completed"))

    site.pass_()
    assert "Suspended" not in conditions(site, "sleeper")


def test_a_suspended_workflow_holds_its_runs_and_those_that_are_asked_for_later(site: Site) -> None:
    site.start("asleep", "nap", input=2)
    site.pass_("--until", "parked")

    said = as_ana(site, "suspend", "workflow/nap", "--why", "maintenance")
    site.start("new", "nap", input=0.01)
    passed = site.pass_()
    view = json.loads(site.cli.run("status", "workflow/nap", "--json").stdout)

    assert said.stdout == "workflow/nap is suspended: 1 run held\n"
    assert "workflow/nap is suspended by ana: maintenance" in passed.stdout
    assert site.statuses() == {"asleep": "sleeping", "new": "pending"}
    assert (view["reason"], view["runs_by_status"]) == ("suspended", {"sleeping": 1, "pending": 1})
    assert {one["type"]: one["status"] for one in view["conditions"]} == {"Ready": "True", "Synced": "True", "Suspended": "True"}
    assert site.cli.run("resume", "run/new").stdout.startswith("run/new is not suspended itself: workflow/nap is suspended by ana: maintenance")

    site.cli.run("resume", "workflow/nap")
    site.finish()

    assert site.statuses() == {"asleep": "completed", "new": "completed"}


def test_the_manifests_own_field_ends_a_request_in_either_direction(site: Site) -> None:
    site.start("x", "nap", input=0.01, startAfter="2001-01-01T00:00:00Z", suspend=True)
    site.pass_()
    site.cli.run("resume", "run/x", "--why", "a look")
    site.finish()
    site.start("y", "nap", input=0.01, startAfter="2101-01-01T00:00:00Z")
    site.pass_()
    site.cli.run("suspend", "run/y")
    site.start("y", "nap", input=0.01, startAfter="2101-01-01T00:00:00Z", suspend=True)
    site.pass_()
    site.start("y", "nap", input=0.01, startAfter="2001-01-01T00:00:00Z", suspend=False)
    site.finish()

    assert site.statuses() == {"x": "completed", "y": "completed"}
    assert [one["state"] for one in site.status("x")["requests"]] == ["the run has ended"]
    assert [one["state"] for one in site.status("y")["requests"]] == ["its manifest changed"]


def test_what_was_asked_for_before_is_said_and_not_done_twice(site: Site) -> None:
    site.start("x", "nap", input=0.01, suspend=True)
    site.pass_()
    before = site.cli.run("events", "-o", "json").stdout

    assert site.cli.run("suspend", "run/x").stdout == "run/x is suspended already, by its manifest\n"
    assert site.cli.run("events", "-o", "json").stdout == before
    site.cli.run("resume", "run/x")
    site.finish()
    site.workflow("nap", "nap.py", NAP)
    as_ana(site, "suspend", "workflow/nap")
    assert site.cli.run("suspend", "workflow/nap").stdout.startswith("workflow/nap is suspended by ana already, ")
    assert site.cli.run("resume", "workflow/nap").stdout == "workflow/nap is resumed\n"
    assert site.cli.run("resume", "workflow/nap").stdout == "workflow/nap is not suspended\n"


@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        ("x", 64, "error: x: say run/x"),
        ("nothing", 64, "error: nothing: write run/NAME, workflow/NAME or schedule/NAME"),
        ("workflows/nap", 64, "error: workflows/nap: did you mean 'workflow'?"),
        ("run/", 64, "error: run/: "),
        ("run/y", 1, "error: there is no run 'y' here; known here: x"),
        ("workflow/nab", 1, "error: there is no workflow 'nab' here; did you mean 'nap'?"),
        ("schedule/nightly", 1, "error: there is no schedule 'nightly' here: `ty-openworkflow --data-dir "),
        ("run/over", 1, "error: run 'over' has ended (completed): there is nothing to suspend or resume"),
    ],
)
def test_what_cannot_be_suspended_is_an_error_that_says_what_to_write(site: Site, what: str, code: int, told: str) -> None:
    site.start("over", "nap", input=0.01)
    site.finish()
    site.start("x", "nap", input=0.01, suspend=True)
    site.pass_()

    for command in ("suspend", "resume"):
        failed = site.cli.run(command, what, expect=code)
        assert failed.stderr.startswith(told)
        assert "Traceback" not in failed.stderr


def test_a_command_without_an_object_is_a_usage_error(site: Site) -> None:
    assert "KIND/NAME" in site.cli.run("suspend", expect=64).stderr


def test_a_cancel_by_command_is_shown_with_who_and_why_and_the_next_pass_does_not_start_the_run_again(site: Site) -> None:
    site.start("x", "nap", input=600)
    site.pass_("--until", "parked")
    as_ana(site, "cancel", "x", "--why", "wrong input")
    again = site.pass_()
    view = site.status("x")

    assert "No changes" in again.stdout
    assert (view["status"], view["reason"], view["metadata"]["message"]) == ("canceled", "canceled-by-command", "wrong input")
    assert [(one["verb"], one["who"], one["why"], one["state"]) for one in view["requests"]] == [("cancel", "ana", "wrong input", "done")]
    assert ("run/x", "canceling", "canceled by ana: wrong input") in events(site)


def test_a_rerun_and_a_signal_say_who_asked(site: Site) -> None:
    site.start("x", "nap", input=0.01)
    site.finish()
    as_ana(site, "rerun", "x", "--wait")
    site.start("y", "nap", input=600)
    site.pass_()
    as_ana(site, "signal", "y", "go")

    assert [(one["verb"], one["who"], one["why"], one["state"]) for one in site.status("x")["requests"]] == [
        ("rerun", "ana", "rerun by command, from the beginning", "done")
    ]
    assert [(one["verb"], one["who"], one["why"]) for one in site.status("y")["requests"]] == [("signal", "ana", "go")]
    assert [reason for _, reason, _ in events(site, "run/x")].count("rerun") == 1
    assert ("run/y", "signal", "go: by ana") in events(site)
