"""What one unfinished run needs next: the table of claims, sleeps, deaths and cancels."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.actions import Action, Cancel, Claim, End, Kill, Postpone
from reconciler.compute import Finished, Gone, LetGo, Live, Missing, Observation, Quarantined, Seen, Unclaimed, Unknown
from reconciler.model import Status
from reconciler.recorded import ActiveRun

# How long a claim that ended for another reason than its run waits for the next one, in seconds.
_PAUSE = {"grace": 5.0, "no-space": 30.0, "storage": 5.0}
_SECOND_DEATH = 1.0
_KILL_MARGIN = timedelta(seconds=2)


def next_step(run: ActiveRun, seen: Observation, statuses: Mapping[str, str], crash_limit: int, *, now: datetime) -> Action | None:
    """Decide what one run needs now, if anything. An end is recorded before this is asked."""
    match seen:
        case Unknown() | Finished():
            return None
        case Quarantined(message):
            return _postpone(run, "quarantined", message, None)
    if run.cancel is not None:
        return _cancel(run, seen, now=now)
    if _overdue(run, now=now):
        return _deadline(run, seen)
    match seen:
        case Missing():
            return _begin(run, statuses, now=now)
        case Unclaimed(facts, ordered):
            return None if ordered else _again(run, facts, statuses, now=now)
        case Live():
            return None
        case LetGo():
            return _let_go(run, seen, crash_limit, now=now)
        case Gone(facts):
            return _gone(run, facts, crash_limit, now=now)


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
        return Postpone(run, "suspended", "suspended before its start")
    if after_at is not None and now < after_at:
        return Postpone(run, "start-after", f"starts after {after}")
    for other in run.facts.get("depends_on", ()):
        status = statuses.get(f"{run.place.project}/{run.place.environment}/{other.removeprefix('run/')}")
        if status in (Status.FAILED, Status.CANCELED, Status.SKIPPED):
            return End(run, Status.SKIPPED, "dependency", f"{other} is {status}")
        if status != Status.COMPLETED:
            return Postpone(run, "dependency", f"waits for {other}")
    return None


def _again(run: ActiveRun, facts: Seen, statuses: Mapping[str, str], *, now: datetime) -> Action | None:
    """An order that was never claimed counts for nothing: it is given again under the same number."""
    if facts.claim == 0:
        waits = _not_yet(run, statuses, now=now)
        if waits is not None:
            return _news(run, waits)
    return _claim(run, max(run.claim, facts.claim + 1), "again" if run.claim else "start", "its order was not taken", now=now)


def _let_go(run: ActiveRun, seen: LetGo, crash_limit: int, *, now: datetime) -> Action | None:
    number = max(run.claim, seen.seen.claim) + 1
    if run.suspend:
        return _postpone(run, "suspended", "suspended: it is not woken", None)
    if seen.reason == "parked":
        if seen.due_at is None or seen.due_at > now:
            return None
        return _claim(run, number, "wake", f"due {_ago(now - seen.due_at)}", now=now)
    if seen.reason == "grace" and seen.seen.graces >= crash_limit:
        message = "its code no longer asks for what its journal holds: `status` shows the difference"
        return End(run, Status.FAILED, "nondeterminism", message, {"name": "NonDeterminismError", "message": message})
    pause = _PAUSE.get(seen.reason)
    if pause is not None and run.not_before is None:
        return _postpone(run, seen.reason, f"its worker let go of it ({seen.reason})", pause)
    return _claim(run, number, "resume", f"its worker let go of it ({seen.reason})", now=now)


def _gone(run: ActiveRun, facts: Seen, crash_limit: int, *, now: datetime) -> Action | None:
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


def _cancel(run: ActiveRun, seen: Observation, *, now: datetime) -> Action | None:
    """Canceling: a message to a living worker, a kill when its time is over, the end by our own hand where nobody lives."""
    reason = run.cancel or "canceled"
    if isinstance(seen, Live) or (isinstance(seen, Unclaimed) and seen.ordered):
        if run.cancel_sent_at is None:
            return Cancel(run, reason)
        times = run.revision.settings.get("cancel", {})
        patience = timedelta(milliseconds=times.get("grace_ms", 0) + times.get("cleanup_ms", 0)) + _KILL_MARGIN
        return Kill(run, "it did not end within its grace and cleanup") if now > run.cancel_sent_at + patience else None
    return End(run, Status.CANCELED, "canceled", reason)


def deadline_of(run: ActiveRun) -> datetime | None:
    """Return when the run's own time-out ends it: counted from its first start, sleeps included."""
    timeout = run.revision.settings.get("timeout_ms", 0)
    return None if not timeout or run.started_at is None else run.started_at + timedelta(milliseconds=timeout)


def _overdue(run: ActiveRun, *, now: datetime) -> bool:
    deadline = deadline_of(run)
    return deadline is not None and now >= deadline


def _deadline(run: ActiveRun, seen: Observation) -> Action:
    message = "it did not end within spec.timeout"
    if isinstance(seen, Live) or (isinstance(seen, Unclaimed) and seen.ordered):
        return Kill(run, message)
    return End(run, Status.FAILED, "timeout", message, {"name": "TimeoutError", "message": message})


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
