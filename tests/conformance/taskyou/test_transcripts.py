"""The stand-in for `ty` gives the answers that the real program gave.

`transcripts.jsonl` has all 144 calls that were recorded; none is left out for the stand-in. Times, versions, process ids and ages are written
`$TIME`, `$VERSION`, `$PID` and `$AGE`, the home folder `$HOME`, and usage texts `[usage]`. `before` names what a test does before that call.

With TY_REAL=/path/to/ty the same calls go to that program, in homes of their own. There the scenario `daemon` is left out: it would start a
daemon, which starts agents. TaskYou is an optional component, so that without TY_REAL these tests are skipped.
"""

import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.taskyou.board import Board

Recorded = dict[str, Any]
_CALLS: list[Recorded] = [json.loads(line) for line in (Path(__file__).parent / "transcripts.jsonl").read_text().splitlines()]
_SCENARIOS = list(dict.fromkeys(call["scenario"] for call in _CALLS))
_REAL = os.environ.get("TY_REAL", "")
_MOMENT = 1_800_000_000
_BUSY = 0.05
_SCRIPTS = {
    "ok.sh": "#!/bin/sh\necho fine\nenv | grep ^TASK_ | sort\n",
    "fails.sh": "#!/bin/sh\necho out\necho err >&2\nexit 3\n",
    "plugin.yaml": """\
name: demo
version: 0.1.0
description: Demo
actions:
  - {id: ok, label: Fine, command: ok.sh}
  - {id: fails, label: Fails, command: fails.sh}
  - {id: inline, label: Inline, command: echo hi}
""",
}
_NORMAL = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)?", "$TIME"),
    (r"pid \d+", "pid $PID"),
    (r'"age_hint": "(\w+) \d+[smhd]"', r'"age_hint": "\1 $AGE"'),
    (r"trashed \d+[smhd] ago", "trashed $AGE ago"),
    (r"(?s)Usage:\n.*(?=Error: )", "[usage]\n"),
)


@dataclass
class Home:
    """One program in a home of its own, and what a scenario prepares there."""

    folder: Path
    program: Path
    board: Board | None
    env: dict[str, str] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def database(self) -> Path:
        return Path(self.env["WORKTREE_DB_PATH"])

    def prepare(self, what: str) -> None:
        match what:
            case "no folder":
                self.env["WORKTREE_DB_PATH"] = "/proc/nope/tasks.db"
            case "lock":
                connection = self.stack.enter_context(closing(sqlite3.connect(self.database, isolation_level=None)))
                connection.execute("BEGIN IMMEDIATE")
            case "hook":
                told = r"env | grep -E '^TASK_(EVENT|ID|PROJECT|STATUS|TAGS|TIMESTAMP|TITLE)=' | sort > $HOME/hook_env"
                self.write(".config/task/hooks/task.created", f"#!/bin/sh\n{told}\nexit 4\n")
            case "plugin":
                for name, text in _SCRIPTS.items():
                    self.write(f".config/task/plugins/demo/{name}", text)
            case "plugin with a wrong env":
                text = "name: demo\nservices:\n  - {name: s, command: sleep 1, env: {A: b}}\n"
                self.write(".config/task/plugins/demo/plugin.yaml", text)
            case "daemon":
                assert self.board is not None
                self.board.start_daemon()
            case "sweep":
                assert self.board is not None
                self.board.sweep()
            case _:
                raise AssertionError(what)

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755)

    def call(self, argv: list[str]) -> Mapping[str, Any]:
        """Make one call and return its answer as it would be recorded."""
        words = [word.replace("$HOME", str(self.folder)) for word in argv]
        done = subprocess.run(
            [str(self.program), *words],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        answer = {"exit": done.returncode, "stdout": self.normal(done.stdout, argv), "stderr": self.normal(done.stderr, argv)}
        hook = self.folder / "hook_env"
        return {**answer, "hook_env": self.normal(hook.read_text(), argv)} if hook.exists() else answer

    def normal(self, text: str, argv: list[str]) -> str:
        text = text.replace(str(self.folder), "$HOME")
        for pattern, replacement in _NORMAL:
            text = re.sub(pattern, replacement, text)
        if argv[0] == "types":
            text = re.sub(r'("instructions": )".*"', r'\1"[text]"', text)
        return "$VERSION\n" if argv == ["--version"] and re.fullmatch(r"dev|v?\d+\.\d+\.\d+\S*", text.strip()) else text


@pytest.fixture(params=["stand-in", "real"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """An empty home with one of the two programs."""
    folder = tmp_path / "home"
    folder.mkdir()
    board, program = None, Path(_REAL)
    if request.param == "stand-in":
        board = Board.install(tmp_path, home=folder)
        board.set(now=_MOMENT, busy=_BUSY)
        program = board.program
    elif not _REAL:
        pytest.skip("TY_REAL does not name a TaskYou program to compare with")
    made = Home(folder, program, board)
    made.env |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / ".config"), "NO_COLOR": "1", "PATH": os.environ["PATH"], "TZ": "UTC"}
    made.env["WORKTREE_DB_PATH"] = str(board.database if board else tmp_path / "tasks.db")
    with made.stack:
        yield made


@pytest.mark.parametrize("scenario", _SCENARIOS)
def test_the_answers_are_those_that_were_recorded(home: Home, scenario: str) -> None:
    if scenario == "daemon" and home.board is None:
        pytest.skip("a real daemon would start agents")
    for number, recorded in enumerate(call for call in _CALLS if call["scenario"] == scenario):
        if "before" in recorded:
            home.prepare(recorded["before"])

        answer = home.call(recorded["argv"])

        expected: Recorded = {key: recorded[key] for key in ("exit", "stdout", "stderr", "hook_env") if key in recorded}
        assert _comparable(answer, recorded) == _comparable(expected, recorded), f"call {number} of {scenario!r}: ty {' '.join(recorded['argv'])}"


def test_every_recorded_call_is_replayed() -> None:
    assert len(_CALLS) == 144


def _comparable(answer: Mapping[str, Any], recorded: Recorded) -> dict[str, Any]:
    """Return an answer without what depends on where a second ends: the order of events within one."""
    if recorded["argv"][:3] != ["events", "list", "--json"]:
        return dict(answer)
    events = json.loads(answer["stdout"]) or []
    return {**answer, "stdout": sorted(events, key=lambda event: int(event["id"]))}


def test_a_locked_database_makes_a_read_wait_four_times_and_a_write_once_more(tmp_path: Path) -> None:
    board = Board.install(tmp_path)
    board.person("list")
    board.set(busy=_BUSY)

    with board.locked():
        began = time.monotonic()
        read = board.person("list", "--json")
        waited = time.monotonic() - began
        began = time.monotonic()
        written = board.person("create", "--json", "--", "T")
        longer = time.monotonic() - began

    assert (read.stdout, waited >= 4 * _BUSY) == ("null\n", True)
    assert (written.exit, longer >= 5 * _BUSY) == (1, True)
