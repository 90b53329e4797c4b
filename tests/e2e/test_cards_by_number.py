"""Runs are found by the numbers of their cards, and cards go with what they were made for."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.site import Site
from tests.support.taskyou import faults
from tests.support.taskyou.board import Board

CODE = """\
def workflow(input, ctx):
    if input == "bad":
        raise ValueError("oh no")
    return input
"""


@pytest.fixture
def board(site: Site, tmp_path: Path) -> Board:
    made = Board.install(tmp_path)
    site.cli = replace(site.cli, env={**site.cli.env, **made.env})
    site.workflow("echo", "echo.py", CODE)
    return made


def test_a_run_is_named_by_the_number_of_its_task(site: Site, board: Board) -> None:
    site.start("good", "echo", input="hello")
    site.start("ill", "echo", input="bad")
    site.cli.run("reconcile", "--once", "--wait", str(site.folder), expect=5)
    numbers = {task.title.removeprefix("echo: "): task.id for task in board.tasks()}

    assert site.cli.run("status", f"task/{numbers['good']}").stdout.startswith("run/good")
    assert site.cli.run("retry", f"task/{numbers['ill']}", "--wait", expect=5).stdout
    assert site.status("ill")["incarnation"] == 2
    assert board.task(numbers["ill"]).status == "blocked"
    assert [task.id for task in board.tasks()] == sorted(numbers.values())


def test_a_number_that_is_of_nothing_here_is_an_error(site: Site, board: Board) -> None:
    assert "task 7: no run here is linked to it" in site.cli.run("status", "task/7", expect=1).stderr
    assert "task/N is meant" in site.cli.run("cancel", "task/x", expect=64).stderr


def test_delete_all_puts_cards_into_the_trash_and_says_which_are_left(site: Site, board: Board) -> None:
    site.start("good", "echo", input="hello")
    site.pass_("--wait")
    [card] = board.tasks()
    board.set_fault(faults.locked(0.1).on("delete"))

    left = site.cli.run("--project", "default", "delete", "--all", "--yes", expect=1)
    assert f"task #{card.id} of run/good" in left.stderr
    assert [task.id for task in board.tasks()] == [card.id]


def test_delete_all_leaves_no_card(site: Site, board: Board) -> None:
    site.start("good", "echo", input="hello")
    site.pass_("--wait")

    done = site.cli.run("--project", "default", "delete", "--all", "--yes")

    assert "nothing is left" in done.stdout
    assert board.tasks() == []
    assert len(board.tasks(trashed=True)) == 1


def test_delete_all_of_the_local_folder_takes_reruns_along(site: Site, board: Board) -> None:
    site.pass_()
    site.cli.run("deploy", "small", "-f", str(site.folder / "echo.py"))
    site.cli.run("start", "small", "-i", '"hello"', "--as", "again", "--wait")
    site.cli.run("rerun", "again", "--wait")
    assert len(board.tasks()) == 1

    done = site.cli.run("--data-dir", str(site.data), "delete", "--all", "--yes")

    assert "nothing is left" in done.stdout
    assert board.tasks() == []
    assert "No runs yet" in site.cli.run("list", "runs").stdout


def test_a_task_that_an_agent_has_is_not_deleted(site: Site, board: Board) -> None:
    site.start("good", "echo", input="hello")
    site.pass_("--wait")
    [card] = board.tasks()
    board.person("status", str(card.id), "queued")

    left = site.cli.run("--project", "default", "delete", "--all", "--yes", expect=1)

    assert f"task #{card.id} of run/good in TaskYou: an agent has it" in left.stderr
    assert [task.id for task in board.tasks()] == [card.id]


def test_an_edge_that_cannot_be_made_keeps_nothing_else_from_being_written(site: Site, board: Board) -> None:
    site.start("good", "echo", input="hello", task={"blocks": [999]})
    told = site.pass_("--wait")
    [card] = board.tasks()

    assert card.status == "done"
    assert "task #999 does not wait for this run" in told.stderr
