"""Runs as they are remembered."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from reconciler.compute import Finished, LetGo, Live, Revision, Seen, Unclaimed, revision_facts, revision_from
from reconciler.digest import Json
from reconciler.errors import DamagedStateError
from reconciler.instants import stamp
from reconciler.journal import DAMAGED_ADVICE, decode_json, encode_json
from reconciler.model import Place, Source, Status
from reconciler.moves import SOURCES
from reconciler.reasons import reason_of_end
from reconciler.recorded import ActiveRun, ChildRun, RunLine
from reconciler.state.store import Store

_LINE = "name, uid, max(incarnation), owner, workflow, spec_hash, rerun, status, suspend, priority, cancel, claim, revision, source, facts, not_before, due_at"
KnownRows = dict[str, tuple[tuple[Any, ...], ActiveRun]]
KnownLines = dict[Place, tuple[tuple[int, int, int], dict[str, RunLine]]]
_ACTIVE = """
SELECT runs.*, revisions.spec AS revision_spec, revisions.deployed_at IS NOT NULL AS deployed
  FROM runs JOIN revisions ON revisions.digest = runs.revision
 WHERE completed_at IS NULL
"""


def latest_runs(store: Store, place: Place, known: KnownLines | None = None) -> dict[str, RunLine]:
    """Return the latest incarnation of every run of a place, by name.

    `known` is what earlier calls left there: as long as nobody has written to the database it is what is returned again.
    """
    stamp = store.version()
    before = None if known is None else known.get(place)
    if before is not None and before[0] == stamp:
        return before[1]
    rows = store.db.execute(
        f"SELECT {_LINE} FROM runs WHERE project = :project AND environment = :environment GROUP BY name",
        {"project": place.project, "environment": place.environment},
    )
    lines = {row[0]: RunLine._make(row) for row in rows}
    if known is not None:
        known[place] = stamp, lines
    return lines


def latest_facts(store: Store, place: Place, name: str) -> ChildRun | None:
    """Return the latest incarnation of a run with what came of it, None if it is not known."""
    row = store.db.execute(
        """
        SELECT uid, name, incarnation, workflow, status, origin, output, error, CASE WHEN status = 'canceled' AND message <> '' THEN message ELSE reason END
          FROM runs
         WHERE project = :project AND environment = :environment AND name = :name
         ORDER BY incarnation DESC LIMIT 1
        """,
        {"project": place.project, "environment": place.environment, "name": name},
    ).fetchone()
    if row is None:
        return None
    uid, known, incarnation, workflow, status, origin, output, error, reason = row
    result, failure = (None if text is None else decode_json(text) for text in (output, error))
    return ChildRun(uid, known, incarnation, workflow, status, decode_json(origin), result, failure, reason)


def status_by_uid(store: Store, uid: str) -> str | None:
    """Return the status of one incarnation of a run, None if it is not known."""
    row = store.db.execute("SELECT status FROM runs WHERE uid = :uid", {"uid": uid}).fetchone()
    return None if row is None else str(row[0])


def status_of(store: Store, place: Place, name: str) -> str | None:
    """Return the status of the latest incarnation of a run, None if it is not known."""
    row = store.db.execute(
        "SELECT status FROM runs WHERE project = :project AND environment = :environment AND name = :name ORDER BY incarnation DESC LIMIT 1",
        {"project": place.project, "environment": place.environment, "name": name},
    ).fetchone()
    return None if row is None else str(row[0])


def active_runs(store: Store, known: KnownRows | None = None) -> dict[str, ActiveRun]:
    """Return every run that has not ended, in all places, by uid.

    `known` is what an earlier call left there: rows that are as they were are not read anew, and it is brought up to date.
    """
    cursor = store.db.execute(_ACTIVE)
    names = [column[0] for column in cursor.description]
    known = {} if known is None else known
    fresh: KnownRows = {}
    revisions: dict[str, Revision] = {}
    for row in cursor:
        before = known.get(row[0])
        fresh[row[0]] = before if before is not None and before[0] == row else (row, _whole(dict(zip(names, row, strict=True)), revisions))
    known.clear()
    known.update(fresh)
    return {uid: run for uid, (_, run) in fresh.items()}


def _whole(row: Mapping[str, Any], revisions: dict[str, Revision]) -> ActiveRun:
    """Return the run of a row. Raises DamagedStateError for one that this program did not write."""
    try:
        return _active(row, revisions)
    except (ValueError, TypeError, KeyError) as error:
        message = f"state.db is damaged (its row of run {row['name']!r}: {error}): {DAMAGED_ADVICE}"
        raise DamagedStateError(message) from error


def _active(row: Mapping[str, Any], revisions: dict[str, Revision]) -> ActiveRun:
    if row["revision"] not in revisions:
        revisions[row["revision"]] = revision_from(decode_json(row["revision_spec"]))
    return ActiveRun(
        uid=row["uid"],
        place=Place(row["project"], row["environment"]),
        name=row["name"],
        incarnation=row["incarnation"],
        owner=row["owner"],
        workflow=row["workflow"],
        adapter=row["adapter"],
        spec_hash=row["spec_hash"],
        input=decode_json(row["input"]),
        revision=revisions[row["revision"]],
        status=Status(row["status"]),
        reason=row["reason"],
        message=row["message"],
        claim=row["claim"],
        confirmed=bool(row["confirmed"]),
        deployed=bool(row["deployed"]),
        journal_size=row["journal_size"],
        attempt=row["attempt"],
        deaths=row["deaths"],
        created_at=datetime.fromisoformat(row["created_at"]),
        facts=decode_json(row["facts"]),
        suspend=bool(row["suspend"]),
        priority=row["priority"],
        concurrency=row["concurrency"],
        cancel=row["cancel"],
        cancel_sent_at=_instant(row["cancel_sent_at"]),
        started_at=_instant(row["started_at"]),
        due_at=_instant(row["due_at"]),
        not_before=_instant(row["not_before"]),
        source=source_from(row["source"]),
        origin=decode_json(row["origin"]),
        rerun=row["rerun"],
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def source_from(text: str) -> Source:
    """Read `file:line`."""
    file, _, line = text.rpartition(":")
    return Source(file, int(line or 0))


def revision_spec(revision: Revision) -> str:
    """Write a revision as it is kept."""
    return encode_json(revision_facts(revision))


def revision_of_spec(text: str) -> Revision:
    """Read what `revision_spec` wrote."""
    return revision_from(decode_json(text))


def insert_run(store: Store, run: ActiveRun, rerun: str, *, now: datetime) -> bool:
    """Remember that a run was asked for, before anything is done for it; false if this incarnation is known already."""
    cursor = store.db.execute(
        """
        INSERT OR IGNORE INTO runs (uid, project, environment, name, incarnation, owner, source, workflow, revision, adapter, spec_hash, input,
                                    facts, rerun, suspend, priority, concurrency, status, reason, message, cancel, created_at, not_before, origin)
        VALUES (:uid, :project, :environment, :name, :incarnation, :owner, :source, :workflow, :revision, :adapter, :spec_hash, :input,
                :facts, :rerun, :suspend, :priority, :concurrency, :status, :reason, :message, :cancel, :now, :not_before, :origin)
        """,
        {
            "uid": run.uid,
            "project": run.place.project,
            "environment": run.place.environment,
            "name": run.name,
            "incarnation": run.incarnation,
            "owner": run.owner,
            "source": f"{run.source.file}:{run.source.line}",
            "workflow": run.workflow,
            "revision": run.revision.digest,
            "adapter": run.adapter,
            "spec_hash": run.spec_hash,
            "input": encode_json(run.input),
            "facts": encode_json(run.facts),
            "rerun": rerun,
            "suspend": run.suspend,
            "priority": run.priority,
            "concurrency": run.concurrency,
            "status": run.status.value,
            "reason": run.reason,
            "message": run.message,
            "cancel": run.cancel,
            "now": stamp(now),
            "not_before": None if run.not_before is None else stamp(run.not_before),
            "origin": encode_json(run.origin),
        },
    )
    return cursor.rowcount == 1


def intend_claims(store: Store, claims: Iterable[tuple[str, int]]) -> None:
    """Remember which claims are about to be ordered (I9); what kept the runs from it is over."""
    store.db.executemany(
        "UPDATE runs SET claim = :claim, not_before = NULL WHERE uid = :uid AND claim < :claim AND completed_at IS NULL",
        [{"uid": uid, "claim": claim} for uid, claim in claims],
    )


def confirm(store: Store, uids: Iterable[str]) -> None:
    """Remember that a platform has taken these runs: from now on they are never started anew."""
    store.db.executemany(
        f"""
        UPDATE runs
           SET confirmed = 1, reason = '', message = '', status = CASE WHEN status IN ({SOURCES[Status.RUNNING]}) THEN 'running' ELSE status END
         WHERE uid = :uid AND completed_at IS NULL
        """,
        [{"uid": uid} for uid in uids],
    )


def hold(store: Store, uid: str, reason: str, message: str, *, not_before: datetime | None = None) -> None:
    """Say why a run does not go on."""
    store.db.execute(
        """
        UPDATE runs SET reason = :reason, message = :message, not_before = :not_before
         WHERE uid = :uid AND completed_at IS NULL
        """,
        {"uid": uid, "reason": reason, "message": message, "not_before": None if not_before is None else stamp(not_before)},
    )


def record_progress(store: Store, uid: str, seen: Live | LetGo | Unclaimed, status: Status, *, reason: str) -> bool:
    """Remember how far a run has come; false if it may not come to this status from the one that it has."""
    facts: Seen = seen.seen
    due_at = None if isinstance(seen, Unclaimed) else seen.due_at
    cursor = store.db.execute(
        f"""
        UPDATE runs
           SET status = :status, reason = :reason, message = '', claim = max(claim, :claim), confirmed = 1, journal_size = :size,
               attempt = :attempt, deaths = :deaths, started_at = coalesce(started_at, :started_at), due_at = :due_at,
               not_before = CASE WHEN :taken THEN NULL ELSE not_before END
         WHERE uid = :uid AND completed_at IS NULL AND status IN ({SOURCES[status]})
        """,
        {
            "uid": uid,
            "status": status.value,
            "reason": reason,
            "claim": facts.claim,
            "size": facts.size,
            "attempt": facts.attempt,
            "deaths": facts.deaths,
            "started_at": None if facts.started_at is None else stamp(facts.started_at),
            "due_at": None if due_at is None else stamp(due_at),
            "taken": not isinstance(seen, Unclaimed),
        },
    )
    return cursor.rowcount == 1


def finish(store: Store, uid: str, end: Finished, message: str = "") -> bool:
    """Record the end of a run, unless it has ended already, or cannot end like this."""
    reason, told = reason_of_end(end.status.value, end.reason, message)
    cursor = store.db.execute(
        f"""
        UPDATE runs
           SET status = :status, reason = :reason, message = :message, completed_at = :completed_at, output = :output, error = :error, due_at = NULL,
               not_before = NULL, claim = max(claim, :claim), confirmed = 1, journal_size = :size, attempt = :attempt, deaths = :deaths,
               started_at = coalesce(started_at, :started_at)
         WHERE uid = :uid AND completed_at IS NULL AND status IN ({SOURCES[end.status]})
        """,
        {
            "uid": uid,
            "status": end.status.value,
            "reason": reason,
            "message": told,
            "completed_at": stamp(end.completed_at),
            "output": encode_json(end.output),
            "error": None if end.error is None else encode_json(end.error),
            "claim": end.seen.claim,
            "size": end.seen.size,
            "attempt": end.seen.attempt,
            "deaths": end.seen.deaths,
            "started_at": None if end.seen.started_at is None else stamp(end.seen.started_at),
        },
    )
    return cursor.rowcount == 1


def ask_to_cancel(store: Store, uid: str, reason: str) -> bool:
    """Remember that a run shall be canceled; false if it has ended, or that was asked for before."""
    cursor = store.db.execute(
        "UPDATE runs SET cancel = :reason WHERE uid = :uid AND cancel IS NULL AND completed_at IS NULL", {"uid": uid, "reason": reason}
    )
    return cursor.rowcount == 1


def edit_run(store: Store, uid: str, changes: Mapping[str, Json]) -> None:
    """Apply what may change after a run was asked for; keys are columns of this table."""
    allowed = {
        "suspend",
        "priority",
        "cancel",
        "cancel_sent_at",
        "facts",
        "source",
        "owner",
        "not_before",
        "concurrency",
        "spec_hash",
        "input",
        "revision",
        "workflow",
        "adapter",
        "origin",
        "rerun",
    }
    names = sorted(set(changes) & allowed)
    store.db.execute(  # the names are of the list above
        f"UPDATE runs SET {', '.join(f'{name} = :{name}' for name in names)} WHERE uid = :uid",
        {**{name: changes[name] for name in names}, "uid": uid},
    )
