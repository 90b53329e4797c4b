"""What runs ask of others: children to start, signals to send on, results to bring back, cancels that cascade."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.actions import Action, Edit, Notice, Send, Start
from reconciler.compute import Ask, Gone, LetGo, Live, Observation, Unclaimed
from reconciler.digest import Json, digest_of, uid_of
from reconciler.model import Place, Source, Status
from reconciler.recorded import ActiveRun, ChildRun, Recorded, pending_run
from reconciler.values import made, mutable

_LONGEST_NAME = 63
_HASH = 8


@mutable
class FamilyPart:
    """The part of a plan that is about what runs ask of others."""

    actions: list[Action] = made(default_factory=list)
    rejected: list[Notice] = made(default_factory=list)


def child_name(parent: str, uid: str, key: str) -> str:
    """Return the name of a child run, made of its parent and the call that asked for it: a DNS label, the same for ever."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in f"{parent}-{key}".lower())
    stem = "-".join(part for part in words.split("-") if part)[: _LONGEST_NAME - _HASH - 1].rstrip("-")
    return f"{stem}-{digest_of([uid, key])[:_HASH]}"


def asks_of(seen: Observation | None) -> tuple[Ask, ...]:
    """Return what a run has asked of others and has no answer to."""
    return seen.seen.asks if isinstance(seen, Live | LetGo | Gone | Unclaimed) else ()


def takes_mail(seen: Observation | None) -> bool:
    """Say whether a message can be put into a run's inbox."""
    return isinstance(seen, Live | LetGo | Gone | Unclaimed)


def decide_family(
    active: Mapping[str, ActiveRun], recorded: Recorded, seen: Mapping[str, Observation], coming: frozenset[tuple[Place, str]], *, now: datetime
) -> FamilyPart:
    """Decide what is due for every request of a run to others, and for the children of runs that are canceled; `coming` workflows are declared."""
    part = FamilyPart()
    for uid, run in active.items():
        for ask in asks_of(seen.get(uid)):
            if ask.kind == "send":
                part.actions += _send(run, ask, active, recorded, seen)
            elif _waits_for_workflow(run, ask, recorded):
                if (run.place, ask.request["workflow"]) in coming:
                    continue
                message = f"its call {ask.key!r} waits for workflow {ask.request['workflow']!r}, which is not deployed: declare it"
                part.rejected.append(Notice(f"run/{run.name}", "child-workflow-missing", message, run.source, run.place))
            else:
                part.actions += _child(run, ask, active, recorded, seen, now=now)
    part.actions += _cascade(active, recorded.family.parents)
    return part


def _waits_for_workflow(parent: ActiveRun, ask: Ask, recorded: Recorded) -> bool:
    """Say whether a child cannot be started yet: a workflow that is only missing for now fails nobody."""
    family, key = recorded.family, (parent.uid, ask.key)
    return (
        parent.cancel is None
        and key not in family.children
        and key not in family.refusals
        and (parent.place, ask.request["workflow"]) not in family.workflows
    )


def _child(
    parent: ActiveRun, ask: Ask, active: Mapping[str, ActiveRun], recorded: Recorded, seen: Mapping[str, Observation], *, now: datetime
) -> list[Action]:
    family, key = recorded.family, (parent.uid, ask.key)
    child = family.children.get(key)
    mine = child is not None and child.origin.get("parent", {}).get("attempt") == ask.attempt
    if child is not None and (not child.ended or mine or child.status == Status.COMPLETED):
        return _result(parent, ask, child, recorded, seen) if child.ended else []
    if key in family.refusals:
        error: dict[str, Json] = {"name": "RefusedError", "message": family.refusals[key]}
        return _answer(parent, ask, {"type": "child", "status": "refused", "error": error}, "refused", recorded, seen)
    if parent.cancel is not None:
        return []
    known = family.workflows.get((parent.place, ask.request["workflow"]))
    if known is None:
        return []
    name = child_name(parent.name, parent.uid, ask.key)
    incarnation = 1 if child is None else child.incarnation + 1
    uid = uid_of(parent.uid, parent.place.project, parent.place.environment, name, incarnation)
    if uid in active:
        return []
    origin = {
        "parent": {"uid": parent.uid, "run": parent.name, "key": ask.key, "attempt": ask.attempt, "on_cancel": ask.request.get("on_cancel", "cancel")}
    }
    run = pending_run(
        uid=uid,
        place=parent.place,
        name=name,
        incarnation=incarnation,
        owner=f"run/{parent.name}",
        workflow=known.name,
        adapter=str(known.facts.get("adapter", "exec")),
        spec_hash=digest_of([known.name, ask.request.get("input")]),
        input=ask.request.get("input"),
        revision=known.revision,
        created_at=now,
        priority=parent.priority,
        concurrency=int(known.facts.get("concurrency", 0) or 0),
        source=Source(f"run/{parent.name}", 0),
        origin=origin,
    )
    return [Start(run, "", f"of {known.name}, child of run/{parent.name}")]


def _result(parent: ActiveRun, ask: Ask, child: ChildRun, recorded: Recorded, seen: Mapping[str, Observation]) -> list[Action]:
    message: dict[str, Any] = {"type": "child", "run": child.name, "status": child.status}
    if child.status == Status.COMPLETED:
        message["output"] = child.output
    else:
        error = {name: value for name, value in (child.error or {}).items() if name != "step"}  # of its journal, not of its parent's
        message |= {name: value for name, value in (("error", error), ("reason", child.reason)) if value}
    return _answer(parent, ask, message, f"run/{child.name} is {child.status}", recorded, seen)


def _send(sender: ActiveRun, ask: Ask, active: Mapping[str, ActiveRun], recorded: Recorded, seen: Mapping[str, Observation]) -> list[Action]:
    refusal = recorded.family.refusals.get((sender.uid, ask.key))
    if refusal is not None:
        error = {"name": "SignalError", "message": refusal}
        return _answer(sender, ask, {"type": "sent", "error": error}, "refused", recorded, seen)
    name = str(ask.request["run"]).removeprefix("run/")
    target = recorded.family.targets.get((sender.place, name))
    run = None if target is None else active.get(target.uid)
    if run is None:
        return []
    number = f"{sender.uid}/{ask.key}"
    message = {"type": "signal", "name": ask.request["signal"], "data": ask.request.get("data")}
    actions = _once(run, number, message, f"signal {ask.request['signal']} from run/{sender.name}", recorded, seen)
    return actions + _answer(sender, ask, {"type": "sent"}, f"its signal is kept for run/{name}", recorded, seen)


def _answer(run: ActiveRun, ask: Ask, message: Mapping[str, Any], reason: str, recorded: Recorded, seen: Mapping[str, Observation]) -> list[Action]:
    """Answer a request of a run: once for each attempt of its body, since a failed answer is forgotten in the next one."""
    return _once(run, f"{message['type']}/{ask.key}/{ask.attempt}", {**message, "key": ask.key}, reason, recorded, seen)


def _once(run: ActiveRun, number: str, message: Mapping[str, Any], reason: str, recorded: Recorded, seen: Mapping[str, Observation]) -> list[Action]:
    if number in recorded.messages.get(run.uid, {}):
        return []
    return [Send(run, number, {**message, "id": number}, reason, takes_mail(seen.get(run.uid)))]


def _cascade(active: Mapping[str, ActiveRun], ended: Mapping[str, str]) -> list[Action]:
    """Return the cancels of children whose parents are canceled, and of theirs."""
    canceled = {uid for uid, run in active.items() if run.cancel is not None} | {uid for uid, status in ended.items() if status == Status.CANCELED}
    waiting = {uid: run for uid, run in active.items() if run.cancel is None and run.origin.get("parent", {}).get("on_cancel") == "cancel"}
    actions: list[Action] = []
    while fresh := [run for run in waiting.values() if run.origin["parent"]["uid"] in canceled]:
        for run in fresh:
            reason = f"its parent run/{run.origin['parent']['run']} is canceled"
            actions.append(Edit(run.uid, run.name, {"cancel": reason}, reason, run.source))
            canceled.add(run.uid)
            del waiting[run.uid]
    return actions


def deliveries(active: Mapping[str, ActiveRun], recorded: Recorded, seen: Mapping[str, Observation]) -> list[Send]:
    """Return what was asked for earlier and is not in its inbox yet."""
    return [
        Send(active[uid], message.id, message.message, "kept for it until now", True)
        for uid, messages in recorded.messages.items()
        if uid in active and takes_mail(seen.get(uid))
        for message in messages.values()
        if not message.delivered
    ]
