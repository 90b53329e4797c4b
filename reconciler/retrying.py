"""Failures and what follows from them: later tries, platforms left alone, and what is forgotten once it worked."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.backoff import Pause, Tried, next_try
from reconciler.compute import Finished, LetGo, Live, Refused, Unclaimed
from reconciler.errors import TyOpenworkflowError, UnavailableError
from reconciler.hands import Applied, Hands
from reconciler.instants import stamp
from reconciler.model import Desired, Place
from reconciler.recorded import ActiveRun, Recorded
from reconciler.state import Store, retries, runs
from reconciler.values import replace

_WORKFLOW = "workflow/"


def failed(hands: Hands, place: Place, about: str, token: str, why: tuple[str, str], *, again: bool) -> Tried:
    """Remember that a try failed, inside the transaction of the caller, and when the next one is; `why` is a reason and a message."""
    now = hands.clock.now()
    failures = retries.failures_of(hands.store, place, about, token) + 1
    seed = f"{hands.seed}/{place.project}/{place.environment}/{about}/{token}"
    tried = Tried(token, failures, *why, now, next_try(seed, failures, now=now) if again else None)
    retries.remember(hands.store, place, about, tried)
    return tried


def order_failed(hands: Hands, run: ActiveRun, refused: Refused, done: Applied) -> None:
    """Remember that an order was refused: it is given again later, or when the platform wants to hear of us again."""
    until = None
    if refused.again and refused.retry_after is not None:
        until = hands.clock.now() + refused.retry_after
        done.paused[run.adapter] = refused.retry_after, refused.message
    elif refused.again:
        until = failed(hands, run.place, f"run/{run.name}", run.uid, (refused.reason, refused.message), again=True).next_at
    runs.hold(hands.store, run.uid, refused.reason, refused.message, not_before=until)


def order_not_taken(hands: Hands, run: ActiveRun) -> None:
    """Remember that an order is given again: if nobody takes it this time either, a worker that cannot start is not started without end."""
    tried = failed(hands, run.place, f"run/{run.name}", run.uid, ("not-taken", "its order was not taken"), again=True)
    runs.edit_run(hands.store, run.uid, {"not_before": None if tried.next_at is None else stamp(tried.next_at)})


def told_to_wait(done: Applied, adapter: str, error: TyOpenworkflowError) -> None:
    """Note that a platform wants to be left alone, if that is what an error says."""
    if isinstance(error, UnavailableError) and error.retry_after is not None:
        done.paused[adapter] = error.retry_after, str(error)


def pause(hands: Hands, paused: Mapping[str, tuple[timedelta, str]]) -> dict[str, Pause]:
    """Remember which platforms want to be left alone, and return until when."""
    if not paused:
        return {}
    now = hands.clock.now()
    found = {adapter: Pause(now + wait, message) for adapter, (wait, message) in paused.items()}
    with hands.store.transaction():
        for adapter, one in found.items():
            retries.pause(hands.store, adapter, one.until, one.message)
    return found


def with_retries(store: Store, recorded: Recorded, *, eager: bool, begun: datetime, now: datetime) -> Recorded:
    """Return what is remembered with what holds back further tries now.

    Who is `eager` (a person, or CI, that asks for one pass) tries everything that a platform did not forbid; what needs a change is also tried
    once by a process that `begun` later than it failed, since settings and programs may be others now.
    """
    tried = {
        key: one
        for key, one in retries.known(store).items()
        if not key[1].startswith(_WORKFLOW) or not (eager or (one.next_at is None and one.last_at < begun))
    }
    pauses = {name: one for name, one in retries.pauses(store).items() if now < one.until}
    if not (tried or pauses):
        return recorded
    held = [one.token for one in tried.values() if one.token in recorded.active] if eager else []
    active = {**recorded.active, **{uid: _at_once(recorded.active[uid], now) for uid in held}} if held else recorded.active
    return replace(recorded, tried=tried, pauses=pauses, active=active)


def _at_once(run: ActiveRun, now: datetime) -> ActiveRun:
    """Return a run whose pause is over; that there was one stays known, so that it is not followed by the same again."""
    return replace(run, not_before=None if run.not_before is None else min(run.not_before, now))


def settle(store: Store, recorded: Recorded, fresh: Mapping[str, Finished | Live | LetGo | Unclaimed], desired: Desired | None) -> None:
    """Forget the failures of runs that were taken since, and of what is there no more."""
    over = [key for key, tried in recorded.tried.items() if _is_over(key, tried, recorded, fresh, desired)]
    if over:
        with store.transaction():
            retries.forget(store, over)


def _is_over(
    key: tuple[Place, str], tried: Tried, recorded: Recorded, fresh: Mapping[str, Finished | Live | LetGo | Unclaimed], desired: Desired | None
) -> bool:
    place, about = key
    if not about.startswith(_WORKFLOW):
        return tried.token not in recorded.active or isinstance(fresh.get(tried.token), Live | LetGo | Finished)
    return desired is not None and place == desired.place and about.removeprefix(_WORKFLOW) not in desired.workflows and about not in desired.invalid


def dues(store: Store, desired: Desired | None, *, now: datetime) -> list[datetime]:
    """Return the instants at which a workflow that failed, or a platform, is tried again; runs have their own."""
    found = [one.until for one in retries.pauses(store).values() if now < one.until]
    for (place, about), tried in retries.known(store).items():
        if about.startswith(_WORKFLOW) and tried.next_at is not None and desired is not None and place == desired.place:
            found.append(tried.next_at)
    return found
