"""What becomes of runs, through the real command line: sleeps, inputs, outputs, and manifests that change."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.site import Site, eventually

SLEEPS = {
    "python": ("nap.py", 'def workflow(input, ctx):\n    ctx.sleep("nap", input["nap"])\n    return ctx.step("after", lambda: "rested")\n'),
    "node": (
        "nap.js",
        'async function workflow(input, { step, sleep }) {\n  await sleep("nap", input.nap);\n  return await step("after", () => "rested");\n}\n',
    ),
}
EFFECT = """\
import os

def effect(text):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def workflow(input, ctx):
    ctx.step("work", lambda: effect(f"{ctx.run.id} {input}"))
    return input
"""
GATE = """\
import os, time

def pass_gate():
    while not os.path.exists("{gate}"):
        time.sleep(0.005)

def workflow(input, ctx):
    ctx.step("gate", pass_gate)
    return "{version} " + str(input)
"""


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def gated(site: Site, version: str = "v1") -> None:
    """Declare a workflow whose runs go on until there is a file called `gate`."""
    site.workflow("gated", "gated.py", GATE.format(gate=site.home / "gate", version=version))


def open_gate(site: Site) -> None:
    (site.home / "gate").touch()


def changes(site: Site) -> dict[str, Any]:
    plan: dict[str, Any] = site.cli.run("plan", str(site.folder), "--json").json
    return plan


# Sleeps


@pytest.mark.parametrize("language", SLEEPS)
def test_a_sleep_of_30_days_parks_within_a_second_and_holds_no_process(site: Site, language: str) -> None:
    site.workflow("nap", *SLEEPS[language])
    site.start("long", "nap", input={"nap": "30d"})

    site.pass_()
    eventually(lambda: site.reached("long", "parked"))
    eventually(lambda: not site.processes(), 2)

    records = {record["type"]: record for record in site.journal("long")}
    assert instant(records["parked"]["at"]) - instant(records["claim"]["at"]) < timedelta(seconds=1)
    assert instant(records["parked"]["until"]) - instant(records["requested"]["at"]) >= timedelta(days=30)
    assert site.status("long")["status"] == "sleeping"
    assert changes(site)["changes"] == []


def test_until_parked_ends_while_a_run_sleeps_and_says_when_it_is_due(site: Site) -> None:
    site.workflow("nap", *SLEEPS["python"])
    site.start("long", "nap", input={"nap": "30d"})

    done = site.pass_("--until", "parked", "--timeout", "20s")

    assert "1 run waits for the next pass, the first due in" in done.stderr
    eventually(lambda: not site.processes(), 2)


@pytest.mark.parametrize("language", SLEEPS)
def test_I15_a_sleep_of_300_ms_keeps_its_process_and_does_not_end_early(site: Site, language: str) -> None:
    site.workflow("nap", *SLEEPS[language])
    site.start("short", "nap", input={"nap": "300ms"})

    site.finish()

    slept, rested = (next(step for step in site.status("short")["steps"] if step["key"] == key) for key in ("nap", "after"))
    assert not site.reached("short", "parked")
    assert timedelta(milliseconds=300) <= instant(slept["completed_at"]) - instant(slept["started_at"]) < timedelta(seconds=5)
    assert rested["output"] == "rested"


@pytest.mark.parametrize("language", SLEEPS)
def test_I15_a_parked_run_is_woken_when_its_time_comes_and_not_before(site: Site, language: str) -> None:
    site.settings("park_after: 100ms\n")
    site.workflow("nap", *SLEEPS[language])
    site.start("parks", "nap", input={"nap": "1s"})

    site.finish()

    records = site.journal("parks")
    woken = [record for record in records if record["type"] == "claim"][1]
    nap = next(record for record in records if record["type"] == "requested")
    assert instant(nap["until"]) <= instant(woken["at"]) < instant(nap["until"]) + timedelta(seconds=2)
    assert site.status("parks")["output"] == "rested"


# Starting


def test_start_returns_while_the_run_goes_on_and_prints_the_id_that_status_takes(site: Site) -> None:
    gated(site)
    site.cli.run("deploy", "gated", "-f", "gated.py")

    id_ = site.cli.run("start", "gated", "-i", '"x"').stdout.strip()
    seen = site.cli.run("status", id_, "--json").json
    open_gate(site)
    ended = site.cli.run("wait", id_, "--json").json

    assert (seen["id"], seen["status"]) == (id_, "running")
    assert (ended["id"], ended["status"], ended["output"]) == (id_, "completed", "v1 x")


def test_start_wait_shows_the_result_and_leaves_no_file_behind(site: Site) -> None:
    site.write("echo.py", "def workflow(input, ctx):\n    return input\n")
    site.cli.run("deploy", "echo", "-f", "echo.py")

    done = site.cli.run("start", "echo", "-i", '{"a": [1, "ü"]}', "--as", "mine", "--wait", "--json").json

    assert (done["id"], done["status"], done["output"]) == ("mine", "completed", {"a": [1, "ü"]})
    assert list((site.data / "manifests" / "runs").glob("*")) == []


def test_inputs_of_2_mb_arrive_by_input_file_by_standard_input_and_by_manifest(site: Site) -> None:
    text = "é" * 1_000_000
    site.write("big.json", json.dumps({"text": text, "end": True}, ensure_ascii=False))
    site.workflow(
        "size",
        "size.py",
        "import hashlib\ndef workflow(input, ctx):\n    return [input['end'], hashlib.sha256(input['text'].encode()).hexdigest()]\n",
    )
    site.start("by-manifest", "size", inputFile="big.json")
    expected = [True, hashlib.sha256(text.encode()).hexdigest()]

    site.finish()
    by_file = site.cli.run("start", "size", "--input-file", "big.json", "--wait", "--json").json
    by_pipe = site.cli.run("start", "size", "--input-file", "-", "--wait", "--json", input=(site.folder / "big.json").read_text()).json

    assert [site.status("by-manifest")["output"], by_file["output"], by_pipe["output"]] == [expected] * 3


# What runs print and return


def test_10_mb_of_prints_harm_nobody_and_logs_gives_them_all(site: Site) -> None:
    site.workflow(
        "loud-python", "loud.py", "def workflow(input, ctx):\n    for n in range(100_000):\n        print(f'{n:099d}')\n    return 'said'\n"
    )
    site.workflow(
        "loud-node",
        "loud.js",
        "async function workflow() {\n  for (let n = 0; n < 100000; n++) console.log(String(n).padStart(99, '0'));\n  return 'said';\n}\n",
    )
    for name in ("loud-python", "loud-node"):
        site.start(name, name)

    site.finish()

    expected = "".join(f"{n:099d}\n" for n in range(100_000))
    for name in ("loud-python", "loud-node"):
        assert site.status(name)["output"] == "said"
        assert site.cli.run("logs", name).stdout == expected


def test_logs_follow_prints_what_comes_until_the_run_has_ended(site: Site) -> None:
    site.workflow(
        "talk", "talk.py", GATE.format(gate=site.home / "gate", version="v1").replace("def pass_gate():", "def pass_gate():\n    print('waiting')")
    )
    site.start("talks", "talk")
    site.pass_()

    logs = site.spawn("logs", "-f", "talks")
    assert logs.stdout is not None
    first = logs.stdout.readline()
    open_gate(site)

    assert first == "waiting\n"
    assert logs.wait(20) == 0


@pytest.mark.parametrize(
    ("file", "code", "where"),
    [
        (
            "bad.js",
            "async function workflow(input, { step }) {\n  await step('bad', () => ({ items: [1, { price: 0 / 0 }] }));\n}\n",
            "$.items[1].price",
        ),
        (
            "bad.py",
            "import datetime\ndef workflow(input, ctx):\n    ctx.step('bad', lambda: {'when': [datetime.date(2026, 1, 2)]})\n",
            "$.when[0]",
        ),
    ],
    ids=["node", "python"],
)
def test_I3_a_result_that_is_not_json_fails_with_a_message_that_names_the_place_in_it(site: Site, file: str, code: str, where: str) -> None:
    site.workflow("bad", file, code)
    site.start("fails", "bad")

    done = site.finish(expect=5)

    view = site.status("fails")
    assert [(step["key"], step["status"]) for step in view["steps"]] == [("bad", "failed")]
    assert view["error"]["name"] == "NotSerializableError"
    assert where in view["error"]["message"]
    assert where in done.stdout


# Manifests that change


def test_a_finished_run_whose_manifest_goes_and_comes_back_does_not_run_again(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.start("once", "work", input=1)
    site.finish()

    (site.folder / "once.yaml").unlink()
    gone = site.pass_()
    site.start("once", "work", input=1)
    back = site.finish()

    assert "No changes" in gone.stdout
    assert "No changes" in back.stdout
    assert site.effects() == ["once 1"]


def test_a_finished_run_that_comes_back_with_another_input_is_rejected_and_stays_as_it_is(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.start("once", "work", input=1)
    site.finish()

    site.start("once", "work", input=2)
    plan = changes(site)
    site.finish()

    assert plan["changes"] == []
    assert [(notice["object"], notice["reason"]) for notice in plan["rejected"]] == [("run/once", "edited-after-start")]
    assert site.effects() == ["once 1"]
    assert site.status("once")["output"] == 1


def test_a_new_rerun_token_runs_once_more_from_the_beginning_and_the_same_one_does_not(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.start("again", "work", input=1)
    site.finish()

    for token in ("a", "a", "b"):
        site.start("again", "work", input=1, rerun=token)
        site.finish()

    assert site.effects() == ["again 1"] * 3
    assert site.status("again")["incarnation"] == 3
    assert sorted(site.journals()) == ["again", "again~2", "again~3"]


def test_a_rerun_of_an_active_run_cancels_it_first(site: Site) -> None:
    gated(site)
    site.start("again", "gated", input=1)
    site.pass_()
    eventually(lambda: site.reached("again", "requested"))

    site.start("again", "gated", input=1, rerun="x")
    open_gate(site)
    site.finish("--timeout", "30s")

    ends = {name: records[-1]["status"] for name, records in site.journals().items()}
    assert ends["again~2"] == "completed"
    assert ends["again"] in ("canceled", "completed")  # it may pass the gate before it hears of it
    assert site.status("again")["incarnation"] == 2


def test_an_edit_of_a_running_run_is_rejected_and_the_run_is_not_touched(site: Site) -> None:
    gated(site)
    site.start("busy", "gated", input="first")
    site.pass_()
    eventually(lambda: site.reached("busy", "requested"))

    site.start("busy", "gated", input="second")
    shown = site.pass_().stdout
    open_gate(site)
    site.finish()

    assert "edited-after-start" in shown
    assert site.status("busy")["output"] == "v1 first"
    assert site.status("busy")["claims"] == 1


def test_I17_a_run_ends_on_the_revision_that_it_started_with(site: Site) -> None:
    gated(site)
    site.start("old", "gated", input=1)
    site.pass_()
    eventually(lambda: site.reached("old", "requested"))

    gated(site, "v2")
    site.start("new", "gated", input=2)
    updated = site.pass_().stdout
    open_gate(site)
    site.finish()

    assert "code changed" in updated
    assert site.status("old")["output"] == "v1 1"
    assert site.status("new")["output"] == "v2 2"


def test_a_run_waits_for_the_runs_that_it_depends_on_and_is_skipped_if_one_of_them_fails(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.workflow("fail", "fail.py", "def workflow(input, ctx):\n    raise ValueError('no')\n")
    site.start("c", "work", input=3, dependsOn=["run/b"])
    site.start("b", "work", input=2, dependsOn=["run/a"])
    site.start("a", "work", input=1)
    site.start("never", "work", input=4, dependsOn=["run/fails"])
    site.start("fails", "fail")

    site.finish(expect=5)

    assert site.effects() == ["a 1", "b 2", "c 3"]
    assert site.statuses() == {"a": "completed", "b": "completed", "c": "completed", "fails": "failed", "never": "skipped"}
