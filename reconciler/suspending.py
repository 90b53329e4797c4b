"""Suspending and resuming by command: recorded with who, when and why; it holds until the manifest's own field changes."""

from datetime import datetime

from reconciler.duration import format_duration
from reconciler.errors import RejectedError, UsageError
from reconciler.model import Place
from reconciler.plan.suspension import by_whom
from reconciler.recorded import Override, overrides_of
from reconciler.service import Service, person
from reconciler.state import Store, events, objects, requests
from reconciler.suggest import did_you_mean
from reconciler.values import frozen

KINDS = ("run", "workflow", "schedule")


@frozen
class Held:
    """What a command has done: the object, its place, and what to tell; `changed` is false where nothing was left to do."""

    place: Place
    about: str
    told: str
    changed: bool


def suspend(service: Service, what: str, why: str) -> Held:
    """Record that an object is suspended from now on. Raises UsageError, RejectedError."""
    with service.writing("suspend") as store, store.transaction():
        place, about, declared = _find(service, store, what)
        standing = overrides_of(requests.standing_requests(store)).get((place, about))
        now, who = service.clock.now(), person()
        if standing is not None and standing.declared == declared and standing.suspend:
            return Held(place, about, f"is {by_whom(standing)} already, {_ago(standing.at, now)} ago", False)
        if standing is None and declared:
            return Held(place, about, "is suspended already, by its manifest", False)
        if standing is not None:
            requests.request_handled(store, standing.id, now=now, outcome=f"taken back by {who}")
        data = {"declared": declared, "why": why}
        requests.add_request(store, place, about, "suspend", data, who, now=now, handled=declared)
        events.add_event(store, place, about, "suspended", f"by {who}{f': {why}' if why else ''}", now=now)
        return Held(place, about, "is suspended", True)


def resume(service: Service, what: str, why: str) -> Held:
    """Record that an object goes on. Raises UsageError, RejectedError."""
    with service.writing("resume") as store, store.transaction():
        place, about, declared = _find(service, store, what)
        all_of_them = overrides_of(requests.standing_requests(store))
        standing = all_of_them.get((place, about))
        if not (declared if standing is None or standing.declared != declared else standing.suspend):
            return Held(place, about, f"is not suspended{_by_workflow(store, place, about, all_of_them)}", False)
        now, who = service.clock.now(), person()
        if standing is not None:
            requests.request_handled(store, standing.id, now=now, outcome=f"taken back by {who}")
        data = {"declared": declared, "why": why}
        requests.add_request(store, place, about, "resume", data, who, now=now, handled=not declared)
        events.add_event(store, place, about, "resumed", f"by {who}{f': {why}' if why else ''}", now=now)
        return Held(place, about, "is resumed", True)


def _by_workflow(store: Store, place: Place, about: str, standing: dict[tuple[Place, str], Override]) -> str:
    """Say that not the run but its workflow is suspended, where that is so."""
    kind, _, name = about.partition("/")
    workflow = objects.workflow_of(store, place, name) if kind == "run" else None
    above = standing.get((place, f"workflow/{workflow}"))
    if above is None or not above.suspend:
        return ""
    return f" itself: workflow/{workflow} is {by_whom(above)}; `ty-openworkflow resume workflow/{workflow}` lets all its runs go on"


def _find(service: Service, store: Store, what: str) -> tuple[Place, str, bool]:
    """Return the one object that is meant, and what its manifest's own field said last."""
    kind, slash, name = what.partition("/")
    if not slash or kind not in KINDS or not name:
        hint = f": {did_you_mean(kind, KINDS)}" if slash else ": write run/NAME, workflow/NAME or schedule/NAME"
        message = f"{what}{hint if slash else _kinds_of(service, store, what) or hint}"
        raise UsageError(message)
    found = [one for one in objects.named(store, kind, name) if service.means(one.place)]
    if not found:
        near = did_you_mean(name, {other.name for other in objects.all_of(store, kind) if service.means(other.place)})
        message = f"there is no {kind} {name!r} here{f'; {near}' if near else f': `ty-openworkflow list {kind}s` shows the names'}"
        raise RejectedError(message)
    if len(found) > 1:
        places = ", ".join(f"{one.place.project}/{one.place.environment}" for one in found)
        message = f"{what} is in {places}: say which with --project and --env"
        raise RejectedError(message)
    if found[0].status:
        message = f"run {name!r} has ended ({found[0].status}): there is nothing to suspend or resume"
        raise RejectedError(message)
    return found[0].place, what, found[0].suspend


def _kinds_of(service: Service, store: Store, name: str) -> str:
    """Return the hint for a name without a kind."""
    found = [f"{kind}/{name}" for kind in KINDS if any(service.means(one.place) for one in objects.named(store, kind, name))]
    return f": say {' or '.join(found)}" if found else ""


def _ago(at: datetime, now: datetime) -> str:
    return format_duration(now - at)
