"""What stays of a pass that did something, or found something out: conditions, events, a line of history. Otherwise nothing is written."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.actions import Cancel, Edit, End, Kill, Plan, Send
from reconciler.conditions import deploys_that_failed, news
from reconciler.hands import Applied
from reconciler.model import Desired, Place
from reconciler.reasons import reason_of_end
from reconciler.recorded import ActiveRun
from reconciler.state import Store, conditions, events


def remember(
    store: Store, desired: Desired | None, active: Mapping[str, ActiveRun], plan: Plan, applied: Applied, history: Mapping[str, Any], *, now: datetime
) -> None:
    """Remember a pass over `active` runs. `history` says who ran it, over which revision, when it began, and how many runs ended in it."""
    failures = [(failure.object, failure.reason, failure.message) for failure in applied.failures]
    found = news(conditions.remembered(store), desired, plan, deploys_that_failed(failures), now=now)
    changes = plan.changes if plan.actions else []
    if not (found.conditions or changes or failures):
        return
    with store.transaction():
        conditions.save(store, found.conditions)
        for place, about, reason, message in (*found.events, *_edits(plan, active), *_failures(plan, applied)):
            events.add_event(store, place, about, reason, message, now=now)
        if changes or failures:
            counts = {"changes": len(changes), "failures": len(failures), "rejected": len(plan.rejected), "held": len(plan.held)}
            actions: dict[str, int] = {}
            for change in changes:
                actions[change.action] = actions.get(change.action, 0) + 1
            summary = {**counts, "ended": history["ended"], "actions": actions}
            events.add_pass(store, desired, history, summary, now=now)


def _failures(plan: Plan, applied: Applied) -> list[tuple[Place, str, str, str]]:
    """Return what to tell of platforms that did not answer; it counts up as often as it is tried."""
    places = {f"run/{action.run.name}": action.run.place for action in plan.actions if isinstance(action, Cancel | Kill | End | Send)}
    return [
        (places[failure.object], failure.object, failure.reason, failure.message)
        for failure in applied.failures
        if failure.reason == "unavailable" and failure.object in places
    ]


def _edits(plan: Plan, active: Mapping[str, ActiveRun]) -> list[tuple[Place, str, str, str]]:
    """Return what to tell of edits: runs that are to end, and why; what else was changed."""
    found = []
    for action in plan.actions:
        if isinstance(action, Edit) and action.uid in active and set(action.changes) != {"suspend"}:  # the condition tells of a suspension
            ends = action.changes.get("cancel")
            reason, message = ("edited", action.reason) if ends is None else reason_of_end("canceled", "", str(ends))
            found.append((active[action.uid].place, f"run/{action.name}", reason, message))
    return found
