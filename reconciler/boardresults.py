"""What came of orders to TaskYou, remembered inside the transaction of the caller."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from reconciler import boardnews
from reconciler.backoff import next_try
from reconciler.card import SCHEDULE, Card
from reconciler.conditions import BOARD, Known
from reconciler.digest import digest_of
from reconciler.errors import TyOpenworkflowError
from reconciler.instants import stamp
from reconciler.state import Store, cards, cardtries, conditions, events
from reconciler.taskyou.errors import ElsewhereError, ForeignError, MissingError
from reconciler.taskyou.orders import Outcome
from reconciler.taskyou.text import title_of

_ELSEWHERE = timedelta(seconds=2)


def take(store: Store, card: Card, outcome: Outcome, scope: str, say: Callable[[str], None], *, cancels: bool, now: datetime) -> None:
    """Remember how far an order came, tell what is new, and plan the next try where it broke off."""
    about, number, error = object_of(card), cards.number_of(store, card.place, card.object), outcome.error
    if error is None:
        is_ours = cardtries.written(store, card, outcome.id, outcome.wrote, outcome.seen, gone=outcome.gone, now=now)
    else:
        is_ours = cardtries.broken_off(store, card, outcome.id, outcome.wrote, outcome.seen, unclear=outcome.is_unclear)
    if outcome.created and number is None:
        title = title_of(card.spec["title"], otherwise=card.object)
        events.add_event(store, card.place, about, "task-created", f"task #{outcome.id}: {title}", now=now)
    if is_ours:
        _tell(store, card, outcome, cancels=cancels, now=now)
    if error is not None:
        _again(store, card, error, scope, say, now=now)
    elif card.trouble:
        conditions.save(store, [((card.place, about, BOARD), None)])
        events.add_event(store, card.place, about, "resolved", "was task-not-synced", now=now)
    for note in outcome.notes:
        events.add_event(store, card.place, about, "task-not-synced", note, now=now)
        say(f"{about}: {note}")


def fail(store: Store, card: Card, error: TyOpenworkflowError, scope: str, say: Callable[[str], None], *, now: datetime) -> None:
    """Remember that nothing could be written; a card that nobody asked for, and that no try can have made, is forgotten where there is no TaskYou."""
    if isinstance(error, MissingError | ForeignError) and card.id is None and not card.ours and not {"explicit", "adopt"} & _true(card.spec):
        cards.forget(store, card.tag)
        return
    cardtries.broken_off(store, card, None, card.wrote, "", unclear=False)
    _again(store, card, error, scope, say, now=now)


def object_of(card: Card) -> str:
    """Return what the events and conditions of a card are about: the run, also for its approvals."""
    return f"run/{card.spec['run']}" if card.kind == "approval" else card.object


def _true(spec: Any) -> set[str]:
    return {name for name, value in spec.items() if value is True}


def _tell(store: Store, card: Card, outcome: Outcome, *, cancels: bool, now: datetime) -> None:
    """Take in what a person did with the card meanwhile."""
    about = object_of(card)
    if outcome.gone:
        boardnews.removed(store, card.place, about, card.kind, card.uid, outcome.id, cancels=cancels, now=now)
    elif outcome.seen not in ("", card.seen) and card.kind != SCHEDULE and not card.over:
        row = {"kind": card.kind, "uid": card.uid, "id": outcome.id, "tag": card.tag, "spec": card.spec, "wrote": outcome.wrote}
        boardnews.moved(store, card.place, about, row, outcome.seen, cancels=cancels, now=now)


def _again(store: Store, card: Card, error: TyOpenworkflowError, scope: str, say: Callable[[str], None], *, now: datetime) -> None:
    if isinstance(error, ElsewhereError):
        cardtries.put_off(store, card.tag, now + _ELSEWHERE)
        return
    message, about = str(error), object_of(card)
    seed = f"{scope}/{card.tag}/{digest_of(card.now)[:8]}"
    cardtries.failed(store, card.tag, message, next_try(seed, card.failures + 1, now=now))
    if card.trouble != message:
        conditions.save(store, [((card.place, about, BOARD), Known("False", "task-not-synced", message, stamp(now)))])
        say(f"{about}: its card in TaskYou is not as it should be: {message}")
    events.add_event(store, card.place, about, "task-not-synced", message, now=now)
