"""Objects of any kind, by name: what a command about KIND/NAME needs to find the one that is meant."""

from reconciler.model import TERMINAL, Place
from reconciler.state.store import Store
from reconciler.values import frozen


@frozen
class Found:
    """An object that is known: `suspend` is what its manifest's own field said last, `status` the end of a run that has ended."""

    place: Place
    name: str
    suspend: bool = False
    status: str = ""


_TABLES = {
    "run": "SELECT project, environment, name, suspend, status, max(incarnation) FROM runs {} GROUP BY project, environment, name",
    "workflow": "SELECT project, environment, name, 0, '' FROM workflows {}",
    "schedule": "SELECT project, environment, name, coalesce(json_extract(spec, '$.suspend'), 0), '' FROM schedules {}",
}


def named(store: Store, kind: str, name: str) -> list[Found]:
    """Return the objects of a kind with this name, one for each place; of a run its latest incarnation."""
    return _found(store, kind, _TABLES[kind].format("WHERE name = :name"), {"name": name})


def all_of(store: Store, kind: str) -> list[Found]:
    """Return every object of a kind; of runs those that have not ended."""
    where = "WHERE completed_at IS NULL" if kind == "run" else ""
    return _found(store, kind, _TABLES[kind].format(where), {})


def workflow_of(store: Store, place: Place, run: str) -> str | None:
    """Return the workflow of a run."""
    row = store.db.execute(
        "SELECT workflow FROM runs WHERE project = :project AND environment = :environment AND name = :name ORDER BY incarnation DESC LIMIT 1",
        {"project": place.project, "environment": place.environment, "name": run},
    ).fetchone()
    return None if row is None else str(row[0])


def _found(store: Store, kind: str, statement: str, values: dict[str, str]) -> list[Found]:
    if kind == "schedule" and not _has_schedules(store):
        return []
    rows = store.db.execute(statement, values)
    return [Found(Place(row[0], row[1]), row[2], bool(row[3]), row[4] if row[4] in TERMINAL else "") for row in rows]


def _has_schedules(store: Store) -> bool:
    return store.db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schedules'").fetchone() is not None
