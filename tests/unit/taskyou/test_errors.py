"""What TaskYou says when it does not do what it was asked for."""

import pytest

from reconciler.taskyou.errors import BusyError, GoneError, RefusedError, TaskYouError, UnclearError, failure

TOLD: list[tuple[str, type[TaskYouError], str]] = [
    ("Task #99 not found\n", GoneError, "Task #99 not found"),
    ("Blocker task #9 not found\n", GoneError, "Blocker task #9 not found"),
    ("Error: project not found: nope\n", RefusedError, "project not found: nope"),
    ("Project 'nope' not found\n", RefusedError, "Project 'nope' not found"),
    ("Error: project not found: database is locked\n", RefusedError, "project not found: database is locked"),
    ("Error: project not found: Task #1 not found\n", RefusedError, "project not found: Task #1 not found"),
    ("Invalid type. Must be one of: code, writing, thinking\n", RefusedError, "Invalid type. Must be one of: code, writing, thinking"),
    ("Invalid status. Must be one of: backlog, queued\n", RefusedError, "Invalid status. Must be one of: backlog, queued"),
    ("Invalid executor. Must be one of: claude, codex\n", RefusedError, "Invalid executor. Must be one of: claude, codex"),
    ("Invalid task ID: x\n", RefusedError, "Invalid task ID: x"),
    ("Error: unknown flag: --title\nUsage:\n  ty create\nError: unknown flag: --title\n", RefusedError, "unknown flag: --title"),
    ('Error: unknown command "fail" for "ty"\n\nDid you mean this?\n\ttail\n', RefusedError, 'unknown command "fail" for "ty"'),
    ("Error: either title or --body must be provided\n", RefusedError, "either title or --body must be provided"),
    ("Error: adding this dependency would create a cycle\n", RefusedError, "adding this dependency would create a cycle"),
    ("Error: insert task: database is locked (5) (SQLITE_BUSY)\n", BusyError, "insert task: database is locked (5) (SQLITE_BUSY)"),
    ("Error: update task status: database is locked (5) (SQLITE_BUSY)\n", BusyError, "update task status: database is locked (5) (SQLITE_BUSY)"),
    (
        "Error: create db directory: mkdir /nope: no such file or directory\n",
        TaskYouError,
        "create db directory: mkdir /nope: no such file or directory",
    ),
    ('warning: plugin "demo": ignored\nA new version is out\nError: disk I/O error\n', TaskYouError, "disk I/O error"),
    ("\x1b[31mError: Task #3 not found\x1b[0m   \n", GoneError, "Task #3 not found"),
    ("warning: Task #3 not found\nError: odd\n", TaskYouError, "odd"),
    ("odd\x07 text\n", TaskYouError, "odd\N{REPLACEMENT CHARACTER} text"),
    ("", TaskYouError, "it did not say why"),
    ("x" * 1000, TaskYouError, "x" * 299 + "…"),
]


@pytest.mark.parametrize(("told", "kind", "line"), TOLD, ids=[line[:30] for _, _, line in TOLD])
def test_its_words_say_what_kind_of_trouble_it_is(told: str, kind: type[TaskYouError], line: str) -> None:
    error = failure("ty create", 1, told)

    assert type(error) is kind
    assert str(error) == f"ty create: {line}"


def test_an_exit_status_that_it_never_chooses_leaves_open_what_happened() -> None:
    error = failure("ty update", 2, "panic: runtime error\n\ngoroutine 1 [running]:\n")

    assert type(error) is UnclearError
    assert str(error) == "ty update: ended with exit status 2: panic: runtime error"
