"""Schedules as they are remembered, and the slots that are over."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.actions import Action, Advance, Arm, Disarm, Start
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Place
from reconciler.recorded import KnownSchedule
from reconciler.state import events
from reconciler.state.runs import source_from
from reconciler.state.store import Store


def known_schedules(store: Store, place: Place) -> dict[str, KnownSchedule]:
    """Return the schedules of a place, by name."""
    rows = store.db.execute(
        """
        SELECT name, owner, source, suspended, since, next_at, last_slot, spec, labels
          FROM schedules
         WHERE project = :project AND environment = :environment
         ORDER BY name
        """,
        {"project": place.project, "environment": place.environment},
    ).fetchall()
    declared = decode_json(f"[{','.join(f'{row[7]},{row[8]}' for row in rows)}]")  # one text is read in a third of the time of two thousand
    known = zip(rows, declared[::2], declared[1::2], strict=True)
    return {row[0]: KnownSchedule(row[0], row[1], spec, labels, source_from(row[2]), bool(row[3]), *row[4:7]) for row, spec, labels in known}


def next_instants(store: Store) -> list[datetime]:
    """Return the next slot of every schedule of every place."""
    return [datetime.fromisoformat(row[0]) for row in store.db.execute("SELECT next_at FROM schedules WHERE next_at <> '' ORDER BY next_at")]


def next_slots(store: Store) -> dict[str, datetime]:
    """Return the next slot of the schedules of each folder: a pass over that folder is due then."""
    rows = store.db.execute("SELECT owner, min(next_at) FROM schedules WHERE next_at <> '' GROUP BY owner ORDER BY owner")
    return {owner: datetime.fromisoformat(instant) for owner, instant in rows}


def intend(store: Store, actions: Sequence[Action], *, now: datetime) -> set[str]:
    """Commit what a plan has for schedules, in the transaction that asks for their runs.

    Returns the runs of slots that somebody else has decided meanwhile: these are not to be asked for.
    """
    behind: set[tuple[Place, str]] = set()
    for action in actions:
        match action:
            case Arm():
                arm(store, action, now=now)
            case Advance() if not advance(store, action, now=now):
                behind.add((action.place, action.name))
            case Disarm():
                disarm(store, action, now=now)
    return {
        action.run.uid
        for action in (actions if behind else ())
        if isinstance(action, Start)
        and action.run.incarnation == 1
        and (action.run.place, action.run.origin.get("schedule", {}).get("name")) in behind
    }


def arm(store: Store, action: Arm, *, now: datetime) -> None:
    """Remember a schedule as it is declared; slots that were over stay so."""
    want = action.schedule
    store.db.execute(
        """
        INSERT INTO schedules (project, environment, name, owner, spec, labels, source, suspended, since, next_at, created_at, updated_at)
        VALUES (:project, :environment, :name, :owner, :spec, :labels, :source, :suspended, :since, :next_at, :now, :now)
        ON CONFLICT (project, environment, name) DO UPDATE
           SET owner = excluded.owner, spec = excluded.spec, labels = excluded.labels, source = excluded.source, suspended = excluded.suspended,
               since = max(since, excluded.since), next_at = excluded.next_at, updated_at = excluded.updated_at
        """,
        {
            "project": action.place.project,
            "environment": action.place.environment,
            "name": want.name,
            "owner": action.owner,
            "spec": encode_json(want.spec),
            "labels": encode_json(want.labels),
            "source": f"{want.source.file}:{want.source.line}",
            "suspended": action.suspended,
            "since": action.since,
            "next_at": action.next_at,
            "now": stamp(now),
        },
    )
    if action.skipped:
        _count(store, action.place, want.name, action.skipped)
    events.add_event(store, action.place, f"schedule/{want.name}", action.verb, action.reason, now=now)


def advance(store: Store, action: Advance, *, now: datetime) -> bool:
    """Remember that slots are over; false if somebody else was quicker, and then nothing is to be done for them."""
    cursor = store.db.execute(
        """
        UPDATE schedules SET since = :since, next_at = :next_at, last_slot = max(last_slot, :last_slot)
         WHERE project = :project AND environment = :environment AND name = :name AND since = :before
        """,
        {
            "project": action.place.project,
            "environment": action.place.environment,
            "name": action.name,
            "before": action.before,
            "since": action.since,
            "next_at": action.next_at,
            "last_slot": action.last_slot,
        },
    )
    if cursor.rowcount != 1:
        return False
    _count(store, action.place, action.name, action.skipped)
    for reason, message in action.told:
        events.add_event(store, action.place, f"schedule/{action.name}", reason, message, now=now)
    return True


def _count(store: Store, place: Place, name: str, skipped: Mapping[str, int]) -> None:
    """Add to the numbers of skipped slots, inside a transaction of the caller's."""
    if not skipped:
        return
    where = {"project": place.project, "environment": place.environment, "name": name}
    row = store.db.execute("SELECT counts FROM schedules WHERE project = :project AND environment = :environment AND name = :name", where).fetchone()
    counts = decode_json(row[0])
    for reason, number in skipped.items():
        counts[reason] = counts.get(reason, 0) + number
    store.db.execute(
        "UPDATE schedules SET counts = :counts WHERE project = :project AND environment = :environment AND name = :name",
        {**where, "counts": encode_json(counts)},
    )


def disarm(store: Store, action: Disarm, *, now: datetime) -> None:
    """Forget a schedule; its runs stay."""
    store.db.execute(
        "DELETE FROM schedules WHERE project = :project AND environment = :environment AND name = :name",
        {"project": action.place.project, "environment": action.place.environment, "name": action.name},
    )
    events.add_event(store, action.place, f"schedule/{action.name}", "removed", action.reason, now=now)


def list_schedules(store: Store, *, project: str | None, environment: str | None) -> list[dict[str, Any]]:
    """Return the rows of all schedules."""
    cursor = store.db.execute(
        """
        SELECT project, environment, name, owner, spec, labels, source, suspended, since, next_at, last_slot, counts, created_at, updated_at
          FROM schedules
         WHERE (:project IS NULL OR project = :project) AND (:environment IS NULL OR environment = :environment)
         ORDER BY project, environment, name
        """,
        {"project": project, "environment": environment},
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def active_by_schedule(store: Store) -> dict[tuple[str, str, str], list[str]]:
    """Return the runs of schedules that have not ended, by project, environment and owner."""
    rows = store.db.execute(
        "SELECT project, environment, owner, name FROM runs WHERE completed_at IS NULL AND owner LIKE 'schedule/%' ORDER BY created_at, name"
    )
    found: dict[tuple[str, str, str], list[str]] = {}
    for project, environment, owner, name in rows:
        found.setdefault((project, environment, owner), []).append(name)
    return found


def last_successful(store: Store, place: Place, name: str) -> str | None:
    """Return the latest slot of a schedule whose run has completed."""
    row = store.db.execute(
        """
        SELECT max(json_extract(origin, '$.schedule.slot'))
          FROM runs
         WHERE project = :project AND environment = :environment AND json_extract(origin, '$.schedule.name') = :name AND status = 'completed'
           AND json_extract(origin, '$.schedule.slot') IS NOT NULL AND json_extract(origin, '$.schedule.manual') IS NULL
        """,
        {"project": place.project, "environment": place.environment, "name": name},
    ).fetchone()
    return None if row is None else row[0]


def taken_names(store: Store, place: Place, names: list[str]) -> set[str]:
    """Return which of these names runs of a place have."""
    rows = store.db.execute(
        "SELECT DISTINCT name FROM runs WHERE project = :project AND environment = :environment AND name IN (SELECT value FROM json_each(:names))",
        {"project": place.project, "environment": place.environment, "names": encode_json(names)},
    )
    return {row[0] for row in rows}
