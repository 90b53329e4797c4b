"""A board of its own for a test: the stand-in on PATH, its cards, its calls, and the faults that it shall have.

The fixture `board` installs it for a `site`:

    def test_a_card_is_made_once(site: Site, board: Board) -> None:
        board.set_fault(faults.killed("after").on("create", times=1))
        site.pass_(expect=None)
        site.pass_()

        (card,) = board.tasks(tag="owf-...")
        assert [call.argv for call in board.calls("create")] == [...]
"""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.taskyou.faults import Fault
from tests.support.taskyou.records import Answer, Call, Edge, Task, call_from, task_from

_PROGRAM = """\
#!{python} -IS
import sys
sys.path.insert(0, {package!r})
from standin.main import main
sys.exit(main({control!r}, person={person!r}))
"""


class Board:
    """The stand-in below a folder of its own: program, database, log of calls, faults."""

    def __init__(self, root: Path, home: Path) -> None:
        self.folder, self.home = root, home
        self.bin, self.database, self.program = root / "bin", root / "tasks.db", root / "bin" / "ty"
        self._control, self._person = root / "control", root / "person"

    @classmethod
    def install(cls, root: Path, *, home: Path | None = None, version: str = "0.3.24") -> "Board":
        """Write the program below `root`; `home` is where it looks for hooks and plugins."""
        board = cls(root / "board", home or root / "board" / "home")
        for folder in (board.bin, board._control, board._person, board.home):
            folder.mkdir(parents=True, exist_ok=True)
        board._write_program(board.program, person=False)
        board._write_program(board._person / "ty", person=True)
        site_packages = sysconfig.get_path("purelib")
        board._settings = {"version": version, "site_packages": site_packages, "protected": [os.getpid(), os.getppid()]}
        board._faults = []
        board._save()
        return board

    _settings: dict[str, Any]
    _faults: list[Fault]

    @property
    def env(self) -> dict[str, str]:
        """The variables by which others find this board."""
        path = os.pathsep.join([str(self.bin), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return {"PATH": path, "WORKTREE_DB_PATH": str(self.database)}

    # What is on the board

    def tasks(self, *, tag: str = "", trashed: bool = False) -> list[Task]:
        """Return the cards in order of their ids; those in the trash only with `trashed`."""
        found = [task_from(row) for row in self._rows("SELECT * FROM tasks ORDER BY id")]
        return [task for task in found if (trashed or not task.trashed) and (not tag or tag in task.tags.split(","))]

    def task(self, number: int) -> Task:
        """Return one card, in the trash or not."""
        return task_from(self._rows("SELECT * FROM tasks WHERE id = ?", number)[0])

    def edges(self) -> list[Edge]:
        """Return who waits for whom."""
        rows = self._rows("SELECT * FROM task_dependencies ORDER BY id")
        return [Edge(row["blocker_id"], row["blocked_id"], bool(row["auto_queue"])) for row in rows]

    def events(self) -> list[tuple[str, int, str]]:
        """Return every event that ever was: its type, its card, its message."""
        return [(row["event_type"], row["task_id"], row["message"]) for row in self._rows("SELECT * FROM event_log ORDER BY id")]

    def logs(self, number: int) -> list[tuple[str, str]]:
        """Return the log of a card, oldest first: type and content."""
        return [(row["type"], row["content"]) for row in self._rows("SELECT * FROM task_logs WHERE task_id = ? ORDER BY id", number)]

    def launched(self) -> list[int]:
        """Return the cards on which an agent was started; nothing of ours may ever get onto this list."""
        return [row["task_id"] for row in self._rows("SELECT task_id FROM task_logs WHERE content LIKE 'Starting task #%' ORDER BY id")]

    # What was called

    def calls(self, *commands: str) -> list[Call]:
        """Return the calls in order, or those of some commands; what a person does is not among them."""
        records: dict[int, dict[str, Any]] = {}
        try:
            lines = (self._control / "calls.jsonl").read_text().split("\n")[:-1]
        except FileNotFoundError:
            return []
        for record in map(json.loads, lines):
            key = "ended_at" if "exit" in record else "started_at"
            records.setdefault(record["call"], {}).update({**record, key: record.get("at", 0)})
        made = [call_from(record) for record in records.values()]
        wanted = [tuple(command.split()) for command in commands]
        return [call for call in made if not wanted or any(call.argv[: len(words)] == words for words in wanted)]

    def overlaps(self) -> list[tuple[Call, Call]]:
        """Return the pairs of calls about one card that ran at the same time."""
        named = [call for call in self.calls() if len(call.argv) > 1 and call.argv[1].isdecimal()]
        pairs = [(one, other) for one, other in itertools.combinations(named, 2) if one.argv[1] == other.argv[1]]
        return [(one, other) for one, other in pairs if other.started_at < (one.ended_at or other.started_at)]

    def forget_calls(self) -> None:
        """Begin a new log and count from one again."""
        for name in ("calls.jsonl", "counts"):
            (self._control / name).unlink(missing_ok=True)

    # Faults and settings; every call reads them anew

    def set_fault(self, *faults: Fault) -> None:
        """Add faults to those that there are."""
        self._faults.extend(faults)
        self._save()

    def clear_faults(self) -> None:
        """Work well from now on."""
        self._faults.clear()
        self._save()

    def set(self, **settings: Any) -> None:
        """Change a setting.

        They are `version`; `clock`, seconds to move the time by; `now`, a time that stands still; `busy`, the seconds of each wait for a
        lock; `record`, more variables for the log of calls.
        """
        self._settings.update(settings)
        self._save()

    def remove(self) -> None:
        """Take the program off PATH; `put_back` brings it back."""
        self.program.rename(self.folder / "ty.away")

    def put_back(self) -> None:
        """Undo `remove`."""
        (self.folder / "ty.away").rename(self.program)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have no program meanwhile."""
        self.remove()
        yield
        self.put_back()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the database's write lock meanwhile, as another program would."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """Kill what still runs of this program: what hangs, or is slow."""
        for call in self.calls():
            for pid in {call.pid, *call.hanging} if call.exit is None else ():
                if _environment(pid).get("WORKTREE_DB_PATH") == str(self.database):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    # Other people

    def person(self, *argv: str, input: str = "") -> Answer:
        """Let a person use the program: no fault meets them, and their call is not logged."""
        return self._run([str(self._person / "ty"), *argv], input)

    def sweep(self, *, limit: float = 90) -> None:
        """Let the daemon sweep once; a card in `processing` loses its executor after `limit` seconds."""
        self._play("@sweep", str(limit))

    def start_daemon(self) -> None:
        """Let a daemon start: what is in `processing` loses its executor, and `daemon status` names the process of this test."""
        self._play("@start")
        (self.database.parent / "daemon.pid").write_text(str(os.getpid()))

    def stop_daemon(self) -> None:
        """Let the daemon stop."""
        (self.database.parent / "daemon.pid").unlink(missing_ok=True)

    def add_project(self, name: str, *, worktrees: bool = True, aliases: str = "") -> Path:
        """Add a project and return its folder."""
        folder = self.folder / "projects" / name
        self._play("@project", name, str(folder), "yes" if worktrees else "no", aliases)
        return folder

    def open(self, number: int) -> None:
        """Let a person open a card in the board: without worktrees this starts an agent on a blocked one."""
        self._play("@open", str(number))

    def _play(self, *argv: str) -> None:
        done = self._run([str(self._person / "ty"), *argv], "")
        assert done.exit == 0, done.stderr

    def _run(self, command: Sequence[str], input: str) -> Answer:
        environment = {**os.environ, **self.env, "HOME": str(self.home)}
        environment.pop("XDG_CONFIG_HOME", None)
        done = subprocess.run(
            command, env=environment, input=input, capture_output=True, text=True, check=False, timeout=60, errors="surrogateescape"
        )
        return Answer(done.stdout, done.stderr, done.returncode)

    def _rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(self.database)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            connection.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in connection.execute(statement, values)]
            except sqlite3.OperationalError as problem:
                if "no such table" in str(problem):  # the first call is about to make them
                    return []
                raise

    def _write_program(self, program: Path, *, person: bool) -> None:
        python = os.path.realpath(sys.executable)
        package = str(Path(__file__).parent)
        program.write_text(_PROGRAM.format(python=python, package=package, control=str(self._control), person=person))
        program.chmod(0o755)

    def _save(self) -> None:
        for name, value in (("settings", self._settings), ("faults", [fault.told() for fault in self._faults])):
            new = self._control / f"{name}.saved"
            new.write_text(repr(value), encoding="utf-8", errors="surrogateescape")
            new.rename(self._control / name)


def _environment(pid: int) -> dict[str, str]:
    """Return the environment of a process, nothing if it is gone."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(os.fsdecode(entry).partition("=")[::2] for entry in entries)
