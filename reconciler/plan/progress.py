"""What one unfinished run needs next: the table of claims, sleeps, deaths and cancels."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.actions import Action, Cancel, Claim, End, Kill, Postpone
from reconciler.compute import Finished, Gone, LetGo, Live, Missing, Observation, Quarantined, Seen, Unclaimed, Unknown
from reconciler.model import TERMINAL, Status
from reconciler.recorded import ActiveRun

# How long a claim that ended for another reason than its run waits for the next one, in seconds.
_PAUSE = {"grace": 5.0, "no-space": 30.0, "storage": 5.0}
_SECOND_DEATH = 1.0
_KILL_MARGIN = timedelta(seconds=2)


def next_steps(run: ActiveRun, seen: Observation, statuses: Mapping[str, str], crash_limit: int, *, now: datetime) -> list[Action]:
    """Decide what one run needs now, if anything. An end is recorded before this is asked."""
    if run.cancel is not None and not isinstance(seen, Unknown | Finished | Quarantined):
        return _cancel(run, seen, crash_limit, now=now)
    step = _next_step(run, seen, statuses, crash_limit, now=now)
    return [] if step is None else [step]


def _next_step(run: ActiveRun, seen: Observation, statuses: Mapping[str, str], crash_limit: int, *, now: datetime) -> Action | None:
    match seen:
        case Unknown() | Finished():
            return None
        case Quarantined(message):
            return _postpone(run, "quarantined", message, None)
    if _overdue(run, now=now):
        return _deadline(run, seen, crash_limit, now=now)
    match seen:
        case Missing():
            return _begin(run, statuses, now=now)
        case Unclaimed(facts, ordered):
            return None if ordered else _again(run, facts, statuses, now=now)
        case Live(facts):
            return _overrun(run, facts, now=now)
        case LetGo():
            return _let_go(run, seen, crash_limit, now=now)
        case Gone(facts):
            return _gone(run, facts, crash_limit, now=now)


def _overrun(run: ActiveRun, facts: Seen, *, now: datetime) -> Action | None:
    """A try that blocks its worker cannot be ended from inside."""
    if facts.overrun_at is None or now <= facts.overrun_at + _KILL_MARGIN:
        return None
    return Kill(run, "a step takes longer than its timeout and blocks its worker")


def _begin(run: ActiveRun, statuses: Mapping[str, str], *, now: datetime) -> Action | None:
    if run.confirmed:
        message = "the platform no longer knows this run, which was started: nothing proves what became of it. `cancel` settles it, or a new spec.rerun token starts it again"
        return _postpone(run, "state-unknown", message, None)
    waits = _not_yet(run, statuses, now=now)
    return _news(run, waits) if waits is not None else _claim(run, max(run.claim, 1), "start", f"of {run.workflow}", now=now)


def _not_yet(run: ActiveRun, statuses: Mapping[str, str], *, now: datetime) -> Postpone | End | None:
    """Return what keeps a pending run from its first start."""
    after = run.facts.get("start_after")
    after_at = None if after is None else datetime.fromisoformat(after)
    deadline = run.facts.get("start_deadline_ms")
    if deadline is not None and now > (after_at or run.created_at) + timedelta(milliseconds=deadline):
        return End(run, Status.SKIPPED, "start-deadline", "not started before its start deadline")
    if run.suspend:
        return Postpone(run, "suspended", run.suspended_by or "suspended before its start")
    if after_at is not None and now < after_at:
        return Postpone(run, "start-after", f"starts after {after}")
    for name in run.facts.get("follows", ()):
        if statuses.get(f"{run.place.project}/{run.place.environment}/{name}") not in TERMINAL:
            return Postpone(run, "overlap", f"waits for the end of run/{name}")
    for other in run.facts.get("depends_on", ()):
        status = statuses.get(f"{run.place.project}/{run.place.environment}/{other.removeprefix('run/')}")
        if status in (Status.FAILED, Status.CANCELED, Status.SKIPPED):
            return End(run, Status.SKIPPED, "dependency", f"{other} is {status}")
        if status != Status.COMPLETED:
            return Postpone(run, "dependency", f"waits for {other}")
    return None


def _again(run: ActiveRun, facts: Seen, statuses: Mapping[str, str], *, now: datetime) -> Action | None:
    """An order that was never claimed counts for nothing: it is given again under the same number."""
    waits = _not_yet(run, statuses, now=now) if facts.claim == 0 and not run.confirmed else None  # one that was handed over has started
    if waits is not None:
        return _news(run, waits)
    if run.suspend:
        return _suspended(run)
    return _claim(run, max(run.claim, facts.claim + 1), "again" if run.claim else "start", "its order was not taken", now=now)


def _let_go(run: ActiveRun, seen: LetGo, crash_limit: int, *, now: datetime) -> Action | None:
    number = max(run.claim, seen.seen.claim) + 1
    if run.suspend:
        return _suspended(run)
    if seen.reason == "parked":
        if seen.seen.mail:
            return _claim(run, number, "message", "there is a message for it", now=now)
        if seen.due_at is None or seen.due_at > now:
            return _postpone(run, "parked", "", None) if run.reason == "suspended" else None
        return _claim(run, number, "wake", f"due {_ago(now - seen.due_at)}", now=now)
    if seen.reason == "grace" and seen.seen.graces >= crash_limit:
        message = "its code no longer asks for what its journal holds: `status` shows the difference"
        return End(run, Status.FAILED, "nondeterminism", message, {"name": "NonDeterminismError", "message": message})
    pause = _PAUSE.get(seen.reason)
    if pause is not None and run.not_before is None:
        return _postpone(run, seen.reason, f"its worker let go of it ({seen.reason})", pause)
    return _claim(run, number, "resume", f"its worker let go of it ({seen.reason})", now=now)


def _suspended(run: ActiveRun) -> Action | None:
    """A run that was started gets no further claim, whatever ended the last one."""
    return _postpone(run, "suspended", run.suspended_by or "suspended: it is not woken", None)


def _gone(run: ActiveRun, facts: Seen, crash_limit: int, *, now: datetime) -> Action | None:
    if run.suspend:
        return _suspended(run)
    if facts.barren >= crash_limit:
        message = f"its worker died {facts.barren} times in a row without a new result"
        return End(run, Status.FAILED, "crash-limit", message, {"name": "CrashLimitError", "message": message})
    if facts.barren > 1 and run.not_before is None:
        return _postpone(run, "backoff", "its worker died again", _SECOND_DEATH)
    return _claim(run, max(run.claim, facts.claim) + 1, "takeover", "its worker died", now=now, alone=True)


def _claim(run: ActiveRun, number: int, cause: str, reason: str, *, now: datetime, alone: bool = False) -> Action | None:
    if run.not_before is not None and now < run.not_before:
        return None
    return Claim(run, number, cause, reason, alone or run.deaths > 0)


def _cancel(run: ActiveRun, seen: Observation, crash_limit: int, *, now: datetime) -> list[Action]:
    """Canceling: a message to a living worker, a kill when its time is over, clean-up by a worker, the end by our own hand where nobody is needed."""
    reason = run.cancel or "canceled"
    if isinstance(seen, Live) or (isinstance(seen, Unclaimed) and seen.ordered):
        if run.cancel_sent_at is None:
            return [Cancel(run, reason)]
        return [Kill(run, "it did not end within its grace and cleanup")] if now > _end_of_patience(run, seen, run.cancel_sent_at) else []
    facts = _facts(seen, crash_limit)
    if facts is None or not (facts.undoes or facts.on_cancel or facts.winding_down):
        return [End(run, Status.CANCELED, "canceled", reason)]
    claim = _clean_up(run, facts, "what it did is undone first", now=now)
    return ([Cancel(run, reason)] if run.cancel_sent_at is None else []) + ([] if claim is None else [claim])


def _clean_up(run: ActiveRun, facts: Seen, reason: str, *, now: datetime) -> Action | None:
    """A worker is needed to undo what was done."""
    return _claim(run, max(run.claim, facts.claim) + 1, "clean-up", reason, now=now, alone=facts.barren > 0)


def _facts(seen: Observation, crash_limit: int) -> Seen | None:
    """Return what is known of a run that a further worker may take; None if there is none, or workers die of it."""
    if isinstance(seen, Gone) and seen.seen.barren >= crash_limit:
        return None
    return seen.seen if isinstance(seen, Unclaimed | LetGo | Gone) else None


def _end_of_patience(run: ActiveRun, seen: Live | Unclaimed, asked_at: datetime) -> datetime:
    """Return until when a worker may take to end a run: its grace and clean-up from when it was asked, or began."""
    times = run.revision.settings.get("cancel", {})
    allowed = timedelta(milliseconds=times.get("grace_ms", 0) + times.get("cleanup_ms", 0)) + _KILL_MARGIN
    began = seen.ordered_at if isinstance(seen, Unclaimed) else seen.seen.claimed_at  # one that was told to a moment ago is still starting
    return max(asked_at, began or asked_at) + allowed


def deadline_of(run: ActiveRun) -> datetime | None:
    """Return when the run's own time-out ends it: counted from its first start, sleeps included."""
    timeout = run.revision.settings.get("timeout_ms", 0)
    return None if not timeout or run.started_at is None else run.started_at + timedelta(milliseconds=timeout)


def _overdue(run: ActiveRun, *, now: datetime) -> bool:
    deadline = deadline_of(run)
    return deadline is not None and now >= deadline


def _deadline(run: ActiveRun, seen: Observation, crash_limit: int, *, now: datetime) -> Action | None:
    """The run's time is over: its worker ends it, or is killed when it does not; without one it is ended, or given to one that undoes what was done."""
    message = "it did not end within spec.timeout"
    if isinstance(seen, Live) or (isinstance(seen, Unclaimed) and seen.ordered):
        return Kill(run, message) if now > _end_of_patience(run, seen, deadline_of(run) or now) else None
    facts = _facts(seen, crash_limit)
    if facts is not None and (facts.undoes or facts.winding_down):
        return _clean_up(run, facts, f"{message}: what it did is undone first", now=now)
    return End(run, Status.FAILED, "timeout", message, {"name": "TimeoutError", "message": message})


def dues(run: ActiveRun, seen: Observation | None) -> list[datetime]:
    """Return the instants at which a look at a run is worth while without any news."""
    deadline = deadline_of(run)
    found = [due for due in (run.due_at, run.not_before, deadline) if due is not None]
    if "start_after" in run.facts and run.claim == 0:
        found.append(datetime.fromisoformat(run.facts["start_after"]))
    if isinstance(seen, Live | Unclaimed):
        found += [_end_of_patience(run, seen, asked_at) for asked_at in (run.cancel_sent_at, deadline) if asked_at is not None]
    if isinstance(seen, Live) and seen.seen.overrun_at is not None:
        found.append(seen.seen.overrun_at + _KILL_MARGIN)
    return found


def _postpone(run: ActiveRun, reason: str, message: str, seconds: float | None) -> Action | None:
    return _news(run, Postpone(run, reason, message, seconds))


def _news(run: ActiveRun, action: Postpone | End) -> Action | None:
    """Remember a reason once: a second pass over an unchanged world writes nothing."""
    if isinstance(action, Postpone) and (run.reason, run.message) == (action.reason, action.message):
        return None if action.seconds is None or run.not_before is not None else action
    return action


def _ago(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return "now" if seconds < 1 else f"{int(seconds)} s ago"
