"""Signals: by command, by manifest and from another workflow; kept until they are waited for, delivered once and in order."""

import json
from typing import Any

import pytest

from tests.support.site import Site, eventually

QUICK = "adapters: {exec: {linger: 50ms}}\n"
ASK = {
    "python": (
        "ask.py",
        """\
def workflow(input, ctx):
    answers = []
    for _ in range(input["times"]):
        answers.append(ctx.wait_for_signal("answer", timeout=input.get("timeout")))
    return answers
""",
    ),
    "node": (
        "ask.js",
        """\
async function workflow(input, { waitForSignal }) {
  const answers = [];
  for (let n = 0; n < input.times; n++) answers.push(await waitForSignal("answer", { timeout: input.timeout }));
  return answers;
}
""",
    ),
}
TELL = {
    "python": (
        "tell.py",
        """\
def workflow(input, ctx):
    for value in input["values"]:
        ctx.send_signal(input["run"], "answer", value)
    return "told"
""",
    ),
    "node": (
        "tell.js",
        """\
async function workflow(input, { sendSignal }) {
  for (const value of input.values) await sendSignal(input.run, "answer", value);
  return "told";
}
""",
    ),
}
languages = pytest.mark.parametrize("language", ASK)


def asking(site: Site, language: str, *, times: int = 1, workflow: dict[str, Any] | None = None, **spec: Any) -> None:
    """Declare a run that waits for answers."""
    site.settings(QUICK)
    site.workflow("ask", *ASK[language], **(workflow or {}))
    site.start("asked", "ask", input={"times": times, **spec.pop("input", {})}, **spec)


@languages
def test_a_signal_wakes_a_parked_run_and_its_data_comes_back(site: Site, language: str) -> None:
    asking(site, language)
    site.pass_("--until", "parked")

    said = site.cli.run("signal", "asked", "answer", "--data", '{"yes": [1, "ä"]}').stdout
    site.cli.run("wait", "asked")

    assert said == "signal answer is in the inbox of run/asked\n"
    assert site.status("asked")["output"] == [{"yes": [1, "ä"]}]
    assert site.plan()["changes"] == []


@languages
def test_a_signal_that_comes_before_its_run_starts_is_kept(site: Site, language: str) -> None:
    asking(site, language, suspend=True)
    site.pass_()

    said = site.cli.run("signal", "run/asked", "answer", "-d", "1").stdout
    asking(site, language, suspend=False)
    site.finish()

    assert said == "signal answer is kept until there is an inbox of run/asked\n"
    assert site.status("asked")["output"] == [1]


@languages
def test_signals_come_in_the_order_in_which_they_were_sent(site: Site, language: str) -> None:
    asking(site, language, times=5)
    site.pass_("--until", "parked")

    for number in range(5):
        site.cli.run("signal", "asked", "answer", "--data", str(number))
    site.cli.run("wait", "asked")

    assert site.status("asked")["output"] == [0, 1, 2, 3, 4]


def test_a_signal_with_an_id_is_sent_once(site: Site) -> None:
    asking(site, "python", times=2)
    site.pass_("--until", "parked")

    site.cli.run("signal", "asked", "answer", "--data", "1", "--id", "mail-7")
    again = site.cli.run("signal", "asked", "answer", "--data", "1", "--id", "mail-7").stdout
    site.cli.run("signal", "asked", "answer", "--data", "2")
    site.cli.run("wait", "asked")

    assert "was sent to run/asked before" in again
    assert site.status("asked")["output"] == [1, 2]


@languages
def test_a_manifest_sends_its_signal_once_and_a_change_of_it_is_rejected(site: Site, language: str) -> None:
    asking(site, language, times=2)
    site.pass_("--until", "parked")

    asking(site, language, times=2, signals={"answer": {"by": "ana"}})
    site.pass_("--until", "parked")
    asking(site, language, times=2, signals={"answer": {"by": "bob"}})
    rejected = site.plan()["rejected"]
    site.cli.run("signal", "asked", "answer", "--data", '"second"')
    site.cli.run("wait", "asked")

    assert [(notice["object"], notice["reason"]) for notice in rejected] == [("run/asked", "signal-sent")]
    assert site.status("asked")["output"] == [{"by": "ana"}, "second"]


@languages
def test_a_wait_that_times_out_gives_null_also_when_its_run_is_parked(site: Site, language: str) -> None:
    site.settings("park_after: 200ms\n" + QUICK)
    site.workflow("ask", *ASK[language])
    site.start("asked", "ask", input={"times": 1, "timeout": "1s"})

    site.finish()

    view = site.status("asked")
    assert (view["output"], view["claims"]) == ([None], 2)


@pytest.mark.parametrize("sender", TELL)
@languages
def test_a_workflow_sends_signals_to_another_run(site: Site, language: str, sender: str) -> None:
    asking(site, language, times=3)
    site.workflow("tell", *TELL[sender])
    site.start("teller", "tell", input={"run": "asked", "values": [1, {"two": 2}, None]})

    site.finish()

    assert site.status("asked")["output"] == [1, {"two": 2}, None]
    assert site.status("teller")["output"] == "told"
    assert [step["run"] for step in site.status("teller")["steps"]] == ["asked"] * 3


SCHEMA = {"signals": {"answer": {"schema": {"type": "object", "required": ["by"]}}}}


def test_who_sends_data_that_the_schema_refuses_gets_the_error_and_nothing_is_kept(site: Site) -> None:
    asking(site, "python", workflow=SCHEMA)
    site.workflow("tell", *TELL["python"])
    site.pass_("--until", "parked")

    by_command = site.cli.run("signal", "asked", "answer", "--data", "{}", expect=3).stderr
    site.start("teller", "tell", input={"run": "asked", "values": [17]})
    site.pass_("--until", "parked", expect=5)
    site.cli.run("signal", "asked", "answer", "--data", '{"by": "ana"}')
    site.cli.run("wait", "asked")

    told = site.status("teller")
    assert "signal 'answer' does not fit workflow 'ask'" in by_command
    assert (told["status"], told["error"]["name"]) == ("failed", "SignalError")
    assert "does not fit workflow 'ask'" in told["error"]["message"]
    assert site.status("asked")["output"] == [{"by": "ana"}]


def test_a_manifest_whose_signal_the_schema_refuses_is_invalid(site: Site) -> None:
    asking(site, "python", workflow=SCHEMA, signals={"answer": {}})

    assert "/spec/signals/answer" in site.cli.run("validate", "--json", str(site.folder), expect=3).stdout


def test_a_signal_to_a_run_that_is_not_there_or_has_ended_fails_at_the_sender(site: Site) -> None:
    site.settings(QUICK)
    site.workflow("tell", *TELL["python"])
    site.start("nowhere", "tell", input={"run": "ghost", "values": [1]})
    site.workflow("echo", "echo.py", "def workflow(input, ctx):\n    return input\n")
    site.start("over", "echo")
    site.finish(expect=5)
    site.start("late", "tell", input={"run": "over", "values": [1]})
    site.finish(expect=5)

    assert "there is no run 'ghost' here" in site.status("nowhere")["error"]["message"]
    assert "run 'over' has ended (completed)" in site.status("late")["error"]["message"]
    assert "has ended (completed): no signal reaches it" in site.cli.run("signal", "over", "x", expect=1).stderr


def test_a_signal_beside_a_long_sleep_makes_no_hot_loop(site: Site) -> None:
    site.settings("park_after: 100ms\n" + QUICK)
    code = """\
def workflow(input, ctx):
    return ctx.parallel(lambda: ctx.sleep("long", "30d"), lambda: ctx.wait_for_signal("answer"), lambda: ctx.wait_for_signal("second"))
"""
    site.workflow("both", "both.py", code)
    site.start("asked", "both")
    site.pass_("--until", "parked")

    site.cli.run("signal", "asked", "answer")
    site.pass_("--until", "parked")
    claims = site.status("asked")["claims"]
    for _ in range(3):
        site.pass_()

    assert claims == 2
    assert site.status("asked")["claims"] == 2


def test_a_signal_reaches_a_run_whose_worker_was_killed(site: Site) -> None:
    asking(site, "python")
    process = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    pid = eventually(lambda: next(iter(site.processes()), 0))
    eventually(lambda: site.reached("asked", "requested", kind="signal"))

    from tests.support.site import kill

    kill(pid)
    site.cli.run("signal", "asked", "answer", "--data", "7")
    assert process.wait(30) == 0
    process.communicate()

    assert site.status("asked")["output"] == [7]


def test_a_step_in_doubt_asks_a_person_and_goes_on_as_told(site: Site) -> None:
    site.settings(QUICK)
    code = """\
import os, signal

def pay(attempt):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"paid\\n")
    if not attempt.in_doubt:
        os.kill(os.getpid(), signal.SIGKILL)
    return "paid by " + str(attempt.attempt)

def workflow(input, ctx):
    return [ctx.step("pay", pay, on_in_doubt="ask"), ctx.step("refund", pay, on_in_doubt="ask")]
"""
    site.workflow("pay", "pay.py", code)
    site.start("bill", "pay")
    site.pass_("--until", "parked")
    asked = site.status("bill")

    wrong = site.cli.run("signal", "bill", "pay~in-doubt", "--data", '"maybe"', expect=64).stderr
    other = site.cli.run("signal", "bill", "refund~in-doubt", "--data", '"fail"', expect=1).stderr
    site.cli.run("signal", "bill", "pay~in-doubt", "--data", json.dumps({"result": "paid, says the bank"}))
    again = site.cli.run("signal", "bill", "pay~in-doubt", "--data", '"retry"', expect=None)
    site.pass_("--until", "parked")
    site.cli.run("signal", "bill", "refund~in-doubt", "--data", '"retry"')
    site.cli.run("wait", "bill")

    assert (asked["status"], asked["reason"]) == ("waiting", "in-doubt")
    assert "`ty-openworkflow signal bill 'pay~in-doubt' --data" in asked["metadata"]["message"]
    assert '"retry", "fail" or' in wrong
    assert "step 'refund' is not in doubt; pay is" in other
    assert site.status("bill")["output"] == ["paid, says the bank", "paid by 2"]
    assert site.effects() == ["paid"] * 3
    assert again.exit == 1 or "was sent to run/bill before" in again.stdout


def test_a_signal_to_a_run_that_has_ended_unseen_is_refused(site: Site) -> None:
    asking(site, "python")
    site.pass_()
    site.cli.run("signal", "asked", "answer", "--data", "1")
    eventually(lambda: site.reached("asked", "finished"))

    assert "has ended (completed): no signal reaches it" in site.cli.run("signal", "asked", "answer", "--data", "2", expect=1).stderr


@pytest.mark.parametrize("name", ["", "bad~name", "go#2", "a\tb", "x" * 201])
def test_names_that_no_code_can_wait_for_are_refused(site: Site, name: str) -> None:
    asking(site, "python")
    site.pass_("--until", "parked")

    assert "is no name of a signal" in site.cli.run("signal", "asked", name, expect=64).stderr


def test_data_beyond_the_limit_and_an_id_with_other_data_are_refused(site: Site) -> None:
    asking(site, "python", times=2)
    site.pass_("--until", "parked")
    large = site.home / "large.json"
    large.write_text(json.dumps("x" * (1 << 20)))

    assert "(limits.value)" in site.cli.run("signal", "asked", "answer", "--data-file", str(large), expect=1).stderr
    site.cli.run("signal", "asked", "answer", "--data", "1", "--id", "a")
    assert (
        "another signal was sent to run 'asked' with that id: answer 1"
        in site.cli.run("signal", "asked", "answer", "--data", "2", "--id", "a", expect=1).stderr
    )


def test_a_command_about_one_run_does_not_answer_for_others(site: Site) -> None:
    asking(site, "python", times=1)
    site.workflow("blocked", "blocked.py", 'def workflow(input, ctx):\n    ctx.run_workflow("never-there")\n')
    site.start("blocker", "blocked")
    site.pass_("--until", "parked", expect=None)

    site.cli.run("signal", "asked", "answer", expect=0)
    site.cli.run("wait", "asked", expect=0)
    site.cli.run("rerun", "asked", expect=0)
    site.cli.run("cancel", "asked", "--wait", expect=0)
    site.cli.run("cancel", "blocker", "--wait", expect=0)
