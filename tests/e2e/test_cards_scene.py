"""A TaskYou user's whole scene, over real processes: a run with a card, an approval, and an agent's task that waits for the run."""

import json
from pathlib import Path

from tests.support.loop import living
from tests.support.site import Site, eventually
from tests.support.taskyou.board import Board
from tests.support.taskyou.records import Task

QUICK = "poll_interval: 500ms\n"
SHIP = """\
import os, time

def charge():
    while not os.path.exists("{gate}"):
        time.sleep(0.005)
    with open("{effects}", "a") as file:
        print("charge", file=file)
    if not os.path.exists("{paid}"):
        raise ValueError("card declined")

def workflow(input, ctx):
    ctx.sleep("pause", 0.3)
    ctx.step("charge", charge, retry={{"max_attempts": 1}})
    answer = ctx.wait_for_signal("go", approval={{"title": "Ship order " + input["order"], "description": "All is paid."}})
    ctx.step("ship", lambda: open("{effects}", "a").write("ship\\n"))
    return answer["approved"]
"""


def deploy(site: Site) -> Path:
    """Put the workflow into an empty home, as a person types it; return the file that lets its step succeed."""
    paid = site.home / "paid"
    site.cli.run("deploy", "ship", "-f", "-", "--runtime", "python", input=SHIP.format(effects=site.effects_file, paid=paid, gate=site.home / "gate"))
    return paid


def agents_task(board: Board) -> int:
    """Create a task for an agent that nobody has started."""
    made: int = json.loads(board.person("create", "--json", "--project", "personal", "--type", "code", "--", "Tell the customer").stdout)["id"]
    return made


def card(board: Board, title: str) -> Task:
    """Wait for the card of a title; there is one at most."""
    found = eventually(lambda: [task for task in board.tasks() if task.title == title])
    assert len(found) == 1, found
    return found[0]


def is_in(board: Board, number: int, status: str) -> Task:
    """Wait until a card is in a column."""
    eventually(lambda: board.task(number).status == status)
    return board.task(number)


def test_a_run_is_followed_from_its_start_to_the_agent_that_waited_for_it(site: Site, board: Board) -> None:
    waits = agents_task(board)
    with living(site, "--output", "text", settings=QUICK):
        paid = deploy(site)
        site.cli.run("start", "ship", "-i", '{"order": "17"}', "-t", "Ship it", "--as", "ship-17", "--blocks", str(waits))
        run = card(board, "Ship it")
        is_in(board, waits, "blocked")
        assert (run.status, run.pinned) == ("backlog", False)
        assert [(edge.blocker, edge.blocked, edge.auto_queue) for edge in board.edges()] == [(run.id, waits, True)]

        site.open_gate()
        failed = is_in(board, run.id, "blocked")
        assert site.status("ship-17")["status"] == "failed"
        assert failed.pinned
        assert "Error in step charge: ValueError: card declined" in failed.body
        paid.touch()
        site.cli.run("retry", "ship-17", "--no-follow")

        asked = card(board, "Ship order 17")
        assert not is_in(board, run.id, "backlog").pinned
        is_in(board, asked.id, "blocked")
        board.sweep()
        assert (board.task(waits).status, board.launched()) == ("blocked", [])

        board.person("close", str(asked.id))
        is_in(board, run.id, "done")
        eventually(lambda: site.status("ship-17")["completed_at"])
        board.sweep()

    assert (site.status("ship-17")["output"], site.effects()) == (True, ["charge", "charge", "ship"])
    assert [task.title for task in board.tasks()] == ["Tell the customer", "Ship it", "Ship order 17"]
    assert board.launched() == [waits]
    assert not [call.argv for call in board.calls() if "queued" in call.argv or "processing" in call.argv]


def test_the_same_scene_with_taskyou_away_in_its_middle(site: Site, board: Board) -> None:
    waits = agents_task(board)
    with living(site, "--output", "text", settings=QUICK):
        paid = deploy(site)
        site.cli.run("start", "ship", "-i", '{"order": "17"}', "-t", "Ship it", "--as", "ship-17", "--blocks", str(waits))
        run = card(board, "Ship it")
        is_in(board, waits, "blocked")
        with board.away():
            site.open_gate()
            eventually(lambda: site.status("ship-17")["status"] == "failed")
            paid.touch()
            site.cli.run("retry", "ship-17", "--no-follow")
            eventually(lambda: site.status("ship-17")["reason"] == "approval")
            trouble = eventually(lambda: [one for one in site.status("ship-17")["conditions"] if one["type"] == "TaskSynced"])
            assert (trouble[0]["status"], trouble[0]["reason"]) == ("False", "task-not-synced")
            assert len(board.tasks()) == 2

        asked = card(board, "Ship order 17")
        is_in(board, asked.id, "blocked")
        eventually(lambda: (board.task(run.id).status, board.task(run.id).pinned) == ("backlog", False))
        board.person("close", str(asked.id))
        is_in(board, run.id, "done")
        board.sweep()

    assert board.launched() == [waits]
    assert [task.title for task in board.tasks()] == ["Tell the customer", "Ship it", "Ship order 17"]
    assert not [one for one in site.status("ship-17")["conditions"] if one["type"] == "TaskSynced"]
    assert site.effects() == ["charge", "charge", "ship"]
