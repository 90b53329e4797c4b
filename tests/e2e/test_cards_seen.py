"""What the command line tells of cards: plans, statuses, events, and a pipeline that waits for a run."""

import subprocess
from typing import Any

import pytest

from tests.e2e.test_output_schemas import check
from tests.support.cli import CHECKOUT, clean_environment
from tests.support.site import Site
from tests.support.taskyou import faults
from tests.support.taskyou.board import Board

CODE = """\
def workflow(input, ctx):
    if input == "bad":
        ctx.step("charge", lambda: 1 / 0, retry={"max_attempts": 1})
    return {"greeting": input}
"""


@pytest.fixture(autouse=True)
def _declared(site: Site, board: Board) -> None:
    site.settings("poll_interval: 1h\n")
    site.workflow("echo", "echo.py", CODE)


def tasks(plan: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(change["name"], change["action"], change["reason"]) for change in plan["changes"] if change["kind"] == "task"]


def synced(view: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in view["conditions"] if one["type"] == "TaskSynced"]


def test_a_plan_shows_cards_that_will_be_made_and_links_and_writes_nothing(site: Site, board: Board) -> None:
    site.start("it", "echo", task={"title": "Ship it"})
    site.start("mine", "echo", task={"id": 7})
    site.start("none", "echo", task=False)

    plan, text = site.plan(), site.cli.run("plan", str(site.folder)).stdout

    check("plan", plan)
    assert tasks(plan) == [("run/it", "create", "'Ship it'"), ("run/mine", "link", "to task #7")]
    assert [change["source"]["file"] for change in plan["changes"] if change["kind"] == "task"] == ["it.yaml", "mine.yaml"]
    assert "+ task/run/it    create  'Ship it'" in text
    assert [call.argv for call in board.calls() if call.argv != ("--version",)] == []
    assert board.tasks() == []


def test_a_plan_shows_the_cards_that_are_behind_and_a_pass_brings_them_up_to_date(site: Site, board: Board) -> None:
    site.start("it", "echo", input="bad")
    board.set_fault(faults.locked(0.1).on("status"))
    site.finish(expect=5)

    plan = site.plan()
    check("plan", plan)
    assert tasks(plan) in ([], [("run/it", "move", "task #1: blocked")])  # none while it is left alone for a moment
    board.clear_faults()
    site.pass_(expect=None)

    assert board.task(1).status == "blocked"
    assert site.plan()["changes"] == []


def test_a_run_tells_of_its_card_and_of_trouble_with_it(site: Site, board: Board) -> None:
    board.set_fault(faults.locked(0.1).on("create"))
    site.start("it", "echo", task=True)
    site.finish()

    view, screen = site.status("it"), site.cli.run("status", "--json").json
    check("status", view)
    check("overview", screen)
    [trouble] = synced(view)
    assert (view["status"], view["task_id"], trouble["status"], trouble["reason"]) == ("completed", None, "False", "task-not-synced")
    assert "locked" in trouble["message"]
    assert "! TaskSynced=False  task-not-synced" in site.cli.run("status", "it").stdout
    assert (screen["attention"], [(one["object"], one["reason"]) for one in screen["retries"]]) == ([], [("run/it", "task-not-synced")])
    assert "\n1 card in TaskYou is not as it should be: run/it  " in site.cli.run("status").stdout

    board.clear_faults()
    site.pass_()
    view = site.status("it")
    assert (view["task_id"], synced(view)) == (1, [])
    assert site.cli.run("status", "--json").json["retries"] == []
    assert "task        #1 in TaskYou" in site.cli.run("status", "it").stdout
    told = [(one["reason"], one["message"]) for one in site.cli.run("events", "run/it", "--json").json]
    assert ("task-created", "task #1: echo: it") in told
    assert ("resolved", "was task-not-synced") in told


def test_a_program_that_is_not_taskyou_is_told_where_somebody_asked(site: Site, board: Board) -> None:
    board.set_fault(faults.wrong_program())
    site.start("asked", "echo", task=True)
    site.start("plain", "echo")
    site.finish()

    assert set(site.statuses().values()) == {"completed"}
    assert synced(site.status("plain")) == []
    [trouble] = synced(site.status("asked"))
    assert "TaskYou" in trouble["message"]


@pytest.mark.parametrize(
    ("value", "code", "ends"),
    [
        ('"hello"', 0, 'run/check  completed: {"greeting":"hello"}'),
        ('"bad"', 5, "run/check  failed: in step charge: ZeroDivisionError: division by zero"),
    ],
)
def test_a_pipeline_step_verifies_by_a_run(site: Site, board: Board, value: str, code: int, ends: str) -> None:
    """As TaskYou runs `verify:`, with `sh -c` in the worktree; the end of what was said is fed back to the agent."""
    site.pass_()
    command = " ".join([*site.cli.command, "--data-dir", str(site.data), "start", "echo", "--as", "check", "-i", f"'{value}'", "--wait"])
    environment = clean_environment(site.home, **site.cli.env, WORKTREE_TASK_ID="1", PYTHONPATH=str(CHECKOUT))
    done = subprocess.run(["sh", "-c", command], cwd=site.folder, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == code, done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    assert lines[-1] == ends
    assert len(done.stdout + done.stderr) < 4000
    assert site.status("check")["task_id"] == 1
    assert board.tasks() == []
