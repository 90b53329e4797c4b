"""Everything that is remembered of a place, or of what one folder made: listed, and cleared away but for the tombstones."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from reconciler.instants import stamp
from reconciler.model import Place
from reconciler.state.store import Store

# Where a project is carried out, and that it was: without it the next pass would take its state for lost.
_STAYS = frozenset({"places", "known_places", "runs"})


class Made(NamedTuple):
    """One run that was made here."""

    uid: str
    place: Place
    name: str
    adapter: str
    status: str
    ended: bool


def runs_of(store: Store, places: Sequence[Place], owner: str | None) -> list[Made]:
    """Return every incarnation of the runs of some places; with `owner`, those of that folder, their reruns and their children only."""
    rows = store.db.execute(
        """
        WITH RECURSIVE mine (uid) AS (
            SELECT uid FROM runs WHERE :owner IS NULL OR owner = :owner
            UNION
            SELECT runs.uid FROM runs JOIN mine ON json_extract(runs.origin, '$.parent.uid') = mine.uid
            UNION
            SELECT later.uid
              FROM mine JOIN runs AS earlier ON earlier.uid = mine.uid
              JOIN runs AS later ON later.project = earlier.project AND later.environment = earlier.environment AND later.name = earlier.name
             WHERE later.incarnation > earlier.incarnation AND later.owner = ''
        )
        SELECT uid, project, environment, name, adapter, status, completed_at IS NOT NULL
          FROM runs WHERE uid IN mine AND deleted_at IS NULL
         ORDER BY project, environment, name, incarnation
        """,
        {"owner": owner},
    )
    found = [Made(row[0], Place(row[1], row[2]), row[3], row[4], row[5], bool(row[6])) for row in rows]
    return [run for run in found if run.place in places]


def workflows_of(store: Store, places: Sequence[Place], owner: str | None) -> list[tuple[Place, str]]:
    """Return the workflows of some places; with `owner`, those of that folder only."""
    rows = store.db.execute(
        "SELECT project, environment, name FROM workflows WHERE :owner IS NULL OR owner = :owner ORDER BY 1, 2, 3", {"owner": owner}
    )
    return [(Place(row[0], row[1]), row[2]) for row in rows if Place(row[0], row[1]) in places]


def schedules_of(store: Store, places: Sequence[Place], owner: str | None) -> list[tuple[Place, str]]:
    """Return the schedules of some places; with `owner`, those of that folder only."""
    rows = store.db.execute(
        "SELECT project, environment, name FROM schedules WHERE :owner IS NULL OR owner = :owner ORDER BY 1, 2, 3", {"owner": owner}
    )
    return [(Place(row[0], row[1]), row[2]) for row in rows if Place(row[0], row[1]) in places]


def forget_schedule(store: Store, place: Place, name: str) -> None:
    """Forget a schedule: it makes no more runs."""
    store.db.execute(
        "DELETE FROM schedules WHERE project = :project AND environment = :environment AND name = :name",
        {"project": place.project, "environment": place.environment, "name": name},
    )


def all_places(store: Store) -> list[Place]:
    """Return every place that anything is remembered of."""
    rows = store.db.execute(
        "SELECT project, environment FROM workflows UNION SELECT project, environment FROM runs UNION SELECT project, environment FROM places"
    )
    return [Place(project, environment) for project, environment in rows]


def forget_run(store: Store, run: Made, *, now: datetime) -> None:
    """Keep of a run that has ended only what says so: its names, what it was asked for as a digest, and its end."""
    store.db.execute(
        """
        UPDATE runs
           SET deleted_at = :now, collected_at = coalesce(collected_at, :now), input = 'null', output = NULL, error = NULL, facts = '{}', message = '', due_at = NULL, not_before = NULL
         WHERE uid = :uid AND completed_at IS NOT NULL
        """,
        {"uid": run.uid, "now": stamp(now)},
    )
    store.db.execute("DELETE FROM messages WHERE uid = :uid", {"uid": run.uid})
    forget_object(store, run.place, f"run/{run.name}")


def forget_object(store: Store, place: Place, about: str) -> None:
    """Forget what was told, asked and tried of one object."""
    for table in _tables(store, {"project", "environment", "object"}):
        store.db.execute(
            f"DELETE FROM {table} WHERE project = :project AND environment = :environment AND object = :object",
            {"project": place.project, "environment": place.environment, "object": about},
        )


def forget_place(store: Store, place: Place) -> None:
    """Forget everything of a place but its runs, which have to be forgotten one by one, and that it is known."""
    for table in _tables(store, {"project", "environment"}):
        store.db.execute(
            f"DELETE FROM {table} WHERE project = :project AND environment = :environment",
            {"project": place.project, "environment": place.environment},
        )


def _tables(store: Store, columns: set[str]) -> list[str]:
    """Return the tables that have these columns, whoever has made them."""
    names = [str(row[0]) for row in store.db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return [name for name in names if name not in _STAYS and columns <= {str(row[1]) for row in store.db.execute(f"PRAGMA table_info({name})")}]


def row_of(store: Store, uid: str) -> dict[str, Any]:
    """Return the row of a run."""
    cursor = store.db.execute("SELECT * FROM runs WHERE uid = :uid", {"uid": uid})
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


def facts_of(store: Store, uid: str) -> dict[str, Any]:
    """Return how far a run has come."""
    row = store.db.execute("SELECT status, reason, message FROM runs WHERE uid = :uid", {"uid": uid}).fetchone()
    return dict(zip(("status", "reason", "message"), row or ("", "", ""), strict=True))
