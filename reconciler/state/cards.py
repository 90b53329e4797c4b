"""Cards in TaskYou as they are remembered."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from reconciler.actions import Action, EndWait, OpenCard
from reconciler.card import APPROVAL, LINK, SCHEDULE, Card
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Place, Source
from reconciler.state.store import Store

# What stands for the facts that a card tells of: it is written again when they are others.
_NOW = """
CASE cards.kind
WHEN 'schedule' THEN iif(runs.status = 'failed', 'failing', 'well') || iif(schedules.name IS NULL, '/removed', '')
WHEN 'approval' THEN iif(runs.completed_at IS NULL, '', 'ended') || '/' || cards.extra
ELSE runs.uid || '/' || runs.status || '/' || runs.reason || '/' || runs.attempt || '/' || coalesce(runs.due_at, '') || '/' ||
     iif(runs.cancel IS NULL, '', 'canceling') || '/' || coalesce(json_extract(runs.facts, '$.task'), '')
END
"""
_RUN = (
    "uid",
    "name",
    "incarnation",
    "workflow",
    "status",
    "reason",
    "message",
    "attempt",
    "input",
    "output",
    "error",
    "created_at",
    "completed_at",
    "due_at",
)
_CARD = ("tag", "project", "environment", "object", "kind", "uid", "database", "id", "spec", "wrote", "ours", "seen", "basis", "extra")
_TRIED = ("failures", "trouble", "next_at", "written_at")
_UNSETTLED = f"""
SELECT {", ".join(f"cards.{name}" for name in _CARD + _TRIED)}, {_NOW} AS now, schedules.name IS NULL, json_extract(runs.facts, '$.task'),
       {", ".join(f"runs.{name}" for name in _RUN)}
  FROM cards INDEXED BY cards_unsettled
  LEFT JOIN schedules ON cards.kind = 'schedule' AND schedules.project = cards.project AND schedules.environment = cards.environment
                     AND schedules.name = substr(cards.object, 10)
  LEFT JOIN runs ON runs.uid = CASE cards.kind WHEN 'schedule' THEN (
        SELECT uid FROM runs AS ended
         WHERE ended.project = cards.project AND ended.environment = cards.environment AND ended.owner = cards.object
           AND substr(ended.owner, 1, 9) = 'schedule/' AND ended.completed_at IS NOT NULL AND ended.status IN ('completed', 'failed')
         ORDER BY ended.completed_at DESC LIMIT 1) ELSE cards.uid END
 WHERE NOT cards.settled AND (cards.basis <> now OR cards.kind = 'approval')
"""


def unsettled(store: Store) -> dict[str, Card]:
    """Return the cards that do not say yet what they shall, and those of open approvals, by tag."""
    return {row[0]: _card(row) for row in store.db.execute(_UNSETTLED)}


def _card(row: Sequence[Any]) -> Card:
    own = dict(zip(_CARD + _TRIED, row, strict=False))
    now, removed, task = row[len(own) : len(own) + 3]
    about = dict(zip(_RUN, row[len(own) + 3 :], strict=True))
    about["input"], about["output"], about["error"] = (
        None if about[name] is None else decode_json(about[name]) for name in ("input", "output", "error")
    )
    about |= {"removed": own["kind"] == SCHEDULE and bool(removed), "task": decode_json(task) if isinstance(task, str) else bool(task)}
    next_at, written_at = own["next_at"], own["written_at"]
    return Card(
        tag=own["tag"],
        place=Place(own["project"], own["environment"]),
        object=own["object"],
        kind=own["kind"],
        uid=own["uid"],
        database=own["database"],
        id=own["id"],
        spec=decode_json(own["spec"]),
        wrote=decode_json(own["wrote"]),
        ours=tuple(decode_json(own["ours"])),
        seen=own["seen"],
        basis=own["basis"],
        now=now or "",
        extra=own["extra"],
        failures=own["failures"],
        trouble=own["trouble"],
        next_at=None if next_at is None else datetime.fromisoformat(next_at),
        written_at=None if written_at is None else datetime.fromisoformat(written_at),
        about=about,
    )


def intend(store: Store, actions: Iterable[Action], missed: AbstractSet[str], *, now: datetime) -> None:
    """Commit what a plan has for cards, in the transaction that asks for runs; not for those that were `missed`."""
    for action in actions:
        if isinstance(action, OpenCard) and action.uid not in missed:
            open_card(store, action, now=now)
        elif isinstance(action, EndWait):
            mark_over(store, action.tag, action.why)


def mark_over(store: Store, tag: str, why: str) -> None:
    """Remember that nobody waits any more for what a card asks, and what the card tells of it."""
    store.db.execute("UPDATE cards SET extra = :why WHERE tag = :tag AND extra = ''", {"tag": tag, "why": why})


def open_card(store: Store, card: OpenCard, *, now: datetime) -> None:
    """Decide that something has a card, before any is made. A run that is run again goes on with the card that it has."""
    store.db.execute(
        """
        INSERT INTO cards (tag, project, environment, object, kind, uid, database, id, spec, settled, created_at)
        VALUES (:tag, :project, :environment, :object, :kind, :uid, :database, :id, :spec, :settled, :now)
        ON CONFLICT (project, environment, object) DO UPDATE
           SET uid = excluded.uid, spec = excluded.spec, settled = (gone OR kind = 'link'), failures = 0, next_at = NULL
        """,
        {
            "tag": card.tag,
            "project": card.place.project,
            "environment": card.place.environment,
            "object": card.object,
            "kind": card.kind,
            "uid": card.uid,
            "database": card.database,
            "id": card.number,
            "spec": encode_json(card.spec),
            "settled": card.kind == LINK,
            "now": stamp(now),
        },
    )


def put_back(store: Store, *, now: datetime) -> None:
    """Bring back, in a new database, the cards that runs say they have: looked up once more, and made only where somebody asked for one.

    A run that was run again goes on with the card of the first incarnation that had one.
    """
    rows = store.db.execute(
        """
        SELECT project, environment, name, uid, json_extract(origin, '$.card')
          FROM runs
         WHERE json_extract(origin, '$.card') IS NOT NULL AND collected_at IS NULL AND deleted_at IS NULL
         ORDER BY project, environment, name, incarnation
        """
    ).fetchall()
    first: dict[tuple[str, str, str], dict[str, Any]] = {}
    for project, environment, name, uid, text in rows:
        told = decode_json(text)
        card = first.setdefault((project, environment, name), told)
        spec = {**told["spec"], ("restored" if told["spec"].get("explicit") else "adopt"): True}
        opened = OpenCard(
            Place(project, environment), f"run/{name}", card["kind"], uid, card["tag"], card["database"], spec, Source("", 0), card["id"]
        )
        open_card(store, opened, now=now)


def forget(store: Store, tag: str) -> None:
    """Forget a card that was never made."""
    store.db.execute("DELETE FROM cards WHERE tag = :tag AND id IS NULL", {"tag": tag})


def watched(store: Store) -> list[tuple[str, Place]]:
    """Return (database, place) where a person's doings matter: there is a card of a run that has not ended, or of an open approval."""
    rows = store.db.execute(
        """
        SELECT DISTINCT cards.database, cards.project, cards.environment
          FROM cards JOIN runs ON runs.uid = cards.uid
         WHERE cards.kind IN ('run', 'approval') AND cards.id IS NOT NULL AND NOT cards.gone AND runs.completed_at IS NULL AND cards.extra = ''
        """
    )
    return [(row[0], Place(row[1], row[2])) for row in rows]


def placed(store: Store, database: str, place: Place) -> list[dict[str, Any]]:
    """Return the cards of a place whose runs have not ended, with what was last seen of each."""
    names = ("tag", "object", "kind", "uid", "id", "spec", "wrote", "seen", "extra", "written_at", "run", "cancel")
    rows = store.db.execute(
        """
        SELECT cards.tag, cards.object, cards.kind, cards.uid, cards.id, cards.spec, cards.wrote, cards.seen, cards.extra, cards.written_at, runs.name, runs.cancel
          FROM cards JOIN runs ON runs.uid = cards.uid
         WHERE cards.kind IN ('run', 'approval') AND cards.id IS NOT NULL AND NOT cards.gone AND runs.completed_at IS NULL
           AND cards.database = :database AND cards.project = :project AND cards.environment = :environment
        """,
        {"database": database, "project": place.project, "environment": place.environment},
    )
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [{**row, "spec": decode_json(row["spec"]), "wrote": decode_json(row["wrote"])} for row in found]


def seen(store: Store, tag: str, status: str) -> None:
    """Remember in which column a card was seen; it is looked at again."""
    store.db.execute("UPDATE cards SET seen = :seen, basis = '' WHERE tag = :tag", {"seen": status, "tag": tag})


def look_again(store: Store, tag: str) -> None:
    """Remember that a card is to be looked for."""
    store.db.execute("UPDATE cards SET basis = '', written_at = NULL WHERE tag = :tag AND basis <> ''", {"tag": tag})


def number_of(store: Store, place: Place, about: str) -> int | None:
    """Return the number of an object's card in TaskYou, None if it has none."""
    row = store.db.execute(
        "SELECT id FROM cards WHERE project = :project AND environment = :environment AND object = :object",
        {"project": place.project, "environment": place.environment, "object": about},
    ).fetchone()
    return None if row is None else row[0]


def of_number(store: Store, number: int) -> list[dict[str, Any]]:
    """Return what the cards of a number are about: `place`, `object`, `kind`, `uid`, `spec`; there is one for each database."""
    rows = store.db.execute(
        "SELECT project, environment, object, kind, uid, spec, database FROM cards WHERE id = :id ORDER BY created_at DESC", {"id": number}
    )
    return [
        {"place": Place(row[0], row[1]), "object": row[2], "kind": row[3], "uid": row[4], "spec": decode_json(row[5]), "database": row[6]}
        for row in rows
    ]


def made(store: Store, uids: Iterable[str], schedules: Iterable[tuple[Place, str]]) -> list[dict[str, Any]]:
    """Return the cards that were made for some runs, their approvals and some schedules: `tag`, `object`, `database`, `id`."""
    statement = "SELECT tag, object, database, id FROM cards WHERE NOT gone AND kind <> 'link' AND "
    rows = [row for uid in uids for row in store.db.execute(f"{statement} uid = :uid", {"uid": uid})]
    for place, name in schedules:
        names = {"project": place.project, "environment": place.environment, "object": f"schedule/{name}"}
        rows += store.db.execute(f"{statement} project = :project AND environment = :environment AND object = :object", names)
    return [dict(zip(("tag", "object", "database", "id"), row, strict=True)) for row in rows]


def remove(store: Store, tags: Iterable[str]) -> None:
    """Forget cards that are not on the board any more."""
    store.db.executemany("DELETE FROM cards WHERE tag = :tag", [{"tag": tag} for tag in tags])


def approvals_of(store: Store, uids: Iterable[str]) -> dict[str, int | None]:
    """Return the numbers of the cards of the approvals of some runs, by tag."""
    statement = "SELECT tag, id FROM cards WHERE uid = :uid AND kind = :kind"
    return {row[0]: row[1] for uid in uids for row in store.db.execute(statement, {"uid": uid, "kind": APPROVAL})}


def next_dues(store: Store) -> list[datetime]:
    """Return when cards that could not be written are tried again."""
    rows = store.db.execute("SELECT next_at FROM cards INDEXED BY cards_unsettled WHERE NOT settled AND next_at IS NOT NULL")
    return [datetime.fromisoformat(row[0]) for row in rows]


def troubles(store: Store) -> list[dict[str, Any]]:
    """Return the cards that could not be written: what they are about (a run also for its approvals), why, how often, and when they are tried again."""
    rows = store.db.execute(
        """
        SELECT project, environment, iif(kind = 'approval', 'run/' || json_extract(spec, '$.run'), object) AS about, trouble, failures, next_at
          FROM cards INDEXED BY cards_unsettled
         WHERE NOT settled AND trouble <> ''
         ORDER BY project, environment, about
        """
    )
    names = ("project", "environment", "object", "message", "failures", "next_at")
    return [dict(zip(names, row, strict=True)) for row in rows]
