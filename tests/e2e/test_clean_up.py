"""What a run did is undone when it fails or is canceled: compensations, last first, and the function for a cancel, also after a death."""

from typing import Any

import pytest

from tests.support.site import Site, eventually, kill

QUICK = "adapters: {exec: {linger: 50ms}}\n"
SHORT: dict[str, Any] = {"cancel": {"grace": "300ms", "cleanup": "20s"}}
TRIP = {
    "python": (
        "trip.py",
        """\
import os, time

def note(text):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def book(name):
    def do():
        note("book " + name)
        return "ticket for " + name
    return do

def undo(name, slow):
    def do(result):
        note(f"undo {result}")
        if slow and not os.path.exists(os.environ["GATE"]):
            open(os.environ["GATE"], "w").close()
            time.sleep(600)
    return do

def workflow(input, ctx):
    ctx.on_cancel(lambda: note("canceled"))
    for name in ("flight", "hotel", "car"):
        ctx.step(name, book(name), compensate=undo(name, input.get("slow")))
    if input.get("fail"):
        raise ctx.NonRetryableError("no visa")
    ctx.wait_for_signal("travel")
""",
    ),
    "node": (
        "trip.js",
        """\
const fs = require("node:fs");
const note = (text) => fs.appendFileSync(process.env.EFFECTS, text + "\\n");
async function workflow(input, { step, onCancel, waitForSignal, NonRetryableError }) {
  onCancel(() => note("canceled"));
  for (const name of ["flight", "hotel", "car"]) {
    const book = () => {
      note("book " + name);
      return "ticket for " + name;
    };
    const undo = async (result) => {
      note("undo " + result);
      if (input.slow && !fs.existsSync(process.env.GATE)) {
        fs.writeFileSync(process.env.GATE, "");
        await new Promise((done) => setTimeout(done, 600000));
      }
    };
    await step(name, book, { compensate: undo });
  }
  if (input.fail) throw new NonRetryableError("no visa");
  await waitForSignal("travel");
}
""",
    ),
}
BOOKED = ["book flight", "book hotel", "book car"]
UNDONE = ["undo ticket for car", "undo ticket for hotel", "undo ticket for flight"]
languages = pytest.mark.parametrize("language", TRIP)


def trip(site: Site, language: str, **input: object) -> None:
    """Declare a trip whose bookings can be undone."""
    site.settings(QUICK)
    site.workflow("trip", *TRIP[language], env={"GATE": {"value": str(site.home / "slow")}}, **SHORT)
    site.start("tour", "trip", input=input)


def ends(site: Site) -> list[str]:
    """Return the ends that the journal of the run holds."""
    return [record["status"] for record in site.journal("tour") if record["type"] == "finished"]


@languages
def test_a_run_that_fails_undoes_what_it_did_last_first(site: Site, language: str) -> None:
    trip(site, language, fail=True)

    site.finish(expect=5)

    view = site.status("tour")
    assert site.effects() == BOOKED + UNDONE
    assert (view["status"], view["error"]["message"]) == ("failed", "no visa")
    assert [step["key"] for step in view["steps"] if step["kind"] == "clean-up"] == ["car~compensate", "hotel~compensate", "flight~compensate"]
    assert ends(site) == ["failed"]


@languages
def test_a_run_that_is_canceled_in_its_worker_undoes_what_it_did(site: Site, language: str) -> None:
    site.settings("adapters: {exec: {linger: 60s}}\n")
    site.workflow("trip", *TRIP[language], env={"GATE": {"value": str(site.home / "slow")}}, **SHORT)
    site.start("tour", "trip", input={})
    site.pass_()
    eventually(lambda: site.reached("tour", "requested", kind="signal"))

    site.cli.run("cancel", "tour", "--wait")

    assert site.effects() == [*BOOKED, "canceled", *UNDONE]
    assert ends(site) == ["canceled"]
    assert site.processes() == {}


@languages
def test_a_parked_run_that_is_canceled_gets_a_worker_that_undoes_what_it_did(site: Site, language: str) -> None:
    trip(site, language)
    site.pass_("--until", "parked")

    site.cli.run("cancel", "tour", "--wait", "--reason", "rain")

    assert site.effects() == [*BOOKED, "canceled", *UNDONE]
    assert ends(site) == ["canceled"]
    assert site.journal("tour")[-1]["reason"] == "rain"
    assert site.plan()["changes"] == []


@pytest.mark.parametrize("how", ["fail", "cancel"])
@languages
def test_a_worker_that_dies_while_it_undoes_is_followed_by_one_that_goes_on_there(site: Site, language: str, how: str) -> None:
    trip(site, language, slow=True, fail=how == "fail")
    if how == "cancel":
        site.pass_("--until", "parked")
        process = site.spawn("cancel", "tour", "--wait")
    else:
        process = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    eventually(lambda: (site.home / "slow").exists() and site.reached("tour", "requested", kind="clean-up"))

    for pid in site.processes():
        kill(pid)
    process.wait(60)
    process.communicate()

    extra = ["canceled"] if how == "cancel" else []
    assert site.effects() == [*BOOKED, *extra, UNDONE[0], *UNDONE]
    assert ends(site) == ["canceled" if how == "cancel" else "failed"]
    undone = [record["key"] for record in site.journal("tour") if record["type"] == "completed" and record["key"].endswith("~compensate")]
    assert undone == ["car~compensate", "hotel~compensate", "flight~compensate"]


@languages
def test_a_clean_up_that_takes_too_long_is_given_up_and_the_tree_is_gone(site: Site, language: str) -> None:
    site.settings(QUICK)
    spec: dict[str, Any] = {"cancel": {"grace": "100ms", "cleanup": "500ms"}}
    site.workflow("trip", *TRIP[language], env={"GATE": {"value": str(site.home / "slow")}}, **spec)
    site.start("tour", "trip", input={"slow": True})
    site.pass_("--until", "parked")

    site.cli.run("cancel", "tour", "--wait", "--timeout", "30s")

    assert ends(site) == ["canceled"]
    assert any("clean-up did not end within 500 ms" in warning for warning in site.status("tour")["metadata"]["warnings"])
    assert site.processes() == {}


@languages
def test_a_run_whose_time_is_over_while_it_is_parked_undoes_what_it_did(site: Site, language: str) -> None:
    site.settings(QUICK)
    site.workflow("trip", *TRIP[language], env={"GATE": {"value": str(site.home / "slow")}}, timeout="1500ms", **SHORT)
    site.start("tour", "trip", input={})

    site.finish(expect=5)

    view = site.status("tour")
    assert site.effects() == BOOKED + UNDONE
    assert (view["status"], view["reason"], view["error"]["name"]) == ("failed", "timeout", "TimeoutError")


def test_a_retry_does_again_what_was_undone_under_new_keys(site: Site) -> None:
    code = """\
import os

def note(text):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def workflow(input, ctx):
    ctx.step("look", lambda: note("look"))
    ctx.step("charge", lambda t: note("charge " + t.key), compensate=lambda result: note("refund"))
    if ctx.run.incarnation == 1:
        raise ctx.NonRetryableError("no stock")
    return "done"
"""
    site.workflow("order", "order.py", code)
    site.start("job", "order")
    site.finish(expect=5)

    site.cli.run("retry", "job", "--wait")

    look, first, refund, second = site.effects()
    assert (look, refund) == ("look", "refund")
    assert first.startswith("charge ")
    assert second.startswith("charge ")
    assert first != second
    assert site.status("job")["output"] == "done"


NEIGHBOURS = """\
import subprocess, time

def hold(attempt):
    if not attempt.signal.wait(60):
        return "went on"

def workflow(input, ctx):
    if input == "bad":
        ctx.step("daemon", lambda: subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
        ctx.step("deaf", lambda: time.sleep(600))
    for n in range(3):
        ctx.step(f"short-{n}", lambda: time.sleep(0.2))
    ctx.wait_for_signal("end")
    return "ended"
"""


def test_the_neighbours_of_a_run_that_must_be_killed_go_on_elsewhere(site: Site) -> None:
    site.settings("adapters: {exec: {runs_per_worker: 4, linger: 60s}}\n")
    spec: dict[str, Any] = {"cancel": {"grace": "300ms", "cleanup": "300ms"}}
    site.workflow("shared", "shared.py", NEIGHBOURS, **spec)
    for name, value in (("bad", "bad"), ("good-1", 1), ("good-2", 2)):
        site.start(name, "shared", input=value)
    site.pass_()
    eventually(
        lambda: (
            site.reached("bad", "requested", key="deaf")
            and len({record["worker"] for run in site.journals() for record in site.journal(run) if record["type"] == "claim"}) == 1
        )
    )

    site.cli.run("cancel", "bad", "--wait", "--timeout", "30s")
    for run in ("good-1", "good-2"):
        site.cli.run("signal", run, "end")
    site.finish(expect=None)

    assert site.status("bad")["status"] == "canceled"
    for run in ("good-1", "good-2"):
        view = site.status(run)
        assert (view["status"], view["output"]) == ("completed", "ended")
        assert [step["attempts"] for step in view["steps"] if step["kind"] == "step"] == [1, 1, 1], "no recorded step was run again"
        released = [record["reason"] for record in site.journal(run) if record["type"] == "released"]
        assert released in ([], ["handed-over"])
    eventually(lambda: not [pid for pid in site.processes() if _is_sleep(pid)])


def _is_sleep(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip() == "sleep"
    except OSError:
        return False


BLOCK = {
    "node": (
        "block.js",
        "async function workflow(input, { step }) {\n  await step('block', () => { for (;;); }, { timeout: 500, retry: { maxAttempts: 1 } });\n}\n",
    ),
    # A function in C that keeps the interpreter's lock: no thread of this process runs any more.
    "python": (
        "block.py",
        "import ctypes\n\ndef workflow(input, ctx):\n    ctx.step('block', lambda: ctypes.PyDLL(None).sleep(600), timeout='500ms', retry={'max_attempts': 1})\n",
    ),
}


@languages
def test_a_step_that_blocks_the_event_loop_or_the_interpreter_is_ended_by_replacing_its_worker(site: Site, language: str) -> None:
    site.settings(QUICK)
    site.workflow("block", *BLOCK[language])
    site.start("stuck", "block")

    site.finish("--timeout", "30s", expect=5)

    view = site.status("stuck")
    assert (view["status"], view["error"]["name"]) == ("failed", "CrashError")
    assert view["steps"][0]["attempts"] == 1
    assert site.processes() == {}
