"""What failed and is tried again later, and platforms that want to be left alone, as they are remembered."""

from collections.abc import Iterable
from datetime import datetime

from reconciler.backoff import Pause, Tried
from reconciler.instants import stamp
from reconciler.model import Place
from reconciler.state.store import Store


def known(store: Store) -> dict[tuple[Place, str], Tried]:
    """Return what failed at its last try, by place and `kind/name`."""
    rows = store.db.execute("SELECT project, environment, object, token, failures, reason, message, last_at, next_at FROM retries")
    return {
        (Place(project, environment), about): Tried(
            token, failures, reason, message, datetime.fromisoformat(last_at), None if next_at is None else datetime.fromisoformat(next_at)
        )
        for project, environment, about, token, failures, reason, message, last_at, next_at in rows
    }


def failures_of(store: Store, place: Place, about: str, token: str) -> int:
    """Return how often in a row this was tried in vain."""
    row = store.db.execute(
        "SELECT failures FROM retries WHERE project = :project AND environment = :environment AND object = :object AND token = :token",
        {"project": place.project, "environment": place.environment, "object": about, "token": token},
    ).fetchone()
    return 0 if row is None else int(row[0])


def remember(store: Store, place: Place, about: str, tried: Tried) -> None:
    """Remember a try that failed, in place of the one before it."""
    store.db.execute(
        """
        INSERT OR REPLACE INTO retries (project, environment, object, token, failures, reason, message, last_at, next_at)
        VALUES (:project, :environment, :object, :token, :failures, :reason, :message, :last_at, :next_at)
        """,
        {
            "project": place.project,
            "environment": place.environment,
            "object": about,
            "token": tried.token,
            "failures": tried.failures,
            "reason": tried.reason,
            "message": tried.message,
            "last_at": stamp(tried.last_at),
            "next_at": None if tried.next_at is None else stamp(tried.next_at),
        },
    )


def forget(store: Store, objects: Iterable[tuple[Place, str]]) -> None:
    """Forget the failures of objects that worked, or are gone."""
    store.db.executemany(
        "DELETE FROM retries WHERE project = :project AND environment = :environment AND object = :object",
        [{"project": place.project, "environment": place.environment, "object": about} for place, about in objects],
    )


def pauses(store: Store) -> dict[str, Pause]:
    """Return the platforms that asked to be left alone, also those whose time is over."""
    rows = store.db.execute("SELECT adapter, until, message FROM pauses")
    return {adapter: Pause(datetime.fromisoformat(until), message) for adapter, until, message in rows}


def pause(store: Store, adapter: str, until: datetime, message: str) -> None:
    """Remember that a platform wants to be left alone; never for less long than it asked for before."""
    store.db.execute(
        """
        INSERT INTO pauses (adapter, until, message) VALUES (:adapter, :until, :message)
        ON CONFLICT (adapter) DO UPDATE SET until = excluded.until, message = excluded.message WHERE excluded.until > until
        """,
        {"adapter": adapter, "until": stamp(until), "message": message},
    )
