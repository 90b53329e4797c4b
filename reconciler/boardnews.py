"""What people did on TaskYou's board, taken in as what it is: a request by a person."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.card import APPROVAL, DONE
from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.model import Place
from reconciler.plan.cards import is_closed_by_a_person
from reconciler.relations import signal_fault
from reconciler.state import Store, cards, events, messages, requests, runs, workflows
from reconciler.taskyou.client import MOST_LISTED
from reconciler.taskyou.tasks import Listed

WHO = "TaskYou"


def take_in(
    store: Store, place: Place, rows: Sequence[Mapping[str, Any]], listed: Sequence[Listed], began_at: datetime, *, cancels: bool, now: datetime
) -> None:
    """Compare the cards of a place, `rows` of what is remembered, with what TaskYou listed from `began_at` on, inside the transaction of the caller.

    A card that is not listed is looked for by its own tag: it was removed by a person, or moved to another project. Of a card that was written since the
    list says nothing: what it shows may be from before.
    """
    there = {one.id: one.status for one in listed}
    for row in rows:
        about = f"run/{row['run']}"
        status = there.get(row["id"])
        if row["written_at"] is None or row["written_at"] >= stamp(began_at):
            continue
        if status is None:
            if len(listed) < MOST_LISTED:
                cards.look_again(store, row["tag"])
        elif status != row["seen"]:
            cards.seen(store, row["tag"], status)
            if status not in row["wrote"].get("moving", ()):
                moved(store, place, about, row, status, cancels=cancels, now=now)


def removed(store: Store, place: Place, about: str, kind: str, uid: str, number: int | None, *, cancels: bool, now: datetime) -> None:
    """Tell that a person removed a card; it is not made again."""
    events.add_event(store, place, about, "task-removed", f"task #{number} was removed on the board", now=now)
    if cancels and kind != APPROVAL:
        _cancel(store, place, about, uid, f"its task #{number} was removed", now=now)


def moved(store: Store, place: Place, about: str, row: Mapping[str, Any], status: str, *, cancels: bool, now: datetime) -> None:
    """Take in that a card was found in another column than before: `row` has `kind`, `uid`, `id`, `tag`, `spec` and `wrote` of it."""
    if not is_closed_by_a_person(status, row["wrote"]):
        return
    if row["kind"] != APPROVAL:
        events.add_event(store, place, about, "task-closed", f"task #{row['id']} was moved to {status} on the board", now=now)
        if cancels:
            _cancel(store, place, about, row["uid"], f"its task #{row['id']} was moved to {status}", now=now)
    elif status == DONE:
        _approve(store, place, about, row, now=now)
    else:
        events.add_event(store, place, about, "task-closed", f"task #{row['id']} was {status} on the board: that approves nothing", now=now)


def _cancel(store: Store, place: Place, about: str, uid: str, reason: str, *, now: datetime) -> None:
    """Record that a run shall be canceled, as `on_task_closed: cancel` says."""
    if runs.ask_to_cancel(store, uid, reason):
        requests.add_request(store, place, about, "cancel", {"reason": reason, "uid": uid}, WHO, now=now, handled=False)
        events.add_event(store, place, about, "canceling", f"canceled on the board: {reason}", now=now)


def _approve(store: Store, place: Place, about: str, row: Mapping[str, Any], *, now: datetime) -> None:
    """Send the signal that a run waits for: once for each card."""
    spec = row["spec"]
    data: dict[str, Json] = {"approved": True, "by": "taskyou", "task": row["id"], "at": stamp(now)}
    run = runs.latest_facts(store, place, spec["run"])
    fault = None if run is None else signal_fault(workflows.known_workflows(store, place).get(run.workflow), spec["signal"], data)
    if fault is not None:
        message = f"task #{row['id']} was done, but {fault}: `ty-openworkflow signal {spec['run']} {spec['signal']} --data JSON` sends what fits"
        events.add_event(store, place, about, "task-not-synced", message, now=now)
        return
    number = f"approval/{row['tag']}"
    sent: dict[str, Json] = {"type": "signal", "id": number, "name": spec["signal"], "data": data, "key": spec["key"], "attempt": spec["attempt"]}
    if messages.remember(store, row["uid"], number, sent, now=now):
        requests.add_request(store, place, about, "signal", {"name": spec["signal"], "id": number, "data": data}, WHO, now=now)
        events.add_event(store, place, about, "signal", f"{spec['signal']}: approved by task #{row['id']}", now=now)
    cards.mark_over(store, row["tag"], "over: it was approved by marking this card as done")
