"""Questions that people ask of the database."""

from collections.abc import Sequence
from typing import Any

from reconciler.state.store import Store

_COLUMNS = """
uid, project, environment, name, incarnation, owner, source, workflow, revision, adapter, input, facts, status, reason, message, claim, attempt, deaths,
cancel, suspend, created_at, started_at, completed_at, due_at, not_before, output, error, origin, collected_at,
(SELECT id FROM cards WHERE cards.project = runs.project AND cards.environment = runs.environment AND cards.object = 'run/' || runs.name) AS task_id,
(SELECT json_group_object(tag, id) FROM cards WHERE cards.uid = runs.uid AND kind = 'approval' AND id IS NOT NULL AND NOT gone) AS approval_ids
"""
Row = dict[str, Any]


def _rows(store: Store, statement: str, values: dict[str, Any]) -> list[Row]:
    cursor = store.db.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def runs_named(store: Store, name: str, project: str | None, environment: str | None) -> list[Row]:
    """Return the latest incarnation of every run of this name, one for each place; `name` may also be a uid."""
    return _rows(
        store,
        f"""
        SELECT {_COLUMNS}, max(incarnation)
          FROM runs
         WHERE (name = :name OR uid = :name) AND deleted_at IS NULL
           AND (:project IS NULL OR project = :project) AND (:environment IS NULL OR environment = :environment)
         GROUP BY project, environment, name
         ORDER BY project, environment
        """,
        {"name": name, "project": project, "environment": environment},
    )


def list_runs(
    store: Store, *, workflow: str | None, statuses: Sequence[str], project: str | None, environment: str | None, limit: int
) -> tuple[list[Row], int]:
    """Return the newest runs that fit, and how many there are in all."""
    where = ["deleted_at IS NULL"]
    values: dict[str, Any] = {"limit": limit}
    for column, value in (("workflow", workflow), ("project", project), ("environment", environment)):
        if value is not None:
            where.append(f"{column} = :{column}")
            values[column] = value
    if statuses:
        where.append(f"status IN ({', '.join(f':s{number}' for number in range(len(statuses)))})")
        values |= {f"s{number}": status for number, status in enumerate(statuses)}
    condition = " AND ".join(where)
    total = int(store.db.execute(f"SELECT count(*) FROM runs WHERE {condition}", values).fetchone()[0])
    rows = _rows(store, f"SELECT {_COLUMNS} FROM runs WHERE {condition} ORDER BY created_at DESC, name LIMIT :limit", values)
    return rows, total


def list_workflows(store: Store, *, project: str | None, environment: str | None) -> list[Row]:
    """Return the workflows, with how many runs of each there are by status."""
    return _rows(
        store,
        """
        SELECT w.project, w.environment, w.name, w.owner, w.revision, w.facts, w.source, w.created_at, w.updated_at, r.spec, r.resolved,
               (SELECT count(*) FROM runs WHERE runs.project = w.project AND runs.environment = w.environment AND runs.workflow = w.name
                   AND deleted_at IS NULL) AS runs,
               (SELECT count(*) FROM runs WHERE runs.project = w.project AND runs.environment = w.environment AND runs.workflow = w.name
                   AND completed_at IS NULL) AS active
          FROM workflows AS w JOIN revisions AS r ON r.digest = w.revision
         WHERE (:project IS NULL OR w.project = :project) AND (:environment IS NULL OR w.environment = :environment)
         ORDER BY w.project, w.environment, w.name
        """,
        {"project": project, "environment": environment},
    )


def count_by_status(store: Store, *, ended: bool = False) -> dict[str, int]:
    """Return how many runs there are of each status; with `ended` only those that have ended."""
    where = "AND completed_at IS NOT NULL" if ended else ""
    return dict(store.db.execute(f"SELECT status, count(*) FROM runs NOT INDEXED WHERE deleted_at IS NULL {where} GROUP BY status").fetchall())


def unfinished_runs(store: Store) -> list[Row]:
    """Return every run that has not ended."""
    return _rows(store, f"SELECT {_COLUMNS} FROM runs WHERE completed_at IS NULL ORDER BY created_at, name", {})


def check(store: Store) -> list[str]:
    """Return what is wrong inside the database; empty if nothing is."""
    found = [str(row[0]) for row in store.db.execute("PRAGMA quick_check")]
    return [] if found == ["ok"] else found
