"""The daemon, which is only played: what it says about itself, and what one of its sweeps does to cards."""

from __future__ import annotations

import os

from .database import path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call
    from .store import Row, Store

_LOST = "task was 'processing' with no live executor. Moved to blocked; retry to resume."
_TRASH_KEPT = 14 * 86400


def status(call: Call) -> None:
    """`daemon status`: a pid file beside the database, and whether that process lives."""
    try:
        with open(os.path.join(os.path.dirname(path()), "daemon.pid"), encoding="ascii") as file:
            pid = int(file.read())
        os.kill(pid, 0)
    except (OSError, ValueError):
        call.answer.say("Daemon not running")
    else:
        call.answer.say(f"Daemon running (pid {pid}, safe mode)")


def set_setting(call: Call) -> None:
    """`settings set`."""
    key, value = call.given.words
    statement = "INSERT INTO settings (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = :value"
    call.store.database.write("set setting", statement, key=key, value=value)
    call.answer.say(f"Setting saved: {key}")


def start(store: Store) -> None:
    """Start: whatever is `processing` has lost its executor."""
    for task in _with_status(store, "processing"):
        _lose(store, task, f"Executor terminated (daemon restart) - {_LOST}")


def sweep(store: Store, limit: float) -> None:
    """Sweep once: lost executors, released cards, queued cards, old trash."""
    for task in _with_status(store, "processing"):
        if store.clock.age(task["started_at"]) >= limit:
            _lose(store, task, f"Executor died - {_LOST}")
    for task in _with_status(store, "blocked"):
        blockers = store.blockers(task["id"])
        if task["started_at"] is None and blockers and not store.waits(task["id"]):
            store.set_status(task["id"], "queued" if any(blocker["auto_queue"] for blocker in blockers) else "backlog")
    for task in _with_status(store, "queued"):
        launch(store, task)
    for task in store.database.rows("SELECT id FROM tasks WHERE deleted_at < :then", then=store.clock.ago(_TRASH_KEPT)):
        store.delete(task["id"])


def launch(store: Store, task: Row) -> None:
    """Start an agent on a card: there is none on this machine, which blocks the card."""
    number = task["id"]
    store.set_status(number, "processing")
    store.log(number, "system", f"Starting task #{number}: {task['title']}")
    project = store.database.one("SELECT * FROM projects WHERE name = :name", name=task["project"])
    if project and project["use_worktrees"]:
        slug = f"{number}-{_slug(task['title'])}"
        branch, worktree = f"task/{slug}", f"{project['path']}/.task-worktrees/{slug}"
        store.log(number, "system", f"Created worktree at {worktree} (branch: {branch})")
        store.log(number, "system", "Allocated port 3100 for application")
        store.log(number, "system", "Created .envrc with WORKTREE_TASK_ID, WORKTREE_PORT, WORKTREE_PATH (use direnv or 'source .envrc')")
        store.update({**store.task(number), "branch": branch, "worktree": worktree})
    store.log(number, "error", f"Executor '{task['executor']}' is not installed")
    store.set_status(number, "blocked")


def _lose(store: Store, task: Row, text: str) -> None:
    store.log(task["id"], "error", text)
    store.set_status(task["id"], "blocked")


def _with_status(store: Store, name: str) -> list[Row]:
    return store.database.rows("SELECT * FROM tasks WHERE status = :status AND deleted_at IS NULL ORDER BY id", status=name)


def _slug(title: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in title.lower()).split())[:40]
