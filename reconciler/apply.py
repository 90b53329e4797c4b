"""Acting: a plan is carried out in the order intent, effect, record; each step may be done twice without harm."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from reconciler import tombstones
from reconciler.actions import (
    Action,
    Assume,
    Cancel,
    Claim,
    Deploy,
    Edit,
    End,
    Fulfil,
    Kill,
    Plan,
    Postpone,
    RemoveWorkflow,
    Send,
    Start,
)
from reconciler.compute import Adapter, Finished, LetGo, Live, Order, Outcome, Progress, Refused, Revision, Unclaimed
from reconciler.deploys import deploy
from reconciler.digest import Json
from reconciler.errors import DamagedError, RejectedError, UnavailableError
from reconciler.hands import Applied, Failure, Hands
from reconciler.history import memo_of
from reconciler.instants import stamp
from reconciler.journal import PROTOCOL
from reconciler.model import Place, Status
from reconciler.observe import status_of
from reconciler.reasons import let_go_reason, reason_of_end
from reconciler.recorded import ActiveRun, Recorded
from reconciler.retrying import order_failed, order_not_taken, pause, told_to_wait
from reconciler.state import Store, cards, events, messages, proofs, requests, runs, schedules, workflows
from reconciler.values import replace

T = TypeVar("T", bound=Action)
_NO_EVENT = frozenset({"", "parked", "suspended"})  # back in the queue or asleep; of a suspension the request or the manifest has told


def record(store: Store, recorded: Recorded, fresh: Mapping[str, Finished | Live | LetGo | Unclaimed], *, now: datetime) -> list[ActiveRun]:
    """Remember what was seen, in one transaction; returns the runs that have ended, as they ended."""
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
                    ended.append(replace(run, status=seen.status, reason=reason_of_end(seen.status.value, seen.reason)[0]))
            else:
                status = run.status if isinstance(seen, Unclaimed) else status_of(run, seen)
                reason = let_go_reason(seen.reason) if isinstance(seen, LetGo) else ""
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
    missed = _intend(hands, plan.actions)
    late = deploy(hands, place, folder, _of(plan, Deploy), done)
    claims = [claim for claim in _of(plan, Claim) if claim.run.revision.digest not in late and claim.run.uid not in missed]
    _wait(hands, [claim.run for claim in _of(plan, Claim) if claim.run.revision.digest in late])
    untold = _tell(hands, [send for send in _of(plan, Send) if send.deliver], done)
    claims = [claim for claim in claims if claim.cause != "message" or claim.run.uid not in untold]
    for action in plan.actions:
        if isinstance(action, Cancel | Kill | End) and not hands.stopping():
            _end_one(hands, action, done)
    if not hands.stopping():
        _intend_claims(hands, claims)
        _claim(hands, claims, done)
        _remove(hands, place, _of(plan, RemoveWorkflow), done)
    pause(hands, done.paused)
    return done


def _wait(hands: Hands, waiting: Sequence[ActiveRun]) -> None:
    """Say of runs that their revision is not there yet."""
    if hands.errands is not None and waiting:
        with hands.store.transaction():
            for run in waiting:
                message = f"revision {run.revision.digest[:12]} of workflow {run.workflow!r} is being deployed"
                runs.hold(hands.store, run.uid, "deploying", message)


def _of(plan: Plan, kind: type[T]) -> list[T]:
    return [action for action in plan.actions if isinstance(action, kind)]


def _intend(hands: Hands, actions: Sequence[Action]) -> set[str]:
    """Commit every intent before the first effect (I9). Returns the runs of slots that somebody else was quicker to decide: they are not ours."""
    store, now = hands.store, hands.clock.now()
    with store.transaction():
        for revision, adapter in _named(actions).values():
            workflows.save_revision(store, revision, adapter, None, deployed=False, now=now)
        missed = schedules.intend(store, actions, now=now)
        for action in actions:
            match action:
                case Start(run, rerun) if run.uid not in missed:
                    if runs.insert_run(store, run, rerun, now=now):
                        events.add_event(store, run.place, f"run/{run.name}", "asked-for", f"incarnation {run.incarnation}", now=now)
                case Assume(run, revision):
                    _assume(store, run, revision, now=now)
                case Edit(uid, _, changes):
                    runs.edit_run(store, uid, changes)
                case Send(run, number, message, reason):
                    if messages.remember(store, run.uid, number, message, now=now) and message["type"] == "signal":
                        events.add_event(store, run.place, f"run/{run.name}", "signal", f"{message['name']}: {reason}", now=now)
                case Fulfil(request, outcome):
                    requests.request_handled(store, request, now=now, outcome=outcome)
                case Postpone(run, reason, message, seconds):
                    until = None if seconds is None else now + timedelta(seconds=seconds)
                    runs.hold(store, run.uid, reason, message, not_before=until)
                    if reason not in _NO_EVENT:
                        events.add_event(store, run.place, f"run/{run.name}", reason, message, now=now)
        cards.intend(store, actions, missed, now=now)
    return missed


def _named(actions: Sequence[Action]) -> dict[str, tuple[Revision, str]]:
    """Return the revisions that a plan is about and that may not be remembered yet, by digest: also those whose platform cannot be reached now."""
    found: dict[str, tuple[Revision, str]] = {}
    for action in actions:
        if isinstance(action, Deploy):
            found[action.revision.digest] = action.revision, action.workflow.adapter
        elif isinstance(action, Start) and not action.run.deployed:
            found[action.run.revision.digest] = action.run.revision, action.run.adapter
        elif isinstance(action, Edit) and action.revision is not None:
            found[action.revision.digest] = action.revision, str(action.changes["adapter"])
    return found


def _assume(store: Store, run: ActiveRun, revision: Revision, *, now: datetime) -> None:
    """Make a run a finished one: its tombstone is durable before this database says so, and a second time changes nothing."""
    row = {
        "uid": run.uid,
        "name": run.name,
        "project": run.place.project,
        "environment": run.place.environment,
        "incarnation": run.incarnation,
        "owner": run.owner,
        "source": f"{run.source.file}:{run.source.line}",
        "workflow": run.workflow,
        "revision": revision.digest,
        "adapter": run.adapter,
        "spec_hash": run.spec_hash,
        "rerun": run.rerun,
        "status": Status.COMPLETED.value,
        "reason": "assumed-done",
        "created_at": stamp(now),
        "completed_at": stamp(now),
        "collected_at": stamp(now),
    }
    tombstones.append(store.path.parent, [tombstones.tombstone_of({**row, "claim": 0, "started_at": None, "origin": "{}"}, now=now)])
    proofs.put_revision_back(store, revision, run.adapter, deployed=False, now=now)
    proofs.put_back(store, row)
    events.add_event(store, run.place, f"run/{run.name}", "assumed-done", "a person said that it has run", now=now)


def _tell(hands: Hands, sends: Sequence[Send], done: Applied) -> set[str]:
    """Put messages into inboxes, in their order; what does not work stays remembered. Returns the runs that lack one."""
    delivered = []
    untold = set()
    for send in sends:
        if send.run.adapter in done.paused:
            untold.add(send.run.uid)
            continue
        try:
            hands.adapters[send.run.adapter].send(send.run.uid, send.message)
        except UnavailableError as error:
            told_to_wait(done, send.run.adapter, error)
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
            if claim.cause == "again":
                order_not_taken(hands, claim.run)
            if claim.cause in ("takeover", "resume"):
                events.add_event(store, claim.run.place, f"run/{claim.run.name}", claim.cause, claim.reason, now=now)


def _claim(hands: Hands, claims: Sequence[Claim], done: Applied) -> None:
    """Hand claims over, a batch for each adapter, and remember what came of it."""
    by_adapter: dict[str, list[Order]] = {}
    named = {claim.run.uid: claim for claim in claims}
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
            claim, now = named[outcome.uid], hands.clock.now()
            about = f"run/{claim.run.name}"
            if isinstance(outcome, Refused):
                order_failed(hands, claim.run, outcome, done)
                events.add_event(hands.store, claim.run.place, about, outcome.reason, outcome.message, now=now)
                done.failures.append(Failure(about, outcome.reason, outcome.message, outcome.again))
            else:
                done.started.append(outcome.uid)
                if claim.cause == "start":
                    events.add_event(hands.store, claim.run.place, about, "started", f"incarnation {claim.run.incarnation}", now=now)


def _start(adapter: Adapter, orders: Sequence[Order], progress: Progress) -> list[Outcome]:
    """Hand orders to one platform; one that is away stops no other."""
    try:
        return adapter.start(orders, progress)
    except UnavailableError as error:
        # some of them may have been handed over: the next pass looks
        return [Refused(order.uid, "unavailable", str(error), again=True, retry_after=error.retry_after) for order in orders]


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
        "rerun": run.rerun,
        "owner": run.owner,
        "source": f"{run.source.file}:{run.source.line}",
        "created_at": stamp(run.created_at),
        **({"facts": run.facts} if run.facts else {}),
        **({"priority": run.priority} if run.priority else {}),
        **({"concurrency": run.concurrency} if run.concurrency else {}),
        "input": run.input,
        "settings": {**run.revision.settings, "limits": hands.limits},
    }


def _origin(hands: Hands, run: ActiveRun) -> dict[str, Json]:
    """Return what the first record says of where a run comes from: its parent, and the results that it starts with."""
    origin = run.origin
    found: dict[str, Json] = {}
    if "parent" in origin:
        found["parent"] = dict(origin["parent"])
    for name in ("schedule", "card"):
        if name in origin:
            found[name] = origin[name]
    if "seed" in origin:
        found["seed"] = origin["seed"]
    if "memo_of" in origin:
        found["memo"] = memo_of(hands.adapters[origin["memo_adapter"]].records(origin["memo_of"]), origin.get("memo_before"))
    return found


def _end_one(hands: Hands, action: Cancel | Kill | End, done: Applied) -> None:
    run = action.run
    adapter = hands.adapters[run.adapter]
    if run.adapter in done.paused:
        return
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
        told_to_wait(done, run.adapter, error)
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
        runs.finish(hands.store, run.uid, finished, end.message)
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
