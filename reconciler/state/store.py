"""The database: opened with care, migrated in one transaction, closed without a trace."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from reconciler.assets import asset
from reconciler.errors import DamagedStateError, RejectedError, UnavailableError
from reconciler.journal import DAMAGED_ADVICE

NAME = "state.db"
NEWEST = 9
_BUSY_SECONDS = 5
_NUMBERS = count()
_MOST_SAID = 120


class _Connection(sqlite3.Connection):
    """A connection whose errors can always be read: those about a damaged schema quote bytes that are no text."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:
            message = "malformed database schema"
            raise sqlite3.DatabaseError(message) from error


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
            if self._depth == 1:
                self.db.execute("COMMIT")
        except BaseException:
            if self._depth == 1 and self.db.in_transaction:  # a full disk has ended it already; a commit that failed has not
                self.db.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

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
            for rest in ("-wal", "-shm"):  # of a database that is gone: nothing of it may get into the new one
                _rename(path.with_name(NAME + rest), path.with_name(f"{NAME}.lost{rest}"))
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = _connect(path, "mode=rw")
        with named_errors(path):
            if _version(db, path) < NEWEST:
                _migrate(db)
    except OSError as error:
        message = f"{path}: the state cannot be opened: {error.strerror}"
        raise UnavailableError(message) from error
    return Store(db, path, writable=True)


def move_aside(data_dir: Path, what: str) -> Path:
    """Move the database out of the way, with SQLite's own files, and return its new path. Only while holding the lock, with the database closed."""
    path = data_dir / NAME
    target = path.with_name(f"{NAME}.{what}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{NAME}.{what}-{number}")
    for rest in ("-wal", "-shm", ""):
        _rename(path.with_name(NAME + rest), target.with_name(target.name + rest))
    fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return target


def _rename(old: Path, new: Path) -> None:
    with suppress(FileNotFoundError):
        old.rename(new)


def read_store(data_dir: Path) -> Store | None:
    """Open the database without writing a byte, also none of SQLite's own files; None if there is none."""
    path = data_dir / NAME
    if not path.exists():
        return None
    quiet = not path.with_name(NAME + "-wal").exists()
    db = _connect(path, f"mode=ro{'&immutable=1' if quiet else ''}")
    with named_errors(path):
        version = _version(db, path)
        if version == 0:
            db.close()
            return None
        store = Store(db, path, writable=False)
        return store if version == NEWEST else store_in_memory(data_dir, store)  # an older one is migrated by whoever writes


def store_in_memory(data_dir: Path, copied: Store | None = None) -> Store:
    """Return a database in memory, for those who look only, with what `copied` holds; that one is closed."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    if copied is not None:
        copied.db.backup(db)
        copied.close()
    if int(db.execute("PRAGMA user_version").fetchone()[0]) < NEWEST:
        _migrate(db)
    return Store(db, data_dir / NAME, writable=True)


@contextmanager
def snapshot(data_dir: Path, copy: Path) -> Iterator[Store]:
    """Copy the database as it is at one moment, beside whoever writes it, and give the copy, brought up to date. Raises RejectedError without one."""
    path = data_dir / NAME
    if not path.exists():
        message = f"{path} is not there: a pass or `ty-openworkflow state rebuild` makes it from what run folders prove"
        raise RejectedError(message)
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    source, db = _connect(path, "mode=rw"), _connect(copy, "mode=rw")
    try:
        with named_errors(path):
            if _version(source, path) == 0:
                message = f"{path} is empty: there is nothing to back up yet"
                raise RejectedError(message)
            source.backup(db)
            if _version(db, path) < NEWEST:
                _migrate(db)
            wrong = db.execute("PRAGMA integrity_check").fetchone()[0]
            if wrong != "ok":
                message = f"{path} is damaged ({wrong}): {DAMAGED_ADVICE}"
                raise DamagedStateError(message)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            yield Store(db, copy, writable=False)
    finally:
        source.close()
        db.close()


def _connect(path: Path, how: str) -> sqlite3.Connection:
    name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    uri = f"file:{name}?{how}"
    with named_errors(path):
        db = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, factory=_Connection)
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
                _change_schema(db, statement)
    db.execute(f"PRAGMA user_version = {NEWEST}")
    db.execute("COMMIT")


def _change_schema(db: sqlite3.Connection, statement: str) -> None:
    try:
        db.execute(statement)
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in ("already exists", "duplicate column", "no such")):
            message = f"state.db is damaged (it is not of the schema that it names: {error}): {DAMAGED_ADVICE}"
            raise DamagedStateError(message) from error
        raise


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ones that name the file and say what to do; those that only a bug of ours makes are let through."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) not in (sqlite3.DatabaseError, sqlite3.OperationalError):
            raise
        text = " ".join(str(error).split())[:_MOST_SAID]
        if "locked" in text or "busy" in text:
            message = f"{path} is locked by another program; try again when it has ended"
            raise UnavailableError(message) from error
        if isinstance(error, sqlite3.OperationalError) and "not a database" not in text and "malformed" not in text and "decode" not in text:
            message = f"{path}: the state cannot be used: {text} (`ty-openworkflow doctor` looks for the cause)"
            raise UnavailableError(message) from error
        message = f"{path} is damaged ({text}): {DAMAGED_ADVICE}"
        raise DamagedStateError(message) from error
