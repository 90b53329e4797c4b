"""`delete --all`: everything that was made for a place, or by the local folder, is ended and removed, and nothing of it is run again."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from reconciler import tombstones
from reconciler.errors import RejectedError, UnavailableError, UsageError
from reconciler.ground import PROJECT_FILE
from reconciler.model import Place
from reconciler.passed import Passed
from reconciler.people import person
from reconciler.reasons import FOR_A_PERSON
from reconciler.reconcile import Report
from reconciler.service import Service
from reconciler.state import Store, cards, clear, events, requests, runs, workflows
from reconciler.values import frozen, made, mutable

LOCAL = Place("local", "local")


@frozen
class Scope:
    """What is meant: these places, or with `owner` what that folder made in them. `folder` is a person's folder that declares the place, if there is one."""

    places: tuple[Place, ...]
    owner: str | None = None
    folder: Path | None = None

    @property
    def text(self) -> str:
        """What a person is told that is meant."""
        if self.owner is not None:
            return f"the local folder {self.owner}"
        return ", ".join(f"project {place.project}, environment {place.environment}" for place in self.places)


@mutable
class Inventory:
    """What there is of a scope."""

    workflows: list[tuple[Place, str]] = made(default_factory=list)
    runs: list[clear.Made] = made(default_factory=list)
    schedules: list[tuple[Place, str]] = made(default_factory=list)

    @property
    def active(self) -> list[clear.Made]:
        """The runs that have not ended."""
        return [run for run in self.runs if not run.ended]

    @property
    def ended(self) -> list[clear.Made]:
        """The runs that have ended."""
        return [run for run in self.runs if run.ended]


def scope_of(service: Service) -> Scope:
    """Return what is meant: the project that is named or around here, in its environment, else the local folder. Raises UsageError, InvalidError."""
    folder = service.folder(None)
    if service.project is None and folder != service.local and (folder / PROJECT_FILE).is_file():
        place = service.desired(folder, writing=False)[0].place
        return Scope((place,), folder=folder)
    with service.reading() as store:
        known = [] if store is None else clear.all_places(store)
    if service.project is None:
        return Scope(tuple(dict.fromkeys([LOCAL, *known])), str(service.local))
    places = [place for place in known if place.project == service.project and service.environment in (None, place.environment)]
    if len(places) > 1:
        message = f"project {service.project!r} is here in {', '.join(place.environment for place in places)}: say which with --env"
        raise UsageError(message)
    if not places:
        message = f"nothing is known here of project {service.project!r}" + (f" in {service.environment!r}" if service.environment else "")
        raise RejectedError(message)
    with service.reading() as store:
        registered = None if store is None else workflows.place_known(store, places[0])
    declares = None if registered is None else Path(registered[1])
    return Scope(tuple(places), folder=declares if declares is not None and declares.is_dir() and declares != service.local else None)


def inventory(service: Service, scope: Scope) -> Inventory:
    """Return what there is of a scope."""
    with service.reading() as store:
        return Inventory() if store is None else _inventory(store, scope)


def _inventory(store: Store, scope: Scope) -> Inventory:
    meant = scope.places, scope.owner
    return Inventory(clear.workflows_of(store, *meant), clear.runs_of(store, *meant), clear.schedules_of(store, *meant))


def end_all(service: Service, scope: Scope, *, timeout: timedelta | None, seen: Callable[[Report], None]) -> Passed:
    """Cancel what has not ended, and wait until it has; schedules and workflows go first, so that nothing of them begins meanwhile."""
    with service.writing("delete") as store, store.transaction():
        found = _inventory(store, scope)
        now = service.clock.now()
        for place, name in found.schedules:
            clear.forget_schedule(store, place, name)
        for place, name in found.workflows:
            workflows.remove_workflow(store, place, name)
            events.add_event(store, place, f"workflow/{name}", "removed", "everything is deleted", now=now)
        for run in found.active:
            requests.add_request(store, run.place, f"run/{run.name}", "cancel", {"reason": "everything is deleted"}, person(), now=now)
            runs.edit_run(store, run.uid, {"cancel": "everything is deleted", "not_before": None})
    passed = Passed()
    if found.active:
        passed = service.reconcile([], "delete", lambda *_: None)
        stuck = {uid for uid, run in passed.active.items() if run.reason in FOR_A_PERSON or run.adapter not in service.adapters}
        passed.wanted = frozenset(run.uid for run in found.active) - stuck
        service.follow(passed, passed.wanted, "delete", parked=False, timeout=timeout, seen=seen)
    return passed


def remove_cards(service: Service, found: Inventory) -> list[tuple[str, str]]:
    """Put the cards of what is deleted into TaskYou's trash; returns those that are left, with why."""
    service.settle()
    with service.reading() as store:
        made = [] if store is None else cards.made(store, [run.uid for run in found.runs], found.schedules)
    left = service.clerk.trash([card for card in made if card["id"] is not None])
    stuck = {card["tag"] for card, _ in left}
    if len(made) > len(left):
        with service.writing("delete") as store, store.transaction():
            cards.remove(store, [card["tag"] for card in made if card["tag"] not in stuck])
    return [(f"task #{card['id']} of {card['object']}", why) for card, why in left]


def remove_all(service: Service, scope: Scope, *, keep_history: bool) -> Inventory:
    """Remove revisions, run folders and rows of what has ended; returns what is left."""
    with service.writing("delete") as store:
        found = _inventory(store, scope)
        now = service.clock.now()
        gone = [] if keep_history else [run for run in found.ended if run.adapter in service.adapters]
        rows = [clear.row_of(store, run.uid) for run in gone]  # a tombstone is durable before its run is removed
        tombstones.append(service.data_dir, [tombstones.tombstone_of(row, now=now) for row in rows if row["collected_at"] is None])
        for run in gone:
            adapter = service.adapters.get(run.adapter)
            if adapter is not None:
                adapter.remove(run.uid)
                with store.transaction():
                    clear.forget_run(store, run, now=now)
        _retire(service, store)
        with store.transaction():
            for place in () if keep_history else scope.places:
                if (scope.owner is None or place == LOCAL) and not _inventory(store, Scope((place,))).active:
                    clear.forget_place(store, place)
        left = _inventory(store, scope)
    return Inventory(left.workflows, left.active if keep_history else left.runs)


def _retire(service: Service, store: Store) -> None:
    """Remove the revisions that nobody needs any more, and what was replaced or died beside them."""
    for name, digest in workflows.unneeded_revisions(store):
        adapter = service.adapters.get(name)
        if adapter is None:
            continue
        try:
            adapter.retire(digest)
        except UnavailableError:
            continue  # a later pass does it
        with store.transaction():
            workflows.revision_retired(store, digest)
    for adapter in service.adapters.values():
        adapter.start([], service.progress)  # without an order this only sweeps


def why_left(service: Service, left: Sequence[clear.Made]) -> list[tuple[clear.Made, str]]:
    """Say of each run that is left why."""
    found = []
    with service.reading() as store:
        for run in left:
            facts = {} if store is None else clear.facts_of(store, run.uid)
            if run.adapter not in service.adapters:
                why = f"adapter {run.adapter} is not enabled in the settings"
            else:
                why = facts.get("message") or facts.get("reason") or f"it is {facts.get('status')}"
            found.append((run, str(why)))
    return found
