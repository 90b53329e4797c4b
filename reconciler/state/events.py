"""What happened: events, counted where they repeat, and the passes that did something."""

from datetime import datetime
from typing import Any

from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Place
from reconciler.state.store import Store


def add_event(store: Store, place: Place, about: str, reason: str, message: str, *, now: datetime) -> None:
    """Remember that something happened to an object; the same again only counts."""
    store.db.execute(
        """
        INSERT INTO events (project, environment, object, reason, message, first_at, last_at)
        VALUES (:project, :environment, :object, :reason, :message, :now, :now)
        ON CONFLICT (project, environment, object, reason, message) DO UPDATE SET count = count + 1, last_at = excluded.last_at
        """,
        {"project": place.project, "environment": place.environment, "object": about, "reason": reason, "message": message, "now": stamp(now)},
    )


def add_pass(store: Store, place: Place, *, folder: str, revision: str, summary: Json, now: datetime) -> None:
    """Remember a pass that did something."""
    store.db.execute(
        """
        INSERT INTO passes (at, folder, project, environment, revision, summary)
        VALUES (:now, :folder, :project, :environment, :revision, :summary)
        """,
        {
            "now": stamp(now),
            "folder": folder,
            "project": place.project,
            "environment": place.environment,
            "revision": revision,
            "summary": encode_json(summary),
        },
    )


def last_pass(store: Store) -> dict[str, Json] | None:
    """Return the latest pass that did something."""
    row = store.db.execute("SELECT at, folder, project, environment, revision, summary FROM passes ORDER BY id DESC LIMIT 1").fetchone()
    if row is None:
        return None
    names = ("at", "folder", "project", "environment", "revision")
    return {**dict(zip(names, row[:5], strict=True)), "summary": decode_json(row[5])}


def add_request(store: Store, place: Place, about: str, verb: str, data: Json, who: str, *, now: datetime, handled: bool = True) -> int:
    """Record what a person asked for by command; `handled` if nothing is left to be done for it."""
    cursor = store.db.execute(
        """
        INSERT INTO requests (project, environment, object, verb, data, who, at, handled_at)
        VALUES (:project, :environment, :object, :verb, :data, :who, :now, :handled_at)
        """,
        {
            "project": place.project,
            "environment": place.environment,
            "object": about,
            "verb": verb,
            "data": encode_json(data),
            "who": who,
            "now": stamp(now),
            "handled_at": stamp(now) if handled else None,
        },
    )
    return int(cursor.lastrowid or 0)


def open_requests(store: Store, verb: str) -> list[tuple[int, Place, str, Any]]:
    """Return the requests of a kind that are not done yet: (id, place, object, data), the oldest first."""
    rows = store.db.execute(
        "SELECT id, project, environment, object, data FROM requests WHERE handled_at IS NULL AND verb = :verb ORDER BY id", {"verb": verb}
    )
    return [(row[0], Place(row[1], row[2]), row[3], decode_json(row[4])) for row in rows]


def request_handled(store: Store, number: int, *, now: datetime) -> None:
    """Remember that a request is done."""
    store.db.execute("UPDATE requests SET handled_at = :now WHERE id = :id", {"id": number, "now": stamp(now)})
