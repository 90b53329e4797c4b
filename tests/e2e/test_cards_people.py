"""What people do with cards is respected, and what cards show of their runs."""

import pytest

from tests.support.site import Site
from tests.support.taskyou.board import Board

CODE = """\
def workflow(input, ctx):
    if input == "bad":
        ctx.step("charge", lambda: 1 / 0, retry={"max_attempts": 1})
    if input == "nap":
        ctx.sleep("nap", "30d")
    if input == "signal":
        ctx.wait_for_signal("go")
    return input
"""


@pytest.fixture(autouse=True)
def _declared(site: Site, board: Board) -> None:
    site.workflow("echo", "echo.py", CODE)
    site.gated()


def gated(site: Site, board: Board, policy: str = "ignore") -> int:
    """Have a run under way with a card, and return the card's number."""
    site.settings(f"taskyou: {{on_task_closed: {policy}}}\n")
    site.start("it", "gated")
    site.pass_()
    [card] = board.tasks()
    return card.id


def events(site: Site) -> list[str]:
    return [one["reason"] for one in site.cli.run("events", "--json").json]


DOINGS = {
    "closed": ("close", "1"),
    "archived": ("status", "1", "archived"),
    "trashed": ("delete", "1", "--force"),
    "removed": ("delete", "1", "--force", "--hard"),
}


@pytest.mark.parametrize("doing", DOINGS)
def test_a_card_that_a_person_closed_or_removed_stays_so_and_its_run_goes_on(site: Site, board: Board, doing: str) -> None:
    gated(site, board)
    board.person(*DOINGS[doing])
    before = board.tasks(trashed=True)
    site.pass_()
    site.open_gate()
    site.finish()
    assert "No changes" in site.pass_().stdout

    assert site.status("it")["status"] == "completed"
    after = board.tasks(trashed=True)
    assert [(task.status, task.trashed, task.completed_at) for task in after] == [(task.status, task.trashed, task.completed_at) for task in before]
    assert ("task-removed" if doing in ("trashed", "removed") else "task-closed") in events(site)
    assert len(board.calls("create")) == 1


@pytest.mark.parametrize("doing", DOINGS)
def test_a_person_cancels_a_run_by_its_card_where_the_settings_say_so(site: Site, board: Board, doing: str) -> None:
    gated(site, board, "cancel")
    board.person(*DOINGS[doing])
    site.pass_(expect=None)
    site.finish(expect=5)

    view = site.status("it")
    assert view["status"] == "canceled"
    assert view["requests"][0]["who"] == "TaskYou"
    assert len(board.calls("create")) == 1


@pytest.mark.parametrize("policy", ["ignore", "cancel"])
def test_titles_and_bodies_that_a_person_wrote_stay(site: Site, board: Board, policy: str) -> None:
    number = gated(site, board, policy)
    board.person("update", str(number), "--title", "Mine", "--body=My own words")
    site.pass_()
    site.open_gate()
    site.finish()

    card = board.task(number)
    assert (card.title, card.body, card.status) == ("Mine", "My own words", "done")


def test_a_title_that_a_person_wrote_stays_while_the_body_goes_on(site: Site, board: Board) -> None:
    number = gated(site, board)
    board.person("update", str(number), "--title", "Mine")
    site.open_gate()
    site.finish()

    card = board.task(number)
    assert (card.title, "Status: completed" in card.body, card.status) == ("Mine", True, "done")


@pytest.mark.parametrize(("column", "after"), [("blocked", "done"), ("queued", "queued"), ("processing", "processing")])
def test_a_card_that_a_person_moved_is_left_there_until_there_is_news(site: Site, board: Board, column: str, after: str) -> None:
    number = gated(site, board, "cancel")
    board.person("status", str(number), column)
    site.pass_()
    assert board.task(number).status == column
    site.open_gate()
    site.finish()

    assert (site.status("it")["status"], board.task(number).status) == ("completed", after)


def test_a_card_tells_of_its_run(site: Site, board: Board) -> None:
    site.start("it", "echo", input="bad")
    site.finish(expect=5)

    [card] = board.tasks()
    lines = card.body.splitlines()
    assert lines[0] == "Run it of workflow echo (default/default)"
    assert lines[2].startswith("Status: failed, ended 20")
    assert lines[3:5] == ["Error in step charge: ZeroDivisionError: division by zero", 'Input: "bad"']
    assert [line.partition(":")[0] for line in lines[6:]] == ["To try again what failed", "To begin anew", "All of it", "Logs"]
    for line in lines[6:]:
        assert f" --data-dir {site.data} " in line
    logs = lines[-1].partition(": ")[2].split()
    assert site.cli.run(*logs[logs.index("logs") :]).exit == 0
    assert (card.status, card.pinned) == ("blocked", True)


def test_I10_a_pass_over_an_unchanged_world_calls_nobody(site: Site, board: Board) -> None:
    site.start("ends", "echo", input="well")
    site.start("fails", "echo", input="bad")
    site.finish(expect=5)
    board.forget_calls()

    assert "No changes" in site.pass_().stdout
    assert board.calls() == []


def test_a_long_input_is_told_in_short(site: Site, board: Board) -> None:
    site.start("it", "echo", input="x" * 5000)
    site.finish()

    [line] = [line for line in board.tasks()[0].body.splitlines() if line.startswith("Input: ")]
    assert line.endswith("... (5002 characters)")
    assert len(line) < 600


def test_columns_are_as_the_settings_map_them(site: Site, board: Board) -> None:
    site.settings("taskyou: {status_map: {sleeping: blocked, completed: archived, failed: backlog}}\n")
    site.start("sleeps", "echo", input="nap")
    site.start("ends", "echo", input="well")
    site.start("fails", "echo", input="bad")
    site.pass_("--until", "parked", expect=5)

    found = {task.title: (task.status, task.pinned) for task in board.tasks()}
    assert found == {"echo: sleeps": ("blocked", False), "echo: ends": ("archived", False), "echo: fails": ("backlog", True)}


@pytest.mark.parametrize("column", ["queued", "processing"])
def test_no_column_of_agents_can_be_mapped(site: Site, board: Board, column: str) -> None:
    site.settings(f"taskyou: {{status_map: {{running: {column}}}}}\n")
    refused = site.pass_(expect=3)

    assert "taskyou.status_map.running" in refused.stderr
    assert column in refused.stderr
    assert board.calls() == []


def test_without_worktrees_a_failed_run_is_pinned_in_backlog(site: Site, board: Board) -> None:
    board.add_project("plain", worktrees=False)
    site.settings("taskyou: {project: plain}\n")
    site.start("it", "echo", input="bad")
    site.finish(expect=5)
    board.open(1)

    assert (board.task(1).status, board.task(1).pinned, board.launched()) == ("backlog", True, [])


def test_a_failed_run_whose_card_waits_for_another_is_pinned_in_backlog(site: Site, board: Board) -> None:
    number = gated(site, board)
    board.person("create", "--json", "--project", "personal", "--", "First")
    board.person("block", str(number), "--by", "2", "--auto-queue")
    site.cli.run("cancel", "it")
    site.settings("taskyou: {status_map: {canceled: blocked}}\n")
    site.finish(expect=None)
    board.person("close", "2")
    board.sweep()

    assert (board.task(number).status, board.task(number).pinned, board.launched()) == ("backlog", True, [])


def test_a_canceled_run_is_archived(site: Site, board: Board) -> None:
    number = gated(site, board)
    site.cli.run("cancel", "it", "--wait", expect=None)
    site.finish(expect=None)

    assert (site.status("it")["status"], board.task(number).status) == ("canceled", "archived")


def test_a_canceled_run_that_others_wait_for_releases_nobody(site: Site, board: Board) -> None:
    board.person("create", "--json", "--project", "personal", "--", "An agent's")
    site.start("it", "gated", task={"blocks": [1]})
    site.pass_()
    site.cli.run("cancel", "it", "--wait", expect=None)
    site.finish(expect=None)
    board.sweep()

    assert site.status("it")["status"] == "canceled"
    assert (board.task(2).status, board.task(1).status, board.launched()) == ("backlog", "blocked", [])
    assert "Status: canceled" in board.task(2).body


def test_a_skipped_run_is_archived(site: Site, board: Board) -> None:
    site.start("bad", "echo", input="bad")
    site.start("after", "echo", dependsOn=["run/bad"])
    site.finish(expect=5)

    assert site.statuses() == {"bad": "failed", "after": "skipped"}
    assert {task.title: task.status for task in board.tasks()} == {"echo: bad": "blocked", "echo: after": "archived"}


def test_a_run_that_waits_for_a_signal_says_what_to_type(site: Site, board: Board) -> None:
    site.start("it", "echo", input="signal")
    site.pass_("--until", "parked")

    [card] = board.tasks()
    assert card.status == "backlog"
    assert "Status: waiting" in card.body
    assert "What it waits for, and how to answer, is told by the next command.\nAll of it: " in card.body
    assert f"--data-dir {site.data} status it" in card.body
