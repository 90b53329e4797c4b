"""Deploying: by errand where the process lives on, else waited for; what came of it is remembered by the thread that decides."""

from collections.abc import Sequence

from reconciler.actions import Deploy
from reconciler.digest import Json
from reconciler.errands import Done, Errand, gather
from reconciler.errors import UnavailableError
from reconciler.hands import Applied, Failure, Hands
from reconciler.model import Desired, Place
from reconciler.plan.workflows import workflow_facts
from reconciler.recorded import KnownWorkflow
from reconciler.retrying import failed, told_to_wait
from reconciler.state import events, retries, workflows
from reconciler.values import frozen

_KIND = "deploy"


@frozen
class _Wanted:
    """What an errand is for, and which folder wants it."""

    place: Place
    deploy: Deploy
    folder: str


def deploy(hands: Hands, place: Place, folder: str, deploys: Sequence[Deploy], done: Applied) -> set[str]:
    """Deploy what is not ready and remember what is. Returns the digests that are not there yet."""
    errands = [_errand(hands, place, folder, one) for one in deploys if not one.ready]
    for one in deploys:
        if one.ready:
            hands.adapters[one.workflow.adapter].describe(one.revision)
    late: set[str] = set()
    resolved: dict[str, Json] = {}
    if hands.errands is not None:
        for errand in errands:
            hands.errands.ask(errand)
        late = {errand.token for errand in errands}
    elif errands:
        outcomes = gather(errands)
        with hands.store.transaction():
            for outcome in outcomes:
                if _record(hands, outcome, done):
                    resolved[outcome.errand.token] = outcome.value
                else:
                    late.add(outcome.errand.token)
    with hands.store.transaction():
        for one in deploys:
            if one.revision.digest not in late:
                _save(hands, place, folder, one, resolved.get(one.revision.digest))
    return late


def collect(hands: Hands, done: Applied) -> None:
    """Remember what has come back from errands since the last pass, of every place."""
    outcomes = [] if hands.errands is None else hands.errands.collect()
    if outcomes:
        with hands.store.transaction():
            for outcome in outcomes:
                wanted: _Wanted = outcome.errand.about
                if _record(hands, outcome, done) and not outcome.given_up:
                    _save(hands, wanted.place, wanted.folder, wanted.deploy, outcome.value)


def under_way(hands: Hands, place: Place) -> frozenset[tuple[str, str]]:
    """Return (workflow, digest) of what is being deployed in a place."""
    asked = frozenset() if hands.errands is None else hands.errands.under_way()
    return frozenset((key[2], token) for key, token in asked if isinstance(key, tuple) and key[:2] == (_KIND, place))


def withdraw(hands: Hands, desired: Desired) -> None:
    """Take back errands that would deploy what is not wanted any more; what only seems to be gone is left alone."""

    def unwanted(errand: Errand) -> bool:
        if not _is_of(errand, desired.place):
            return False
        wanted: _Wanted = errand.about
        workflow = desired.workflows.get(wanted.deploy.workflow.name)
        if workflow is not None:
            return workflow.revision != errand.token
        return desired.complete and f"workflow/{wanted.deploy.workflow.name}" not in desired.invalid

    if hands.errands is not None:
        hands.errands.withdraw(unwanted)


def _is_of(errand: Errand, place: Place) -> bool:
    return isinstance(errand.about, _Wanted) and errand.about.place == place


def _errand(hands: Hands, place: Place, folder: str, one: Deploy) -> Errand:
    adapter = hands.adapters[one.workflow.adapter]
    name, digest = one.workflow.name, one.revision.digest

    def say(text: str) -> None:
        hands.progress(f"workflow/{name}: {text}")

    def work() -> Json:
        resolved = adapter.deploy(one.revision, hands.read_code(one.workflow.code), say)
        adapter.describe(one.revision)
        return resolved

    def give_up() -> None:
        adapter.abandon(digest)

    return Errand((_KIND, place, name), digest, (one.workflow.adapter, digest), work, _Wanted(place, one, folder), give_up)


def _record(hands: Hands, outcome: Done, done: Applied) -> bool:
    """Remember one outcome: a revision that is there now, or when it is tried again."""
    store, now = hands.store, hands.clock.now()
    wanted: _Wanted = outcome.errand.about
    one, place = wanted.deploy, wanted.place
    about, digest = f"workflow/{one.workflow.name}", one.revision.digest
    if outcome.error is None:
        workflows.save_revision(store, one.revision, one.workflow.adapter, outcome.value, deployed=True, now=now)
        retries.forget(store, [(place, about)])
        if one.verb == "heal":
            events.add_event(store, place, about, "healed", one.reason, now=now)
        return True
    if outcome.given_up:
        return False
    message = str(outcome.error)
    again = isinstance(outcome.error, UnavailableError)
    told_to_wait(done, one.workflow.adapter, outcome.error)
    if one.workflow.adapter not in done.paused:
        failed(hands, place, about, digest, ("deploy-failed", message), again=again)
    done.failures.append(Failure(about, "deploy-failed", message, again))
    workflows.revision_retired(store, digest)
    events.add_event(store, place, about, "deploy-failed", message, now=now)
    return False


def _save(hands: Hands, place: Place, folder: str, one: Deploy, resolved: Json) -> None:
    """Remember a workflow under a revision that is there."""
    store, now = hands.store, hands.clock.now()
    workflows.save_revision(store, one.revision, one.workflow.adapter, resolved, deployed=True, now=now)
    known = KnownWorkflow(one.workflow.name, folder, one.revision, workflow_facts(one.workflow), one.workflow.source)
    workflows.save_workflow(store, place, known, now=now)
    events.add_event(store, place, f"workflow/{one.workflow.name}", "deployed", f"revision {one.revision.digest[:12]}", now=now)
