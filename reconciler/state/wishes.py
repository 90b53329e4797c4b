"""Passes that other processes ask of a living loop."""

from datetime import datetime, timedelta

from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.state.store import Store

_KEPT = timedelta(hours=1)


def ask(store: Store, wish: Json, *, now: datetime) -> int:
    """Ask for a pass; returns the number under which the answer will be."""
    cursor = store.db.execute("INSERT INTO wishes (at, wish) VALUES (:now, :wish)", {"now": stamp(now), "wish": encode_json(wish)})
    return int(cursor.lastrowid or 0)


def open_wishes(store: Store) -> list[tuple[int, Json]]:
    """Return what is asked for and not answered yet, the oldest first."""
    rows = store.db.execute("SELECT id, wish FROM wishes WHERE answer IS NULL ORDER BY id")
    return [(number, decode_json(wish)) for number, wish in rows]


def answer(store: Store, number: int, answer: Json, *, now: datetime) -> None:
    """Answer a wish, and forget answers that nobody has come for."""
    with store.transaction():
        store.db.execute("UPDATE wishes SET answer = :answer WHERE id = :id", {"id": number, "answer": encode_json(answer)})
        store.db.execute("DELETE FROM wishes WHERE at < :old", {"old": stamp(now - _KEPT)})


def answer_of(store: Store, number: int) -> Json | None:
    """Return the answer to a wish, None while there is none."""
    row = store.db.execute("SELECT answer FROM wishes WHERE id = :id", {"id": number}).fetchone()
    return None if row is None or row[0] is None else decode_json(row[0])


def withdraw(store: Store, number: int) -> None:
    """Forget a wish and its answer."""
    store.db.execute("DELETE FROM wishes WHERE id = :id", {"id": number})
