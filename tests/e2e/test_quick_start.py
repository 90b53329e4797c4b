"""The first minutes, word for word as they are documented: init, deploy, start, and a look at what came of it."""

import re
import stat
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.site import Site, eventually, need_node

GREETING = """\
async function workflow(input, { step, sleep }) {
  const greeting = await step("greet", () => `Hello, ${input.name}!`);
  await sleep("wait", 5000);
  return await step("complete", () => ({ message: greeting, timestamp: Date.now() }));
}
"""
PIPELINE = """\
def fetch_data(url):
    return {"url": url, "rows": [1, 2, 3]}

def transform(data):
    return {"url": data["url"], "sum": sum(data["rows"])}

def workflow(input, ctx):
    data = ctx.step("fetch-data", lambda: fetch_data(input["url"]))
    ctx.sleep("wait", 60)
    return ctx.step("process", lambda: transform(data))
"""
RUN_KEYS = {
    "id", "workflow_id", "status", "reason", "input", "output", "error", "steps", "attempt", "claims", "incarnation", "started_at", "completed_at",
    "conditions", "task_id", "metadata",
}  # fmt: skip
STEP_KEYS = {"name", "key", "kind", "status", "attempts", "output", "error", "started_at", "completed_at"}


def test_init_deploy_from_standard_input_start_and_look(site: Site) -> None:
    need_node()
    run = site.cli.run
    said = run("init").stdout
    settings = site.home / ".config" / "ty-openworkflow" / "config.yaml"

    run("deploy", "my-workflow", "-f", "-", input=GREETING)
    id_ = run("start", "my-workflow", "-i", '{"name":"World"}').stdout.strip()
    early = run("status", id_, "--json").json
    waited = run("wait", id_).stdout
    view = run("status", id_, "--json").json

    assert str(settings) in said
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert early["status"] in ("running", "sleeping")
    assert "completed" in waited
    check_greeting(site, view, id_)
    assert f"run/{id_}  completed" in run("status", id_).stdout


def check_greeting(site: Site, view: dict[str, Any], id_: str) -> None:
    """Check one finished run of the greeting, by everything that shows it."""
    run = site.cli.run
    assert view.keys() >= RUN_KEYS
    assert all(step.keys() >= STEP_KEYS for step in view["steps"])
    assert (view["id"], view["workflow_id"], view["status"], view["input"]) == (id_, "my-workflow", "completed", {"name": "World"})
    assert view["output"]["message"] == "Hello, World!"
    assert [(step["name"], step["kind"], step["status"]) for step in view["steps"]] == [
        ("greet", "step", "completed"), ("wait", "sleep", "completed"), ("complete", "step", "completed"),
    ]  # fmt: skip
    took = datetime.fromisoformat(view["completed_at"]) - datetime.fromisoformat(view["started_at"])
    assert timedelta(seconds=5) <= took < timedelta(seconds=15)
    assert [(item["type"], item["status"]) for item in view["conditions"]] == [("Succeeded", "True"), ("Synced", "True")]
    (listed,) = run("list", "runs", "-w", "my-workflow", "-s", "completed", "-n", "5", "--json").json
    assert listed == view
    assert run("list", "runs", "-w", "other", "--json").json == []
    assert run("list", "runs", "-s", "failed", "--json").json == []
    assert "my-workflow" in run("list", "workflows").stdout
    (workflow,) = run("list", "workflows", "--json").json
    assert (workflow["id"], workflow["runtime"], workflow["adapter"], workflow["runs"]) == ("my-workflow", "node", "exec", 1)


@pytest.fixture
def greeter(site: Site) -> Site:
    """Have `my-workflow` deployed from a file, with all its flags."""
    need_node()
    site.write("greet.js", GREETING.replace("5000", '"90s"'))
    site.cli.run(
        "deploy", "my-workflow", "-f", "greet.js", "-a", "exec", "--name", "Greeter", "--description", "Says hello", "--version", "1.0.0",
        "--runtime", "node",
    )  # fmt: skip
    return site


def test_deploy_from_a_file_with_its_flags_is_what_list_and_status_show(greeter: Site) -> None:
    (view,) = greeter.cli.run("list", "workflows", "--json").json
    shown = greeter.cli.run("status", "workflow/my-workflow").stdout

    assert {name: view[name] for name in ("id", "title", "description", "version", "runtime", "adapter", "status")} == {
        "id": "my-workflow", "title": "Greeter", "description": "Says hello", "version": "1.0.0", "runtime": "node", "adapter": "exec", "status": "deployed",
    }  # fmt: skip
    for word in ("Greeter", "Says hello", "1.0.0", "node on exec"):
        assert word in shown


def test_deploying_again_changes_nothing_unless_the_code_did(greeter: Site) -> None:
    (before,) = greeter.cli.run("list", "workflows", "--json").json

    greeter.cli.run("deploy", "my-workflow", "-f", "greet.js", "-a", "exec", "--name", "Greeter", "--description", "Says hello", "--version", "1.0.0")
    (same,) = greeter.cli.run("list", "workflows", "--json").json
    greeter.write("greet.js", GREETING)
    greeter.cli.run("deploy", "my-workflow", "-f", "greet.js")
    (other,) = greeter.cli.run("list", "workflows", "--json").json

    assert same["revision"] == before["revision"]
    assert other["revision"] != before["revision"]


def test_cancel_and_delete_leave_nothing_running_and_keep_the_history(greeter: Site) -> None:
    run = greeter.cli.run
    id_ = run("start", "my-workflow", "-i", '{"name":"World"}').stdout.strip()
    eventually(lambda: greeter.reached(id_, "completed", key="greet"))

    canceled = run("cancel", id_, "--wait").stdout
    deleted = run("delete", "workflow/my-workflow").stdout

    assert f"run/{id_} is canceled" in canceled
    assert "deleted workflow/my-workflow" in deleted
    assert run("list", "workflows", "--json").json == []
    assert run("status", id_, "--json").json["status"] == "canceled"
    assert greeter.processes() == {}
    assert list((greeter.data / "manifests").rglob("workflow.yaml")) == []


def test_delete_of_a_run_cancels_it_and_delete_all_empties_the_local_folder(greeter: Site) -> None:
    run = greeter.cli.run
    first, second = (run("start", "my-workflow", "-i", '{"name":"World"}').stdout.strip() for _ in range(2))

    run("delete", f"run/{first}", expect=None)
    run("wait", first, expect=5)
    run("delete", "--all", "--yes", "--keep-history")

    assert greeter.statuses() == {first: "canceled", second: "canceled"}
    assert run("list", "workflows", "--json").json == []
    assert list((greeter.data / "manifests").rglob("*.yaml")) == []


def test_logs_shows_what_the_code_printed(site: Site) -> None:
    need_node()
    site.cli.run("deploy", "loud", "-f", "-", input='async function workflow(input) {\n  console.log("hello", input);\n  console.error("oh");\n}\n')

    id_ = site.cli.run("start", "loud", "-i", "1", "--wait", "--as", "says").stdout
    shown = site.cli.run("logs", "says").stdout

    assert "says" in id_
    assert shown.splitlines() == ["hello 1", "oh"]


def pipeline(site: Site, seconds: int) -> dict[str, Any]:
    """Deploy the documented Python example from a file, start it, and return its view once it has ended."""
    site.write("pipeline.py", PIPELINE.replace('"wait", 60', f'"wait", {seconds}'))
    site.cli.run("deploy", "pipeline", "-f", "pipeline.py")
    id_ = site.cli.run("start", "pipeline", "-i", '{"url":"https://example.test/data"}', "--no-follow").stdout.strip()
    assert site.processes(workers_only=False).keys() == site.processes().keys()  # a worker, and nothing that looks after it
    eventually(lambda: site.reached(id_, "finished"), seconds + 20)  # no command runs, and no loop: the worker does it alone
    view: dict[str, Any] = site.cli.run("status", id_, "--json").json
    return view


def check_pipeline(view: dict[str, Any], seconds: int) -> None:
    slept = next(step for step in view["steps"] if step["key"] == "wait")
    assert view["status"] == "completed"
    assert view["output"] == {"url": "https://example.test/data", "sum": 6}
    assert [step["key"] for step in view["steps"]] == ["fetch-data", "wait", "process"]
    took = datetime.fromisoformat(slept["completed_at"]) - datetime.fromisoformat(slept["started_at"])
    assert timedelta(seconds=seconds) <= took < timedelta(seconds=seconds + 5)


def test_the_python_example_completes_without_a_loop(site: Site) -> None:
    check_pipeline(pipeline(site, 1), 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_python_example_sleeps_its_60_seconds_without_a_loop(site: Site) -> None:
    check_pipeline(pipeline(site, 60), 60)


@pytest.mark.parametrize("lineage", ["3079855264164396", "12345678e9012345", "0000000000000000"])
def test_a_lineage_that_looks_like_a_number_is_text(site: Site, lineage: str) -> None:
    program = f"import secrets; secrets.token_hex = lambda size: {lineage!r}; from reconciler.cli import main; main()"
    replace(site.cli, command=(sys.executable, "-c", program)).run("init", "shop")

    assert "0 errors" in site.cli.run("validate", "shop").stdout


def test_init_of_a_folder_makes_a_project_that_runs_and_a_second_init_says_so(site: Site) -> None:
    need_node()
    shop = site.folder / "shop"

    site.cli.run("init", "shop")
    lineage = re.search(r'lineage: "([0-9a-f]{16})"', (shop / "ty-openworkflow.yaml").read_text())
    again = site.cli.run("init", "shop", expect=1).stderr
    site.cli.run("reconcile", "--once", "--wait", "shop")

    assert lineage is not None
    assert "is there already" in again
    view = site.status("hello-world")
    assert (view["status"], view["output"]) == ("completed", {"message": "Hello, World!"})
    assert view["metadata"]["project"] == "shop"
