"""An approval has a card of its own: done approves, nothing else does, and we close it when nobody waits any more."""

import json

import pytest

from tests.support.loop import living
from tests.support.site import Site, eventually
from tests.support.taskyou.board import Board
from tests.support.taskyou.records import Task

ASK = """\
def workflow(input, ctx):
    answer = ctx.wait_for_signal("go", timeout=input.get("timeout", "30d"), approval={"title": "Ship " + input.get("what", "it"), "description": "All is paid."})
    if input.get("fails"):
        raise ValueError("after the answer")
    return answer
"""
TWICE = """\
import os

def workflow(input, ctx):
    answers = ctx.gather(lambda: ctx.wait_for_signal("go", approval={"title": "Ship it"}), lambda: ctx.step("charge", charge, retry={"max_attempts": 1}))
    return answers[0]

def charge():
    path = os.environ["EFFECTS"]
    with open(path, "a") as file:
        print("charge", file=file)
    if len(open(path).readlines()) == 1:
        raise ValueError("declined")
"""


@pytest.fixture(autouse=True)
def _declared(site: Site, board: Board) -> None:
    site.workflow("ask", "ask.py", ASK)


def asked(site: Site, board: Board, **given: object) -> Task:
    """Have a run that waits for an approval, and return the approval's card."""
    site.start("it", "ask", input=given)
    site.pass_("--until", "parked")
    site.pass_()
    [card] = [task for task in board.tasks() if task.title.startswith("Ship ")]
    return card


def test_its_card_says_what_is_asked_and_how_to_answer(site: Site, board: Board) -> None:
    card = asked(site, board)

    assert (card.title, card.status, card.pinned) == ("Ship it", "blocked", False)
    assert card.body.startswith("All is paid.\n\nRun it waits for this approval.\nTo approve: mark this card as done. It waits until 20")
    assert f"--data-dir {site.data} signal it go --data JSON" in card.body
    assert board.edges() == []
    assert "No changes" in site.pass_().stdout


def test_done_approves_once(site: Site, board: Board) -> None:
    card = asked(site, board)
    board.person("close", str(card.id))
    site.finish()

    view = site.status("it")
    assert (view["status"], view["output"]["approved"], view["output"]["by"], view["output"]["task"]) == ("completed", True, "taskyou", card.id)
    assert [request["who"] for request in view["requests"]] == ["TaskYou"]
    assert board.task(card.id).status == "done"
    assert "No changes" in site.pass_().stdout


@pytest.mark.parametrize("doing", [("status", "archived"), ("delete", "--force"), ("delete", "--force", "--hard")])
def test_nothing_else_on_the_board_approves(site: Site, board: Board, doing: tuple[str, ...]) -> None:
    site.settings("taskyou: {on_task_closed: cancel}\n")
    card = asked(site, board)
    board.person(doing[0], str(card.id), *doing[1:])
    site.pass_()
    site.pass_()

    assert site.status("it")["status"] == "waiting"
    assert len(board.calls("create")) == 2
    site.cli.run("signal", "it", "go", "--data", "7")
    site.finish()
    assert site.status("it")["output"] == 7


@pytest.mark.parametrize("end", ["signal", "cancel", "timeout", "failure"])
def test_we_close_the_card_when_the_wait_ends_otherwise(site: Site, board: Board, end: str) -> None:
    given = {"timeout": {"timeout": "1s"}, "failure": {"fails": True}}.get(end, {})
    card = asked(site, board, **given)
    assert card.status == "blocked"
    if end in ("signal", "failure"):
        site.cli.run("signal", "it", "go", "--data", "7")
    elif end == "cancel":
        site.cli.run("cancel", "it", "--wait", expect=None)
    site.finish(expect=None)
    site.pass_(expect=None)

    closed = board.task(card.id)
    assert site.status("it")["status"] == {"cancel": "canceled", "failure": "failed"}.get(end, "completed")
    assert closed.status == "done"
    assert "Run it does not wait for this approval any more" in closed.body
    assert site.status("it")["output"] == {"signal": 7}.get(end)
    assert "No changes" in site.pass_().stdout


def test_a_loop_that_is_killed_and_begun_again_makes_no_second_card(site: Site, board: Board) -> None:
    site.start("it", "ask", input={})
    for _ in range(3):
        with living(site, settings="poll_interval: 300ms\n") as loop:
            eventually(lambda: [task for task in board.tasks() if (task.title, task.status) == ("Ship it", "blocked")])
            loop.end(9)
    with living(site, settings="poll_interval: 300ms\n"):
        board.person("close", "2")
        eventually(lambda: site.status("it")["status"] == "completed")

    assert [task.title for task in board.tasks()] == ["ask: it", "Ship it"]


def test_another_attempt_asks_with_a_card_of_its_own(site: Site, board: Board) -> None:
    site.workflow("twice", "twice.py", TWICE, retry={"maxAttempts": 2, "initialInterval": "1s"})
    site.start("it", "twice")
    with living(site, settings="poll_interval: 300ms\n"):
        eventually(
            lambda: [task.status for task in board.tasks() if task.title == "Ship it"][-1:] == ["blocked"] and site.status("it")["attempt"] == 2
        )
        cards = [task for task in board.tasks() if task.title == "Ship it"]
        board.person("close", str(cards[-1].id))
        eventually(lambda: site.status("it")["status"] == "completed")
        eventually(lambda: {task.status for task in board.tasks()} == {"done"})

    assert site.status("it")["output"]["task"] == cards[-1].id


def test_an_approval_is_refused_by_the_schema_of_its_signal_in_words(site: Site, board: Board) -> None:
    site.declare("Workflow", "ask", {"code": {"file": "ask.py"}, "signals": {"go": {"schema": {"type": "object", "required": ["amount"]}}}})
    card = asked(site, board)
    board.person("close", str(card.id))
    site.pass_()

    assert site.status("it")["status"] == "waiting"
    [told] = [one for one in site.cli.run("events", "--json").json if one["reason"] == "task-not-synced"]
    assert f"task #{card.id} was done, but" in told["message"]
    site.cli.run("signal", "it", "go", "--data", json.dumps({"amount": 3}))
    site.finish()
    assert site.status("it")["output"] == {"amount": 3}


def test_status_names_the_card_of_an_approval(site: Site, board: Board) -> None:
    card = asked(site, board)

    view, text = site.status("it"), site.cli.run("status", "it").stdout

    assert view["reason"] == "approval"
    [step] = [step for step in view["steps"] if step["approval"]]
    assert step["approval"] == {"title": "Ship it", "description": "All is paid.", "task_id": card.id}
    assert f"waits for approval: Ship it: mark task #{card.id} as done in TaskYou, or `ty-openworkflow signal it go" in text
