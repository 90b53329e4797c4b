"""How objects stand: their conditions with reasons, from what is remembered of them and what people have asked."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.conditions import BOARD, HELD, READY, SUSPENDED, SYNCED, Key, Known
from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.model import TERMINAL, Place
from reconciler.plan.suspension import by_whom
from reconciler.recorded import Asked, Override, overrides_of
from reconciler.state import Store, conditions, requests
from reconciler.values import frozen, made


@frozen
class Standing:
    """What is remembered beside the objects themselves: requests that hold, and conditions."""

    asked: tuple[Asked, ...] = ()
    remembered: Mapping[Key, Known] = made(default_factory=dict)
    overrides: Mapping[tuple[Place, str], Override] = made(default_factory=dict)

    def of(self, place: Place, about: str) -> dict[str, Known]:
        """Return what is remembered of one object, by type."""
        return {kind: known for (where, other, kind), known in self.remembered.items() if (where, other) == (place, about)}

    def suspension(self, place: Place, about: str, *, declared: bool, since: str) -> dict[str, Json] | None:
        """Return the condition Suspended of an object, None while it is not suspended."""
        override = self.overrides.get((place, about))
        if override is not None and override.declared == declared:
            return condition(SUSPENDED, "True", "suspended", by_whom(override), stamp(override.at)) if override.suspend else None
        if not declared:
            return None
        known = self.of(place, about).get(SUSPENDED)
        return condition(SUSPENDED, "True", "suspended", "suspended by its manifest", known.since if known is not None else since)


def standing(store: Store | None) -> Standing:
    """Return how things stand now; nothing where there is no state."""
    if store is None:
        return Standing()
    asked = requests.standing_requests(store)
    return Standing(asked, conditions.remembered(store), overrides_of(asked))


def condition(kind: str, status: str, reason: str, message: str, since: str | None) -> dict[str, Json]:
    """Return a condition as programs are shown it."""
    return {"type": kind, "status": status, "reason": reason, "message": message, "since": since}


def run_conditions(
    row: Mapping[str, Any], status: str, reason: str, message: str, completed_at: str | None, known: Standing
) -> list[dict[str, Json]]:
    """Return the conditions of a run: Succeeded always, Synced where a folder declares it, the others while they are true."""
    place, about = Place(row["project"], row["environment"]), f"run/{row['name']}"
    ended = status in TERMINAL
    value = {"completed": "True"}.get(status, "False") if ended else "Unknown"
    found = [condition("Succeeded", value, reason or status, message, completed_at or row["created_at"])]
    remembered = known.of(place, about) if known.remembered else {}
    if os.path.isabs(row["owner"]):
        found.append(_shown(SYNCED, remembered.get(SYNCED) or Known("True", "declared", "", row["created_at"])))
    if BOARD in remembered:
        found.append(_shown(BOARD, remembered[BOARD]))
    if ended:
        return found
    own = known.suspension(place, about, declared=bool(row["suspend"]), since=row["created_at"])
    above = known.suspension(place, f"workflow/{row['workflow']}", declared=False, since=row["created_at"])
    if own is not None:
        found.append(own)
    elif above is not None:
        found.append({**above, "message": f"workflow/{row['workflow']} is {above['message']}"})
    return found + _stalled(remembered)


def workflow_conditions(row: Mapping[str, Any], known: Standing) -> list[dict[str, Json]]:
    """Return the conditions of a workflow: Ready and Synced always, the others while they are true."""
    place, about = Place(row["project"], row["environment"]), f"workflow/{row['name']}"
    remembered = known.of(place, about)
    found = [
        _shown(READY, remembered.get(READY) or Known("True", "deployed", "", row["created_at"])),
        _shown(SYNCED, remembered.get(SYNCED) or Known("True", "declared", "", row["created_at"])),
    ]
    suspended = known.suspension(place, about, declared=False, since=row["created_at"])
    return found + ([] if suspended is None else [suspended]) + _stalled(remembered)


def reason_in(conditions: Sequence[Mapping[str, Any]]) -> str:
    """Return the one reason that a list shows beside a status: what somebody must do something about, else a suspension."""
    found = {str(one["type"]): str(one["reason"]) for one in conditions}
    return found.get("Stalled", found.get(SUSPENDED, ""))


def _stalled(remembered: Mapping[str, Known]) -> list[dict[str, Json]]:
    """Return Held, and Stalled where somebody must do something."""
    held = remembered.get(HELD)
    found = [] if held is None or held.status != "True" else [_shown(HELD, held)]
    wrong = [one for kind, one in remembered.items() if (kind, one.status) in ((HELD, "True"), (SYNCED, "False"), (READY, "False"))]
    if wrong:
        first = min(wrong, key=lambda one: one.since)
        found.append(condition("Stalled", "True", first.reason, first.message, first.since))
    return found


def _shown(kind: str, known: Known) -> dict[str, Json]:
    return condition(kind, *known)


def request_view(request: Mapping[str, Any]) -> dict[str, Json]:
    """Return a request as programs are shown it: `state` is what became of it."""
    data = request["data"]
    why = str(data.get("why") or data.get("reason") or data.get("name") or "")
    return {
        "verb": request["verb"],
        "who": request["who"],
        "at": request["at"],
        "why": why,
        "state": request["outcome"]
        or ("done" if request["handled_at"] else "in effect" if request["verb"] in ("suspend", "resume") else "under way"),
        "ended_at": request["handled_at"],
    }


def asked_view(asked: Asked) -> dict[str, Json]:
    """Return a request that holds, as a plan shows it."""
    return {"object": asked.object, "verb": asked.verb, "who": asked.who, "at": stamp(asked.at), "why": asked.why}
