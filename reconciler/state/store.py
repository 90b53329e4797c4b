"""The database: opened with care, migrated in one transaction, closed without a trace."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from reconciler.assets import asset
from reconciler.errors import RejectedError, UnavailableError

NAME = "state.db"
NEWEST = 8
_BUSY_SECONDS = 5
_NUMBERS = count()


class Store:
    """An open database. Every function of this package takes one."""

    def __init__(self, db: sqlite3.Connection, path: Path, *, writable: bool) -> None:
        """Wrap a connection that `open_store` or `read_store` made."""
        self.db, self.path, self.writable = db, path, writable
        self._depth = 0
        self._inode, self._number = _inode(path), next(_NUMBERS)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside happen or not happen together; the outermost one commits."""
        if self._depth == 0:
            self.db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0 and self.db.in_transaction:  # a full disk has ended it already
                self.db.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self.db.execute("COMMIT")

    def version(self) -> tuple[int, int, int]:
        """Return what stays the same as long as nobody writes to the database, through this connection or another one."""
        return self._number, int(self.db.execute("PRAGMA data_version").fetchone()[0]), self.db.total_changes

    def is_current(self) -> bool:
        """Say whether the file of this name is still the one that was opened."""
        return self._inode is not None and self._inode == _inode(self.path)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_store(data_dir: Path) -> Store:
    """Open the database for reading and writing; make and migrate it where needed.

    Raises UnavailableError (no permission, no space, locked) and RejectedError (damaged, or written by a newer program).
    """
    path = data_dir / NAME
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = _connect(path, "mode=rw")
        with named_errors(path):
            if _version(db, path) < NEWEST:
                _migrate(db)
    except OSError as error:
        message = f"{path}: the state cannot be opened: {error.strerror}"
        raise UnavailableError(message) from error
    return Store(db, path, writable=True)


def read_store(data_dir: Path) -> Store | None:
    """Open the database without writing a byte, also none of SQLite's own files; None if there is none."""
    path = data_dir / NAME
    if not path.exists():
        return None
    quiet = not path.with_name(NAME + "-wal").exists()
    db = _connect(path, f"mode=ro{'&immutable=1' if quiet else ''}")
    with named_errors(path):
        if _version(db, path) == 0:
            db.close()
            return None
    return Store(db, path, writable=False)


def _connect(path: Path, how: str) -> sqlite3.Connection:
    name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    uri = f"file:{name}?{how}"
    with named_errors(path):
        db = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = FULL")
        return db


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > NEWEST:
        message = f"{path} has schema {version}, and this program knows {NEWEST}: it was written by a newer ty-openworkflow; use that one"
        raise RejectedError(message)
    return version


def _migrate(db: sqlite3.Connection) -> None:
    """Bring the schema up to date in one transaction; whoever comes second finds it done."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    for number in range(version + 1, NEWEST + 1):
        for statement in asset("reconciler", "state", "migrations", f"{number:04d}.sql").read_text().split(";\n"):
            if statement.strip():
                db.execute(statement)
    db.execute(f"PRAGMA user_version = {NEWEST}")
    db.execute("COMMIT")


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ones that name the file and say what to do; those that only a bug of ours makes are let through."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) not in (sqlite3.DatabaseError, sqlite3.OperationalError):
            raise
        text = str(error)
        if "locked" in text or "busy" in text:
            message = f"{path} is locked by another program; try again when it has ended"
            raise UnavailableError(message) from error
        if isinstance(error, sqlite3.OperationalError) and "not a database" not in text and "malformed" not in text:
            message = f"{path}: the state cannot be used: {text} (`ty-openworkflow doctor` looks for the cause)"
            raise UnavailableError(message) from error
        message = f"{path} is damaged ({text}): move {path.name}* away, and the next pass rebuilds what the run folders can prove"
        raise RejectedError(message) from error
