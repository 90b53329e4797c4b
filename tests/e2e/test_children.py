"""Children: runs that a workflow starts, once, however often it is replayed; their results, failures and cancels."""

import pytest

from tests.support.site import Site, eventually, kill

QUICK = "adapters: {exec: {linger: 50ms}}\n"
PARENT = {
    "python": (
        "parent.py",
        """\
def workflow(input, ctx):
    try:
        value = ctx.run_workflow("kid", input, **{"timeout": input["timeout"]} if "timeout" in input else {})
    except Exception as error:
        return {"name": getattr(error, "name", type(error).__name__), "message": str(error)}
    return ctx.step("after", lambda: {"child said": value})
""",
    ),
    "node": (
        "parent.js",
        """\
async function workflow(input, { runWorkflow, step }) {
  let value;
  try {
    value = await runWorkflow("kid", input, { timeout: input.timeout });
  } catch (error) {
    return { name: error.name, message: error.message };
  }
  return await step("after", () => ({ "child said": value }));
}
""",
    ),
}
KID = """\
import time

def workflow(input, ctx):
    if input.get("fail"):
        raise ctx.NonRetryableError("no luck")
    if input.get("nap"):
        ctx.sleep("nap", input["nap"])
    if input.get("wait"):
        ctx.wait_for_signal(input["wait"])
    return ctx.step("work", lambda: input["value"] * 2)
"""
languages = pytest.mark.parametrize("language", PARENT)


def family(site: Site, language: str, **child: object) -> None:
    """Declare a parent with one child."""
    site.settings(QUICK)
    site.workflow("kid", "kid.py", KID)
    site.workflow("parent", *PARENT[language])
    site.start("mother", "parent", input=child)


def child_of(site: Site, run: str) -> str:
    """Return the name of the only child of a run."""
    (name,) = [step["run"] for step in site.status(run)["steps"] if step["kind"] == "child"]
    return str(name)


@languages
def test_the_output_of_a_child_comes_back(site: Site, language: str) -> None:
    family(site, language, value=21)

    site.finish()

    child = site.status(child_of(site, "mother"))
    assert site.status("mother")["output"] == {"child said": 42}
    assert child["id"].startswith("mother-kid-")
    assert (child["status"], child["metadata"]["parent"], child["metadata"]["owner"]) == ("completed", "mother", "run/mother")
    assert site.plan()["changes"] == []


@languages
def test_the_failure_of_a_child_comes_back(site: Site, language: str) -> None:
    family(site, language, fail=True)

    site.finish(expect=None)

    output = site.status("mother")["output"]
    assert output["name"] == "ChildError"
    assert output["message"] == f"run {child_of(site, 'mother')} of workflow kid failed: no luck"


@languages
def test_a_child_that_is_canceled_fails_its_call(site: Site, language: str) -> None:
    family(site, language, nap="30d")
    site.pass_("--until", "parked")
    child = child_of(site, "mother")

    site.cli.run("cancel", child, "--reason", "not today")
    site.cli.run("wait", "mother")

    assert site.status("mother")["output"] == {"name": "ChildError", "message": f"run {child} of workflow kid canceled: not today"}


@languages
def test_a_child_that_takes_too_long_is_left_alone(site: Site, language: str) -> None:
    family(site, language, value=1, wait="go", timeout="3s")
    site.cli.run("reconcile", "--once", str(site.folder))

    site.cli.run("wait", "mother")
    output = site.status("mother")["output"]
    child = child_of(site, "mother")
    site.cli.run("signal", child, "go")
    site.cli.run("wait", child)

    assert output == {"name": "TimeoutError", "message": 'child "kid" did not end within its timeout'}
    assert site.status(child)["status"] == "completed"
    assert site.status("mother")["output"] == output


@languages
def test_a_parent_that_is_killed_again_and_again_starts_its_child_once(site: Site, language: str) -> None:
    family(site, language, value=21, nap="700ms")
    process = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    for _ in range(2):
        eventually(lambda: site.journal("mother")[-1:] and site.journal("mother")[-1]["type"] not in ("order", "claim"))
        worker = next(record["worker"] for record in reversed(site.journal("mother")) if record["type"] == "claim")
        for pid, mark in site.processes().items():
            if mark == worker:
                kill(pid)
    assert process.wait(60) == 0
    process.communicate()

    children = [run for run in site.statuses() if run.startswith("mother-kid-")]
    assert children == [child_of(site, "mother")]
    assert site.status("mother")["output"] == {"child said": 42}


def test_an_input_that_the_childs_schema_refuses_fails_the_call_and_starts_nothing(site: Site) -> None:
    family(site, "python", value=1)
    site.workflow("kid", "kid.py", KID, input={"schema": {"type": "object", "required": ["colour"]}})

    site.finish()

    output = site.status("mother")["output"]
    assert output["name"] == "RefusedError"
    assert "the input does not fit workflow 'kid'" in output["message"]
    assert list(site.statuses()) == ["mother"]


def test_a_child_whose_workflow_is_not_there_yet_waits_for_it(site: Site) -> None:
    site.settings(QUICK)
    site.workflow("parent", *PARENT["python"])
    site.start("mother", "parent", input={"value": 2})
    shown = site.pass_("--until", "parked", expect=None)
    held = site.pass_(expect=1).stdout

    site.workflow("kid", "kid.py", KID)
    site.finish()

    assert shown.exit in (0, 1)
    assert "its call 'kid' waits for workflow 'kid', which is not deployed" in held
    assert site.status("mother")["output"] == {"child said": 4}


@pytest.mark.parametrize(("policy", "status"), [("cancel", "canceled"), ("finish", "completed")])
def test_a_cancel_cascades_by_policy(site: Site, policy: str, status: str) -> None:
    site.settings(QUICK)
    site.workflow("kid", "kid.py", KID)
    site.workflow("parent", "parent.py", f'def workflow(input, ctx):\n    return ctx.run_workflow("kid", input, on_cancel="{policy}")\n')
    site.start("mother", "parent", input={"value": 1, "nap": "1500ms"})
    site.pass_()
    eventually(lambda: site.reached("mother", "requested", kind="child"))
    site.pass_()
    child = child_of(site, "mother")

    site.cli.run("cancel", "mother", "--wait")
    site.cli.run("wait", child, expect=None)

    assert site.status("mother")["status"] == "canceled"
    assert site.status(child)["status"] == status


def test_a_canceled_grandmother_takes_everybody_along(site: Site) -> None:
    site.settings(QUICK)
    site.workflow("kid", "kid.py", KID)
    site.workflow("mother", "mother.py", 'def workflow(input, ctx):\n    return ctx.run_workflow("kid", input)\n')
    site.workflow("granny", "granny.py", 'def workflow(input, ctx):\n    return ctx.run_workflow("mother", input)\n')
    site.start("eve", "granny", input={"value": 1, "nap": "30d"})
    site.pass_("--until", "parked")

    site.cli.run("cancel", "eve", "--wait")
    site.finish(expect=None)

    assert set(site.statuses().values()) == {"canceled"}
    assert len(site.statuses()) == 3


@languages
def test_a_failed_attempt_of_the_body_makes_a_failed_child_anew_and_keeps_one_that_completed(site: Site, language: str) -> None:
    parents = {
        "python": (
            "parent.py",
            """\
def workflow(input, ctx):
    good = ctx.run_workflow("kid", {"value": 1}, name="good")
    return [good, ctx.run_workflow("flaky", None)]
""",
        ),
        "node": (
            "parent.js",
            """\
async function workflow(input, { runWorkflow }) {
  const good = await runWorkflow("kid", { value: 1 }, { name: "good" });
  return [good, await runWorkflow("flaky")];
}
""",
        ),
    }
    flaky = """\
import os

def workflow(input, ctx):
    if ctx.run.incarnation == 1:
        raise ctx.NonRetryableError("the first one fails")
    return "at last"
"""
    site.settings(QUICK)
    site.workflow("kid", "kid.py", KID)
    site.workflow("flaky", "flaky.py", flaky)
    site.workflow("parent", *parents[language], retry={"maxAttempts": 2, "initialInterval": "10ms"})
    site.start("mother", "parent")

    site.finish(expect=None)

    view = site.status("mother")
    assert (view["output"], view["attempt"]) == ([2, "at last"], 2)
    flaky_run = next(step["run"] for step in view["steps"] if step["key"] == "flaky")
    assert site.status(flaky_run)["incarnation"] == 2
    assert sum(run.startswith("mother-good-") for run in site.statuses()) == 1


def test_three_hundred_children_at_once(site: Site) -> None:
    site.settings("adapters: {exec: {linger: 200ms, runs_per_worker: 16}}\n")
    site.workflow("kid", "kid.py", KID)
    code = """\
def workflow(input, ctx):
    kids = [lambda n=n: ctx.run_workflow("kid", {"value": n}) for n in range(300)]
    return sum(ctx.parallel(kids))
"""
    site.workflow("parent", "parent.py", code)
    site.start("mother", "parent")

    site.finish("--timeout", "80s")

    assert site.status("mother")["output"] == sum(2 * n for n in range(300))
    assert len(site.statuses()) == 301


def test_a_name_that_no_workflow_can_have_fails_the_call(site: Site) -> None:
    site.settings(QUICK)
    site.workflow("parent", "parent.py", 'def workflow(input, ctx):\n    return ctx.run_workflow("Bad Name")\n')
    site.start("mother", "parent")

    site.finish(expect=5)

    error = site.status("mother")["error"]
    assert (error["name"], "no workflow can be named 'Bad Name'" in error["message"]) == ("RefusedError", True)


def test_who_waits_for_a_child_without_a_workflow_is_told(site: Site) -> None:
    site.settings(QUICK)
    site.workflow("parent", "parent.py", 'def workflow(input, ctx):\n    return ctx.run_workflow("later")\n')
    site.start("mother", "parent")
    site.pass_()

    told = site.cli.run("wait", "mother", "--timeout", "2s", expect=None)

    assert "waits for workflow 'later', which is not deployed" in told.stderr
    assert "waits for a signal, a child or a person" in told.stderr
