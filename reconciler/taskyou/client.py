"""TaskYou's command line: one method for each call that we make, and no other.

Nothing here hands a task to an agent: `queued` and `processing` are refused, and the commands that start one are not used.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from reconciler.digest import Json
from reconciler.taskyou import deps, tasks
from reconciler.taskyou.call import Answer, call
from reconciler.taskyou.errors import GoneError, RefusedError, UnclearError, failure
from reconciler.taskyou.tasks import Dependencies, Listed, ShapeError, Task

SECONDS = 60.0  # its hooks are waited for, 30 s each; a locked database takes it 25 s
COLUMNS = ("backlog", "blocked", "done", "archived")
MOST_LISTED = 10_000
_EDGE_IS_THERE = "UNIQUE constraint failed: task_dependencies"
_TRASHED = re.compile(r"#[0-9]+ ")
T = TypeVar("T")


class TaskYou:
    """A board: a program and its database. Every call is one process, and carries the database; nothing is kept in between."""

    def __init__(self, program: str, database: str, timeout: float = SECONDS, environ: Mapping[str, str] | None = None) -> None:
        """`program` and `database` are absolute paths, `timeout` is in seconds, `environ` is what processes get (default: our own)."""
        self.program = program
        self.database = database
        self._timeout = timeout
        inherited = os.environ if environ is None else environ
        # A hook that calls us finds TY_OPENWORKFLOW_SYNC, and starts no call of TaskYou in turn.
        self._environ = {**inherited, "WORKTREE_DB_PATH": database, "NO_COLOR": "1", "TY_OPENWORKFLOW_SYNC": "1"}

    def create(self, *, title: str, body: str, project: str, type: str, tags: Sequence[str], pinned: bool = False) -> int:
        """Make a task in `backlog` and return its id. Without project or type TaskYou takes its own default."""
        if not title.strip():
            message = "ty create: a task needs a title"
            raise RefusedError(message)
        words = ["--project", project] if project else []
        words += ["--type", type] if type else []
        words += ["--tags", _joined(tags)] if tags else []
        words += [f"--body={body}", *(["--pinned"] if pinned else [])]
        return self._json(tasks.id_in, "create", "--json", *words, "--", title)

    def find(self, tag: str) -> list[Listed]:
        """Return the tasks with a tag, whatever their status; not those in the trash."""
        return self._json(
            lambda value: [tasks.listed(item) for item in tasks.items_of(value)], "list", "--all", "--json", "-n", str(MOST_LISTED), "--tag", tag
        )

    def show(self, id: int) -> Task:
        """Return one task, also when it is in the trash. Raises GoneError."""
        return self._json(tasks.task, "show", str(id), "--json")

    def update(self, id: int, *, title: str | None = None, body: str | None = None) -> None:
        """Replace title or body or both, in one call; without either nothing is called. An empty title cannot be given."""
        if title is not None and not title.strip():
            message = "ty update: a task needs a title"
            raise RefusedError(message)
        given = {"title": title, "body": body}
        words = [f"--{name}={text}" for name, text in given.items() if text is not None]
        if words:
            self._run("update", str(id), *words)

    def move(self, id: int, status: str) -> None:
        """Put a task into a column. Raises ValueError for the columns in which an agent is started, or is expected to work."""
        if status not in COLUMNS:
            message = f"a card is never moved to {status!r}"
            raise ValueError(message)
        if status == "done":
            self._run("close", str(id))
        else:
            self._run("status", str(id), status)

    def pin(self, id: int, *, on: bool = True) -> None:
        """Pin a task, or take its pin away."""
        self._run("pin", str(id), *([] if on else ["--unpin"]))

    def trash(self, id: int) -> None:
        """Put a task into the trash, from where TaskYou purges it after two weeks. One that is there already stays there."""
        with suppress(GoneError):
            self._run("delete", str(id), "--force")

    def trashed(self, title: str) -> list[int]:
        """Return the tasks in the trash that may have this title: its list shows titles among other words."""
        lines = self._run("trash").stdout.splitlines()
        return [int(line[1:].split(maxsplit=1)[0]) for line in lines if _TRASHED.match(line) and title in line]

    def dependencies(self, id: int) -> Dependencies:
        """Return what a task waits for and what waits for it. Where the text can be read in two ways, this errs towards more."""
        others: dict[int, Task] = {}
        for _ in range(2):  # a title may change between two calls
            text = self._run("deps", str(id)).stdout
            named = deps.named_in(text)
            if not named:
                return Dependencies({}, {})
            own = self.show(id)
            others = {number: task for number in named if (task := self._there(number)) is not None}
            understood = deps.read(text, own, others)
            if understood is not None:
                return understood
        return deps.at_most(others)

    def block(self, id: int, by: int, *, auto_queue: bool = True) -> None:
        """Let a task wait for another one; if it does already, nothing changes. Its status stays as it is."""
        try:
            self._run("block", str(id), "--by", str(by), *(["--auto-queue"] if auto_queue else []))
        except RefusedError as error:
            if _EDGE_IS_THERE not in str(error):
                raise

    def worktrees(self, project: str) -> bool:
        """Say whether a project gives each task a worktree. Where it does not, opening a blocked task may start an agent."""
        return self._json(lambda value: tasks.flag_in(value, "use_worktrees"), "projects", "show", project, "--json")

    def projects(self) -> list[str]:
        """Return the names of all projects."""
        return self._json(lambda value: [tasks.text_in(item, "name") for item in tasks.items_of(value)], "projects", "list", "--json")

    def plugins_folder(self) -> Path:
        """Return the folder in which plugins are installed."""
        lines = self._run("plugins", "dir").stdout.splitlines()
        if len(lines) == 1 and lines[0].startswith("/"):
            return Path(lines[0])
        message = f"{self._name('plugins')} dir: what it printed is no path"
        raise UnclearError(message)

    def ask(self, *words: str) -> Answer:
        """Carry out a call and return what it left, whatever its exit status."""
        return call(self.program, words, self._environ, self._timeout)

    def _there(self, id: int) -> Task | None:
        try:
            return self.show(id)
        except GoneError:
            return None

    def _run(self, *words: str) -> Answer:
        answer = self.ask(*words)
        if answer.status != 0:
            raise failure(self._name(words[0]), answer.status, answer.stderr if answer.stderr.strip() else answer.stdout)
        return answer

    def _json(self, read: Callable[[Json], T], *words: str) -> T:
        answer = self._run(*words)
        try:
            return read(tasks.value_of(answer.stdout))
        except ShapeError as error:
            message = f"{self._name(words[0])}: {error if answer.whole else 'it printed more than can be read'}"
            raise UnclearError(message) from error

    def _name(self, command: str) -> str:
        return f"{Path(self.program).name} {command}"


def _joined(tags: Sequence[str]) -> str:
    """Return tags as one argument. TaskYou splits it at commas, and its own workflows use two of them."""
    for tag in tags:
        if not tag.strip() or "," in tag or tag.replace(" ", "").lower() in ("pipeline", "gate"):
            message = f"ty create: {tag!r} cannot be a tag: it is empty, has a comma, or is used by TaskYou itself"
            raise RefusedError(message)
    return ",".join(tags)
