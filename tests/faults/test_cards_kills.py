"""A reconciler that is killed between any two calls of TaskYou, and calls that outlive it: one card for each run, and all true in the end."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cards import Is, Scene, check_agents, check_once, check_quiet, check_same, in_sync, scene, told
from tests.faults.counts import note
from tests.support.site import eventually
from tests.support.taskyou import faults

FULL = os.environ.get("TYOW_FULL") == "1"
EVERY = 1 if FULL else 9
AT_LEAST = 50
SIDE_BY_SIDE = 2
MOST_PASSES = 40
LIFE = """\
import os

def workflow(input, ctx):
    ctx.step("first", lambda: 1)
    ctx.wait_for_signal("go", approval={"title": "Go on?"})
    def work():
        if not os.path.exists(os.path.expanduser("~/mended")):
            raise ValueError("not yet")
    ctx.step("work", work, retry={"max_attempts": 1})
    return input
"""
pytestmark = pytest.mark.timeout(3600 if FULL else 240)


def status(one: Scene) -> tuple[str, int]:
    """Return the status of the run, and its incarnation."""
    if not (one.site.data / "state.db").exists():
        return "", 0
    done = one.site.cli.run("status", "run/life", "--json", expect=None)
    return (done.json["status"], done.json["incarnation"]) if done.exit == 0 else ("", 0)


def approvals(one: Scene) -> list[int]:
    """Return the cards that wait for a person's approval."""
    return [task.id for task in one.board.tasks() if task.title == "Go on?" and task.status == "blocked"]


def live(one: Scene) -> None:
    """Lead a run through its life: approved, failed, retried, completed, run again, approved, completed. Whoever is killed meanwhile, the next goes on."""
    site = one.site
    site.workflow("life", "life.py", LIFE)
    site.start("life", "life", input="World", task=True)
    for _ in range(MOST_PASSES):
        one.pass_()
        now, (card, *_) = status(one), (approvals(one) or [0])
        if now == ("failed", 1) and in_sync(one, {"life": Is("blocked", "not yet", pinned=True)}):
            (site.home / "mended").touch()
            site.cli.run("retry", "life", expect=None)
        elif now == ("completed", 2) and in_sync(one, {"life": Is("done", "incarnation 2")}):
            site.cli.run("rerun", "life", expect=None)
        elif now[0] == "waiting" and card and in_sync(one, {"life": Is("backlog", "Status: waiting")}):
            one.board.person("close", str(card))
        elif now == ("completed", 3) and in_sync(one, {"life": Is("done", "incarnation 3")}):
            one.pass_()  # what the last one did may be known to nobody yet
            return
    message = f"it did not converge: {status(one)}, {one.board.tasks(trashed=True)}"
    raise AssertionError(message)


def check(one: Scene, expected: dict[str, list[dict[str, Any]]]) -> None:
    check_quiet(one)
    check_same(one, expected)
    check_once(one)
    check_agents(one.board)
    assert sorted((task.title, task.status) for task in one.board.tasks(trashed=True)) == [
        ("Go on?", "done"),
        ("Go on?", "done"),
        ("life: life", "done"),
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """What the journals say when nobody is killed, and how many calls are made meanwhile."""
    with scene(tmp_path_factory.mktemp("whole") / "scene") as one:
        live(one)
        calls = len(one.board.calls())
        check(one, told(one.site))
        return told(one.site), calls


@pytest.mark.parametrize("when", ["before", "after"])
def test_I11_I18_a_reconciler_killed_at_any_call_of_TaskYou_leaves_one_card_for_each_run(
    tmp_path: Path, whole: tuple[dict[str, Any], int], when: Any
) -> None:
    expected, total = whole
    assert total >= AT_LEAST

    def survive(number: int) -> bool:
        with scene(tmp_path / f"at-{number}") as one:
            one.board.set_fault(faults.kill_caller(when).on(first=number, times=1))
            live(one)
            died = any(call.exit == 99 for call in one.board.calls())
            try:
                check(one, expected)
            except AssertionError as error:
                message = f"killed {when} call {number} of {total}"
                raise AssertionError(message) from error
        shutil.rmtree(tmp_path / f"at-{number}")
        return died

    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(2), "big"))
    print(f"seed {seed}")
    points = range(1 + seed % EVERY, total + 1, EVERY)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        deaths = sum(pool.map(survive, points))
    note(f"reconcilers killed {when} a call of TaskYou", deaths)
    assert deaths >= len(points) * 0.8


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path / "scene") as made:
        yield made


def lives(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("command", ["create", "update", "pin", "status", "close"])
def test_I18_a_call_that_outlives_its_killed_caller_is_ended_before_anybody_looks(one: Scene, command: str) -> None:
    """It would commit later than the next process has looked, which would make a second card, or take back what that has written."""
    site = one.site
    site.workflow("w", "w.py", "def workflow(input, ctx):\n    if input == 'bad':\n        raise ValueError('oh no')\n    return input\n")
    run = "good" if command in ("create", "close") else "bad"
    site.start(run, "w", input=run, task=True)
    one.board.set_fault(faults.slow(3600).on(command, times=1))
    killed = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    eventually(lambda: one.board.calls(command))
    (orphan,) = one.board.calls(command)
    killed.kill()
    killed.communicate()
    assert lives(orphan.pid)
    for _ in range(2):
        one.pass_()

    assert not lives(orphan.pid)
    assert in_sync(one, {run: Is("done", "completed") if run == "good" else Is("blocked", "oh no", pinned=True)}), one.board.tasks(trashed=True)
    check_quiet(one)
    check_once(one)
    note("calls that outlived their caller", 1)
