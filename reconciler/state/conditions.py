"""What passes found out about objects and nothing else remembers, written when it changes and not otherwise."""

from collections.abc import Iterable

from reconciler.conditions import Key, Known
from reconciler.model import Place
from reconciler.state.store import Store


def remembered(store: Store) -> dict[Key, Known]:
    """Return what is remembered of the objects of all places: a few rows, one statement."""
    rows = store.db.execute("SELECT project, environment, object, type, status, reason, message, since FROM conditions")
    return {(Place(row[0], row[1]), row[2], row[3]): Known(*row[4:]) for row in rows}


def remembered_of(store: Store, place: Place, about: str) -> dict[str, Known]:
    """Return what is remembered of one object, by the type of the condition."""
    rows = store.db.execute(
        """
        SELECT type, status, reason, message, since
          FROM conditions
         WHERE project = :project AND environment = :environment AND object = :object
        """,
        {"project": place.project, "environment": place.environment, "object": about},
    )
    return {row[0]: Known(*row[1:]) for row in rows}


def save(store: Store, news: Iterable[tuple[Key, Known | None]]) -> None:
    """Remember conditions, and forget those that are None."""
    for (place, about, kind), known in news:
        values = {"project": place.project, "environment": place.environment, "object": about, "type": kind}
        if known is None:
            store.db.execute(
                "DELETE FROM conditions WHERE project = :project AND environment = :environment AND object = :object AND type = :type", values
            )
            continue
        store.db.execute(
            """
            INSERT INTO conditions (project, environment, object, type, status, reason, message, since)
            VALUES (:project, :environment, :object, :type, :status, :reason, :message, :since)
            ON CONFLICT (project, environment, object, type) DO UPDATE
               SET status = excluded.status, reason = excluded.reason, message = excluded.message, since = excluded.since
            """,
            {**values, **known._asdict()},
        )
