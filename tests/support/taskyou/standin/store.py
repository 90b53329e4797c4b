"""What happens to cards: statuses with their times, edges with what they release, and the events of all that."""

from __future__ import annotations

from .answer import error
from .clock import Clock
from .database import Database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

ENDED = ("done", "archived")
_INSERT = """
INSERT INTO tasks (title, body, status, type, project, executor, tags, pinned, effort_level, model, source_branch, created_at, updated_at)
VALUES (CAST(:title AS TEXT), CAST(:body AS TEXT), :status, :type, :project, :executor, CAST(:tags AS TEXT), :pinned, :effort_level, :model,
        :source_branch, :now, :now)
"""
_UPDATE = """
UPDATE tasks
   SET title = CAST(:title AS TEXT), body = CAST(:body AS TEXT), status = :status, type = :type, project = :project, executor = :executor,
       tags = CAST(:tags AS TEXT), pinned = :pinned, branch = :branch, worktree = :worktree, updated_at = :now
 WHERE id = :id
"""
_WATCHED = ("title", "body", "status", "type", "project")


class Store:
    """The cards of a board; `happened` collects the events, for the hooks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.happened: list[tuple[str, Row, dict[str, object]]] = []

    def task(self, number: int) -> Row:
        """Return a card, trashed or not."""
        found = self.find(number)
        if found is None:
            from .answer import FailedError

            text = f"Task #{number} not found"
            raise FailedError(text)
        return found

    def find(self, number: int) -> Row | None:
        """Return a card, or nothing."""
        return self.database.one("SELECT * FROM tasks WHERE id = :id", id=number)

    def create(self, task: Row) -> Row:
        """Add a card and return it."""
        made = self.database.write("insert task", _INSERT, **task, now=self.clock.now())
        row = self.task(made.lastrowid or 0)
        self._happen("task.created", row)
        return row

    def update(self, task: Row) -> None:
        """Write the whole row back, whatever happened to it since it was read."""
        before = self.find(task["id"])
        fields = ("title", "body", "status", "type", "project", "executor", "tags", "pinned", "branch", "worktree", "id")
        self.database.write("update task", _UPDATE, **{name: task[name] for name in fields}, now=self.clock.now())
        changes: dict[str, object] = {name: {"old": before[name], "new": task[name]} for name in _WATCHED if before and before[name] != task[name]}
        if changes:
            self._happen("task.updated", task, metadata=changes)

    def set_status(self, number: int, status: str) -> None:
        """Move a card, and release what waited for it."""
        old = self.task(number)
        stamps = {
            "processing": "started_at",
            "done": "completed_at",
            "archived": "completed_at",
            "blocked": "completed_at" if old["started_at"] else "",
        }
        stamp = stamps.get(status)
        set_stamp = f", {stamp} = :now" if stamp else ""
        statement = f"UPDATE tasks SET status = :status, updated_at = :now{set_stamp} WHERE id = :id"
        self.database.write("update task status", statement, status=status, now=self.clock.now(), id=number)
        if old["status"] != status:
            self._moved(self.task(number), old["status"])
        if status in ENDED:
            self._release(number)

    def set_pinned(self, number: int, *, pinned: bool) -> None:
        """Pin a card or unpin it."""
        statement = "UPDATE tasks SET pinned = :pinned, updated_at = :now WHERE id = :id"
        self.database.write("update task pinned", statement, pinned=int(pinned), now=self.clock.now(), id=number)
        self._happen("task.updated", self.task(number), message="pinned" if pinned else "unpinned", metadata={"pinned": pinned})

    def trash(self, number: int) -> None:
        """Hide a card; trashing it again changes nothing but is an event."""
        statement = "UPDATE tasks SET deleted_at = :now, updated_at = :now WHERE id = :id AND deleted_at IS NULL"
        self.database.write("soft-delete task", statement, now=self.clock.now(), id=number)
        self._happen("task.deleted", self.task(number))

    def restore(self, number: int) -> None:
        """Bring a trashed card back."""
        self.database.write("restore task", "UPDATE tasks SET deleted_at = NULL, updated_at = :now WHERE id = :id", now=self.clock.now(), id=number)
        self._happen("task.updated", self.task(number), metadata={"restored": True})

    def delete(self, number: int) -> None:
        """Remove a card with its edges; what waited for it is not released."""
        row = self.task(number)
        self.database.write("delete task", "DELETE FROM tasks WHERE id = :id", id=number)
        self._happen("task.deleted", row)

    def log(self, number: int, kind: str, content: str) -> None:
        """Append to a card's log."""
        statement = "INSERT INTO task_logs (task_id, type, content, created_at) VALUES (:task, :type, CAST(:content AS TEXT), :now)"
        self.database.write("insert task log", statement, task=number, type=kind, content=content, now=self.clock.now())

    def block(self, blocked: int, blocker: int, *, auto_queue: bool) -> None:
        """Let one card wait for another; its status stays as it is."""
        if blocked == blocker:
            text = "a task cannot block itself"
            raise error(text)
        self.database.write("add dependency: begin", "BEGIN IMMEDIATE")
        if self._reaches(blocked, blocker):
            text = "adding this dependency would create a cycle"
            raise error(text)
        if self.database.rows(
            "SELECT 1 FROM task_dependencies WHERE blocker_id = :blocker AND blocked_id = :blocked", blocker=blocker, blocked=blocked
        ):
            text = "add dependency: constraint failed: UNIQUE constraint failed: task_dependencies.blocker_id, task_dependencies.blocked_id (2067)"
            raise error(text)
        statement = "INSERT INTO task_dependencies (blocker_id, blocked_id, auto_queue) VALUES (:blocker, :blocked, :auto)"
        self.database.write("add dependency", statement, blocker=blocker, blocked=blocked, auto=int(auto_queue))
        self.database.write("add dependency: commit", "COMMIT")

    def unblock(self, blocked: int, blocker: int) -> None:
        """Take an edge away."""
        statement = "DELETE FROM task_dependencies WHERE blocker_id = :blocker AND blocked_id = :blocked"
        if self.database.write("remove dependency", statement, blocker=blocker, blocked=blocked).rowcount == 0:
            text = "dependency not found"
            raise error(text)

    def blockers(self, number: int) -> list[Row]:
        """Return the cards that this one waits for, with `auto_queue` of the edge."""
        return self.database.rows(
            "SELECT t.*, d.auto_queue FROM tasks t JOIN task_dependencies d ON t.id = d.blocker_id WHERE d.blocked_id = :id ORDER BY t.id", id=number
        )

    def dependents(self, number: int) -> list[Row]:
        """Return the cards that wait for this one, with `auto_queue` of the edge."""
        return self.database.rows(
            "SELECT t.*, d.auto_queue FROM tasks t JOIN task_dependencies d ON t.id = d.blocked_id WHERE d.blocker_id = :id ORDER BY d.id", id=number
        )

    def waits(self, number: int) -> bool:
        """Return whether a card has a blocker that has not ended; a trashed one counts like any other."""
        return any(blocker["status"] not in ENDED for blocker in self.blockers(number))

    def _release(self, blocker: int) -> None:
        for dependent in self.dependents(blocker):
            if dependent["status"] == "blocked" and dependent["started_at"] is None and not self.waits(dependent["id"]):
                self.set_status(dependent["id"], "queued" if dependent["auto_queue"] else "backlog")

    def _reaches(self, start: int, goal: int) -> bool:
        seen, waiting = set[int](), [start]
        while waiting:
            current = waiting.pop()
            if current == goal:
                return True
            if current not in seen:
                seen.add(current)
                waiting.extend(dependent["id"] for dependent in self.dependents(current))
        return False

    def _moved(self, task: Row, old: str) -> None:
        self._happen("task.updated", task, metadata={"status": {"old": old, "new": task["status"]}})
        if task["status"] == "blocked":
            self._happen("task.blocked", task, message="status change")
        if task["status"] == "done":
            self._happen("task.completed", task)

    def _happen(self, event: str, task: Row, *, message: str | None = None, metadata: dict[str, object] | None = None) -> None:
        statement = "INSERT INTO event_log (event_type, task_id, message, created_at) VALUES (:event, :task, CAST(:message AS TEXT), :now)"
        text = task["title"] if message is None else message
        self.database.write("insert event", statement, event=event, task=task["id"], message=text, now=self.clock.now())
        self.happened.append((event, task, metadata or {}))
