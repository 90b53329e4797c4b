"""Places: who holds them, which branch they were on, and what keeps them from going on."""

from collections.abc import Iterable
from datetime import datetime

from reconciler.model import Place
from reconciler.recorded import KnownPlace
from reconciler.state.events import add_event
from reconciler.state.store import Store

# Whatever a folder can own and prune can take: a line for each kind.
_OWNED = """
SELECT 'workflow/' || name FROM workflows WHERE project = :project AND environment = :environment AND owner = :owner
UNION ALL
SELECT 'schedule/' || name FROM schedules WHERE project = :project AND environment = :environment AND owner = :owner
UNION ALL
SELECT 'run/' || name FROM runs WHERE project = :project AND environment = :environment AND owner = :owner AND completed_at IS NULL
"""


def known_place(store: Store, place: Place) -> KnownPlace | None:
    """Return what is remembered of a place, None if no pass has worked on it."""
    row = store.db.execute(
        "SELECT lineage, folder, branches, held FROM places WHERE project = :project AND environment = :environment",
        {"project": place.project, "environment": place.environment},
    ).fetchone()
    return None if row is None else KnownPlace(place, row[0], row[1], frozenset(row[2].split("\n")) - {""}, row[3])


def places_in(store: Store, folder: str) -> list[KnownPlace]:
    """Return the places that a folder holds."""
    rows = store.db.execute("SELECT project, environment FROM places WHERE folder = :folder ORDER BY project, environment", {"folder": folder})
    found = [known_place(store, Place(project, environment)) for project, environment in rows.fetchall()]
    return [known for known in found if known is not None]


def owned(store: Store, place: Place, folder: str) -> frozenset[str]:
    """Return what a folder owns in a place that could still be taken away: `kind/name`."""
    values = {"project": place.project, "environment": place.environment, "owner": folder}
    return frozenset(row[0] for row in store.db.execute(_OWNED, values))


def take_over(store: Store, place: Place, before: str, folder: str) -> None:
    """Make a folder the owner of everything that another one owned in a place: it is the same folder, elsewhere."""
    values = {"project": place.project, "environment": place.environment, "before": before, "folder": folder}
    for table in ("workflows", "schedules", "runs"):
        store.db.execute(f"UPDATE {table} SET owner = :folder WHERE project = :project AND environment = :environment AND owner = :before", values)
    store.db.execute("UPDATE places SET folder = :folder WHERE project = :project AND environment = :environment AND folder = :before", values)


def save_branches(store: Store, place: Place, branches: Iterable[str]) -> None:
    """Remember which branches a pass of a place was on."""
    values = {"project": place.project, "environment": place.environment, "branches": "\n".join(sorted(branches))}
    store.db.execute("UPDATE places SET branches = :branches WHERE project = :project AND environment = :environment", values)


def held_places(store: Store) -> list[tuple[Place, str, str]]:
    """Return the places whose passes are held: (place, folder, reason)."""
    rows = store.db.execute("SELECT project, environment, folder, held FROM places WHERE held <> '' ORDER BY 1, 2")
    return [(Place(project, environment), folder, reason) for project, environment, folder, reason in rows]


def save_held(store: Store, place: Place, reason: str, message: str, *, now: datetime) -> None:
    """Remember why a place is held, with an event; an empty reason lets it go."""
    values = {"project": place.project, "environment": place.environment, "reason": reason}
    store.db.execute("UPDATE places SET held = :reason WHERE project = :project AND environment = :environment", values)
    add_event(store, place, f"project/{place.project}", reason or "released", message, now=now)
