"""Trouble between us and TaskYou, of every kind and at every call: the board converges when it ends, and no run ever notices."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cards import Is, Scene, check_agents, check_once, check_quiet, check_same, converge, scene, told
from tests.faults.counts import note
from tests.support.taskyou import faults
from tests.support.taskyou.faults import Fault

SECONDS = 2.0  # that a call may take here, instead of 60
WORK = """\
import os

def workflow(input, ctx):
    def work():
        with open(os.environ["EFFECTS"], "a") as file:
            file.write(f"{input}\\n")
    ctx.step("work", work)
    if input == "bad":
        raise ValueError("oh no")
    if input == "nap":
        ctx.sleep("long", "30d")
    return input
"""
WANTED = {
    "good": Is("done", "Status: completed"),
    "bad": Is("blocked", "ValueError: oh no", pinned=True),
    "nap": Is("archived", "Status: canceled"),
}
AT_ONE_CALL: dict[str, Callable[[], Fault]] = {
    "killed before": lambda: faults.killed("before"),
    "killed after": lambda: faults.killed("after"),
    "hanging before": lambda: faults.hanging("before"),
    "hanging after": lambda: faults.hanging("after"),
    "garbage": faults.garbage,
    "locked": lambda: faults.locked(0.2),
    "refuses": lambda: faults.answers(err="Error: no\n", exit=1),
}
CALLS = {
    "list": 1,
    "list tag": 2,
    "create": 1,
    "create second": 2,
    "show": 1,
    "update": 1,
    "pin": 1,
    "close": 1,
    "status": 1,
    "deps": 1,
    "projects": 1,
    "block": 1,
}
ALL_THE_TIME: dict[str, Callable[[], Fault]] = {
    "wrong program": faults.wrong_program,
    "locked": lambda: faults.locked(0.2),
    "slow": lambda: faults.slow(0.2),
    "slow to answer": lambda: faults.slow(0.2, "after"),
    "hanging": faults.hanging,
    "killed before": lambda: faults.killed("before"),
    "killed after": lambda: faults.killed("after"),
    "garbage": faults.garbage,
    "not JSON": lambda: faults.answers("ok\n"),
    "nothing": lambda: faults.answers(""),
    "refuses": lambda: faults.answers(err="Error: disk is full\n", exit=1),
    "colours": faults.ansi,
    "an update is there": faults.update_notice,
    "flood": lambda: faults.flood(100_000),
    "old version": faults.old_version,
    "unknown project": faults.unknown_project,
    "slow update": lambda: faults.slow_update(0.3),
}
pytestmark = pytest.mark.timeout(120)


def declare(one: Scene, *, task: Any = True) -> None:
    """Declare a run that completes and that an agent's task waits for, one that fails, and one that sleeps."""
    site = one.site
    one.board.person("create", "--project", "personal", "--", "agent's work")
    site.workflow("w", "w.py", WORK)
    for name in WANTED:
        site.start(name, "w", input=name, task={"blocks": [1]} if name == "good" else task)


def cancel_nap(one: Scene) -> None:
    """Cancel the run that sleeps, in its manifest."""
    one.site.start("nap", "w", input="nap", task=True, cancel=True)


def live(one: Scene) -> None:
    """Let the runs begin and come as far as they do, then cancel the one that sleeps."""
    one.pass_()
    cancel_nap(one)
    one.pass_()


def check(one: Scene, expected: dict[str, list[dict[str, Any]]]) -> None:
    """Check that all converged, and that nobody noticed."""
    called = one.board.calls()
    converge(one, WANTED)
    check_same(one, expected)
    check_once(one)
    check_agents(one.board)
    assert one.board.task(1).status == "queued", "what waited for the run was not released"
    assert one.board.edges()[0].blocker == one.card("good").id
    assert called


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the journals say when nothing goes wrong."""
    with scene(tmp_path_factory.mktemp("calm") / "scene") as one:
        declare(one)
        live(one)
        check(one, told(one.site))
        return told(one.site)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path / "scene", seconds=SECONDS) as made:
        yield made


def chosen() -> Iterator[Any]:
    """Return each fault at each call; a third of them is for everyday."""
    for row, call in enumerate(CALLS):
        for column, name in enumerate(AT_ONE_CALL):
            marks = [] if (row + column) % 3 == 0 else [pytest.mark.slow]
            yield pytest.param(call, name, id=f"{name} at {call}", marks=marks)


@pytest.mark.parametrize(("call", "name"), list(chosen()))
def test_I18_trouble_at_one_call_is_over_with_the_next_passes(one: Scene, expected: dict[str, Any], call: str, name: str) -> None:
    declare(one)
    one.board.set_fault(AT_ONE_CALL[name]().on(call.split(maxsplit=1)[0], first=CALLS[call], times=1))
    live(one)
    one.board.clear_faults()

    note("faults of TaskYou at one call", 1)
    check(one, expected)


@pytest.mark.parametrize("name", ALL_THE_TIME)
def test_I18_trouble_all_the_time_is_over_once_it_ends(one: Scene, expected: dict[str, Any], name: str) -> None:
    declare(one)
    one.board.set_fault(ALL_THE_TIME[name]())
    live(one)
    one.board.clear_faults()

    note("faults of TaskYou all the time", 1)
    check(one, expected)


def test_I18_no_program_at_all_meanwhile(one: Scene, expected: dict[str, Any]) -> None:
    declare(one)
    with one.board.away():
        live(one)

    assert [task.title for task in one.board.tasks()] == ["agent's work"]
    converge(one, WANTED)
    check_same(one, expected)


GATED = """\
import os, time

def workflow(input, ctx):
    def work():
        while not os.path.exists(os.path.expanduser("~/gate")):
            time.sleep(0.005)
    ctx.step("work", work)
    if input == "bad":
        raise ValueError("oh no")
    return input
"""
# What a person does, before which of our calls, and what the card is in the end.
PEOPLE: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "edits the title": (
        ["update", "{id}", "--title", "Mine"],
        "list show update projects deps pin",
        {"title": "Mine", "status": "blocked", "pinned": True},
    ),
    "edits the body": (["update", "{id}", "--body", "Mine"], "list show projects deps pin", {"body": "Mine", "status": "blocked", "pinned": True}),
    "closes": (["close", "{id}"], "list show update projects deps pin", {"status": "done"}),
    "archives": (["status", "{id}", "archived"], "list show update projects deps pin", {"status": "archived"}),
    "trashes": (["delete", "{id}", "--force"], "list show update projects deps pin status", {"trashed": True}),
    "deletes": (["delete", "{id}", "--hard", "--force"], "list show update projects deps pin status", {}),
    "gives it to an agent": (["status", "{id}", "processing"], "list show update projects deps pin", {"status": "processing"}),
}


@pytest.mark.parametrize(("does", "before"), [(does, before) for does, (_, hits, _) in PEOPLE.items() for before in hits.split()])
def test_I18_what_a_person_does_between_two_calls_stays(one: Scene, does: str, before: str) -> None:
    one.site.workflow("w", "w.py", GATED)
    one.site.start("bad", "w", input="bad", task=True)
    one.site.pass_()
    card = one.card("bad")
    command, _, wanted = PEOPLE[does]
    one.board.set_fault(faults.person([word.format(id=card.id) for word in command]).on(before, times=1))
    (one.site.home / "gate").touch()
    one.pass_()
    one.board.clear_faults()
    for _ in range(2):
        one.pass_()
    check_quiet(one)

    note("people between two calls", 1)
    left = one.cards("bad")
    assert [{name: getattr(task, name) for name in wanted} for task in left] == ([wanted] if wanted else []), left
    assert one.site.status("bad")["status"] == "failed"
    check_agents(one.board)


def test_I18_a_program_that_is_replaced_in_the_middle_is_looked_at_again(one: Scene, expected: dict[str, Any]) -> None:
    declare(one)
    one.pass_()
    one.board.program.rename(one.board.folder / "elsewhere")
    one.board.program.write_text("#!/bin/sh\necho ty 0.0.105\nexit 2\n")
    one.board.program.chmod(0o755)
    cancel_nap(one)
    during = one.pass_()

    assert one.card("nap").status == "backlog"
    assert "is not TaskYou but Astral's type checker" in during.stderr
    (one.board.folder / "elsewhere").rename(one.board.program)
    check(one, expected)


def test_I18_a_board_that_is_removed_in_the_middle_gets_no_second_cards(one: Scene, expected: dict[str, Any]) -> None:
    declare(one)
    one.pass_()
    for path in one.board.database.parent.glob("tasks.db*"):
        path.unlink()
    cancel_nap(one)
    for _ in range(3):
        one.pass_()

    check_same(one, expected)
    check_quiet(one)
    assert one.board.tasks(trashed=True) == []
    assert "was removed on the board" in one.site.cli.run("events", "run/nap").stdout


def test_I18_a_card_stays_on_the_board_on_which_it_was_made(one: Scene, tmp_path: Path) -> None:
    one.site.workflow("w", "w.py", WORK)
    one.site.start("nap", "w", input="nap", task=True)
    one.pass_()
    other = one.board.folder / "other.db"
    one.site.cli = replace(one.site.cli, env={**one.site.cli.env, "WORKTREE_DB_PATH": str(other)})
    one.site.start("good", "w", input="good", task=True)
    cancel_nap(one)
    for _ in range(2):
        one.pass_()

    assert [(task.title, task.status) for task in one.board.tasks()] == [("w: nap", "archived")]
    one.board.database = other
    assert [(task.title, task.status) for task in one.board.tasks()] == [("w: good", "done")]


def test_I18_a_card_that_was_made_unnoticed_and_trashed_is_not_made_again(one: Scene) -> None:
    one.site.workflow("w", "w.py", WORK)
    one.site.start("good", "w", input="good", task=True)
    one.board.set_fault(faults.killed("after").on("create"))
    one.pass_()
    one.board.person("delete", str(one.card("good").id), "--force")
    one.board.clear_faults()
    for _ in range(2):
        one.pass_()

    assert one.card("good").trashed
    check_quiet(one)


def test_I18_a_card_that_was_made_unnoticed_is_not_forgotten_when_the_program_goes(one: Scene) -> None:
    one.site.workflow("w", "w.py", WORK)
    one.site.start("good", "w", input="good")  # nobody asked for its card
    one.board.set_fault(faults.killed("after").on("create"))
    one.pass_()
    with one.board.away():
        one.pass_()
    one.board.clear_faults()
    converge(one, {"good": WANTED["good"]})


def test_I18_where_no_program_is_and_nobody_asked_nothing_is_said(one: Scene) -> None:
    one.site.workflow("w", "w.py", WORK)
    one.site.start("good", "w", input="good")
    with one.board.away():
        said = [one.pass_() for _ in range(2)]

    assert "TaskYou" not in "".join(done.stdout + done.stderr for done in said)
    assert one.board.tasks() == []


def test_I18_a_refused_card_is_not_asked_for_again_and_again(one: Scene) -> None:
    declare(one)
    one.board.set_fault(faults.unknown_project())
    one.pass_()

    assert len(one.board.calls("create")) < 30
