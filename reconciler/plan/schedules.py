"""Schedules: what is declared against what is remembered, and the slots that are due."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from reconciler.actions import Action, Advance, Arm, Edit, Notice, Start
from reconciler.digest import Json
from reconciler.duration import parse_duration
from reconciler.instants import stamp
from reconciler.journal import encode_json
from reconciler.model import Desired, Schedule
from reconciler.plan.runs import Revisions
from reconciler.plan.slotruns import Maker, is_asked_for, owner_of
from reconciler.plan.workflows import owner_conflict
from reconciler.recorded import ActiveRun, KnownSchedule, Recorded
from reconciler.slots import Timing, ZoneError, count_slots, latest_slots, next_slot, slot_name, timing_of
from reconciler.values import frozen, made, mutable

MOST_SLOTS = 1000
"""How many missed slots `catchUp: all` makes up for, and how far skipped ones are counted."""
ON_TIME = timedelta(seconds=60)
"""How late a slot may be that is not missed, which is all that `catchUp: none` starts."""


@mutable
class SchedulePart:
    """The schedules' part of a plan."""

    actions: list[Action] = made(default_factory=list)
    rejected: list[Notice] = made(default_factory=list)
    unchanged: int = 0


@frozen
class Facts:
    """What the schedules of a place are decided from; `active` runs are as they will be after the rest of the plan."""

    desired: Desired
    recorded: Recorded
    revisions: Revisions
    active: Mapping[str, ActiveRun]
    gone: frozenset[str]
    now: datetime
    most_input: int


@mutable
class Slots:
    """What becomes of the slots of one schedule that are due: those to start, oldest first, and why others are skipped."""

    chosen: list[datetime]
    skipped: dict[str, int] = made(default_factory=dict)
    told: list[tuple[str, str]] = made(default_factory=list)

    def skip(self, reason: str, number: int, message: str) -> None:
        """Note that slots make no run."""
        if number:
            self.skipped[reason] = self.skipped.get(reason, 0) + number
            self.told.append((reason, message))


def decide_schedules(facts: Facts) -> SchedulePart:
    """Decide what each declared schedule needs."""
    part, desired, recorded = SchedulePart(), facts.desired, facts.recorded
    now_text = stamp(facts.now)
    for name, want in desired.schedules.items():
        known = recorded.schedules.get(name)
        suspended = recorded.suspended(desired.place, f"schedule/{name}", declared=want.spec.get("suspend", False))
        same = known is not None and known.suspended == suspended and _is_as_declared(known, want, desired.folder)
        if known is not None and same and not "" < known.next_at <= now_text:
            part.unchanged += 1
            continue
        conflict = owner_conflict(desired.folder, None if known is None else known.owner, facts.gone)
        if conflict is not None:
            part.rejected.append(Notice(f"schedule/{name}", "conflict", conflict, want.source))
            continue
        try:
            anew = not same and _arm(part, desired, want, known, suspended=suspended, now=facts.now)
            if known is not None and not (suspended or anew) and "" < known.next_at <= now_text:
                _fire(part, facts, want, known)
        except ZoneError as error:
            part.rejected.append(Notice(f"schedule/{name}", "time-zone-missing", str(error), want.source))
    return part


def _is_as_declared(known: KnownSchedule, want: Schedule, folder: str) -> bool:
    return known.owner == folder and known.spec == want.spec and known.labels == want.labels


def _arm(part: SchedulePart, desired: Desired, want: Schedule, known: KnownSchedule | None, *, suspended: bool, now: datetime) -> bool:
    """Take a schedule as it is declared; says whether its slots count from now on, since nothing fires in retrospect."""
    timing, now_text = timing_of(want.spec), stamp(now)
    skipped: dict[str, int] = {}
    verb, since, anew = "create", now_text, True
    reason = _what(want.spec)
    if known is not None:
        before = timing_of(known.spec)
        retimed, resumed = before != timing, known.suspended and not suspended
        anew = retimed or resumed
        since = max(known.since, now_text) if anew else known.since
        verb, reason = _difference(known, want, desired.folder, suspended=suspended, retimed=retimed)
        number = _passed(before, datetime.fromisoformat(known.since), now) if anew else 0
        if number:
            skipped = {"suspended" if known.suspended else "edited": number}
            reason += f"; {_slots(number)} that passed {'meanwhile' if known.suspended else 'before'} {_verb(number)} skipped"
    following = None if suspended else next_slot(timing, datetime.fromisoformat(since)) if anew or known is None or not known.next_at else None
    next_at = "" if suspended else stamp(following) if following is not None else "" if known is None else known.next_at
    if anew and (next_at or verb == "create"):
        reason += f"; next at {next_at[:19]}Z" if next_at else "; suspended"
    part.actions.append(Arm(desired.place, desired.folder, want, verb, reason, since, next_at, suspended, skipped))
    return anew


def _passed(timing: Timing, since: datetime, now: datetime) -> int:
    """Return how many slots of the times before an edit passed; none where their zone is gone, which may be why they are edited."""
    try:
        return count_slots(timing, since, now, MOST_SLOTS)
    except ZoneError:
        return 0


def _difference(known: KnownSchedule, want: Schedule, folder: str, *, suspended: bool, retimed: bool) -> tuple[str, str]:
    """Return the verb and the reason of an update."""
    if known.suspended != suspended:
        by = "its manifest" if want.spec.get("suspend", False) == suspended else "command"
        return ("suspend" if suspended else "resume"), f"{'suspended' if suspended else 'resumed'} by {by}"
    changed = sorted(name for name in {*known.spec, *want.spec} if known.spec.get(name) != want.spec.get(name))
    changed += ["labels"] if known.labels != want.labels else []
    if not changed and known.owner != folder:
        return "update", "taken over from a folder that is gone"
    return "update", f"{', '.join(changed)} changed{': slots count from now' if retimed else ''}"


def _what(spec: Mapping[str, Any]) -> str:
    """Say when a schedule is due, in a few words."""
    return f"every {spec['every']}" if "every" in spec else f"{spec['cron']} in {spec.get('timeZone', 'UTC')}"


def _fire(part: SchedulePart, facts: Facts, want: Schedule, known: KnownSchedule) -> None:
    """Start what is due, and say what is skipped; everything or nothing of it counts."""
    desired, now = facts.desired, facts.now
    maker = _maker(part, facts, want)
    if maker is None:
        return
    timing, since = timing_of(want.spec), datetime.fromisoformat(known.since)
    slots = choose(want.spec, timing, since, now=now)
    _leave_out_taken(slots, desired, facts.recorded, want.name)
    mine = [run for run in facts.active.values() if run.owner == owner_of(want.name) and run.place == desired.place and not is_asked_for(run)]
    starts, edits = overlap(slots, str(want.spec.get("overlap", "skip")), mine, maker, now=now)
    sizes = [len(encode_json(start.input)) for start in starts] if facts.most_input else []
    if max(sizes, default=0) > facts.most_input:
        message = f"its input has {max(sizes)} bytes, and limits.input of the settings is {facts.most_input}: pass a path or an address instead"
        part.rejected.append(Notice(f"schedule/{want.name}", "input-too-large", message, want.source))
        return
    over = latest_slots(timing, since, now, 1)
    until = over[0] if over else since
    following = next_slot(timing, until)
    last = max((run.origin["schedule"]["slot"] for run in starts), default="")
    next_at = "" if following is None else stamp(following)
    part.actions.append(Advance(desired.place, want.name, known.since, stamp(until), next_at, last, slots.skipped, tuple(slots.told), want.source))
    part.actions += edits
    part.actions += [Start(run, "", f"of {run.workflow}, slot {run.origin['schedule']['slot'][:19]}Z of schedule/{want.name}") for run in starts]


def _maker(part: SchedulePart, facts: Facts, want: Schedule) -> Maker | None:
    """Return what makes the runs of a schedule; None, with a notice, while its workflow cannot be run here: its slots wait, and are caught up with."""
    desired, recorded = facts.desired, facts.recorded
    name = want.spec["run"]["workflow"]
    pinned = facts.revisions.get(name)
    if pinned is None or f"workflow/{name}" in desired.invalid:
        message = f"a slot is due, and workflow {name!r} {'is not valid' if pinned else 'cannot be run here'}"
        part.rejected.append(Notice(f"schedule/{want.name}", "workflow-missing", message, want.source))
        return None
    revision, workflow, adapter = pinned
    known = recorded.workflows.get(name)
    concurrency = workflow.concurrency if workflow is not None else int((known.facts.get("concurrency", 0) if known else 0) or 0)
    scope = desired.lineage or recorded.scope
    return Maker(desired.place, want.name, want.spec, scope, revision, adapter, concurrency, workflow is None, want.source)


def choose(spec: Mapping[str, Any], timing: Timing, since: datetime, *, now: datetime) -> Slots:
    """Return which of the slots that are due are to start, by `startDeadline` and `catchUp`."""
    spread = parse_duration(spec["jitter"]) if "jitter" in spec else timedelta(0)
    policy = spec.get("catchUp", "latest")
    begin, slots = since, Slots([])
    if "startDeadline" in spec:
        begin = max(since, now - parse_duration(spec["startDeadline"]) - spread - timedelta(milliseconds=1))
        late = count_slots(timing, since, begin, MOST_SLOTS)
        slots.skip("start-deadline", late, f"{_slots(late)} later than the start deadline of {spec['startDeadline']} {_verb(late)} skipped")
    first = max(begin, now - ON_TIME - spread) if policy == "none" else begin
    slots.chosen = latest_slots(timing, first, now, MOST_SLOTS if policy == "all" else 1)
    end = slots.chosen[0] - timedelta(milliseconds=1) if slots.chosen else now
    missed = count_slots(timing, begin, end, MOST_SLOTS)
    why = f"only the {MOST_SLOTS} newest are made up for" if policy == "all" else f"catchUp: {policy}"
    slots.skip("missed", missed, f"{_slots(missed)} missed and skipped ({why})")
    return slots


def _leave_out_taken(slots: Slots, desired: Desired, recorded: Recorded, schedule: str) -> None:
    """Leave out slots that have their run, and those whose name something else has."""
    left = []
    for slot in slots.chosen:
        name = slot_name(schedule, slot)
        line = recorded.runs.get(name)
        if line is None and name not in desired.runs:
            left.append(slot)
        elif line is None or line.owner != owner_of(schedule):
            slots.skip("name-taken", 1, f"run/{name} is something else: its slot is skipped")
    slots.chosen = left


def overlap(slots: Slots, policy: str, mine: list[ActiveRun], maker: Maker, *, now: datetime) -> tuple[list[ActiveRun], list[Edit]]:
    """Return the runs to start and the ones to end for them; `mine` are the schedule's runs that have not ended."""
    chosen = slots.chosen
    if policy == "allow" or not chosen or (not mine and len(chosen) == 1):
        return [maker.run(slot, now=now) for slot in chosen], []
    if policy == "replace":
        _overtaken(slots, chosen[:-1], "a newer slot takes its place")
        return [maker.run(chosen[-1], now=now, follows=[run.name for run in mine if run.claim])], [
            _end(run, f"replaced by {slot_name(maker.schedule, chosen[-1])} (overlap: replace)") for run in mine if run.cancel is None
        ]
    starts = [] if mine else [maker.run(chosen[0], now=now)]
    rest = chosen[len(starts) :]
    ahead = [run.name for run in mine] + [run.name for run in starts]
    if policy == "skip" or not rest:
        _overtaken(slots, rest, f"run/{ahead[-1]} is still active" if ahead else "")
        return starts, []
    names = {run.name for run in mine}
    queued = [run for run in mine if run.claim == 0 and run.cancel is None and names & set(run.facts.get("follows", ()))]
    ends = [_end(run, f"a newer slot, {slot_name(maker.schedule, rest[-1])}, takes its place (overlap: queue)") for run in queued]
    _overtaken(slots, rest[:-1], "a newer slot takes its place in the queue")
    slots.skip("overlap", len(queued), "a newer slot takes its place in the queue")
    ahead = [name for name in ahead if name not in {run.name for run in queued}]
    return [*starts, maker.run(rest[-1], now=now, follows=ahead)], ends


def _overtaken(slots: Slots, skipped: list[datetime], message: str) -> None:
    slots.skip("overlap", len(skipped), message if len(skipped) == 1 else f"{_slots(len(skipped))}: {message}")


def _end(run: ActiveRun, reason: str) -> Edit:
    changes: dict[str, Json] = {"cancel": reason}
    return Edit(run.uid, run.name, changes, reason, run.source)


def _slots(number: int) -> str:
    return f"{number}{' or more' if number == MOST_SLOTS else ''} slot{'' if number == 1 else 's'}"


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"
