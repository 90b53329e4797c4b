"""`status` and `events`: why something is pending, who waits for whom, what is due next, what happened."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.assets import asset
from reconciler.reasons import REASONS
from tests.support.site import Site, eventually

WAITS = """
def workflow(input, ctx):
    return ctx.wait_for_signal("go")
"""
NAP = """
def workflow(input, ctx):
    ctx.sleep("nap", input)
    return 1
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def show(site: Site, *args: str) -> Any:
    return json.loads(site.cli.run(*args, "--json").stdout)


def check(name: str, value: Any) -> None:
    jsonschema.Draft7Validator(json.loads(asset("schemas", f"{name}.schema.json").read_text())).validate(value)


def test_a_pending_run_says_which_limit_holds_it_and_its_place_in_the_queue(site: Site) -> None:
    site.gated()
    site.workflow("gated", "gated.py", (site.folder / "gated.py").read_text(), concurrency={"limit": 1})
    site.start("a", "gated", priority=9)
    site.pass_()
    for name in ("b", "c"):
        site.start(name, "gated", priority=5 if name == "b" else 1)
    site.pass_()
    eventually(lambda: site.reached("a", "requested"))

    view, text = show(site, "status", "run/c"), site.cli.run("status", "run/c").stdout
    check("status", view)
    assert (view["status"], view["reason"]) == ("pending", "concurrency")
    assert view["queue"] == {
        "position": 2,
        "length": 2,
        "limit": "1 of 1 runs of workflow gated hold a worker",
        "message": "1 of 1 runs of workflow gated hold a worker; number 2 of 2 in the queue",
    }
    assert "number 2 of 2 in the queue" in text
    workflow = show(site, "status", "workflow/gated")
    check("workflow-status", workflow)
    assert workflow["concurrency"] == {"limit": 1, "in_use": 1}
    assert workflow["runs_by_status"] == {"running": 1, "pending": 2}
    assert {run["id"]: run["status"] for run in workflow["recent_runs"]} == {"a": "running", "b": "pending", "c": "pending"}
    assert "1 of 1 runs hold a worker" in site.cli.run("status", "workflow/gated").stdout
    site.open_gate()
    site.finish()


def test_who_waits_for_whom_is_shown_from_both_sides(site: Site) -> None:
    site.workflow("waits", "waits.py", WAITS)
    site.start("first", "waits")
    site.start("second", "waits", dependsOn=["run/first"])
    site.pass_("--until", "parked")

    first, second = show(site, "status", "first"), show(site, "status", "second")
    check("status", first)
    assert first["waited_for_by"] == [{"object": "run/second", "what": "dependent", "status": "pending"}]
    assert first["waits_for"] == [{"object": "signal go", "what": "signal", "status": "not sent yet"}]
    assert second["waits_for"] == [{"object": "run/first", "what": "dependency", "status": "waiting"}]
    assert second["reason"] == "dependency"
    text = site.cli.run("status", "first").stdout
    assert "needed by   run/second (pending)" in text
    assert "  workflow    waits " in text
    assert "  its body returned" not in text


def test_what_the_clock_does_next_is_listed_in_order(site: Site) -> None:
    site.settings("park_after: 50ms\n")
    site.workflow("nap", "nap.py", NAP, timeout="2h")
    site.start("now", "nap", input=3600)
    site.start("later", "nap", input=1, startAfter="2101-01-01T00:00:00Z", startDeadline="1h")
    site.pass_("--until", "parked")

    now, later = show(site, "status", "now"), show(site, "status", "later")
    check("status", later)
    assert [due["what"] for due in now["next_due"]] == ["end of sleep nap", "timeout of the run"]
    assert later["next_due"] == [
        {"at": "2101-01-01T00:00:00.000Z", "what": "start"},
        {"at": "2101-01-01T01:00:00.000Z", "what": "start deadline: skipped"},
    ]
    overview = show(site, "status")
    check("overview", overview)
    assert [(due["object"], due["what"]) for due in overview["next_due"]] == [("run/now", "wakes")]
    assert overview["counts"] == {"pending": 1, "sleeping": 1}


def test_a_refused_edit_and_a_refused_object_stay_visible_after_the_pass(site: Site) -> None:
    site.workflow("nap", "nap.py", NAP)
    site.start("x", "nap", input=0.01)
    site.finish()
    site.start("x", "nap", input=0.02)
    site.start("y", "nowhere")
    site.pass_(expect=3)

    view = show(site, "status", "x")
    check("status", view)
    conditions = {one["type"]: one for one in view["conditions"]}
    assert (conditions["Succeeded"]["status"], conditions["Synced"]["status"], conditions["Synced"]["reason"]) == (
        "True",
        "False",
        "edited-after-start",
    )
    assert "Synced=False  edited-after-start" in site.cli.run("status", "x").stdout
    assert "it is declared and refused (invalid)" in site.cli.run("status", "run/y", expect=1).stderr
    overview = show(site, "status")
    check("overview", overview)
    assert sorted((one["object"], one["reason"]) for one in overview["attention"]) == [("run/x", "edited-after-start"), ("run/y", "invalid")]
    assert "needs a person:" in site.cli.run("status").stdout

    site.start("x", "nap", input=0.01)
    (site.folder / "y.yaml").unlink()
    site.pass_("--wait")
    eventually(lambda: show(site, "status")["attention"] == [] or site.pass_(expect=None) is None)
    assert {one["type"]: one["status"] for one in show(site, "status", "x")["conditions"]} == {"Succeeded": "True", "Synced": "True"}


def test_status_before_anything_was_done_is_one_screen_too(site: Site) -> None:
    view = show(site, "status")

    check("overview", view)
    assert "no runs yet" in site.cli.run("status").stdout


def test_events_are_counted_listed_and_fit_their_schema(site: Site) -> None:
    site.workflow("nap", "nap.py", NAP)
    site.start("x", "nap", input=0.01)
    site.finish()

    everything, one, last = show(site, "events"), show(site, "events", "run/x"), show(site, "events", "-n", "1")
    for event in everything:
        check("event", event)
        assert event["reason"] in REASONS
    assert [(event["object"], event["reason"], event["count"]) for event in everything] == [
        ("run/x", "asked-for", 1),
        ("workflow/nap", "deployed", 1),
        ("run/x", "started", 1),
        ("run/x", "completed", 1),
    ]
    assert [event["reason"] for event in one] == ["asked-for", "started", "completed"]
    assert [event["reason"] for event in last] == ["completed"]
    assert show(site, "events", "--since", "1h") == everything
    assert "completed" in site.cli.run("events").stdout
    assert show(site, "events", "run/nobody") == []


def test_passes_that_did_something_are_kept_with_who_ran_them(site: Site) -> None:
    site.workflow("nap", "nap.py", NAP)
    site.start("x", "nap", input=0.01)
    site.cli.env.update({"LOGNAME": "ana", "CI": ""})  # type: ignore[attr-defined]
    site.finish()
    for _ in range(2):
        site.pass_()

    passes = show(site, "events", "--passes")
    for one in passes:
        check("pass", one)
    assert passes[0]["summary"]["actions"] == {"deploy": 1, "start": 1}
    assert passes[0]["who"] == "reconcile --once (ana)"
    assert len(passes) == 1
    assert "1 deploy, 1 start" in site.cli.run("events", "--passes").stdout


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("x",), "write run/NAME"),
        (("run/x", "--passes"), "--passes goes with"),
        (("--passes", "-f"), "--passes goes with"),
        (("-n", "0"), "at least one"),
        (("--since", "soon"), "--since"),
        (("-o", "xml"), "choose one of text, json"),
    ],
)
def test_a_call_of_events_that_means_nothing_is_a_usage_error(site: Site, args: tuple[str, ...], told: str) -> None:
    assert told in site.cli.run("events", *args, expect=64).stderr


def test_events_before_anything_has_happened(site: Site) -> None:
    assert site.cli.run("events").stdout == "Nothing has happened yet.\n"
    assert show(site, "events") == []
    assert site.cli.run("events", "--passes").stdout == "No pass has done anything yet.\n"
    assert not site.data.exists()


@pytest.mark.parametrize("form", ["json", "text"])
def test_following_shows_what_another_process_does_and_ends_quietly(site: Site, form: str) -> None:
    site.workflow("nap", "nap.py", NAP)
    site.start("x", "nap", input=0.01)
    site.finish()
    following = site.spawn("events", "-f", "-n", "2", "-o", form)
    assert following.stdout is not None
    begin = [following.stdout.readline() for _ in range(2)]
    site.start("y", "nap", input=0.01)
    site.finish()

    came = [following.stdout.readline() for _ in range(3)]
    assert not select.select([following.stdout], [], [], 0)[0]
    following.send_signal(signal.SIGINT)
    rest, error = following.communicate(timeout=20)

    assert (following.returncode, rest, error) == (130, "", "")
    if form == "json":
        found = [json.loads(line) for line in (*begin, *came)]
        for event in found:
            check("event", event)
        assert [(event["object"], event["reason"]) for event in found] == [
            ("run/x", "started"),
            ("run/x", "completed"),
            ("run/y", "asked-for"),
            ("run/y", "started"),
            ("run/y", "completed"),
        ]
    else:
        assert [line.split()[1:3] for line in came] == [["run/y", "asked-for"], ["run/y", "started"], ["run/y", "completed"]]


def test_following_may_begin_before_there_is_anything(site: Site) -> None:
    following = site.spawn("events", "-f", "run/x", "-o", "json")
    assert following.stdout is not None
    os.set_blocking(following.stdout.fileno(), True)
    site.workflow("nap", "nap.py", NAP)
    site.start("x", "nap", input=0.01)
    site.finish()

    came = [json.loads(following.stdout.readline())["reason"] for _ in range(3)]
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=20)

    assert came == ["asked-for", "started", "completed"]
    assert following.returncode == 130


def test_a_message_that_a_condition_tells_is_not_told_twice_and_a_bare_reason_is_explained(site: Site) -> None:
    site.workflow("nap", "nap.py", NAP)
    site.start("held", "nap", input=1, suspend=True)
    site.start("asleep", "nap", input=3600)
    site.pass_("--until", "parked")
    site.cli.run("suspend", "workflow/nap", "--why", "maintenance")

    held, asleep = site.cli.run("status", "held").stdout, site.cli.run("status", "asleep").stdout
    site.cli.run("resume", "workflow/nap")
    parked = site.cli.run("status", "asleep").stdout

    assert held.count("suspended by its manifest") == 1
    assert asleep.count("maintenance") == 1
    assert "  waits and holds no worker\n" in parked
    assert all("\n  workflow    nap " in text for text in (held, asleep, parked))
