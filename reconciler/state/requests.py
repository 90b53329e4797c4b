"""What people asked for by command: who, when and why, and what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Place
from reconciler.recorded import Asked
from reconciler.state.store import Store

_MOST_SHOWN = 20


def add_request(store: Store, place: Place, about: str, verb: str, data: Mapping[str, Json], who: str, *, now: datetime, handled: bool = True) -> int:
    """Record what a person asked for by command; `handled` if nothing is left to be done for it."""
    cursor = store.db.execute(
        """
        INSERT INTO requests (project, environment, object, verb, data, who, at, handled_at, outcome)
        VALUES (:project, :environment, :object, :verb, :data, :who, :now, :handled_at, :outcome)
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
            "outcome": "done" if handled else "",
        },
    )
    return int(cursor.lastrowid or 0)


def open_requests(store: Store, verb: str) -> list[tuple[int, Place, str, Any]]:
    """Return the requests of a kind that are not done yet: (id, place, object, data), the oldest first."""
    rows = store.db.execute(
        "SELECT id, project, environment, object, data FROM requests WHERE handled_at IS NULL AND verb = :verb ORDER BY id", {"verb": verb}
    )
    return [(row[0], Place(row[1], row[2]), row[3], decode_json(row[4])) for row in rows]


def request_handled(store: Store, number: int, *, now: datetime, outcome: str = "done") -> None:
    """Remember that a request is done, or holds no more."""
    store.db.execute(
        "UPDATE requests SET handled_at = :now, outcome = :outcome WHERE id = :id AND handled_at IS NULL",
        {"id": number, "outcome": outcome, "now": stamp(now)},
    )


def standing_requests(store: Store) -> tuple[Asked, ...]:
    """Return every request of a person that is not done or still holds, in all places, the oldest first: one statement."""
    rows = store.db.execute("SELECT id, project, environment, object, verb, data, who, at FROM requests WHERE handled_at IS NULL ORDER BY id")
    return tuple(
        Asked(number, Place(project, environment), about, verb, who, datetime.fromisoformat(at), **_told(decode_json(data)))
        for number, project, environment, about, verb, data, who, at in rows
    )


def _told(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"why": str(data.get("why") or data.get("reason") or ""), "declared": bool(data.get("declared")), "uid": str(data.get("uid", ""))}


def requests_of(store: Store, place: Place, about: str) -> list[dict[str, Any]]:
    """Return the latest requests about an object, the oldest first."""
    rows = store.db.execute(
        """
        SELECT verb, who, at, data, handled_at, outcome
          FROM requests
         WHERE object = :object AND project = :project AND environment = :environment
         ORDER BY id DESC LIMIT :most
        """,
        {"object": about, "project": place.project, "environment": place.environment, "most": _MOST_SHOWN},
    )
    names = ("verb", "who", "at", "data", "handled_at", "outcome")
    found = [{**dict(zip(names, row, strict=True)), "data": decode_json(row[3])} for row in rows]
    return found[::-1]
