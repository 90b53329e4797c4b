"""Runs that are put back into a database: from their journals, from tombstones, and by a person's word."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.compute import Revision
from reconciler.instants import stamp
from reconciler.state.runs import revision_spec
from reconciler.state.store import Store

_INSERT = """
INSERT OR IGNORE INTO runs (uid, project, environment, name, incarnation, owner, source, workflow, revision, adapter, spec_hash, input, facts, rerun,
                            priority, concurrency, status, reason, message, claim, confirmed, cancel, cancel_sent_at, created_at, started_at,
                            completed_at, collected_at, origin)
VALUES (:uid, :project, :environment, :name, :incarnation, :owner, :source, :workflow, :revision, :adapter, :spec_hash, :input, :facts, :rerun,
        :priority, :concurrency, :status, :reason, :message, :claim, 1, :cancel, :cancel_sent_at, :created_at, :started_at,
        :completed_at, :collected_at, :origin)
"""
_ABSENT: dict[str, Any] = {
    "owner": "",
    "source": ":0",
    "workflow": "",
    "input": "null",
    "facts": "{}",
    "rerun": "",
    "priority": 0,
    "concurrency": 0,
    "reason": "",
    "message": "",
    "claim": 0,
    "cancel": None,
    "cancel_sent_at": None,
    "started_at": None,
    "completed_at": None,
    "collected_at": None,
    "origin": "{}",
}


def put_back(store: Store, row: Mapping[str, Any]) -> bool:
    """Insert a run as it was proven to be, keys are columns; false if this incarnation is known already."""
    return store.db.execute(_INSERT, {**_ABSENT, **row}).rowcount == 1


def known_uids(store: Store) -> frozenset[str]:
    """Return the uids of all runs."""
    return frozenset(row[0] for row in store.db.execute("SELECT uid FROM runs"))


def put_revision_back(store: Store, revision: Revision, adapter: str, *, deployed: bool, now: datetime) -> None:
    """Remember a revision that a run was pinned to; one that is known already stays as it is."""
    store.db.execute(
        """
        INSERT OR IGNORE INTO revisions (digest, adapter, spec, created_at, deployed_at, described)
        VALUES (:digest, :adapter, :spec, :now, :deployed_at, :described)
        """,
        {
            "digest": revision.digest,
            "adapter": adapter,
            "spec": revision_spec(revision),
            "now": stamp(now),
            "deployed_at": stamp(now) if deployed else None,
            "described": deployed,
        },
    )


def undescribed(store: Store) -> list[tuple[str, str, str]]:
    """Return (adapter, digest, spec) of deployed revisions that a lost database would take along."""
    rows = store.db.execute("SELECT adapter, digest, spec FROM revisions WHERE deployed_at IS NOT NULL AND described = 0")
    return [(adapter, digest, spec) for adapter, digest, spec in rows]


def described(store: Store, digest: str) -> None:
    """Remember that a revision's description is beside it."""
    store.db.execute("UPDATE revisions SET described = 1 WHERE digest = :digest", {"digest": digest})


def parent_attempt(store: Store, uid: str) -> int:
    """Return the attempt that the body of a run is in, 1 if it is not known."""
    row = store.db.execute("SELECT attempt FROM runs WHERE uid = :uid", {"uid": uid}).fetchone()
    return 1 if row is None else int(row[0])


def unfinished(store: Store) -> dict[str, list[str]]:
    """Return the uids of the runs that have not ended, by adapter."""
    return _grouped(store, "SELECT adapter, uid FROM runs WHERE completed_at IS NULL ORDER BY uid")


def claimed(store: Store) -> dict[str, list[str]]:
    """Return the uids of unfinished runs that a platform has taken, by adapter."""
    return _grouped(store, "SELECT adapter, uid FROM runs WHERE completed_at IS NULL AND confirmed ORDER BY uid")


def needed_revisions(store: Store) -> dict[str, list[str]]:
    """Return the deployed revisions that workflows and unfinished runs need, by adapter."""
    return _grouped(
        store,
        """
        SELECT adapter, digest FROM revisions
         WHERE deployed_at IS NOT NULL
           AND (digest IN (SELECT revision FROM workflows) OR digest IN (SELECT revision FROM runs WHERE completed_at IS NULL))
         ORDER BY digest
        """,
    )


def _grouped(store: Store, statement: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for adapter, name in store.db.execute(statement):
        found.setdefault(adapter, []).append(name)
    return found


def ended(store: Store) -> list[dict[str, Any]]:
    """Return the rows of all runs that have ended."""
    cursor = store.db.execute("SELECT * FROM runs WHERE completed_at IS NOT NULL")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def collected(store: Store) -> frozenset[str]:
    """Return the uids of the runs of which only a row is left."""
    return frozenset(row[0] for row in store.db.execute("SELECT uid FROM runs WHERE collected_at IS NOT NULL"))


def count_runs(store: Store) -> int:
    """Return how many runs are remembered."""
    return int(store.db.execute("SELECT count(*) FROM runs").fetchone()[0])


def dangling(store: Store) -> list[str]:
    """Say which rows contradict others."""
    questions = {
        "run {} has ended and has no end": "SELECT name FROM runs WHERE status IN ('completed', 'failed', 'canceled', 'skipped') AND completed_at IS NULL",
        "run {} has an end and has not ended": """
            SELECT name FROM runs WHERE status NOT IN ('completed', 'failed', 'canceled', 'skipped') AND completed_at IS NOT NULL
        """,
        "run {} names a revision that is not known": "SELECT name FROM runs WHERE revision NOT IN (SELECT digest FROM revisions)",
        "workflow {} names a revision that is not known": "SELECT name FROM workflows WHERE revision NOT IN (SELECT digest FROM revisions)",
        "messages for {}, which is no run": "SELECT DISTINCT uid FROM messages WHERE uid NOT IN (SELECT uid FROM runs)",
    }
    return [told.format(row[0]) for told, question in questions.items() for row in store.db.execute(question)]
