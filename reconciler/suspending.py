"""Suspending and resuming by command: recorded with who, when and why; it holds until the manifest's own field changes."""

from datetime import datetime

from reconciler.duration import format_duration
from reconciler.errors import RejectedError, UsageError
from reconciler.model import Place
from reconciler.people import person
from reconciler.plan.suspension import CHANGED, by_whom
from reconciler.recorded import Override, overrides_of
from reconciler.service import Service
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
        return ask_to_suspend(store, place, about, declared=declared, who=person(), why=why, now=service.clock.now())


def resume(service: Service, what: str, why: str) -> Held:
    """Record that an object goes on. Raises UsageError, RejectedError."""
    with service.writing("resume") as store, store.transaction():
        place, about, declared = _find(service, store, what)
        return ask_to_resume(store, place, about, declared=declared, who=person(), why=why, now=service.clock.now())


def ask_to_suspend(store: Store, place: Place, about: str, *, declared: bool, who: str, why: str, now: datetime) -> Held:
    """Record a suspension, unless the object is suspended already; `declared` is what its manifest's own field says."""
    standing = _standing(store, place, about, declared=declared)
    if standing is not None and standing.suspend:
        return Held(place, about, f"is {by_whom(standing)} already, {format_duration(now - standing.at)} ago", False)
    if standing is None and declared:
        return Held(place, about, "is suspended already, by its manifest", False)
    _record(store, place, about, "suspend", declared=declared, who=who, why=why, now=now)
    return Held(place, about, "is suspended", True)


def ask_to_resume(store: Store, place: Place, about: str, *, declared: bool, who: str, why: str, now: datetime) -> Held:
    """Record that a suspension is over, by command or against the manifest; nothing where there is none."""
    standing = _standing(store, place, about, declared=declared)
    if not (declared if standing is None else standing.suspend):
        return Held(place, about, f"is not suspended{_by_workflow(store, place, about)}", False)
    _record(store, place, about, "resume", declared=declared, who=who, why=why, now=now)
    return Held(place, about, "is resumed", True)


def _standing(store: Store, place: Place, about: str, *, declared: bool) -> Override | None:
    """Return the request that holds for an object, if one does."""
    found = overrides_of(requests.standing_requests(store)).get((place, about))
    return None if found is None or found.declared != declared else found


def _record(store: Store, place: Place, about: str, verb: str, *, declared: bool, who: str, why: str, now: datetime) -> None:
    """Record a request, which takes the place of an earlier one. It holds where it says another thing than the manifest."""
    for asked in requests.standing_requests(store):
        if (asked.place, asked.object) == (place, about) and asked.verb in ("suspend", "resume"):
            requests.request_handled(store, asked.id, now=now, outcome=f"taken back by {who}" if asked.declared == declared else CHANGED)
    requests.add_request(store, place, about, verb, {"declared": declared, "why": why}, who, now=now, handled=declared == (verb == "suspend"))
    event = {"suspend": "suspended", "resume": "resumed"}[verb]
    events.add_event(store, place, about, event, f"by {who}{f': {why}' if why else ''}", now=now)


def _by_workflow(store: Store, place: Place, about: str) -> str:
    """Say that not the run but its workflow is suspended, where that is so."""
    kind, _, name = about.partition("/")
    workflow = objects.workflow_of(store, place, name) if kind == "run" else None
    above = _standing(store, place, f"workflow/{workflow}", declared=False)
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
