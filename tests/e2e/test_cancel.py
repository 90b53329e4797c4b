"""Cancel, by command, by manifest and by removing the manifest: nothing starts after it, and nothing is left."""

from typing import Any

import pytest

from tests.support.site import Site, eventually

BUSY = {
    "python": (
        "busy.py",
        """\
import os, time

def work(step):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (step.key.partition("/")[2] + "\\n").encode())
    os.close(fd)
    step.signal.wait(0.02)

def workflow(input, ctx):
    for n in range(20_000):
        try:
            ctx.step(f"step-{n}", work)
        except Exception:
            pass
""",
    ),
    "node": (
        "busy.js",
        """\
const fs = require("node:fs");
async function work({ key }) {
  fs.appendFileSync(process.env.EFFECTS, key.split("/")[1] + "\\n");
  await new Promise((done) => setTimeout(done, 20));
}
async function workflow(input, { step }) {
  for (let n = 0; n < 20000; n++) {
    try {
      await step(`step-${n}`, work);
    } catch {}
  }
}
""",
    ),
}
STUBBORN = """\
import subprocess, time

def work():
    subprocess.Popen(["sleep", "600"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    {then}

def workflow(input, ctx):
    ctx.step("work", work)
    ctx.sleep("wait", "90s")
"""
SHORT: dict[str, Any] = {"cancel": {"grace": "200ms", "cleanup": "100ms"}}
NAP = 'def workflow(input, ctx):\n    ctx.sleep("nap", "30d")\n'


def busy(site: Site, language: str = "python") -> None:
    """Have a run that makes one step after another."""
    site.workflow("busy", *BUSY[language], **SHORT)
    site.start("long", "busy")
    site.pass_()
    eventually(lambda: len(site.effects()) > 2)


def check_canceled(site: Site, run: str) -> None:
    """Check that a run ended as canceled, once, and that nothing is left of it."""
    records = site.journal(run)
    assert [record["status"] for record in records if record["type"] == "finished"] == ["canceled"]
    assert site.status(run)["status"] == "canceled"
    assert site.processes() == {}
    assert site.plan()["changes"] == []


@pytest.mark.parametrize("language", BUSY)
def test_I16_after_a_cancel_no_step_starts_even_if_the_body_catches_everything(site: Site, language: str) -> None:
    busy(site, language)

    said = site.cli.run("cancel", "long", "--wait", "--reason", "enough").stdout

    records = site.journal("long")
    acknowledged = next(number for number, record in enumerate(records) if record["type"] == "canceling")
    asked = [record["key"] for record in records[:acknowledged] if record["type"] in ("requested", "started")]
    assert "run/long is canceled" in said
    assert set(site.effects()) <= set(asked)
    assert [record for record in records[acknowledged:] if record["type"] in ("requested", "started") and record.get("kind") == "step"] == []
    assert records[-1]["reason"] == "enough"
    check_canceled(site, "long")


def test_a_manifest_with_cancel_true_cancels_a_running_run(site: Site) -> None:
    busy(site)

    site.start("long", "busy", cancel=True)
    site.finish(expect=5)

    check_canceled(site, "long")


def test_a_manifest_that_is_removed_cancels_its_running_run(site: Site) -> None:
    busy(site)

    (site.folder / "long.yaml").unlink()
    site.pass_()
    site.cli.run("wait", "long", expect=5)

    check_canceled(site, "long")


def test_a_manifest_that_is_removed_with_on_delete_finish_lets_its_run_go_on(site: Site) -> None:
    site.workflow("busy", *BUSY["python"], **SHORT)
    site.start("long", "busy", onDelete="finish")
    site.pass_()
    eventually(lambda: len(site.effects()) > 2)

    (site.folder / "long.yaml").unlink()
    shown = site.pass_().stdout
    seen = len(site.effects())

    assert "No changes" in shown
    eventually(lambda: len(site.effects()) > seen + 2)


@pytest.mark.parametrize("how", ["command", "manifest"])
def test_a_parked_run_is_canceled_without_a_worker(site: Site, how: str) -> None:
    site.workflow("nap", "nap.py", NAP)
    site.start("long", "nap")
    site.pass_("--until", "parked")

    if how == "command":
        assert "run/long is canceled" in site.cli.run("cancel", "run/long").stdout
    else:
        site.start("long", "nap", cancel=True)
        site.pass_(expect=5)

    assert [record["worker"] for record in site.journal("long") if record["type"] == "claim"][-1] == "reconciler"
    check_canceled(site, "long")


@pytest.mark.parametrize("how", ["command", "manifest", "from the beginning"])
def test_a_pending_run_is_canceled_and_never_starts(site: Site, how: str) -> None:
    site.workflow("busy", *BUSY["python"])
    if how != "from the beginning":
        site.start("later", "busy", suspend=True)
        site.pass_()
    if how == "command":
        site.cli.run("cancel", "later")
    else:
        site.start("later", "busy", cancel=True)
        site.pass_(expect=5)
    site.start("later", "busy", cancel=how == "from the beginning")
    site.pass_(expect=None)

    assert site.effects() == []
    check_canceled(site, "later")


@pytest.mark.parametrize("then", ["pass", "time.sleep(600)"], ids=["waiting", "in a step that does not listen"])
def test_I16_after_a_cancel_its_whole_tree_is_gone_detached_children_too(site: Site, then: str) -> None:
    site.workflow("stubborn", "stubborn.py", STUBBORN.format(then=then), **SHORT)
    site.start("tree", "stubborn")
    site.pass_()
    eventually(lambda: len(site.processes()) == 2)

    site.cli.run("cancel", "tree", "--wait", "--timeout", "30s")

    check_canceled(site, "tree")


def test_a_run_that_has_ended_cannot_be_canceled_and_a_canceled_one_is_told_so(site: Site) -> None:
    site.workflow("echo", "echo.py", "def workflow(input, ctx):\n    return input\n")
    site.start("ended", "echo", input=1)
    site.start("never", "echo", suspend=True)
    site.pass_("--until", "parked")
    site.cli.run("cancel", "never")

    late = site.cli.run("cancel", "ended", expect=1).stderr
    again = site.cli.run("cancel", "never").stdout

    assert "has ended already (completed)" in late
    assert "canceled already" in again
    assert site.status("ended")["status"] == "completed"
