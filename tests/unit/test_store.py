"""The database: what an older program wrote is brought up to date, and stays what it was."""

import sqlite3
from pathlib import Path

from reconciler.assets import asset
from reconciler.model import Place
from reconciler.state import messages, open_store, runs
from reconciler.state.store import NEWEST
from tests.support.builders import NOON, a_revision

PLACE = Place("shop", "dev")


def as_of_schema(version: int, folder: Path) -> sqlite3.Connection:
    """Make a database as the program with that schema made it."""
    db = sqlite3.connect(folder / "state.db", isolation_level=None)
    for number in range(1, version + 1):
        db.executescript(asset("reconciler", "state", "migrations", f"{number:04d}.sql").read_text())
    db.execute(f"PRAGMA user_version = {version}")
    return db


def test_a_database_of_the_first_schema_keeps_its_runs(tmp_path: Path) -> None:
    db = as_of_schema(1, tmp_path)
    db.execute(
        "INSERT INTO revisions VALUES ('r1', 'exec', :spec, NULL, '2026-11-22T12:00:00.000Z', '2026-11-22T12:00:00.000Z')",
        {"spec": runs.revision_spec(a_revision())},
    )
    columns = "uid, project, environment, name, incarnation, owner, source, workflow, revision, adapter, spec_hash, input, facts, status, created_at"
    values = "'u1', 'shop', 'dev', 'old', 1, '/srv', 'a.yaml:1', 'greet', 'r1', 'exec', 'h', '1', '{}', 'running', '2026-11-22T12:00:00.000Z'"
    db.execute(f"INSERT INTO runs ({columns}) VALUES ({values})")
    db.close()

    store = open_store(tmp_path)
    (old,) = runs.active_runs(store).values()
    message = {"type": "signal", "id": "1", "name": "go", "data": 1}
    fresh = [messages.remember(store, "u1", "1", message, now=NOON) for _ in range(2)]

    assert store.db.execute("PRAGMA user_version").fetchone() == (NEWEST,)
    assert (old.name, old.input, old.origin) == ("old", 1, {})
    assert fresh == [True, False]
    assert [each.message for each in messages.messages_of_active(store)["u1"].values()] == [message]
    assert runs.latest_facts(store, PLACE, "old") is not None
    store.close()
