"""What `status` says of one run beyond the run itself: its place in the queue, who waits for whom, what is due next, what was asked of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from reconciler.compute import Adapter, Observation
from reconciler.digest import Json
from reconciler.errors import UnavailableError
from reconciler.instants import stamp
from reconciler.model import TERMINAL, Place
from reconciler.plan.position import queued_behind, waits_in_queue
from reconciler.plan.progress import deadline_of
from reconciler.plan.queue import Limits
from reconciler.recorded import ActiveRun
from reconciler.standing import request_view
from reconciler.state import Store, requests, runs

_MOST_NAMES = 50


class Details:
    """Adds what is behind runs to their views; what all of them need is looked up once."""

    def __init__(self, store: Store, adapters: Mapping[str, Adapter], limits: Limits, *, now: datetime) -> None:
        """Nothing is looked up before it is needed."""
        self._store, self._adapters, self._limits, self._now = store, adapters, limits, now

    @cached_property
    def _active(self) -> dict[str, ActiveRun]:
        return runs.active_runs(self._store)

    @cached_property
    def _seen(self) -> dict[str, Observation]:
        return _seen(self._active, self._adapters)

    def of(self, row: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is added to the view of a run."""
        place = Place(row["project"], row["environment"])
        run = self._active.get(row["uid"]) if row["completed_at"] is None else None
        return {
            "requests": [request_view(request) for request in requests.requests_of(self._store, place, f"run/{row['name']}")],
            "queue": None if run is None else self._queue(run, view),
            "waits_for": [] if run is None else _waits_for(self._store, run, view),
            "waited_for_by": [] if run is None else _waited_for_by(run, self._active),
            "next_due": [] if run is None else next_due(run, view, now=self._now),
        }

    def _queue(self, run: ActiveRun, view: Mapping[str, Any]) -> dict[str, Json] | None:
        if not waits_in_queue(run) or view["status"] in TERMINAL or view["reason"] not in ("", "concurrency"):
            return None
        found = queued_behind(run, self._active, self._seen, self._limits)
        return {"position": found.position, "length": found.length, "limit": found.limit, "message": found.message}


def _seen(active: Mapping[str, ActiveRun], adapters: Mapping[str, Adapter]) -> dict[str, Observation]:
    """Look at every run that may hold a worker."""
    claims: dict[str, dict[str, int]] = {}
    for uid, run in active.items():
        if run.claim:
            claims.setdefault(run.adapter, {})[uid] = run.claim
    seen: dict[str, Observation] = {}
    for name, uids in claims.items():
        adapter = adapters.get(name)
        if adapter is not None:
            try:
                seen |= adapter.observe(uids)
            except UnavailableError:
                continue  # what cannot be asked holds nothing that we know of
    return seen


def _waits_for(store: Store, run: ActiveRun, view: Mapping[str, Any]) -> list[dict[str, Json]]:
    """Return what a run waits for: other runs before its start, then signals and children."""
    found: list[dict[str, Json]] = []
    if run.claim == 0:
        for other in run.facts.get("depends_on", ()):
            status = runs.status_of(store, run.place, other.removeprefix("run/"))
            if status != "completed":
                found.append({"object": other, "what": "dependency", "status": status or "not asked for yet"})
    for step in view["steps"]:
        if step["status"] != "waiting" or step["kind"] not in ("signal", "child"):
            continue
        if step["kind"] == "child":
            status = runs.status_of(store, run.place, step["run"])
            found.append({"object": f"run/{step['run']}", "what": "child", "status": status or "not asked for yet"})
        else:
            what, status = ("signal", "not sent yet") if step["approval"] is None else ("approval", "not given yet")
            found.append({"object": f"signal {step['name']}", "what": what, "status": status})
    return found


def _waited_for_by(run: ActiveRun, active: Mapping[str, ActiveRun]) -> list[dict[str, Json]]:
    """Return who waits for a run: those that depend on it, and the run that asked for it."""
    about = f"run/{run.name}"
    found: list[dict[str, Json]] = []
    parent = active.get(run.origin.get("parent", {}).get("uid", ""))
    if parent is not None:
        found.append({"object": f"run/{parent.name}", "what": "parent", "status": parent.status.value})
    for other in active.values():
        names = {name if name.startswith("run/") else f"run/{name}" for name in other.facts.get("depends_on", ())}
        if other.place == run.place and other.claim == 0 and about in names:
            found.append({"object": f"run/{other.name}", "what": "dependent", "status": other.status.value})
    return found[:_MOST_NAMES]


def next_due(run: ActiveRun, view: Mapping[str, Any], *, now: datetime) -> list[dict[str, Json]]:
    """Return what happens to a run by the clock, the next thing first; what is overdue is first of all."""
    after, deadline = run.facts.get("start_after"), run.facts.get("start_deadline_ms")
    found: list[tuple[str, str]] = []
    if run.claim == 0:
        if after is not None and after > stamp(now):
            found.append((after, "start"))
        if deadline is not None:
            begin = run.created_at if after is None else datetime.fromisoformat(after)
            found.append((stamp(begin + timedelta(milliseconds=deadline)), "start deadline: skipped"))
    for step in view["steps"]:
        if step["due_at"] and step["status"] == "retrying":
            found.append((step["due_at"], f"next try of step {step['key']}"))
        elif step["due_at"]:
            found.append(
                (step["due_at"], f"end of {step['kind']} {step['key']}" if step["kind"] == "sleep" else f"time-out of {step['kind']} {step['key']}")
            )
    due_at = view["metadata"]["due_at"]
    if due_at and due_at not in {at for at, _ in found}:
        found.append((due_at, "next attempt"))
    if run.not_before is not None:
        found.append((stamp(run.not_before), "next claim"))
    ends_at = deadline_of(run)
    if ends_at is not None:
        found.append((stamp(ends_at), "timeout of the run"))
    return [{"at": at, "what": what} for at, what in sorted(found)]
