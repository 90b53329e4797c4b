"""What the stand-in for `ty` does beyond the recorded calls: whole rows, releases, sweeps, hostile text, many calls at once."""

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.taskyou import faults
from tests.support.taskyou.board import Board
from tests.support.taskyou.records import Edge


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board.install(tmp_path)
    yield made
    made.close()


def ty(board: Board, *argv: str | bytes) -> subprocess.CompletedProcess[bytes]:
    """Make one call as the reconciler would."""
    env = {**os.environ, **board.env, "HOME": str(board.home)}
    return subprocess.run([str(board.program), *argv], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)


def created(board: Board, *argv: str | bytes) -> int:
    """Create a card and return its id."""
    done = ty(board, "create", "--json", *argv)
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["id"])


def shown(board: Board, number: int) -> dict[str, str]:
    """Return a card as `show` tells it."""
    answer: dict[str, str] = json.loads(ty(board, "show", str(number), "--json").stdout)
    return answer


@pytest.mark.parametrize(
    "text",
    [
        "--dangerous",
        "-x",
        "$(id)",
        "a\nb",
        "a\\tb",
        "'\"`",
        "ü ✓ \U0001f600",
        "\t",
        "\u2028",
        "<&>",
        "{tag:x}",
        "%s",
        "x" * 131_000,
        "'; DROP TABLE tasks; --",
    ],
)
def test_hostile_text_arrives_as_it_was_sent(board: Board, text: str) -> None:
    title = text if text.strip() else "t"

    number = created(board, f"--body={text}", "--", title)

    assert (shown(board, number)["title"], shown(board, number)["body"]) == (title, text)
    assert (board.task(number).title, board.task(number).body) == (title, text)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("status 1", "accepts 2 arg(s), received 1"),
        ("create a b", "accepts at most 1 arg(s), received 2"),
        ("list -n x", 'invalid argument "x" for "-n, --limit" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        ("update 1 --title", "flag needs an argument: --title"),
        ("list -z", "unknown shorthand flag: 'z' in -z"),
        ("create --dangerously", "unknown flag: --dangerously"),
        ("block 1", 'required flag(s) "by" not set'),
    ],
)
def test_a_wrong_command_line_is_told_before_and_after_the_usage(board: Board, line: str, text: str) -> None:
    done = ty(board, *line.split())

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(f"Error: {text}\nUsage:\n")
    assert done.stderr.decode().endswith(f"\nError: {text}\n")
    assert not board.database.exists()


def test_text_that_is_no_utf_8_is_kept_and_shown_with_replacements(board: Board) -> None:
    number = created(board, b"--body=a\xffb", "--", b"\xfe")

    assert (shown(board, number)["title"], shown(board, number)["body"]) == ("\ufffd", "a\ufffdb")
    assert os.fsencode(board.task(number).body) == b"a\xffb"


def test_a_body_loses_its_backslash_before_n_on_update_too(board: Board) -> None:
    number = created(board, "--", "T")

    ty(board, "update", str(number), "--body=a\\nb\\\\nc")

    assert board.task(number).body == "a\nb\\\nc"


def test_an_update_undoes_a_status_that_changed_meanwhile(board: Board) -> None:
    number = created(board, "--tags", "owf-a", "--", "T")
    board.set_fault(faults.person_during_update(["status", "{tag:owf-a}", "done"]).on("update"))

    ty(board, "update", str(number), "--title", "New")

    assert (board.task(number).title, board.task(number).status) == ("New", "backlog")
    assert ("task.completed", number, "T") in board.events()


def test_fifty_cards_are_listed_by_default_and_a_hundred_with_zero(board: Board) -> None:
    board.person("list")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: created(board, "--tags", "owf-x", "--", f"T{at}"), range(103)))

    counts = [
        len(json.loads(ty(board, "list", "--json", *more).stdout)) for more in ((), ("-n", "0"), ("-n", "10000"), ("-n10000", "--tag", "OWF-X"))
    ]

    assert counts == [50, 100, 103, 103]
    assert sorted(task.id for task in board.tasks()) == list(range(1, 104))
    assert sorted(call.number for call in board.calls("create")) == list(range(1, 104))


def test_calls_that_all_find_no_database_make_one(board: Board) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda at: ty(board, "list", "--json"), range(8)))

    assert {(done.returncode, done.stdout, done.stderr) for done in answers} == {(0, b"null\n", b"")}


def test_a_card_is_released_when_its_last_blocker_ends_unless_it_has_started(board: Board) -> None:
    waiting, started, one, other = (created(board, "--", title) for title in ("waiting", "started", "one", "other"))
    for blocker in (one, other):
        ty(board, "block", str(waiting), "--by", str(blocker), "--auto-queue")
    ty(board, "block", str(started), "--by", str(one))
    ty(board, "status", str(started), "processing")
    for number in (waiting, started):
        ty(board, "status", str(number), "blocked")

    ty(board, "close", str(one))
    after_one = (board.task(waiting).status, board.task(started).status)
    ty(board, "status", str(other), "archived")

    assert after_one == ("blocked", "blocked")
    assert (board.task(waiting).status, board.task(started).status) == ("queued", "blocked")


def test_a_blocker_that_is_deleted_releases_nothing(board: Board) -> None:
    waiting, blocker = created(board, "--", "waiting"), created(board, "--", "blocker")
    ty(board, "block", str(waiting), "--by", str(blocker))
    ty(board, "status", str(waiting), "blocked")
    edges = board.edges()

    ty(board, "delete", str(blocker), "--force")
    trashed = board.edges()
    ty(board, "delete", str(blocker), "--force", "--hard")

    assert edges == trashed == [Edge(blocker, waiting, auto_queue=False)]
    assert board.edges() == []
    assert board.task(waiting).status == "blocked"


def test_the_daemon_takes_an_old_card_from_processing_and_a_refreshed_one_not(board: Board) -> None:
    old, held = created(board, "--", "old"), created(board, "--", "held")
    for number in (old, held):
        ty(board, "status", str(number), "processing")
    board.set(clock=91)
    ty(board, "status", str(held), "processing")

    board.sweep()

    assert (board.task(old).status, board.task(held).status) == ("blocked", "processing")
    assert board.logs(old)[0][0] == "error"


def test_a_daemon_that_starts_takes_every_card_from_processing(board: Board) -> None:
    number = created(board, "--", "T")
    ty(board, "status", str(number), "processing")

    board.start_daemon()
    running = ty(board, "daemon", "status").stdout.decode()
    board.stop_daemon()

    assert board.task(number).status == "blocked"
    assert running == f"Daemon running (pid {os.getpid()}, safe mode)\n"
    assert ty(board, "daemon", "status").stdout == b"Daemon not running\n"


def test_the_sweep_queues_a_blocked_card_whose_blockers_are_done_and_starts_an_agent_on_it(board: Board) -> None:
    card, blocker = created(board, "--", "card"), created(board, "--", "blocker")
    ty(board, "close", str(blocker))
    ty(board, "block", str(card), "--by", str(blocker), "--auto-queue")
    ty(board, "status", str(card), "blocked")

    board.sweep()

    assert board.launched() == [card]


def test_cards_outside_the_queue_never_start_an_agent(board: Board) -> None:
    for status in ("backlog", "blocked", "done", "archived"):
        ty(board, "status", str(created(board, "--", status)), status)

    board.sweep(limit=0)

    assert board.launched() == []


def test_opening_a_blocked_card_starts_an_agent_only_without_worktrees(board: Board) -> None:
    board.add_project("plain", worktrees=False, aliases="p, q")
    board.add_project("trees")
    plain, trees = (created(board, "-p", project, "--", "T") for project in ("q", "trees"))
    for number in (plain, trees):
        ty(board, "status", str(number), "blocked")
        board.open(number)

    shows = [json.loads(ty(board, "projects", "show", project, "--json").stdout)["use_worktrees"] for project in ("plain", "trees")]

    assert board.launched() == [plain]
    assert shows == [False, True]


def test_a_card_that_moves_to_another_project_is_a_new_card_with_the_same_tags(board: Board) -> None:
    board.add_project("other")
    number = created(board, "--tags", "owf-a", "--", "T")

    done = board.person("move", str(number), "other", "--force")

    (moved,) = board.tasks(tag="owf-a")
    assert (done.exit, moved.project, moved.status, moved.title) == (0, "other", "backlog", "T")
    assert moved.id != number
    assert ty(board, "show", str(number)).stderr == f"Task #{number} not found\n".encode()


def test_a_hook_may_call_us_and_is_awaited(board: Board, tmp_path: Path) -> None:
    hook = board.home / ".config" / "task" / "hooks" / "task.completed"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\n'{board.program}' update $TASK_ID --title \"by the hook of $TASK_STATUS\"\n")
    hook.chmod(0o755)
    number = created(board, "--", "T")

    ty(board, "close", str(number))

    assert board.task(number).title == "by the hook of done"
    assert [call.argv[0] for call in board.calls()] == ["create", "close", "update"]


def test_a_command_of_a_plugin_is_a_path_inside_it_even_if_it_looks_absolute(board: Board, tmp_path: Path) -> None:
    outside = tmp_path / "outside.sh"
    outside.write_text("#!/bin/sh\necho outside\n")
    outside.chmod(0o755)
    folder = board.home / ".config" / "task" / "plugins" / "ours"
    folder.mkdir(parents=True)
    (folder / "inside.sh").write_text("#!/bin/sh\necho inside\n")
    (folder / "inside.sh").chmod(0o755)
    actions = [{"id": "in", "command": "inside.sh"}, {"id": "out", "command": str(outside)}]
    (folder / "plugin.yaml").write_text(json.dumps({"name": "ours", "actions": actions, "services": [{"name": "s", "command": str(outside)}]}))

    inside, missing = ty(board, "plugins", "run", "ours", "in"), ty(board, "plugins", "run", "ours", "out")

    assert (inside.stdout, missing.returncode) == (b"inside\n", 1)
    assert b"ignored entries with missing/invalid scripts: [action:out]" in missing.stderr


def test_every_call_is_logged_with_what_it_was_given(board: Board, tmp_path: Path) -> None:
    board.set(record=["SECRET"])
    env = {"HOME": str(board.home), "SECRET": "s3cret", "TY_OPENWORKFLOW_SYNC": "1", **board.env}

    process = subprocess.run(["ty", "show", "7"], env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    (call,) = board.calls()
    assert (call.argv, call.exit, call.cwd, call.stdin) == (("show", "7"), process.returncode, str(tmp_path), "/dev/null")
    assert (call.env["WORKTREE_DB_PATH"], call.env["SECRET"], call.env["TY_OPENWORKFLOW_SYNC"]) == (str(board.database), "s3cret", "1")
    assert call.parent == os.getpid()
    assert call.ended_at is not None
    assert call.started_at <= call.ended_at
    assert board.calls("list") == []
