"""What people asked of runs that are there: signals in manifests, and reruns by command."""

from collections.abc import Mapping
from datetime import datetime

from reconciler.actions import Action, Edit, Fulfil, Notice, Send, Start
from reconciler.compute import Observation
from reconciler.digest import uid_of
from reconciler.model import Desired, Run, Source
from reconciler.plan.family import takes_mail
from reconciler.plan.runs import at_once, run_facts
from reconciler.recorded import ActiveRun, Recorded, Rerun, pending_run
from reconciler.values import made, mutable


@mutable
class SignalPart:
    """The declared signals' part of a plan."""

    actions: list[Action] = made(default_factory=list)
    rejected: list[Notice] = made(default_factory=list)


def declared_signals(desired: Desired, recorded: Recorded, active: Mapping[str, ActiveRun], seen: Mapping[str, Observation]) -> SignalPart:
    """Decide which signals of manifests are still to be sent: each one once, whatever becomes of the manifest."""
    part = SignalPart()
    wanted = {name: want.signals for name, want in desired.runs.items() if want.signals}
    if not wanted:
        return part
    for run in active.values():
        if run.place != desired.place or run.owner != desired.folder:
            continue
        for signal, data in wanted.get(run.name, {}).items():
            number = f"manifest/{signal}"
            known = recorded.messages.get(run.uid, {}).get(number)
            if known is None:
                message = {"type": "signal", "id": number, "name": signal, "data": data}
                part.actions.append(Send(run, number, message, "in its manifest", takes_mail(seen.get(run.uid))))
            elif known.message.get("data") != data:
                told = f"signal {signal!r} was sent with other data: it is delivered once. `ty-openworkflow signal {run.name} {signal}` sends another one"
                part.rejected.append(Notice(f"run/{run.name}", "signal-sent", told, desired.runs[run.name].source))
    return part


def decide_reruns(desired: Desired | None, recorded: Recorded, active: Mapping[str, ActiveRun], *, now: datetime) -> list[Action]:
    """Decide what each request for a rerun needs: an active run is canceled first, and followed by its next incarnation after its end.

    The next incarnation is as its manifest is now, where this folder declares it.
    """
    actions: list[Action] = []
    for request in recorded.reruns:
        run = active.get(request.latest.uid)
        mine = desired is not None and desired.place == request.place and desired.folder == request.latest.owner
        want = desired.runs.get(request.name) if desired is not None and mine else None
        following = _next(request, want, is_declared=want is not None or bool(request.data.get("declared", True)), now=now)
        if following.uid in active:  # its manifest asks for the same incarnation in this very pass: one is enough
            actions.append(Fulfil(request.id))
        elif run is None:
            actions += [Start(following, request.latest.rerun, request.data["why"]), Fulfil(request.id)]
        elif run.cancel is None:
            reason = f"replaced ({request.data['why']})"
            actions.append(Edit(run.uid, run.name, {"cancel": reason}, f"canceled first: {request.data['why']}", run.source))
    return actions


def _next(request: Rerun, want: Run | None, *, is_declared: bool, now: datetime) -> ActiveRun:
    """Return the incarnation that a request asks for; one that no folder holds is nobody's, so that no folder prunes it."""
    data, latest, place = request.data, request.latest, request.place
    incarnation = latest.incarnation + 1
    file, _, line = latest.source.rpartition(":")
    assert request.revision is not None
    return pending_run(
        uid=uid_of(data["scope"], place.project, place.environment, request.name, incarnation),
        place=place,
        name=request.name,
        incarnation=incarnation,
        owner=latest.owner if is_declared or not latest.owner.startswith("/") else "",
        workflow=data["workflow"],
        adapter=data["adapter"],
        spec_hash=data["spec_hash"],
        input=data["input"],
        revision=request.revision,
        created_at=now,
        facts=at_once(data["facts"] if want is None else run_facts(want)),
        suspend=bool(latest.suspend) if want is None else want.suspend,
        priority=latest.priority if want is None else want.priority,
        concurrency=data["concurrency"],
        source=Source(file, int(line or 0)),
        rerun=latest.rerun,
        origin=data["origin"],
    )
