"""Messages to runs, from the moment that they are asked for: an outbox, emptied into inboxes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.recorded import Message
from reconciler.state.store import Store

_PENDING = """
SELECT messages.uid, messages.id, messages.message, messages.delivered_at IS NOT NULL
  FROM messages JOIN runs ON runs.uid = messages.uid
 WHERE runs.completed_at IS NULL
 ORDER BY messages.created_at, messages.id
"""


def messages_of_active(store: Store) -> dict[str, dict[str, Message]]:
    """Return the messages of every run that has not ended, by uid and id, the oldest first."""
    found: dict[str, dict[str, Message]] = {}
    for uid, number, text, delivered in store.db.execute(_PENDING):
        found.setdefault(uid, {})[number] = Message(number, decode_json(text), bool(delivered))
    return found


def remember(store: Store, uid: str, number: str, message: Mapping[str, Json], *, now: datetime) -> bool:
    """Remember a message before it is delivered; false if one with that id is known."""
    cursor = store.db.execute(
        "INSERT OR IGNORE INTO messages (uid, id, message, created_at) VALUES (:uid, :id, :message, :now)",
        {"uid": uid, "id": number, "message": encode_json(message), "now": stamp(now)},
    )
    return cursor.rowcount == 1


def delivered(store: Store, sent: Iterable[tuple[str, str]], *, now: datetime) -> None:
    """Remember that these messages, by uid and id, are in the inboxes of their runs."""
    store.db.executemany(
        "UPDATE messages SET delivered_at = :now WHERE uid = :uid AND id = :id",
        [{"uid": uid, "id": number, "now": stamp(now)} for uid, number in sent],
    )


def ids_of(store: Store, uid: str) -> Sequence[str]:
    """Return the ids of all messages that a run was ever sent."""
    return [row[0] for row in store.db.execute("SELECT id FROM messages WHERE uid = :uid ORDER BY created_at, id", {"uid": uid})]
