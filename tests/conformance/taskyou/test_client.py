"""Our client against `ty`: what arrives of hostile texts, which words it is called with, which processes run, and what each of its answers means.

Without TY_REAL the program is the stand-in; tests about texts run against the program that TY_REAL names, too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.taskyou import deps, tasks
from reconciler.taskyou.call import MOST_ARGUMENT
from reconciler.taskyou.client import TaskYou
from reconciler.taskyou.errors import (
    BusyError,
    ForeignError,
    GoneError,
    MissingError,
    OldError,
    RefusedError,
    TaskYouError,
    UnclearError,
    failure,
)
from reconciler.taskyou.identity import recognise
from reconciler.taskyou.tasks import Task
from reconciler.taskyou.text import body_of, title_of
from tests.support.cli import CHECKOUT
from tests.support.site import eventually
from tests.support.strace import strace
from tests.support.taskyou import faults
from tests.support.taskyou.board import Board

REAL = os.environ.get("TY_REAL", "")
PLAIN = [
    "--dangerous",
    "-x",
    "--",
    "-",
    "--body=other",
    "--title",
    "--project=nope",
    "--execute",
    "-h",
    "--help",
    "$(touch /tmp/pwned)",
    "`id`",
    "${HOME}",
    "$HOME",
    "; rm -rf ~",
    "&& true",
    "| cat",
    "> out",
    "< in",
    "*",
    "~",
    "!!",
    "a'b",
    'a"b',
    "'\"'\"'",
    "\\",
    "\\\\",
    "C:\\temp\\dir",
    "\\t\\r\\0\\x41\\u0041",
    "\\\\\\\\",
    "%s%n%d",
    "%00",
    "{{.Title}}",
    "{}",
    "null",
    "true",
    "0",
    "[1]",
    '{"id":1}',
    "<script>alert(1)</script>",
    "a&amp;b",
    "Robert'); DROP TABLE tasks;--",
    "# heading",
    "- [ ] list",
    "#1",
    "@file",
    "=cmd()",
    "a,b,c",
    "key: value",
    "ümläut",
    "日本語",
    "😀👩‍👩‍👧‍👦🏳️‍🌈",
    "e\u0301 é",
    "\u202eright to left\u202c",
    "مرحبا",
    "שלום",
    "\u200bzero\u200dwidth\ufeff",
    "\ufffd",
    "\U0010ffff",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "bell\x07",
    "back\bspace",
    "del\x7f",
    "c1\x85\x9b",
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "crlf\r\nend",
    "\u2028separator\u2029",
    "form\ffeed\v",
    "Blocked by:\n  #1: x [done]",
    "x [done]\n  #2: y [backlog]",
    "x" * 500,
    "word " * 200,
    "é" * 5_000,
    "\U0001d518" * 10_000,
]
BREAKS = ["\\n", "a\\nb", "\\\\n", "\\\\\\n", "C:\\new\\nothing", '{"a": "b\\nc"}', "\\n" * 100, "ends with \\n", "\\N\\n\\r"]
# Those that cannot be sent: refused before a process is started.
NEVER = ["\x00", "nul\x00inside", "\ud800", "half \udfff of a pair", "\udcff", "x" * 200_000, "é" * 100_000, "x" * (MOST_ARGUMENT + 1)]


def texts() -> list[tuple[str, str]]:
    """Return 200 pairs of a title and a body that can be sent; each text is a title and a body at least once."""
    titles = [*PLAIN, *BREAKS]
    bodies = [*PLAIN, *BREAKS, "", "x" * 100_000, "x" * (MOST_ARGUMENT - 7), *(f"before {text} after" for text in PLAIN)]
    bodies += [f"{first}\n{second}" for first, second in zip(PLAIN, reversed(PLAIN), strict=True)]
    return [(titles[number % len(titles)], bodies[number % len(bodies)]) for number in range(200)]


@pytest.fixture
def client(board: Board) -> TaskYou:
    return TaskYou(str(board.program), str(board.database), 30, {**os.environ, **board.env})


@pytest.fixture(params=["stand-in", "real"])
def any_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TaskYou]:
    """The stand-in and, where there is one, the real program in a home of its own."""
    if request.param == "real":
        if not REAL:
            pytest.skip("TY_REAL names no program")
        home = tmp_path / "real"
        home.mkdir()
        own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "PATH": os.environ["PATH"]}
        yield TaskYou(os.path.abspath(REAL), str(home / "tasks.db"), 60, own)
        return
    made = Board.install(tmp_path)
    yield TaskYou(str(made.program), str(made.database), 60, {**os.environ, **made.env})
    made.close()


# Texts


def arrived(body: str) -> str:
    """Return what becomes of a body by the one rule that there is."""
    return body.replace("\\n", "\n")


@pytest.mark.parametrize("part", range(8))
def test_hostile_titles_and_bodies_arrive_as_they_are(any_client: TaskYou, part: int) -> None:
    for title, body in texts()[part::8]:
        number = any_client.create(title=title, body=body, project="personal", type="code", tags=["owf-hostile"])

        shown = any_client.show(number)
        assert (shown.title, shown.body, shown.status) == (title, arrived(body), "backlog")
    assert {task.title for task in any_client.find("owf-hostile")} == {title for title, _ in texts()[part::8]}


@pytest.mark.parametrize("part", range(4))
def test_hostile_titles_and_bodies_replace_others_as_they_are(any_client: TaskYou, part: int) -> None:
    number = any_client.create(title="T", body="B", project="personal", type="code", tags=[])
    for title, body in texts()[part:80:4]:
        any_client.update(number, title=title, body=body)

        shown = any_client.show(number)
        assert (shown.title, shown.body) == (title, arrived(body))


@pytest.mark.parametrize("part", range(2))
def test_what_we_generate_is_read_back_exactly(any_client: TaskYou, part: int) -> None:
    number = any_client.create(title="T", body="B", project="personal", type="code", tags=[])
    for text in [*PLAIN, *BREAKS, *NEVER][part::2]:
        title, body = title_of(text, otherwise="Run"), body_of(f"Error: {text}\nSee the logs.")
        any_client.update(number, title=title, body=body)

        shown = any_client.show(number)
        assert (shown.title, shown.body) == (title, body)


@pytest.mark.parametrize("text", NEVER, ids=range(len(NEVER)))
def test_what_cannot_be_sent_is_refused_and_nothing_is_called(board: Board, client: TaskYou, text: str) -> None:
    with pytest.raises(RefusedError):
        client.create(title="T", body=text, project="personal", type="code", tags=[])
    with pytest.raises(RefusedError):
        client.create(title=text, body="", project="personal", type="code", tags=[])
    with pytest.raises(RefusedError):
        client.update(1, title=text, body=text)

    assert board.calls() == []


# Words and processes


def test_the_words_of_hostile_texts_are_these_and_no_more(board: Board, client: TaskYou) -> None:
    for title, body in texts()[:40]:
        client.create(title=title, body=body, project="personal", type="code", tags=["owf-a", "b"], pinned=True)

    before = ("create", "--json", "--project", "personal", "--type", "code", "--tags", "owf-a,b")
    assert [call.argv for call in board.calls()] == [(*before, f"--body={body}", "--pinned", "--", title) for title, body in texts()[:40]]
    assert {(call.cwd, call.stdin, call.group == call.pid) for call in board.calls()} == {("/", "/dev/null", True)}
    assert {call.env["WORKTREE_DB_PATH"] for call in board.calls()} == {str(board.database)}
    assert all(task.pinned and task.tags == "owf-a,b" for task in board.tasks())


def test_no_shell_is_in_the_tree_of_processes(board: Board, tmp_path: Path) -> None:
    code = f"""
from reconciler.taskyou.client import TaskYou
board = TaskYou({str(board.program)!r}, {str(board.database)!r})
one = board.create(title="$(id)`id`; id", body="$(id) | id > x", project="personal", type="code", tags=["owf-a"], pinned=True)
two = board.create(title="& id", body="\\n", project="personal", type="code", tags=["owf-a"])
board.find("owf-a"), board.show(one), board.update(one, title="$(id)", body="`id`"), board.pin(one, on=False)
board.block(one, two), board.dependencies(one), board.move(one, "blocked"), board.move(two, "done")
board.worktrees("personal"), board.projects(), board.plugins_folder()
"""
    log = tmp_path / "log"
    command = [strace(), "-f", "-qq", "-e", "trace=execve,execveat", "-e", "signal=none", "-o", str(log), sys.executable, "-c", code]
    subprocess.run(command, check=True, cwd=CHECKOUT, timeout=120)

    started = [line.split('"')[1] for line in log.read_text().splitlines() if " = 0" in line]
    assert started.count(str(board.program)) == len(board.calls()) == 15
    assert set(started) == {sys.executable, str(board.program)}


def test_a_call_that_hangs_is_killed_with_everything_it_started(board: Board) -> None:
    client = TaskYou(str(board.program), str(board.database), 1.5, {**os.environ, **board.env})
    board.set_fault(faults.hanging())

    with pytest.raises(UnclearError, match=r"ty list: did not end within 1\.5 s, and was killed"):
        client.find("owf-a")

    [call] = board.calls()
    assert len(call.hanging) == 2
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() and _lives(pid) for pid in call.hanging))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Answers


def test_a_card_goes_through_its_life(any_client: TaskYou) -> None:
    board = any_client
    first = board.create(title="first", body="a", project="personal", type="code", tags=["owf-1", "owf-in"])
    second = board.create(title="second", body="", project="personal", type="", tags=["owf-2", "owf-in"], pinned=True)

    board.block(first, second)
    board.block(first, second)
    board.move(first, "blocked")
    assert board.dependencies(first) == tasks.Dependencies({second: "backlog"}, {})
    assert board.dependencies(second) == tasks.Dependencies({}, {first: "blocked"})
    assert [task.id for task in board.find("owf-1")] == [first]
    assert {task.id: (task.title, task.status, task.project, task.type) for task in board.find("OWF-in")} == {
        first: ("first", "blocked", "personal", "code"),
        second: ("second", "backlog", "personal", "code"),
    }
    board.move(second, "done")
    board.move(second, "done")
    done = board.show(second)
    assert (done.status, done.completed_at is not None, done.started_at) == ("done", True, None)
    assert board.show(first).status == "queued"  # what the edge asks for
    board.move(first, "backlog")
    board.pin(first)
    board.pin(first, on=False)
    board.move(first, "archived")
    assert (board.show(first).status, board.find("owf-none")) == ("archived", [])


def test_refusals_have_their_kinds(any_client: TaskYou) -> None:
    board = any_client
    one = board.create(title="T", body="", project="personal", type="code", tags=[])
    two = board.create(title="T", body="", project="personal", type="code", tags=[])
    board.block(one, two)

    with pytest.raises(RefusedError, match="create: project not found: nope"):
        board.create(title="T", body="", project="nope", type="code", tags=[])
    with pytest.raises(RefusedError, match=r"create: Invalid type\. Must be one of: code, writing, thinking"):
        board.create(title="T", body="", project="personal", type="zzz", tags=[])
    with pytest.raises(RefusedError, match="block: adding this dependency would create a cycle"):
        board.block(two, one)
    with pytest.raises(RefusedError, match="projects: Project 'nope' not found"):
        board.worktrees("nope")
    absent: list[Callable[[], object]] = [
        lambda: board.show(99),
        lambda: board.update(99, title="x"),
        lambda: board.move(99, "done"),
        lambda: board.move(99, "blocked"),
        lambda: board.pin(99),
        lambda: board.dependencies(99),
        lambda: board.block(99, one),
        lambda: board.block(one, 99),
    ]
    for call in absent:
        with pytest.raises(GoneError, match="#99 not found"):
            call()


FAULTS: dict[str, tuple[faults.Fault, type[TaskYouError], int]] = {
    "locked": (faults.locked(0.1), BusyError, 0),
    "killed before": (faults.killed("before"), UnclearError, 0),
    "killed after": (faults.killed("after"), UnclearError, 1),
    "garbage": (faults.garbage(), UnclearError, 1),
    "colours": (faults.ansi(), UnclearError, 1),
    "flood": (faults.flood(64 << 20), UnclearError, 1),
    "other program": (faults.wrong_program(), UnclearError, 0),
    "unknown project": (faults.unknown_project(), RefusedError, 0),
    "disk": (faults.answers(err="Error: insert task: disk I/O error (10)\n", exit=1), TaskYouError, 0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_trouble_with_a_creation_says_whether_to_look(board: Board, client: TaskYou, name: str) -> None:
    fault, kind, made = FAULTS[name]
    board.set_fault(fault.on("create"))

    with pytest.raises(TaskYouError) as raised:
        client.create(title="T", body="B", project="personal", type="code", tags=["owf-a"])

    assert type(raised.value) is kind
    assert len(client.find("owf-a")) == made
    assert len(str(raised.value).splitlines()) == 1
    assert str(raised.value).startswith("ty create: ")
    assert str(raised.value).isprintable()


def test_a_notice_beside_the_answer_changes_nothing(board: Board, client: TaskYou) -> None:
    board.set_fault(faults.update_notice())

    assert client.create(title="T", body="B", project="personal", type="code", tags=["owf-a"]) == 1
    assert recognise(str(board.program), str(board.database)).version == "0.3.24"


def test_a_program_is_recognised_or_said_to_be_another(board: Board) -> None:
    found = recognise("ty", str(board.database), environ={**os.environ, **board.env})
    assert (found.program, found.version, found.database) == (str(board.program), "0.3.24", str(board.database))

    board.set_fault(faults.old_version())
    with pytest.raises(OldError, match="its list has no --tag"):
        recognise(str(board.program), str(board.database))
    board.clear_faults()
    board.set_fault(faults.wrong_program())
    with pytest.raises(ForeignError, match="Astral's type checker"):
        recognise(str(board.program), str(board.database))
    with board.away(), pytest.raises(MissingError, match="is not there"):
        recognise(str(board.program), str(board.database))


# What was recorded of the real program

RECORDED: list[dict[str, Any]] = [json.loads(line) for line in (Path(__file__).parent / "transcripts.jsonl").read_text().splitlines()]
KINDS: Mapping[str, type[TaskYouError]] = {
    "Task #": GoneError,
    "database is locked": BusyError,
    "create db directory": TaskYouError,
}


def recorded(*command: str) -> list[str]:
    """Return what a command printed that succeeded, for each time that it was recorded."""
    calls = [call for call in RECORDED if tuple(call["argv"][: len(command)]) == command and call["exit"] == 0]
    assert calls
    return [call["stdout"].replace("$TIME", "2026-11-22T12:56:10Z") for call in calls]


def test_every_error_that_was_recorded_has_a_kind() -> None:
    failed = [call for call in RECORDED if call["exit"] != 0]

    for call in failed:
        error = failure(f"ty {call['argv'][0]}", call["exit"], call["stderr"])
        told = str(error)
        expected = next((kind for words, kind in KINDS.items() if words in told), RefusedError)
        assert type(error) is expected, told
        assert len(told.splitlines()) == 1
        assert told.startswith(f"ty {call['argv'][0]}: ")
        assert not told.startswith(f"ty {call['argv'][0]}: warning")
    assert len(failed) > 25


def test_every_answer_that_was_recorded_can_be_read() -> None:
    assert [tasks.id_in(tasks.value_of(text)) for text in recorded("create", "--json")][:5] == [1, 2, 3, 4, 5]
    assert {len(tasks.items_of(tasks.value_of(text))) for text in recorded("list", "--all", "--json")} >= {0, 1}
    for text in recorded("list", "--all", "--json"):
        for item in tasks.items_of(tasks.value_of(text)):
            assert tasks.listed(item).title
    shown = [
        tasks.task(tasks.value_of(call["stdout"])) for call in RECORDED if call["argv"][0] == "show" and "--json" in call["argv"] and not call["exit"]
    ]
    assert {task.status for task in shown} >= {"backlog", "blocked", "done", "archived", "processing", "queued"}
    assert [tasks.flag_in(tasks.value_of(text), "use_worktrees") for text in recorded("projects", "show")] == [True]


def test_the_dependencies_that_were_recorded_can_be_read() -> None:
    titles = {1: "agent task", 2: "durable run"}
    others = {number: Task(number, title, "", "", "", "") for number, title in titles.items()}

    found = [deps.read(text, others[int(text[6])], others) for text in recorded("deps")]

    one, two = tasks.Dependencies({2: "backlog"}, {}), tasks.Dependencies({}, {1: "backlog"})
    assert found == [one, two, tasks.Dependencies({2: "done"}, {})]
