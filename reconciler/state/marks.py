"""What this database knows of itself: whether it was rebuilt, and in which places it is no stranger."""

from datetime import datetime

from reconciler.instants import stamp
from reconciler.model import Place
from reconciler.state.store import Store

REBUILT = "rebuilt"
DOUBT = "doubt"


def mark(store: Store, name: str) -> str | None:
    """Return a mark, None if it was never set."""
    row = store.db.execute("SELECT value FROM marks WHERE name = :name", {"name": name}).fetchone()
    return None if row is None else str(row[0])


def is_ready(store: Store) -> bool:
    """Say whether a database has taken in what is proven, and what it would take along with it is kept beside revisions."""
    row = store.db.execute(
        """
        SELECT EXISTS (SELECT 1 FROM marks WHERE name = 'rebuilt')
           AND NOT EXISTS (SELECT 1 FROM revisions WHERE deployed_at IS NOT NULL AND described = 0)
        """
    ).fetchone()
    return bool(row[0])


def set_mark(store: Store, name: str, value: str) -> None:
    """Set a mark."""
    store.db.execute("INSERT OR REPLACE INTO marks (name, value) VALUES (:name, :value)", {"name": name, "value": value})


def remove_mark(store: Store, name: str) -> None:
    """Forget a mark."""
    store.db.execute("DELETE FROM marks WHERE name = :name", {"name": name})


def is_known(store: Store, place: Place, lineage: str) -> bool:
    """Say whether what this database does not know of a place was surely never run.

    That is so where a pass of this database has been before, or a person has answered; and in folders without a lineage, unless tombstones were damaged.
    """
    if not lineage and mark(store, DOUBT) is None:
        return True
    row = store.db.execute(
        "SELECT 1 FROM known_places WHERE project = :project AND environment = :environment AND lineage IN ('', :lineage)",
        {"project": place.project, "environment": place.environment, "lineage": lineage},
    ).fetchone()
    return row is not None


def is_registered(store: Store, place: Place, lineage: str) -> bool:
    """Say whether a place is known under this very lineage."""
    row = store.db.execute(
        "SELECT 1 FROM known_places WHERE project = :project AND environment = :environment AND lineage = :lineage",
        {"project": place.project, "environment": place.environment, "lineage": lineage},
    ).fetchone()
    return row is not None


def make_known(store: Store, place: Place, lineage: str, *, answer: str = "", who: str = "", now: datetime) -> None:
    """Remember that a place is known from now on; `answer` is what a person said about what was not."""
    store.db.execute(
        """
        INSERT OR IGNORE INTO known_places (project, environment, lineage, answer, who, at)
        VALUES (:project, :environment, :lineage, :answer, :who, :now)
        """,
        {"project": place.project, "environment": place.environment, "lineage": lineage, "answer": answer, "who": who, "now": stamp(now)},
    )
