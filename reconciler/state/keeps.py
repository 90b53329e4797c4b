"""How much is kept of ended runs: rules of workflows and schedules, and the runs that are beyond them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Place
from reconciler.state.store import Store
from reconciler.values import frozen

_FIELDS = """
uid, project, environment, name, incarnation, owner, source, workflow, revision, adapter, spec_hash, rerun, status, reason, claim, created_at,
started_at, completed_at, origin
"""
_SCHEDULE = "json_extract(origin, '$.schedule.name')"


@frozen
class Rule:
    """What one workflow or schedule says is kept: of each outcome a duration or a number."""

    place: Place
    object: str
    keep: Mapping[str, Json]


def rules_of(store: Store, place: Place) -> dict[str, Mapping[str, Json]]:
    """Return the rules of a place, by `kind/name`."""
    rows = store.db.execute(
        "SELECT object, keep FROM keeps WHERE project = :project AND environment = :environment",
        {"project": place.project, "environment": place.environment},
    )
    return {about: decode_json(keep) for about, keep in rows}


def any_rules(store: Store) -> bool:
    """Say whether anything is ever collected."""
    return store.db.execute("SELECT 1 FROM keeps LIMIT 1").fetchone() is not None


def save_rule(store: Store, place: Place, about: str, keep: Mapping[str, Json], *, now: datetime) -> None:
    """Remember a rule, to be looked at now; an empty one is forgotten."""
    values = {"project": place.project, "environment": place.environment, "object": about, "keep": encode_json(keep), "now": stamp(now)}
    store.db.execute("DELETE FROM keeps WHERE project = :project AND environment = :environment AND object = :object", values)
    if keep:
        store.db.execute(
            "INSERT INTO keeps (project, environment, object, keep, due_at) VALUES (:project, :environment, :object, :keep, :now)", values
        )


def set_due(store: Store, place: Place, about: str, due_at: datetime | None) -> None:
    """Remember when a rule is to be looked at next, None for not before a run of it ends."""
    store.db.execute(
        "UPDATE keeps SET due_at = :due_at WHERE project = :project AND environment = :environment AND object = :object",
        {"project": place.project, "environment": place.environment, "object": about, "due_at": None if due_at is None else stamp(due_at)},
    )


def next_due(store: Store) -> str | None:
    """Return when the next rule is to be looked at, None if none is."""
    row = store.db.execute("SELECT due_at FROM keeps WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def due_rules(store: Store, most: int, *, now: datetime) -> list[Rule]:
    """Return the rules that are to be looked at, the oldest first."""
    rows = store.db.execute(
        "SELECT project, environment, object, keep FROM keeps WHERE due_at <= :now ORDER BY due_at LIMIT :most", {"now": stamp(now), "most": most}
    )
    return [Rule(Place(project, environment), about, decode_json(keep)) for project, environment, about, keep in rows]


def _where(store: Store, rule: Rule, statuses: Sequence[str]) -> tuple[str, dict[str, Any]]:
    kind, _, name = rule.object.partition("/")
    values: dict[str, Any] = {"project": rule.place.project, "environment": rule.place.environment, "name": name}
    values |= {f"s{number}": status for number, status in enumerate(statuses)}
    words = [
        "project = :project AND environment = :environment",
        f"{'workflow' if kind == 'workflow' else _SCHEDULE} = :name",
        f"status IN ({', '.join(f':s{number}' for number in range(len(statuses)))})",
        "completed_at IS NOT NULL AND collected_at IS NULL",
    ]
    if kind == "schedule":
        words.append(f"{_SCHEDULE} IS NOT NULL")
    elif any(about.startswith("schedule/") for about in rules_of(store, rule.place)):
        others = "SELECT object FROM keeps AS k WHERE k.project = :project AND k.environment = :environment"
        words.append(f"({_SCHEDULE} IS NULL OR 'schedule/' || {_SCHEDULE} NOT IN ({others}))")
    return " AND ".join(words), values


def count_ended(store: Store, rule: Rule, statuses: Sequence[str]) -> int:
    """Return how many runs a rule is about that have ended so and are not collected."""
    where, values = _where(store, rule, statuses)
    return int(store.db.execute(f"SELECT count(*) FROM runs WHERE {where}", values).fetchone()[0])


def oldest(store: Store, rule: Rule, statuses: Sequence[str], most: int) -> list[dict[str, Any]]:
    """Return the runs of a rule that ended so first and are not collected."""
    where, values = _where(store, rule, statuses)
    cursor = store.db.execute(f"SELECT {_FIELDS} FROM runs WHERE {where} ORDER BY completed_at, uid LIMIT :most", {**values, "most": most})
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def collected(store: Store, rows: Iterable[Mapping[str, Any]], *, now: datetime) -> None:
    """Forget everything of these runs but that they have run, and how that ended."""
    values = [{"now": stamp(now), **{name: row[name] for name in ("uid", "project", "environment", "name")}} for row in rows]
    store.db.executemany(
        "UPDATE runs SET collected_at = :now, input = 'null', output = NULL, error = NULL, message = '' WHERE uid = :uid AND completed_at IS NOT NULL",
        values,
    )
    store.db.executemany("DELETE FROM messages WHERE uid = :uid", values)
    store.db.executemany(
        """
        DELETE FROM events
         WHERE project = :project AND environment = :environment AND object = 'run/' || :name
           AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.project = :project AND runs.environment = :environment AND runs.name = :name
                              AND collected_at IS NULL)
        """,
        values,
    )
