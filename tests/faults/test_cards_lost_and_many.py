"""Cards after a loss of our database, and many of them: nothing is made twice or reopened, and what is in sync costs no call."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cards import Is, Scene, check_agents, check_once, check_quiet, in_sync, scene, told
from tests.faults.counts import note
from tests.support.site import eventually

FULL = os.environ.get("TYOW_FULL") == "1"
MANY = 1000 if FULL else 50
CODE = """\
def workflow(input, ctx):
    ctx.step("work", lambda: 1)
    if input.startswith("bad"):
        raise ValueError("oh no")
    if input.startswith("nap"):
        ctx.sleep("long", "30d")
    if input.startswith("asks"):
        return ctx.wait_for_signal("go", approval={"title": f"Go on, {input}?"})["approved"]
    return input
"""
RUNS = ("good", "bad", "bad-closed", "nap", "nap-closed", "nap-trashed", "asks", "asks-done")
pytestmark = pytest.mark.timeout(1200 if FULL else 180)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path / "scene") as made:
        made.site.settings("adapters: {exec: {linger: 50ms, runs_per_worker: 16}}\n")
        made.site.workflow("w", "w.py", CODE)
        yield made


def lose(one: Scene) -> None:
    """Lose our database."""
    for path in one.site.data.glob("state.db*"):
        path.unlink()


@pytest.mark.parametrize("explicit", [True, False], ids=["asked for", "by default"])
def test_I6_I18_all_cards_are_back_after_a_loss_of_the_database(one: Scene, explicit: bool) -> None:
    for name in RUNS:
        one.site.start(name, "w", input=name, **({"task": True} if explicit else {}))
    one.pass_()
    one.pass_()
    for name, command in (("bad-closed", "close"), ("nap-closed", "close"), ("nap-trashed", "delete")):
        one.board.person(command, str(one.card(name).id), *(["--force"] if command == "delete" else []))
    one.pass_()
    journals = told(one.site)
    before = {task.id: (task.title, task.status, task.pinned, task.body, task.trashed) for task in one.board.tasks(trashed=True)}
    assert len(before) == len(RUNS) + 2
    lose(one)
    one.pass_()
    one.pass_()

    assert {task.id: (task.title, task.status, task.pinned, task.body, task.trashed) for task in one.board.tasks(trashed=True)} == before
    assert told(one.site) == journals
    check_quiet(one)

    lose(one)
    (waits,) = [task for task in one.board.tasks() if task.title == "Go on, asks-done?"]
    one.board.person("close", str(waits.id))  # while nobody remembers that somebody waits for it
    for _ in range(3):
        one.pass_()

    assert one.site.status("asks-done")["output"] is True
    assert one.site.status("asks")["status"] == "waiting"
    assert in_sync(one, {"asks-done": Is("done", "completed"), "asks": Is("backlog", "waiting"), "good": Is("done", "completed")})
    assert {task.id for task in one.board.tasks(trashed=True)} == before.keys()
    check_quiet(one)
    check_once(one)
    check_agents(one.board)


def test_I10_many_finished_runs_cost_no_call_and_many_open_ones_one_list(one: Scene) -> None:
    for number in range(MANY):
        one.site.start(f"run-{number}", "w", input="good", task=True)
    begin = time.monotonic()
    done = one.site.cli.run("reconcile", "--once", "--wait", str(one.site.folder), timeout=900)
    seconds = time.monotonic() - begin
    counted = Counter(call.argv[0] for call in one.board.calls())
    print(f"{MANY} runs with cards: {seconds:.1f} s, {sum(counted.values())} calls {dict(counted)}")
    note("cards made in the first pass", MANY)
    assert "Traceback" not in done.stderr
    assert Counter(task.status for task in one.board.tasks()) == {"done": MANY}
    check_quiet(one)
    assert one.board.calls() == []

    for number in range(MANY):
        one.site.start(f"nap-{number}", "w", input="nap", task=True)
    one.site.cli.run("reconcile", "--once", "--until", "parked", str(one.site.folder), timeout=900)
    eventually(lambda: one.site.plan()["changes"] == [])
    check_quiet(one)

    assert [call.argv[0] for call in one.board.calls()] == ["--version", "list", "list"]  # the first two tell who it is
    assert Counter(task.status for task in one.board.tasks()) == {"done": MANY, "backlog": MANY}
    check_once(one)
