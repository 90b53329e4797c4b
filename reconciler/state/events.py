"""What happened: events, counted where they repeat, and the passes that did something. Both are bounded as they are written."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Desired, Place
from reconciler.state.store import Store

MOST_OF_OBJECT = 100
LONGEST = timedelta(days=30)
MOST_PASSES = 1000
_EVENT = ("seq", "project", "environment", "object", "reason", "message", "count", "first_at", "last_at")
_PASS = ("id", "at", "folder", "project", "environment", "revision", "who", "duration_ms", "summary")


def add_event(store: Store, place: Place, about: str, reason: str, message: str, *, now: datetime) -> None:
    """Remember that something happened to an object; the same again only counts. The oldest of too many are forgotten."""
    names = {"project": place.project, "environment": place.environment, "object": about}
    count = store.db.execute(
        """
        INSERT INTO events (project, environment, object, reason, message, first_at, last_at, seq)
        VALUES (:project, :environment, :object, :reason, :message, :now, :now, (SELECT coalesce(max(seq), 0) + 1 FROM events))
        ON CONFLICT (project, environment, object, reason, message) DO UPDATE SET count = count + 1, last_at = excluded.last_at, seq = excluded.seq
        RETURNING count
        """,
        {**names, "reason": reason, "message": message, "now": stamp(now)},
    ).fetchone()[0]
    if count > 1:
        return
    store.db.execute(
        """
        DELETE FROM events
         WHERE object = :object AND project = :project AND environment = :environment
           AND seq <= (SELECT seq FROM events
                        WHERE object = :object AND project = :project AND environment = :environment
                        ORDER BY seq DESC LIMIT 1 OFFSET :most)
        """,
        {**names, "most": MOST_OF_OBJECT},
    )


def events_of(
    store: Store,
    *,
    about: str | None,
    project: str | None,
    environment: str | None,
    since: datetime | None = None,
    after: int = 0,
    limit: int = -1,
) -> list[dict[str, Any]]:
    """Return the latest events, the oldest first: of one object or of all, since an instant, after a number of the sequence."""
    rows = store.db.execute(
        f"""
        SELECT {", ".join(_EVENT)}
          FROM events
         WHERE seq > :after AND (:about IS NULL OR object = :about) AND (:since IS NULL OR last_at >= :since)
           AND (:project IS NULL OR project = :project) AND (:environment IS NULL OR environment = :environment)
         ORDER BY seq DESC LIMIT :limit
        """,
        {
            "after": after,
            "about": about,
            "since": None if since is None else stamp(since),
            "project": project,
            "environment": environment,
            "limit": limit,
        },
    )
    return [dict(zip(_EVENT, row, strict=True)) for row in rows][::-1]


def newest(store: Store) -> int:
    """Return the number of the latest event."""
    return int(store.db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def add_pass(store: Store, desired: Desired | None, history: Mapping[str, Any], summary: Json, *, now: datetime) -> None:
    """Remember a pass that did something, and forget what is too old."""
    cursor = store.db.execute(
        """
        INSERT INTO passes (at, folder, project, environment, revision, summary, who, duration_ms)
        VALUES (:now, :folder, :project, :environment, :revision, :summary, :who, :duration)
        """,
        {
            "now": stamp(now),
            "folder": "" if desired is None else desired.folder,
            "project": "" if desired is None else desired.place.project,
            "environment": "" if desired is None else desired.place.environment,
            "revision": history["revision"],
            "summary": encode_json(summary),
            "who": history["who"],
            "duration": round((now - history["began_at"]).total_seconds() * 1000),
        },
    )
    store.db.execute("DELETE FROM passes WHERE id <= :old", {"old": int(cursor.lastrowid or 0) - MOST_PASSES})
    store.db.execute("DELETE FROM events WHERE last_at < :old AND seq < (SELECT max(seq) FROM events)", {"old": stamp(now - LONGEST)})


def last_passes(store: Store, limit: int) -> list[dict[str, Any]]:
    """Return the latest passes that did something, the oldest first."""
    rows = store.db.execute(f"SELECT {', '.join(_PASS)} FROM passes ORDER BY id DESC LIMIT :limit", {"limit": limit})
    return [{**dict(zip(_PASS, row, strict=True)), "summary": decode_json(row[-1])} for row in rows][::-1]


def last_pass(store: Store) -> dict[str, Any] | None:
    """Return the latest pass that did something."""
    found = last_passes(store, 1)
    return found[0] if found else None
