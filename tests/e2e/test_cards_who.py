"""Which runs have a card in TaskYou: decided once, when their incarnation is created."""

import json
from dataclasses import replace

import pytest

from tests.support.site import Site
from tests.support.taskyou.board import Board

CODE = """\
def workflow(input, ctx):
    if input == "bad":
        ctx.step("charge", lambda: 1 / 0, retry={"max_attempts": 1})
    if input == "family":
        ctx.run_workflow("echo", "child")
    return input
"""


@pytest.fixture(autouse=True)
def _declared(site: Site, board: Board) -> None:
    site.workflow("echo", "echo.py", CODE)


def titles(board: Board) -> list[str]:
    return sorted(task.title for task in board.tasks())


def agents_task(board: Board, *words: str) -> int:
    made: int = json.loads(board.person("create", "--json", "--project", "personal", "--type", "code", *words, "--", "An agent's").stdout)["id"]
    return made


@pytest.mark.parametrize(("setting", "cards"), [("true", ["echo: asked", "echo: plain", "A title"]), ("false", ["echo: asked", "A title"])])
def test_the_setting_says_whether_runs_have_a_card_and_manifests_say_otherwise(site: Site, board: Board, setting: str, cards: list[str]) -> None:
    site.settings(f"taskyou: {{auto_create_tasks: {setting}}}\n")
    site.start("plain", "echo")
    site.start("asked", "echo", task=True)
    site.start("titled", "echo", task={"title": "A title"})
    site.start("none", "echo", task=False)

    site.finish()

    assert titles(board) == sorted(cards)
    assert {task.status for task in board.tasks()} == {"done"}


def test_a_card_is_made_as_its_manifest_says(site: Site, board: Board) -> None:
    board.add_project("shop")
    waits = agents_task(board)
    task = {"title": "Ship it", "project": "shop", "type": "writing", "tags": ["web", "slow"], "pinned": True, "blocks": [waits]}
    site.start("ship", "echo", task=task, suspend=True)

    site.pass_()

    made = board.tasks()[1]
    assert (made.title, made.project, made.type, made.pinned, made.status) == ("Ship it", "shop", "writing", True, "backlog")
    assert made.tags.split(",")[2:] == ["web", "slow"]
    assert (board.task(waits).status, [(edge.blocker, edge.blocked) for edge in board.edges()]) == ("blocked", [(made.id, waits)])


def test_projects_of_the_settings_are_used_where_a_manifest_names_none(site: Site, board: Board) -> None:
    board.add_project("shop")
    site.settings("taskyou: {project: shop}\n")
    site.start("ship", "echo")
    site.finish()

    assert [task.project for task in board.tasks()] == ["shop"]


@pytest.mark.parametrize(
    ("words", "cards"),
    [((), ["echo: it"]), (("-t", "A title"), ["A title"]), (("--create-task",), ["echo: it"]), (("--no-task",), [])],
)
def test_start_says_whether_there_is_a_card(site: Site, board: Board, words: tuple[str, ...], cards: list[str]) -> None:
    site.pass_()
    site.cli.run("start", "echo", "--as", "it", "--wait", *words)

    assert titles(board) == cards


def test_start_asks_for_a_card_where_none_is_made_by_itself(site: Site, board: Board) -> None:
    site.settings("taskyou: {auto_create_tasks: false}\n")
    site.pass_()
    site.cli.run("start", "echo", "--as", "silent", "--wait")
    site.cli.run("start", "echo", "--as", "asked", "--create-task", "--wait")

    assert titles(board) == ["echo: asked"]


def test_no_task_goes_with_none_of_what_asks_for_one(site: Site, board: Board) -> None:
    refused = site.cli.run("start", "echo", "--no-task", "-t", "A title", expect=64)

    assert refused.stderr == "error: --no-task goes with none of -t, --create-task and --blocks\n"
    assert board.calls() == []


def test_a_run_that_an_agent_starts_is_linked_to_its_task_and_never_writes_it(site: Site, board: Board) -> None:
    own = agents_task(board)
    board.person("status", str(own), "processing")
    before = board.task(own)
    site.pass_()
    board.forget_calls()
    site.cli = replace(site.cli, env={**site.cli.env, "WORKTREE_TASK_ID": str(own)})

    site.cli.run("start", "echo", "--as", "it", "-i", '"bad"', "--wait", expect=5)

    assert site.status("it")["task_id"] == own
    assert board.tasks() == [before]
    assert [call.argv for call in board.calls() if call.argv != ("--version",)] == []


def test_a_link_in_a_manifest_never_writes_either(site: Site, board: Board) -> None:
    own = agents_task(board)
    before = board.task(own)
    site.start("it", "echo", task={"id": own})
    site.finish()
    site.cli.run("rerun", "it", "--wait")

    assert (site.status("it")["task_id"], site.status("it")["incarnation"]) == (own, 2)
    assert board.tasks() == [before]


def test_children_have_no_card(site: Site, board: Board) -> None:
    site.start("parent", "echo", input="family")
    site.finish()

    assert sorted(site.statuses().values()) == ["completed", "completed"]
    assert titles(board) == ["echo: parent"]


@pytest.mark.parametrize(("task", "cards"), [(None, ["Schedule nightly"]), (True, ["Schedule nightly", "echo: night"]), (False, [])])
def test_runs_of_a_schedule_have_a_card_only_where_it_says_so(site: Site, board: Board, task: bool | None, cards: list[str]) -> None:
    run = {"workflow": "echo"} if task is None else {"workflow": "echo", "task": task}
    site.declare("Schedule", "nightly", {"cron": "0 3 1 1 *", "run": run})
    site.pass_()
    site.cli.run("start", "schedule/nightly", "--as", "night", "--wait")

    assert titles(board) == cards


def test_no_card_is_made_in_retrospect(site: Site, board: Board) -> None:
    site.settings("taskyou: {auto_create_tasks: false}\n")
    site.start("ended", "echo")
    site.finish()
    site.gated()
    site.start("goes-on", "gated")
    site.pass_()
    site.settings("")
    site.start("goes-on", "gated", task=True)
    site.pass_(expect=None)
    site.open_gate()
    site.finish(expect=None)

    assert set(site.statuses().values()) == {"completed"}
    assert board.tasks() == []


def test_a_task_that_was_started_does_not_wait_and_the_run_says_so(site: Site, board: Board) -> None:
    started = agents_task(board)
    board.person("status", str(started), "processing")
    site.pass_()
    site.cli.run("start", "echo", "--as", "it", "--blocks", f"#{started}", "--wait")

    assert (board.edges(), board.task(started).status) == ([], "processing")
    assert f"task #{started} is processing and has been started: it does not wait for this run" in site.cli.run("events").stdout


def test_the_edge_is_there_before_the_task_is_blocked(site: Site, board: Board) -> None:
    waits = agents_task(board)
    site.gated()
    site.pass_()
    site.cli.run("start", "gated", "--as", "it", "--blocks", str(waits))

    written = [call.argv for call in board.calls("block", "status")]
    assert written == [("block", str(waits), "--by", "2", "--auto-queue"), ("status", str(waits), "blocked")]
    site.open_gate()
    site.finish()
    board.sweep()
    assert board.launched() == [waits]


def test_a_rerun_goes_on_with_the_card_that_we_closed(site: Site, board: Board) -> None:
    site.start("it", "echo", input="hello")
    site.finish()
    assert board.task(1).status == "done"
    site.gated()
    site.cli.run("rerun", "it", "--wait")

    assert [(task.id, task.status) for task in board.tasks()] == [(1, "done")]
    assert "incarnation 2" in board.task(1).body


def test_a_rerun_does_not_reopen_the_card_that_a_person_closed(site: Site, board: Board) -> None:
    site.start("it", "echo", input="bad")
    site.finish(expect=5)
    board.person("close", "1")
    closed = board.task(1)
    site.cli.run("rerun", "it", "--wait", expect=5)

    assert (board.task(1).status, board.task(1).completed_at) == ("done", closed.completed_at)
    assert len(board.tasks()) == 1


def test_without_taskyou_and_without_anybody_who_asks_there_is_silence(site: Site, board: Board) -> None:
    board.remove()
    site.start("plain", "echo")

    done = site.finish()

    assert (done.stderr, "task" in done.stdout.lower()) == ("", False)
    assert site.status("plain")["conditions"][-1]["type"] == "Synced"


def test_a_link_keeps_the_database_that_it_was_made_with(site: Site, board: Board) -> None:
    site.gated()
    site.start("it", "gated")
    site.pass_()
    other = board.folder / "other.db"
    site.settings(f"taskyou: {{database: {other}}}\n")
    site.open_gate()
    site.finish()
    site.start("later", "echo")
    site.finish()

    assert [(task.title, task.status) for task in board.tasks()] == [("gated: it", "done")]
    assert {call.env["WORKTREE_DB_PATH"] for call in board.calls("create")} == {str(board.database), str(other)}
    assert {call.env["WORKTREE_DB_PATH"] for call in board.calls("close")} == {str(board.database), str(other)}
