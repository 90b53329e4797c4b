"""The board's database: one SQLite file, made by whichever call comes first."""

from __future__ import annotations

import os
import sqlite3
import time

from .answer import error
from .clock import Clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, body TEXT NOT NULL, status TEXT NOT NULL, type TEXT NOT NULL,
    project TEXT NOT NULL, executor TEXT NOT NULL, tags TEXT NOT NULL, pinned INTEGER NOT NULL, branch TEXT NOT NULL DEFAULT '',
    worktree TEXT NOT NULL DEFAULT '', effort_level TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT '', source_branch TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, started_at TEXT, completed_at TEXT, deleted_at TEXT);
CREATE TABLE IF NOT EXISTS task_dependencies (
    id INTEGER PRIMARY KEY, blocker_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    blocked_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, auto_queue INTEGER NOT NULL, UNIQUE (blocker_id, blocked_id));
CREATE TABLE IF NOT EXISTS task_logs (
    id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, type TEXT NOT NULL, content TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_type TEXT NOT NULL, task_id INTEGER NOT NULL, message TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS projects (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL, color TEXT NOT NULL, aliases TEXT NOT NULL, instructions TEXT NOT NULL,
    use_worktrees INTEGER NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_BUSY = "database is locked (5) (SQLITE_BUSY)"
_OPENING_WAITS = 4


def path() -> str:
    """Return where the database is."""
    home = os.environ.get("HOME", "")
    return os.environ.get("WORKTREE_DB_PATH") or f"{home}/.local/share/task/tasks.db"


class Database:
    """A connection; every statement is a transaction of its own, as in the real program."""

    def __init__(self, clock: Clock, busy: float) -> None:
        file = path()
        try:
            os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
        except OSError as problem:
            text = f"create db directory: mkdir {problem.filename}: {(problem.strerror or '').lower()}"
            raise error(text) from problem
        self._clock = clock
        self._connection = sqlite3.connect(file, timeout=busy, isolation_level=None)
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        self._connection.row_factory = lambda cursor, row: {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._migrate()

    def close(self) -> None:
        """Leave nothing behind."""
        self._connection.close()

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        """Return what a question answers."""
        return self._connection.execute(statement, {name: _asked(value) for name, value in values.items()}).fetchall()

    def one(self, statement: str, **values: object) -> dict[str, Any] | None:
        """Return the only row, if there is one."""
        found = self.rows(statement, **values)
        return found[0] if found else None

    def write(self, what: str, statement: str, **values: object) -> sqlite3.Cursor:
        """Change something; `what` begins the error when another process holds the lock."""
        try:
            return self._connection.execute(statement, {name: _stored(value) for name, value in values.items()})
        except sqlite3.OperationalError as problem:
            raise error(f"{what}: {_BUSY}" if "locked" in str(problem) else f"{what}: {problem}") from problem

    def _migrate(self) -> None:
        """Take the write lock as every call of the real program does, four times before giving up; then make what is missing."""
        fresh = self.rows("PRAGMA user_version")[0]["user_version"] == 0
        if fresh:
            self._use_wal()
        for _ in range(_OPENING_WAITS):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                continue
            if fresh:
                self._create()
            self._connection.execute("COMMIT")
            return

    def _use_wal(self) -> None:
        """Change the journal's mode; another call that does the same makes this one wait, which SQLite does not do by itself."""
        for _ in range(1000):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                time.sleep(0.005)
            else:
                return

    def _create(self) -> None:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                self._connection.execute(statement)
        folder = f"{os.environ.get('HOME', '')}/.local/share/task/personal"
        os.makedirs(folder, exist_ok=True)
        self._connection.execute(PROJECT, personal(folder, self._clock.now()))
        self._connection.execute("PRAGMA user_version = 1")


PROJECT = """
INSERT OR IGNORE INTO projects (name, path, color, aliases, instructions, use_worktrees, created_at)
VALUES (:name, :path, :color, :aliases, :instructions, :use_worktrees, :created_at)
"""


def personal(folder: str, now: str) -> dict[str, object]:
    """Return the project that is always there."""
    return {
        "name": "personal",
        "path": folder,
        "color": "#C678DD",
        "aliases": "",
        "instructions": "Default project for personal tasks",
        "use_worktrees": 1,
        "created_at": now,
    }


def _stored(value: object) -> object:
    """Return text that is no UTF-8 as the bytes that came; the statement casts them to text."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return os.fsencode(value)
    return value


def _asked(value: object) -> object:
    """Return what can be compared with text; broken UTF-8 equals nothing."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
