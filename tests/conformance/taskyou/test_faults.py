"""Each fault of the stand-in for `ty` does what it says, to the calls that it is meant for."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.taskyou import faults
from tests.support.taskyou.board import Board

_CALLER = """\
import subprocess, sys
for argv in (["create", "--json", "--tags", "owf-a", "--", "T"], ["status", "1", "blocked"], ["pin", "1"]):
    subprocess.run(["ty", *argv], stdin=subprocess.DEVNULL)
"""


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board.install(tmp_path)
    yield made
    made.close()


def ty(board: Board, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(board.program), *argv], env=environment(board), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout
    )


def environment(board: Board) -> dict[str, str]:
    return {**os.environ, **board.env, "HOME": str(board.home)}


def test_a_program_that_is_missing_comes_back(board: Board) -> None:
    with board.away(), pytest.raises(FileNotFoundError):
        ty(board, "list")

    assert ty(board, "list").returncode == 0


def test_the_wrong_program_knows_no_tasks(board: Board) -> None:
    board.set_fault(faults.wrong_program())

    version, probe = ty(board, "--version"), ty(board, "list", "--json", "-n", "1")

    assert version.stdout.startswith(b"ty 0.")
    assert (probe.returncode, probe.stdout) == (2, b"")
    assert b"unrecognized subcommand 'list'" in probe.stderr
    assert not board.database.exists()


def test_a_locked_database_fails_a_write_and_answers_a_read(board: Board) -> None:
    ty(board, "create", "--", "T")
    board.set_fault(faults.locked(0.5))

    answers = {
        argv[0]: ty(board, *argv) for argv in (("create", "--", "U"), ("status", "1", "done"), ("update", "1"), ("pin", "1"), ("list", "--json"))
    }

    assert {name: done.stderr.decode().removesuffix(": database is locked (5) (SQLITE_BUSY)\n") for name, done in answers.items()} == {
        "create": "Error: insert task",
        "status": "Error: update task status",
        "update": "Error: update task",
        "pin": "Error: update task pinned",
        "list": "",
    }
    assert {name: done.returncode for name, done in answers.items()} == {"create": 1, "status": 1, "update": 1, "pin": 1, "list": 0}
    assert all((call.ended_at or 0) - call.started_at >= 0.4 for call in board.calls()[1:])
    assert [(task.title, task.status) for task in board.tasks()] == [("T", "backlog")]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_slow_call_succeeds_late(board: Board, when: faults.When) -> None:
    board.set_fault(faults.slow(0.5, when))

    began = time.monotonic()
    done = ty(board, "create", "--json", "--", "T")

    assert time.monotonic() - began >= 0.5
    assert json.loads(done.stdout)["id"] == 1


def test_a_slow_answer_comes_after_the_effect(board: Board) -> None:
    board.set_fault(faults.slow(600, "after"))
    with subprocess.Popen([str(board.program), "create", "--", "T"], env=environment(board), stdout=subprocess.DEVNULL) as process:
        until(lambda: len(board.tasks()) == 1)
        process.kill()

    assert board.calls()[0].exit is None


def test_a_hanging_call_and_its_child_outlive_every_signal_that_can_be_ignored(board: Board) -> None:
    board.set_fault(faults.hanging("after"))
    command = [str(board.program), "create", "--", "T"]
    process = subprocess.Popen(command, env=environment(board), stdout=subprocess.PIPE, start_new_session=True)
    until(lambda: bool(board.calls()) and len(board.calls()[0].hanging) == 2)
    call = board.calls()[0]

    os.killpg(process.pid, signal.SIGTERM)
    alive = [_state(pid) for pid in call.hanging]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: {_state(pid) for pid in call.hanging} <= {"", "Z"})

    assert call.hanging[0] == process.pid == call.group
    assert not {"", "Z"} & set(alive)
    assert len(board.tasks()) == 1
    assert process.stdout is not None
    assert process.stdout.read() == b""
    process.stdout.close()


def test_what_still_hangs_ends_with_the_board(board: Board) -> None:
    board.set_fault(faults.hanging())
    with subprocess.Popen([str(board.program), "list"], env=environment(board), stdout=subprocess.DEVNULL) as process:
        until(lambda: bool(board.calls()) and len(board.calls()[0].hanging) == 2)

        board.close()

    assert process.returncode == -signal.SIGKILL
    until(lambda: {_state(pid) for pid in board.calls()[0].hanging} <= {"", "Z"})


@pytest.mark.parametrize(("when", "cards"), [("before", 0), ("after", 1)])
def test_a_call_dies_before_or_after_its_effect_and_says_nothing(board: Board, when: faults.When, cards: int) -> None:
    ty(board, "list")
    board.set_fault(faults.killed(when).on("create"))

    done = ty(board, "create", "--json", "--", "T")

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, b"", b"")
    assert len(board.tasks()) == cards
    assert board.calls("create")[0].exit is None


def test_an_answer_can_be_anything(board: Board) -> None:
    board.set_fault(faults.answers("not JSON", "Error: something else\n", 3).on("list"))

    done = ty(board, "list", "--json")

    assert (done.returncode, done.stdout, done.stderr) == (3, b"not JSON", b"Error: something else\n")


def test_garbage_colours_notices_and_floods_come_with_the_effect(board: Board) -> None:
    board.set_fault(
        faults.garbage().on("create", first=1, times=1),
        faults.ansi().on("create", first=2, times=1),
        faults.update_notice().on("create", first=3, times=1),
        faults.flood(3_000_000).on("create", first=4, times=1),
    )

    garbage, ansi, notice, flood, well = (ty(board, "create", "--json", "--", "T") for _ in range(5))

    assert b"\x00" in garbage.stdout
    assert ansi.stdout.startswith(b"\x1b[")
    assert (json.loads(notice.stdout)["id"], b"new version" in notice.stderr) == (3, True)
    assert len(flood.stdout) > 3_000_000
    assert json.loads(well.stdout)["id"] == 5
    assert {done.returncode for done in (garbage, ansi, notice, flood, well)} == {0}
    assert len(board.tasks()) == 5


def test_an_old_version_lacks_what_came_later(board: Board) -> None:
    board.set_fault(faults.old_version())
    ty(board, "create", "--", "T")

    tag, trash, plugins, complete = (ty(board, *argv) for argv in (("list", "--tag", "x"), ("trash",), ("plugins", "dir"), ("complete", "1")))

    assert tag.stderr.startswith(b"Error: unknown flag: --tag\n")
    assert trash.stderr.startswith(b'Error: unknown command "trash" for "ty"')
    assert plugins.stderr.startswith(b'Error: unknown command "plugins" for "ty"')
    assert complete.stdout == b"Closed task #1: T\n"


def test_a_project_can_be_unknown_for_a_while(board: Board) -> None:
    board.set_fault(faults.unknown_project("personal").on("create", times=1))

    refused, accepted = (ty(board, "create", "--project", "personal", "--", "T") for _ in range(2))

    assert (refused.returncode, refused.stderr) == (1, b"Error: project not found: personal\n")
    assert accepted.returncode == 0


def test_a_person_is_faster_than_the_call_that_the_fault_is_for(board: Board) -> None:
    ty(board, "create", "--tags", "owf-a,env", "--", "T")
    board.set_fault(faults.person(["update", "{tag:owf-a}", "--title", "Mine"], ["close", "{tag:owf-a}"]).on("show", first=2, times=1))

    shows = [json.loads(ty(board, "show", "1", "--json").stdout) for _ in range(3)]

    assert [(show["title"], show["status"]) for show in shows] == [("T", "backlog"), ("Mine", "done"), ("Mine", "done")]
    assert [call.argv[0] for call in board.calls()] == ["create", "show", "show", "show"]


@pytest.mark.parametrize(
    ("call", "when", "state"),
    [
        (1, "before", []),
        (1, "after", [("backlog", False)]),
        (2, "before", [("backlog", False)]),
        (2, "after", [("blocked", False)]),
        (3, "before", [("blocked", False)]),
        (3, "after", [("blocked", True)]),
    ],
)
def test_the_caller_dies_before_or_after_any_of_its_calls(board: Board, call: int, when: faults.When, state: list[tuple[str, bool]]) -> None:
    board.set_fault(faults.kill_caller(when).on(first=call, times=1))

    done = subprocess.run([sys.executable, "-c", _CALLER], env=environment(board), capture_output=True, check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    assert len(board.calls()) == call
    assert [(task.status, task.pinned) for task in board.tasks()] == state


def test_the_process_of_the_tests_is_not_killed(board: Board) -> None:
    board.set_fault(faults.kill_caller("before"))

    assert ty(board, "list").returncode == 99


def test_faults_end_when_they_are_cleared_and_begin_to_count_when_they_are_set(board: Board) -> None:
    ty(board, "list")
    board.set_fault(faults.answers(exit=7).on("list", "create", first=2, times=2))

    codes = [ty(board, *argv).returncode for argv in (("list",), ("--version",), ("create", "--", "T"), ("list",), ("list",))]
    board.set_fault(faults.answers(exit=8))
    worse = ty(board, "list").returncode
    board.clear_faults()

    assert codes == [0, 0, 7, 7, 0]
    assert (worse, ty(board, "list").returncode) == (8, 0)


def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def _state(pid: int) -> str:
    """Return the letter of a process's state, nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
