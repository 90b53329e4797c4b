"""Acting: a plan is carried out in the order intent, effect, record; each step may be done twice without harm."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from reconciler.actions import Action, Cancel, Claim, Deploy, Edit, End, Fulfil, Kill, Plan, Postpone, RemoveWorkflow, Send, Start
from reconciler.clock import Clock
from reconciler.compute import Adapter, Finished, LetGo, Live, Order, Outcome, Progress, Refused, Unclaimed
from reconciler.digest import Json
from reconciler.errors import DamagedError, RejectedError, TyOpenworkflowError, UnavailableError
from reconciler.history import memo_of
from reconciler.instants import stamp
from reconciler.journal import PROTOCOL
from reconciler.model import Code, Place, Status
from reconciler.observe import status_of
from reconciler.plan.workflows import workflow_facts
from reconciler.recorded import ActiveRun, KnownWorkflow, Recorded
from reconciler.state import Store, events, messages, runs, workflows
from reconciler.values import frozen, made, mutable

T = TypeVar("T", bound=Action)
_POOL = 4
_AGAIN = timedelta(seconds=5)


@frozen
class Failure:
    """An action that did not work; `again` says whether the next pass tries it."""

    object: str
    reason: str
    message: str
    again: bool


@mutable
class Applied:
    """What came of a plan."""

    failures: list[Failure] = made(default_factory=list)
    started: list[str] = made(default_factory=list)
    ended: list[str] = made(default_factory=list)
    told: list[str] = made(default_factory=list)


@frozen
class Hands:
    """What acting needs: the store, the platforms, the clock, how to read code and secrets, and where progress goes."""

    store: Store
    adapters: Mapping[str, Adapter]
    clock: Clock
    read_code: Callable[[Code], Mapping[str, bytes]]
    environment: Callable[[ActiveRun], Mapping[str, str]]
    limits: Json
    progress: Progress


def record(store: Store, recorded: Recorded, fresh: Mapping[str, Finished | Live | LetGo | Unclaimed], *, now: datetime) -> list[ActiveRun]:
    """Remember what was seen, in one transaction; returns the runs that have ended."""
    ended = []
    if not fresh:
        return []
    with store.transaction():
        for uid, seen in fresh.items():
            run = recorded.active[uid]
            if isinstance(seen, Finished):
                took_place = runs.finish(store, uid, seen)
                status = seen.status
                if took_place:
                    events.add_event(store, run.place, f"run/{run.name}", seen.status.value, seen.reason, now=now)
                    ended.append(run)
            else:
                status = run.status if isinstance(seen, Unclaimed) else status_of(run, seen)
                reason = seen.reason if isinstance(seen, LetGo) else ""
                took_place = runs.record_progress(store, uid, seen, status, reason=reason)
            if not took_place:
                message = f"its platform shows it {status.value}, which cannot follow {run.status.value}"
                events.add_event(store, run.place, f"run/{run.name}", "impossible", message, now=now)
    return ended


def apply(hands: Hands, place: Place, plan: Plan, folder: str) -> Applied:
    """Carry out a plan."""
    done = Applied()
    if not plan.actions:
        return done
    _intend(hands, plan.actions)
    lost = _deploy(hands, place, folder, _of(plan, Deploy), done)
    claims = [claim for claim in _of(plan, Claim) if claim.run.revision.digest not in lost]
    untold = _tell(hands, [send for send in _of(plan, Send) if send.deliver], done)
    claims = [claim for claim in claims if claim.cause != "message" or claim.run.uid not in untold]
    for action in plan.actions:
        if isinstance(action, Cancel | Kill | End):
            _end_one(hands, action, done)
    _intend_claims(hands, claims)
    _claim(hands, claims, done)
    _remove(hands, place, _of(plan, RemoveWorkflow), done)
    return done


def _of(plan: Plan, kind: type[T]) -> list[T]:
    return [action for action in plan.actions if isinstance(action, kind)]


def _intend(hands: Hands, actions: Sequence[Action]) -> None:
    """Commit every intent before the first effect (I9)."""
    store, now = hands.store, hands.clock.now()
    with store.transaction():
        for action in actions:
            match action:
                case Deploy(workflow, revision):
                    workflows.save_revision(store, revision, workflow.adapter, None, deployed=False, now=now)
                case Start(run, rerun):
                    if runs.insert_run(store, run, rerun, now=now):
                        events.add_event(store, run.place, f"run/{run.name}", "asked-for", f"incarnation {run.incarnation}", now=now)
                case Edit(uid, _, changes):
                    runs.edit_run(store, uid, changes)
                case Send(run, number, message, reason):
                    if messages.remember(store, run.uid, number, message, now=now) and message["type"] == "signal":
                        events.add_event(store, run.place, f"run/{run.name}", "signal", f"{message['name']}: {reason}", now=now)
                case Fulfil(request):
                    events.request_handled(store, request, now=now)
                case Postpone(run, reason, message, seconds):
                    until = None if seconds is None else now + timedelta(seconds=seconds)
                    runs.hold(store, run.uid, reason, message, not_before=until)
                    events.add_event(store, run.place, f"run/{run.name}", reason, message, now=now)


def _tell(hands: Hands, sends: Sequence[Send], done: Applied) -> set[str]:
    """Put messages into inboxes, in their order; what does not work stays remembered. Returns the runs that lack one."""
    delivered = []
    untold = set()
    for send in sends:
        try:
            hands.adapters[send.run.adapter].send(send.run.uid, send.message)
        except UnavailableError as error:
            untold.add(send.run.uid)
            done.failures.append(Failure(f"run/{send.run.name}", "unavailable", str(error), again=True))
        else:
            delivered.append((send.run.uid, send.id))
    if delivered:
        done.told += [uid for uid, _ in delivered]
        with hands.store.transaction():
            messages.delivered(hands.store, delivered, now=hands.clock.now())
    return untold


def _intend_claims(hands: Hands, claims: Sequence[Claim]) -> None:
    """Commit which claims are about to be ordered: only now that their revisions are there."""
    store, now = hands.store, hands.clock.now()
    if not claims:
        return
    with store.transaction():
        runs.intend_claims(store, [(claim.run.uid, claim.claim) for claim in claims])
        for claim in claims:
            if claim.cause == "again":  # if nobody takes it this time either, a worker that cannot start is not started without end
                runs.edit_run(store, claim.run.uid, {"not_before": stamp(now + _AGAIN)})
            if claim.cause in ("takeover", "resume"):
                events.add_event(store, claim.run.place, f"run/{claim.run.name}", claim.cause, claim.reason, now=now)


def _deploy(hands: Hands, place: Place, folder: str, deploys: Sequence[Deploy], done: Applied) -> set[str]:
    """Deploy what is not ready, several at a time, and remember it. Returns the digests that could not be deployed."""
    slow = [deploy for deploy in deploys if not deploy.ready]
    if len(slow) > 1:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_POOL) as pool:
            answers = list(pool.map(lambda deploy: _deploy_one(hands, deploy), slow))
    else:
        answers = [_deploy_one(hands, deploy) for deploy in slow]
    failed = {deploy.revision.digest: answer for deploy, answer in zip(slow, answers, strict=True) if isinstance(answer, TyOpenworkflowError)}
    resolved = {deploy.revision.digest: answer for deploy, answer in zip(slow, answers, strict=True) if deploy.revision.digest not in failed}
    now = hands.clock.now()
    with hands.store.transaction():
        for deploy in deploys:
            name, digest = deploy.workflow.name, deploy.revision.digest
            error = failed.get(digest)
            if error is not None:
                done.failures.append(Failure(f"workflow/{name}", "deploy-failed", str(error), isinstance(error, UnavailableError)))
                workflows.revision_retired(hands.store, digest)
                events.add_event(hands.store, place, f"workflow/{name}", "deploy-failed", str(error), now=now)
                continue
            workflows.save_revision(hands.store, deploy.revision, deploy.workflow.adapter, resolved.get(digest), deployed=True, now=now)
            known = KnownWorkflow(name, folder, deploy.revision, workflow_facts(deploy.workflow), deploy.workflow.source)
            workflows.save_workflow(hands.store, place, known, now=now)
            events.add_event(hands.store, place, f"workflow/{name}", "deployed", f"revision {digest[:12]}", now=now)
    return set(failed)


def _deploy_one(hands: Hands, deploy: Deploy) -> Json | TyOpenworkflowError:
    adapter = hands.adapters[deploy.workflow.adapter]

    def say(text: str) -> None:
        hands.progress(f"workflow/{deploy.workflow.name}: {text}")

    try:
        return adapter.deploy(deploy.revision, hands.read_code(deploy.workflow.code), say)
    except (RejectedError, UnavailableError) as error:
        return error


def _claim(hands: Hands, claims: Sequence[Claim], done: Applied) -> None:
    """Hand claims over, a batch for each adapter, and remember what came of it."""
    by_adapter: dict[str, list[Order]] = {}
    named = {claim.run.uid: claim.run for claim in claims}
    outcomes: list[Outcome] = []
    for claim in claims:
        try:
            env = hands.environment(claim.run)
        except RejectedError as error:
            outcomes.append(Refused(claim.run.uid, "secret-missing", str(error), again=True))
            continue
        try:
            first = first_record(hands, claim.run)
        except (UnavailableError, DamagedError) as error:
            outcomes.append(Refused(claim.run.uid, "unavailable", str(error), again=True))
            continue
        by_adapter.setdefault(claim.run.adapter, []).append(Order(claim.run.uid, claim.claim, claim.run.revision, first, env, claim.alone))
    for name, orders in by_adapter.items():
        outcomes += _start(hands.adapters[name], orders, hands.progress)
    if not outcomes:
        return
    with hands.store.transaction():
        runs.confirm(hands.store, [outcome.uid for outcome in outcomes if not isinstance(outcome, Refused)])
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                runs.hold(hands.store, outcome.uid, outcome.reason, outcome.message, not_before=hands.clock.now() + _AGAIN if outcome.again else None)
                done.failures.append(Failure(f"run/{named[outcome.uid].name}", outcome.reason, outcome.message, outcome.again))
            else:
                done.started.append(outcome.uid)


def _start(adapter: Adapter, orders: Sequence[Order], progress: Progress) -> list[Outcome]:
    """Hand orders to one platform; one that is away stops no other."""
    try:
        return adapter.start(orders, progress)
    except UnavailableError as error:
        return [Refused(order.uid, "unavailable", str(error), again=True) for order in orders]


def first_record(hands: Hands, run: ActiveRun) -> dict[str, Json]:
    """Return the first record of a run's journal: with it alone the run can be carried on, and the database rebuilt."""
    return {
        "type": "order",
        "claim": 0,
        "seq": 1,
        "at": stamp(hands.clock.now()),
        "protocol": PROTOCOL,
        "uid": run.uid,
        **_origin(hands, run),
        "project": run.place.project,
        "environment": run.place.environment,
        "run": run.name,
        "incarnation": run.incarnation,
        "workflow": run.workflow,
        "revision": run.revision.digest,
        "version": run.revision.version,
        "spec_hash": run.spec_hash,
        "owner": run.owner,
        "input": run.input,
        "settings": {**run.revision.settings, "limits": hands.limits},
    }


def _origin(hands: Hands, run: ActiveRun) -> dict[str, Json]:
    """Return what the first record says of where a run comes from: its parent, and the results that it starts with."""
    origin = run.origin
    found: dict[str, Json] = {}
    if "parent" in origin:
        found["parent"] = {name: origin["parent"][name] for name in ("uid", "run", "key")}
    if "seed" in origin:
        found["seed"] = origin["seed"]
    if "memo_of" in origin:
        found["memo"] = memo_of(hands.adapters[origin["memo_adapter"]].records(origin["memo_of"]), origin.get("memo_before"))
    return found


def _end_one(hands: Hands, action: Cancel | Kill | End, done: Applied) -> None:
    run = action.run
    adapter = hands.adapters[run.adapter]
    try:
        match action:
            case Cancel(_, reason):
                adapter.send(run.uid, {"type": "cancel", "id": f"cancel-{run.uid}", "reason": reason})
                done.told.append(run.uid)
                with hands.store.transaction():
                    runs.edit_run(hands.store, run.uid, {"cancel_sent_at": stamp(hands.clock.now())})
            case Kill():
                adapter.kill(run.uid)
            case End():
                _finish(hands, adapter, action)
                done.ended.append(run.uid)
    except (UnavailableError, RejectedError) as error:
        done.failures.append(Failure(f"run/{run.name}", "unavailable", str(error), again=True))


def _finish(hands: Hands, adapter: Adapter, end: End) -> None:
    """Write the end where it is the truth, then remember it; the end that was there first counts."""
    run, now = end.run, hands.clock.now()
    record = {"status": end.status.value, "reason": end.message if end.status is Status.CANCELED else end.reason, "at": stamp(now)}
    if end.error is not None:
        record["error"] = end.error
    if end.status is Status.COMPLETED:
        message = "only a worker completes a run"
        raise AssertionError(message)
    finished = adapter.end(run.uid, run.claim + 1, first_record(hands, run), record)
    with hands.store.transaction():
        runs.finish(hands.store, run.uid, finished)
        events.add_event(hands.store, run.place, f"run/{run.name}", finished.status.value, end.message, now=now)


def _remove(hands: Hands, place: Place, removals: Sequence[RemoveWorkflow], done: Applied) -> None:
    store, now = hands.store, hands.clock.now()
    if removals:
        with store.transaction():
            for removal in removals:
                workflows.remove_workflow(store, place, removal.name)
                events.add_event(store, place, f"workflow/{removal.name}", "removed", removal.reason, now=now)
    for adapter, digest in workflows.unneeded_revisions(store):
        if adapter not in hands.adapters:
            continue
        try:
            hands.adapters[adapter].retire(digest)
        except UnavailableError as error:
            done.failures.append(Failure(f"revision/{digest[:12]}", "unavailable", str(error), again=True))
            continue
        with store.transaction():
            workflows.revision_retired(store, digest)
