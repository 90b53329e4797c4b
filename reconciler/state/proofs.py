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
