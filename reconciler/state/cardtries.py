"""What is tried with a card in TaskYou, and what came of it: so that whatever we did is known for ours, also where nobody could tell us.

`wrote` of a card has what surely holds. Beside it, as long as an outcome is unclear, `moving` has the columns and `pinning` the pins that a try may have
brought about.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.card import ARCHIVED, BACKLOG, BLOCKED, CLOSED, Card, Says
from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json, encode_json
from reconciler.state.store import Store

_MOST_TEXTS = 16
_OPEN = ("moving", "pinning")


def about_to_write(store: Store, tag: str, texts: Sequence[str], says: Says) -> None:
    """Remember what is about to be written: digests of texts, and column and pin where they are news."""
    *texts_before, seen = store.db.execute("SELECT ours, wrote, seen FROM cards WHERE tag = :tag", {"tag": tag}).fetchone()
    ours, wrote = map(decode_json, texts_before)
    after = list(dict.fromkeys([*ours, *texts]))[-_MOST_TEXTS:]
    trying = dict(wrote)
    column = wrote.get("status", BACKLOG)
    by_a_person = seen == says.status or (seen in CLOSED and column not in CLOSED)
    if says.status != column and not by_a_person:
        # Where a card can be neither blocked nor archived, it is put into the backlog; in place of the first it is pinned.
        instead = [BACKLOG] if says.status in (BLOCKED, ARCHIVED) else []
        trying["moving"] = sorted({*wrote.get("moving", ()), says.status, *instead})
    pins = {says.pinned, says.pinned or says.status == BLOCKED}
    if pins != {wrote.get("pinned", False)}:
        trying["pinning"] = sorted({*wrote.get("pinning", ()), *pins})
    if after != ours or trying != wrote:
        store.db.execute(
            "UPDATE cards SET ours = :ours, wrote = :wrote WHERE tag = :tag",
            {"ours": encode_json(after), "wrote": encode_json(trying), "tag": tag},
        )


def written(store: Store, card: Card, number: int | None, wrote: Mapping[str, Json], seen: str, *, gone: bool, now: datetime) -> bool:
    """Remember what a card says now; false if somebody else has written it meanwhile: then it is looked at again.

    What it was written for counts only if it still is about the same.
    """
    if not _is_as_it_was(store, card):
        store.db.execute("UPDATE cards SET id = coalesce(:id, id), basis = '' WHERE tag = :tag", {"id": number, "tag": card.tag})
        return False
    store.db.execute(
        """
        UPDATE cards
           SET id = coalesce(:id, id), wrote = :wrote, seen = :seen, gone = :gone, failures = 0, trouble = '', next_at = NULL, written_at = :now,
               basis = CASE WHEN uid = :uid THEN :basis ELSE basis END,
               settled = :gone OR (uid = :uid AND extra = :extra AND :over)
         WHERE tag = :tag
        """,
        {
            "id": number,
            "wrote": encode_json(wrote),
            "seen": seen,
            "gone": gone,
            "uid": card.uid,
            "basis": card.now,
            "extra": card.extra,
            "over": card.over,
            "now": stamp(now),
            "tag": card.tag,
        },
    )
    return True


def broken_off(store: Store, card: Card, number: int | None, wrote: Mapping[str, Json], seen: str, *, unclear: bool) -> bool:
    """Remember how far a try came that broke off; what it may have done beyond that stays open where that is `unclear`. False as for `written`."""
    if not _is_as_it_was(store, card):
        return False
    kept = {name: value for name, value in _wrote(store, card.tag).items() if name in _OPEN} if unclear else {}
    store.db.execute(
        "UPDATE cards SET id = coalesce(:id, id), wrote = :wrote, seen = iif(:seen = '', seen, :seen) WHERE tag = :tag",
        {"id": number, "wrote": encode_json({**wrote, **kept}), "seen": seen, "tag": card.tag},
    )
    return True


def failed(store: Store, tag: str, trouble: str, next_at: datetime) -> None:
    """Remember that a card could not be written, and when it is tried again."""
    store.db.execute(
        "UPDATE cards SET failures = failures + 1, trouble = :trouble, next_at = :next_at WHERE tag = :tag",
        {"trouble": trouble, "next_at": stamp(next_at), "tag": tag},
    )


def put_off(store: Store, tag: str, next_at: datetime) -> None:
    """Try a card again at an instant; nothing is wrong with it."""
    store.db.execute("UPDATE cards SET next_at = :next_at WHERE tag = :tag", {"next_at": stamp(next_at), "tag": tag})


def _is_as_it_was(store: Store, card: Card) -> bool:
    return _settled(_wrote(store, card.tag)) == _settled(card.wrote)


def _wrote(store: Store, tag: str) -> dict[str, Any]:
    row = store.db.execute("SELECT wrote FROM cards WHERE tag = :tag", {"tag": tag}).fetchone()
    return {} if row is None else dict(decode_json(row[0]))


def _settled(wrote: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wrote.items() if name not in _OPEN}
