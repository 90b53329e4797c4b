"""What becomes of runs, through the real command line: sleeps, starts, inputs, and what they print and return."""

import hashlib
import json
from datetime import datetime, timedelta

import pytest

from tests.support.site import Site, eventually

SLEEPS = {
    "python": ("nap.py", 'def workflow(input, ctx):\n    ctx.sleep("nap", input["nap"])\n    return ctx.step("after", lambda: "rested")\n'),
    "node": (
        "nap.js",
        'async function workflow(input, { step, sleep }) {\n  await sleep("nap", input.nap);\n  return await step("after", () => "rested");\n}\n',
    ),
}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


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
    slept = instant(records["parked"]["until"]) - instant(records["requested"]["at"])
    assert abs(slept - timedelta(days=30)) < timedelta(seconds=1), "it counts from the call, which comes a moment before its record"
    assert site.status("long")["status"] == "sleeping"
    assert site.plan()["changes"] == []


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
    site.gated()
    site.cli.run("deploy", "gated", "-f", "gated.py")

    id_ = site.cli.run("start", "gated", "-i", '"x"').stdout.strip()
    seen = site.cli.run("status", id_, "--json").json
    site.open_gate()
    ended = site.cli.run("wait", id_, "--json").json

    assert seen["id"] == id_
    assert seen["status"] in ("pending", "running")  # it is with a worker, which may not have begun yet
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
    site.gated()
    site.start("talks", "gated")
    site.pass_()

    logs = site.spawn("logs", "-f", "talks")
    assert logs.stdout is not None
    first = logs.stdout.readline()
    site.open_gate()

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
