"""The whole installation and one workflow, as programs are shown them."""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.conditions import HELD, READY, SYNCED
from reconciler.digest import Json
from reconciler.instants import stamp
from reconciler.journal import decode_json
from reconciler.model import TERMINAL, Place
from reconciler.reasons import FOR_A_PERSON, REASONS
from reconciler.standing import Standing, request_view
from reconciler.state import Store, events, places, queries, requests
from reconciler.views import FORMAT, workflow_view

_ATTENTION = FOR_A_PERSON | {
    "approval",
    "worker-gone",
    "secret-missing",
    "conflict",
    "runtime-missing",
    "revision-missing",
    "no-space",
    "unavailable",
}
_RECENT = 5


def overview(store: Store | None, views: Sequence[Mapping[str, Any]], known: Standing) -> dict[str, Any]:
    """Return what `status` without an argument shows; `views` are the runs that had not ended when the database was read."""
    counts = {} if store is None else queries.count_by_status(store, ended=True)
    for view in views:
        counts[view["status"]] = counts.get(view["status"], 0) + 1
    active = [view for view in views if view["status"] not in TERMINAL]
    return {
        "format_version": FORMAT,
        "counts": counts,
        "last_pass": None if store is None else events.last_pass(store),
        "loop": None,
        "attention": [*_held([] if store is None else places.held_places(store)), *_attention(active, known)],
        "suspended": _suspended(active, known),
        "next_due": _dues(active),
        "active": active,
    }


def _held(found: Sequence[tuple[Place, str, str]]) -> list[dict[str, Json]]:
    """Return the folders of which nothing is carried out."""
    return [
        _about(place.project, place.environment, f"project/{place.project}", reason, f"{folder}: {REASONS.get(reason, reason)}")
        for place, folder, reason in found
    ]


def _attention(active: Sequence[Mapping[str, Any]], known: Standing) -> list[dict[str, Json]]:
    """Return what needs a person, each object once."""
    found: dict[tuple[str, str, str], dict[str, Json]] = {}
    for view in active:
        meta = view["metadata"]
        held = view["reason"] == "suspended"
        if view["reason"] in _ATTENTION or (meta["overdue"] and not held):
            key = (meta["project"], meta["environment"], f"run/{view['id']}")
            found[key] = _about(*key, view["reason"] if view["reason"] in _ATTENTION else "overdue", meta["message"])
    for (place, about, kind), one in known.remembered.items():
        if (kind, one.status) in ((HELD, "True"), (SYNCED, "False"), (READY, "False")):
            found.setdefault((place.project, place.environment, about), _about(place.project, place.environment, about, one.reason, one.message))
    return list(found.values())


def _about(project: str, environment: str, about: str, reason: str, message: str) -> dict[str, Json]:
    return {"object": about, "project": project, "environment": environment, "reason": reason, "message": message}


def _suspended(active: Sequence[Mapping[str, Any]], known: Standing) -> list[dict[str, Json]]:
    """Return what is suspended, by command or by a manifest."""
    found: dict[tuple[str, str, str], dict[str, Json]] = {
        (place.project, place.environment, about): {
            "object": about,
            "project": place.project,
            "environment": place.environment,
            "who": one.who,
            "at": stamp(one.at),
            "why": one.why,
        }
        for (place, about), one in known.overrides.items()
        if one.suspend
    }
    for view in active:
        meta, about = view["metadata"], f"run/{view['id']}"
        own = next((one for one in view["conditions"] if one["type"] == "Suspended" and not one["message"].startswith("workflow/")), None)
        if own is not None:
            facts = {"object": about, "project": meta["project"], "environment": meta["environment"], "who": "", "at": own["since"], "why": ""}
            found.setdefault((meta["project"], meta["environment"], about), facts)
    return list(found.values())


def _dues(active: Sequence[Mapping[str, Any]]) -> list[dict[str, Json]]:
    dues = [
        {"at": view["metadata"]["due_at"], "object": f"run/{view['id']}", "what": "wakes"}
        for view in active
        if view["metadata"]["due_at"] and view["reason"] in ("parked", "approval", "overdue")
    ]
    return sorted(dues, key=lambda due: (due["at"], due["object"]))


def _holds_worker(view: Mapping[str, Any]) -> bool:
    if view["status"] not in ("sleeping", "waiting"):
        return view["status"] in ("running", "canceling")
    return not view["reason"] or (view["reason"] == "approval" and not view["metadata"]["parked"])


def workflow_status(store: Store, row: Mapping[str, Any], views: Sequence[Mapping[str, Any]], known: Standing) -> dict[str, Any]:
    """Return one workflow as `status workflow/NAME --json` shows it; `views` are its runs that have not ended."""
    place, about = Place(row["project"], row["environment"]), f"workflow/{row['name']}"
    counts: dict[str, int] = {}
    for view in views:
        counts[view["status"]] = counts.get(view["status"], 0) + 1
    holding = sum(_holds_worker(view) for view in views)
    recent, _ = queries.list_runs(store, workflow=row["name"], statuses=(), project=place.project, environment=place.environment, limit=_RECENT)
    now_of = {view["id"]: view for view in views}
    names = ("id", "status", "reason", "created_at", "completed_at")
    return {
        **workflow_view(row, known),
        "runs_by_status": counts,
        "concurrency": {"limit": int(decode_json(row["facts"]).get("concurrency", 0) or 0), "in_use": holding},
        "requests": [request_view(request) for request in requests.requests_of(store, place, about)],
        "recent_runs": [
            {name: {**run, "id": run["name"], **{word: now_of.get(run["name"], run)[word] for word in ("status", "reason")}}[name] for name in names}
            for run in recent
        ],
    }
