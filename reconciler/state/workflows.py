"""Workflows, their revisions and the places they belong to, as they are remembered."""

from datetime import datetime

from reconciler.compute import Revision, revision_from
from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Place
from reconciler.recorded import KnownWorkflow
from reconciler.state.runs import revision_spec, source_from
from reconciler.state.store import Store


def known_workflows(store: Store, place: Place) -> dict[str, KnownWorkflow]:
    """Return the workflows of a place, by name."""
    rows = store.db.execute(
        """
        SELECT name, owner, spec, facts, source
          FROM workflows JOIN revisions ON digest = revision
         WHERE project = :project AND environment = :environment
         ORDER BY name
        """,
        {"project": place.project, "environment": place.environment},
    )
    return {
        name: KnownWorkflow(name, owner, revision_from(decode_json(spec)), decode_json(facts), source_from(source))
        for name, owner, spec, facts, source in rows
    }


def revision(store: Store, digest: str) -> Revision:
    """Return a revision that runs are or were pinned to. Raises KeyError if it was never known."""
    row = store.db.execute("SELECT spec FROM revisions WHERE digest = :digest", {"digest": digest}).fetchone()
    if row is None:
        raise KeyError(digest)
    return revision_from(decode_json(row[0]))


def places_with(store: Store, workflow: str) -> list[Place]:
    """Return the places that have a workflow of this name."""
    rows = store.db.execute("SELECT project, environment FROM workflows WHERE name = :name ORDER BY 1, 2", {"name": workflow})
    return [Place(project, environment) for project, environment in rows]


def places_of(store: Store, owner: str) -> list[Place]:
    """Return the places in which a folder owns a workflow, a schedule or a run that has not ended."""
    rows = store.db.execute(
        """
        SELECT project, environment FROM workflows WHERE owner = :owner
        UNION
        SELECT project, environment FROM schedules WHERE owner = :owner
        UNION
        SELECT project, environment FROM runs WHERE owner = :owner AND completed_at IS NULL
        """,
        {"owner": owner},
    )
    return [Place(project, environment) for project, environment in rows]


def save_revision(store: Store, revision: Revision, adapter: str, resolved: Json, *, deployed: bool, now: datetime) -> None:
    """Remember a revision, and whether it was deployed (and described); of one that only a tombstone told of, now everything."""
    store.db.execute(
        """
        INSERT INTO revisions (digest, adapter, spec, resolved, created_at, deployed_at, described)
        VALUES (:digest, :adapter, :spec, :resolved, :now, :deployed_at, :deployed)
        ON CONFLICT (digest) DO UPDATE
           SET resolved = coalesce(excluded.resolved, resolved), deployed_at = coalesce(deployed_at, excluded.deployed_at),
               described = max(described, excluded.described),
               spec = CASE json_extract(spec, '$.runtime') WHEN '' THEN excluded.spec ELSE spec END
        """,
        {
            "digest": revision.digest,
            "adapter": adapter,
            "spec": revision_spec(revision),
            "resolved": None if resolved is None else encode_json(resolved),
            "now": stamp(now),
            "deployed_at": stamp(now) if deployed else None,
            "deployed": deployed,
        },
    )


def save_workflow(store: Store, place: Place, known: KnownWorkflow, *, now: datetime) -> None:
    """Remember a workflow under its latest revision."""
    store.db.execute(
        """
        INSERT INTO workflows (project, environment, name, owner, revision, facts, source, created_at, updated_at)
        VALUES (:project, :environment, :name, :owner, :revision, :facts, :source, :now, :now)
        ON CONFLICT (project, environment, name) DO UPDATE
           SET owner = excluded.owner, revision = excluded.revision, facts = excluded.facts, source = excluded.source, updated_at = excluded.updated_at
        """,
        {
            "project": place.project,
            "environment": place.environment,
            "name": known.name,
            "owner": known.owner,
            "revision": known.revision.digest,
            "facts": encode_json(known.facts),
            "source": f"{known.source.file}:{known.source.line}",
            "now": stamp(now),
        },
    )


def remove_workflow(store: Store, place: Place, name: str) -> None:
    """Forget a workflow; its revisions stay as long as runs name them."""
    store.db.execute(
        "DELETE FROM workflows WHERE project = :project AND environment = :environment AND name = :name",
        {"project": place.project, "environment": place.environment, "name": name},
    )


def unneeded_revisions(store: Store) -> list[tuple[str, str]]:
    """Return (adapter, digest) of deployed revisions that no workflow, no unfinished run and no open request for a rerun needs."""
    rows = store.db.execute(
        """
        SELECT adapter, digest
          FROM revisions
         WHERE deployed_at IS NOT NULL
           AND digest NOT IN (SELECT revision FROM workflows)
           AND digest NOT IN (SELECT revision FROM runs WHERE completed_at IS NULL)
           AND digest NOT IN (SELECT json_extract(data, '$.revision') FROM requests WHERE handled_at IS NULL AND verb = 'rerun')
         ORDER BY digest
        """
    )
    return [(adapter, digest) for adapter, digest in rows]


def revision_retired(store: Store, digest: str) -> None:
    """Remember that a revision is no longer on its platform."""
    store.db.execute("UPDATE revisions SET deployed_at = NULL, described = 0 WHERE digest = :digest", {"digest": digest})


def save_place(store: Store, place: Place, *, lineage: str, folder: str, now: datetime) -> None:
    """Register a place that a pass has worked on."""
    store.db.execute(
        """
        INSERT INTO places (project, environment, lineage, folder, registered_at)
        VALUES (:project, :environment, :lineage, :folder, :now)
        ON CONFLICT (project, environment) DO UPDATE SET lineage = excluded.lineage, folder = excluded.folder
        """,
        {"project": place.project, "environment": place.environment, "lineage": lineage, "folder": folder, "now": stamp(now)},
    )


def place_known(store: Store, place: Place) -> tuple[str, str] | None:
    """Return lineage and folder of a place, None if no pass has worked on it."""
    row = store.db.execute(
        "SELECT lineage, folder FROM places WHERE project = :project AND environment = :environment",
        {"project": place.project, "environment": place.environment},
    ).fetchone()
    return None if row is None else (row[0], row[1])
