"""What TaskYou is called with, and what is made of its answers."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.taskyou.client import TaskYou
from reconciler.taskyou.errors import GoneError, RefusedError, UnclearError
from reconciler.taskyou.tasks import Dependencies, Listed, Task
from tests.unit.taskyou.programs import Program, said

ONE = {"id": 7, "title": "T <x>", "status": "backlog", "project": "shop", "type": "code", "created_at": "2026-11-22T12:56:10+02:00"}
SHOWN = {**ONE, "body": "b\nc", "branch": "", "summary": "", "updated_at": "2026-11-22T12:56:10Z", "started_at": "2026-11-22T12:57:10Z"}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    answers = {
        "create": said({"id": 12, "title": "T"}),
        "list": said([ONE]),
        "show": said(SHOWN),
        "projects show": said({"name": "shop", "use_worktrees": True}),
        "projects list": said([{"name": "personal"}, {"name": "shop"}]),
        "plugins dir": (0, "/home/ana/.config/task/plugins\n", ""),
        "deps": (0, "Task #1: T\n", ""),
    }
    done = dict.fromkeys(("update", "status", "close", "pin", "block"), (0, "done\n", ""))
    return Program(tmp_path, {**answers, **done})


@pytest.fixture
def board(program: Program) -> TaskYou:
    return TaskYou(program.path, "/db/tasks.db", 20, {"PATH": os.environ["PATH"], "HOOK": "kept", "WORKTREE_DB_PATH": "/other"})


CALLS: list[tuple[Callable[[TaskYou], object], list[str]]] = [
    (
        lambda board: board.create(title="T", body="b\nc", project="shop", type="code", tags=["owf-abc", "env"]),
        ["create", "--json", "--project", "shop", "--type", "code", "--tags", "owf-abc,env", "--body=b\nc", "--", "T"],
    ),
    (
        lambda board: board.create(title="--dangerous", body="-", project="", type="", tags=[], pinned=True),
        ["create", "--json", "--body=-", "--pinned", "--", "--dangerous"],
    ),
    (lambda board: board.find("owf-abc"), ["list", "--all", "--json", "-n", "10000", "--tag", "owf-abc"]),
    (lambda board: board.show(7), ["show", "7", "--json"]),
    (lambda board: board.update(7, title="-x", body="--y"), ["update", "7", "--title=-x", "--body=--y"]),
    (lambda board: board.update(7, body=""), ["update", "7", "--body="]),
    (lambda board: board.update(7, title="t"), ["update", "7", "--title=t"]),
    (lambda board: board.move(7, "backlog"), ["status", "7", "backlog"]),
    (lambda board: board.move(7, "blocked"), ["status", "7", "blocked"]),
    (lambda board: board.move(7, "archived"), ["status", "7", "archived"]),
    (lambda board: board.move(7, "done"), ["close", "7"]),
    (lambda board: board.pin(7), ["pin", "7"]),
    (lambda board: board.pin(7, on=False), ["pin", "7", "--unpin"]),
    (lambda board: board.dependencies(7), ["deps", "7"]),
    (lambda board: board.block(7, 3), ["block", "7", "--by", "3", "--auto-queue"]),
    (lambda board: board.block(7, 3, auto_queue=False), ["block", "7", "--by", "3"]),
    (lambda board: board.worktrees("shop"), ["projects", "show", "shop", "--json"]),
    (lambda board: board.projects(), ["projects", "list", "--json"]),
    (lambda board: board.plugins_folder(), ["plugins", "dir"]),
]


@pytest.mark.parametrize(("do", "words"), CALLS, ids=[" ".join(words)[:40] for _, words in CALLS])
def test_each_method_is_one_call_with_exactly_these_words(
    program: Program, board: TaskYou, do: Callable[[TaskYou], object], words: list[str]
) -> None:
    do(board)

    assert program.words() == [words]


def test_every_call_carries_the_database_and_says_that_it_is_ours(program: Program, board: TaskYou) -> None:
    for do, _ in CALLS:
        do(board)

    assert {call.folder for call in program.calls()} == {"/"}
    for call in program.calls():
        assert call.environ == {"WORKTREE_DB_PATH": "/db/tasks.db", "NO_COLOR": "1", "TY_OPENWORKFLOW_SYNC": "1", "HOOK": "kept"}


def test_answers_are_values(board: TaskYou) -> None:
    made = datetime(2026, 11, 22, 10, 56, 10, tzinfo=UTC)
    updated, started = datetime(2026, 11, 22, 12, 56, 10, tzinfo=UTC), datetime(2026, 11, 22, 12, 57, 10, tzinfo=UTC)

    assert board.create(title="T", body="", project="p", type="code", tags=["t"]) == 12
    assert board.find("t") == [Listed(7, "T <x>", "backlog", "shop", "code", made)]
    assert board.show(7) == Task(7, "T <x>", "b\nc", "backlog", "shop", "code", made, updated, started, None)
    assert board.worktrees("shop") is True
    assert board.projects() == ["personal", "shop"]
    assert board.plugins_folder() == Path("/home/ana/.config/task/plugins")


def test_null_is_an_empty_list(program: Program, board: TaskYou) -> None:
    program.answers({"list": said(None), "projects": said(None)})

    assert (board.find("t"), board.projects()) == ([], [])


def test_a_project_that_does_not_say_so_has_no_worktrees(program: Program, board: TaskYou) -> None:
    program.answers({"projects": said({"name": "shop"})})

    assert board.worktrees("shop") is False


@pytest.mark.parametrize("status", ["queued", "processing", "", "Done", "in progress"])
def test_a_card_is_never_moved_to_where_an_agent_works(program: Program, board: TaskYou, status: str) -> None:
    with pytest.raises(ValueError, match="is never moved to"):
        board.move(7, status)
    assert program.words() == []


def test_nothing_to_update_is_no_call(program: Program, board: TaskYou) -> None:
    board.update(7)

    assert program.words() == []


@pytest.mark.parametrize("title", ["", " \n"])
def test_an_empty_title_is_refused_since_an_empty_one_is_made_up_or_ignored(program: Program, board: TaskYou, title: str) -> None:
    with pytest.raises(RefusedError, match="needs a title"):
        board.create(title=title, body="b", project="p", type="code", tags=[])
    with pytest.raises(RefusedError, match="needs a title"):
        board.update(7, title=title)
    assert program.words() == []


@pytest.mark.parametrize("tag", ["", " ", "a,b", "pipeline", "Gate", "pipe line"])
def test_tags_that_would_be_something_else_are_refused(program: Program, board: TaskYou, tag: str) -> None:
    with pytest.raises(RefusedError, match="cannot be a tag"):
        board.create(title="T", body="b", project="p", type="code", tags=["fine", tag])
    assert program.words() == []


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "null",
        "{}",
        '{"id": "7"}',
        '{"id": 0}',
        '{"id": true}',
        "[1]",
        "Created task #7\n",
        '{"id": 7',
        "\x1b[0m" + json.dumps(ONE),
        "[" * 100_000,
    ],
)
def test_an_answer_that_is_no_task_leaves_open_what_happened(program: Program, board: TaskYou, printed: str) -> None:
    program.answers({"create": (0, printed, ""), "show": (0, printed, "")})

    with pytest.raises(UnclearError, match="ty create: what it printed"):
        board.create(title="T", body="b", project="p", type="code", tags=[])
    with pytest.raises(UnclearError, match="ty show: what it printed"):
        board.show(7)


@pytest.mark.parametrize("printed", ["", "{}", "[null]", '[{"title": "x"}]', "nothing here"])
def test_an_answer_that_is_no_list_is_not_an_empty_one(program: Program, board: TaskYou, printed: str) -> None:
    program.answers({"list": (0, printed, "")})

    with pytest.raises(UnclearError, match="ty list: what it printed"):
        board.find("t")


def test_an_edge_that_is_there_already_is_as_wanted(program: Program, board: TaskYou) -> None:
    unique = "constraint failed: UNIQUE constraint failed: task_dependencies.blocker_id, task_dependencies.blocked_id (2067)"
    program.answers({"block": (1, "", f"Error: add dependency: {unique}\n")})

    board.block(1, 2)

    program.answers({"block": (1, "", "Error: adding this dependency would create a cycle\n")})
    with pytest.raises(RefusedError, match="cycle"):
        board.block(1, 2)
    program.answers({"block": (1, "", "Task #1 not found\n")})
    with pytest.raises(GoneError, match="ty block: Task #1 not found"):
        board.block(1, 2)


def test_what_tasks_wait_for_is_read_with_their_titles(program: Program, board: TaskYou) -> None:
    text = "Task #1: agent task\n\nBlocked by:\n  #2: durable run [done]\n  #3: x [backlog]\n\nBlocks:\n  #4: y [queued]\n"
    titles = {1: "agent task", 2: "durable run", 3: "x", 4: "y"}
    shows = {f"show {n} ": said({"id": n, "title": title, "status": "backlog"}) for n, title in titles.items()}
    program.answers({"deps": (0, text, ""), **shows})

    assert board.dependencies(1) == Dependencies({2: "done", 3: "backlog"}, {4: "queued"})


def test_titles_that_look_like_further_lines_are_not_taken_for_them(program: Program, board: TaskYou) -> None:
    titles = {1: "a\n\nBlocks:\n  #9: z [done]", 2: "x [done]\n  #5: fake [done]\n\nBlocks:\n  #3: y [backlog]", 3: "y] [", 5: "fake", 9: "z"}
    text = f"Task #1: {titles[1]}\n\nBlocked by:\n  #2: {titles[2]} [backlog]\n\nBlocks:\n  #3: {titles[3]} [blocked]\n"
    program.answers({"deps": (0, text, ""), **{f"show {n} ": said({"id": n, "title": title, "status": "backlog"}) for n, title in titles.items()}})

    assert board.dependencies(1) == Dependencies({2: "backlog"}, {3: "blocked"})


def test_dependencies_that_cannot_be_understood_are_at_most_what_they_name(program: Program, board: TaskYou) -> None:
    text = "Task #1: T\n\nBlocked by:\n  #2: shortened… [done]\n  #8: gone [done]\n"
    shows = {f"show {n} ": said({"id": n, "title": title, "status": "blocked"}) for n, title in {1: "T", 2: "shortened title"}.items()}
    program.answers({"deps": (0, text, ""), **shows, "show 8": (1, "", "Task #8 not found\n")})

    assert board.dependencies(1) == Dependencies({2: "blocked"}, {2: "blocked"})
    assert program.words().count(["deps", "1"]) == 2
