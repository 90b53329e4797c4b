"""A database that is new learns what the platforms can prove, before anything is started."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from reconciler import tombstones
from reconciler.compute import Adapter, Finished, Found, LetGo, Live, Observation, Quarantined, Revision, Unclaimed, Unknown
from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.model import Place, Status
from reconciler.recorded import UNKNOWN_TOKEN
from reconciler.state import Store, cards, events, marks, messages, proofs, runs
from reconciler.values import made, mutable

_ASKED = ("parent", "schedule", "seed", "card")


@mutable
class Rebuilt:
    """What came back: runs by status, how many of them from tombstones only, and what could not be put back."""

    statuses: dict[str, int] = made(default_factory=dict)
    tombstones: int = 0
    revisions: int = 0
    conflicts: list[str] = made(default_factory=list)
    damaged: int = 0

    @property
    def runs(self) -> int:
        """Return how many runs came back."""
        return sum(self.statuses.values())


def prepare(store: Store, adapters: Mapping[str, Adapter], say: Callable[[str], None], *, now: datetime) -> Rebuilt | None:
    """Rebuild what is missing, unless that was done; and keep beside revisions what the next rebuild needs. Idempotent.

    Raises UnavailableError where a platform cannot be asked: nothing starts before it has answered.
    """
    result = None
    if marks.mark(store, marks.REBUILT) is None:
        result = rebuild(store, adapters, say, now=now)
    for name, digest, spec in proofs.undescribed(store):
        if name in adapters:
            adapters[name].describe(runs.revision_of_spec(spec))
            with store.transaction():
                proofs.described(store, digest)
    return result


def rebuild(store: Store, adapters: Mapping[str, Adapter], say: Callable[[str], None], *, now: datetime) -> Rebuilt:
    """Put everything into a database that can be proven, in one transaction; what it knows already stays."""
    result = Rebuilt()
    buried = tombstones.read(store.path.parent)
    known = proofs.known_uids(store)
    with store.transaction():
        for adapter in adapters.values():
            for found in adapter.found():
                if found.uid not in known:
                    _put_back(store, adapter, found, result, now=now)
                    if result.runs == 1:
                        say("this database is new: it takes in what run folders and tombstones prove")
        for uid, stone in buried.lines.items():
            _bury(store, uid, stone, result, now=now)
        _mend_parents(store)
        cards.put_back(store, now=now)
        if buried.damaged:
            result.damaged = buried.damaged
            marks.set_mark(store, marks.DOUBT, f"{buried.damaged} lines of {tombstones.NAME} are damaged")
        marks.set_mark(store, marks.REBUILT, stamp(now))
        if result.runs:
            say(f"{result.runs} runs are back: {', '.join(f'{number} {word}' for word, number in sorted(result.statuses.items()))}")
    return result


def _put_back(store: Store, adapter: Adapter, found: Found, result: Rebuilt, *, now: datetime) -> None:
    """Put one run back as its journal tells of it."""
    order, uid = found.order, found.uid
    seen = adapter.observe({uid: 1})[uid]
    revision = adapter.described(order["revision"]) or _stub(order)
    result.revisions += bool(revision.runtime)
    proofs.put_revision_back(store, revision, adapter.name, deployed=bool(revision.runtime), now=now)
    row = {**_row(order, uid), "adapter": adapter.name, **_state(seen, whole=bool(revision.runtime)), **_canceling(adapter, seen, uid, now=now)}
    if not proofs.put_back(store, row):
        result.conflicts.append(f"run/{order['run']} incarnation {order['incarnation']} ({uid})")
        return
    if isinstance(seen, Finished):
        runs.finish(store, uid, seen)
        row["status"] = seen.status.value
    elif isinstance(seen, Live | LetGo):
        row["status"] = seen.status.value
        runs.record_progress(store, uid, seen, seen.status, reason=seen.reason if isinstance(seen, LetGo) else "")
    if not isinstance(seen, Finished):
        _put_messages_back(store, adapter, uid, now=now)
    result.statuses[row["status"]] = result.statuses.get(row["status"], 0) + 1
    place = Place(order["project"], order["environment"])
    events.add_event(store, place, f"run/{order['run']}", "rebuilt", "from its journal, since the database was new", now=now)


def _row(order: Mapping[str, Any], uid: str) -> dict[str, Any]:
    """Return what a first record says, as columns; an old one says less."""
    origin = {name: order[name] for name in _ASKED if name in order}
    return {
        "uid": uid,
        "project": order["project"],
        "environment": order["environment"],
        "name": order["run"],
        "incarnation": order["incarnation"],
        "owner": order["owner"],
        "source": order.get("source", ":0"),
        "workflow": order["workflow"],
        "revision": order["revision"],
        "spec_hash": order["spec_hash"],
        "input": encode_json(order.get("input")),
        "facts": encode_json(order.get("facts", {})),
        "rerun": order.get("rerun", UNKNOWN_TOKEN),
        "priority": order.get("priority", 0),
        "concurrency": order.get("concurrency", 0),
        "created_at": order.get("created_at", order["at"]),
        "origin": encode_json(origin),
    }


def _state(seen: Observation, *, whole: bool) -> dict[str, Any]:
    """Return what an observation says of a run that has not ended, as columns."""
    if isinstance(seen, Quarantined):
        return {"status": Status.RUNNING.value, "reason": "quarantined", "message": seen.message, "claim": 1}
    status = Status.PENDING if isinstance(seen, Unclaimed | Unknown) else Status.RUNNING
    claim = 1 if isinstance(seen, Unknown) or not hasattr(seen, "seen") else max(1, seen.seen.claim)
    held = {} if whole else {"reason": "revision-missing", "message": "its revision is not known any more: declare its workflow as it was"}
    return {"status": status.value, "claim": claim, **held}


def _canceling(adapter: Adapter, seen: Observation, uid: str, *, now: datetime) -> dict[str, Any]:
    """Return the cancel that is in a run's inbox, as columns."""
    if isinstance(seen, Finished):
        return {}
    asked = [message for message in adapter.messages(uid) if message["type"] == "cancel"]
    return {"cancel": asked[0].get("reason", "canceled"), "cancel_sent_at": stamp(now)} if asked else {}


def _put_messages_back(store: Store, adapter: Adapter, uid: str, *, now: datetime) -> None:
    """Remember what is in an inbox already, so that nothing of it is sent again."""
    told = [message for message in adapter.messages(uid) if message.get("id") and message["type"] != "cancel"]
    for message in told:
        messages.remember(store, uid, str(message["id"]), message, now=now)
    messages.delivered(store, [(uid, str(message["id"])) for message in told], now=now)


def _stub(order: Mapping[str, Any]) -> Revision:
    """Return what is left of a revision whose description is gone: runs pinned to it wait until it is deployed again."""
    settings = {name: value for name, value in order.get("settings", {}).items() if name != "limits"}
    return Revision(order["revision"], order["workflow"], "", "", order.get("version", ""), settings=settings)


def _bury(store: Store, uid: str, stone: Mapping[str, Json], result: Rebuilt, *, now: datetime) -> None:
    """Put one run back as its tombstone tells of it: that it has run, and nothing more."""
    columns = (
        "project",
        "environment",
        "incarnation",
        "workflow",
        "revision",
        "adapter",
        "owner",
        "source",
        "spec_hash",
        "rerun",
        "status",
        "reason",
        "claim",
    )
    row = {name: stone[name] for name in (*columns, "created_at", "started_at", "completed_at") if name in stone}
    proofs.put_revision_back(store, Revision(stone["revision"], stone["workflow"], "", ""), stone["adapter"], deployed=False, now=now)
    origin = {name: stone[name] for name in ("parent", "schedule") if name in stone}
    if proofs.put_back(store, {**row, "uid": uid, "name": stone["run"], "collected_at": stone["at"], "origin": encode_json(origin)}):
        result.tombstones += 1
        result.statuses[stone["status"]] = result.statuses.get(stone["status"], 0) + 1


def _mend_parents(store: Store) -> None:
    """Say of children of old journals which attempt of the parent's body asked for them: the present one, as nothing tells of another."""
    for uid, origin in _orphans(store):
        attempt = proofs.parent_attempt(store, origin["parent"]["uid"])
        runs.edit_run(store, uid, {"origin": encode_json({**origin, "parent": {"attempt": attempt, "on_cancel": "cancel", **origin["parent"]}})})


def _orphans(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = store.db.execute("SELECT uid, origin FROM runs WHERE json_extract(origin, '$.parent.uid') IS NOT NULL").fetchall()
    for uid, text in rows:
        origin = decode_json(text)
        if "attempt" not in origin["parent"]:
            yield uid, origin
