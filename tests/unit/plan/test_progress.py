"""What one unfinished run needs next."""

from datetime import datetime
from typing import Any

import pytest

from reconciler.actions import Action, Cancel, Claim, End, Kill, Postpone
from reconciler.compute import Gone, LetGo, Live, Missing, Observation, Quarantined, Seen, Unclaimed, Unknown
from reconciler.model import Status
from reconciler.plan.progress import next_steps
from reconciler.recorded import ActiveRun
from reconciler.values import replace
from tests.support.builders import NOON, SECOND, a_revision, an_active_run

FRESH = Seen(claim=1, barren=1)


def step(run: ActiveRun, seen: Observation, now: datetime = NOON, statuses: dict[str, str] | None = None) -> Action | None:
    steps = next_steps(run, seen, statuses or {}, 3, now=now)
    assert len(steps) <= 1
    return steps[0] if steps else None


def parked(due_at: datetime | None) -> LetGo:
    return LetGo(FRESH, "parked", Status.SLEEPING, due_at)


def test_a_sleeping_run_is_woken_when_its_time_comes_and_not_before() -> None:
    run = an_active_run(status=Status.SLEEPING)

    assert step(run, parked(NOON)) == Claim(run, 2, "wake", "due now")
    assert step(run, parked(NOON + SECOND)) is None


@pytest.mark.parametrize("claim", [0, 1])
def test_I9_a_run_that_was_never_confirmed_is_started_under_its_decided_claim(claim: int) -> None:
    run = an_active_run(status=Status.PENDING, claim=claim, confirmed=False)

    action = step(run, Missing())

    assert isinstance(action, Claim)
    assert (action.claim, action.cause) == (1, "start")


def test_a_confirmed_run_that_the_platform_forgot_is_held_and_not_started() -> None:
    action = step(an_active_run(), Missing())

    assert isinstance(action, Postpone)
    assert action.reason == "state-unknown"


@pytest.mark.parametrize("run", [an_active_run(), an_active_run(cancel="stop"), an_active_run(suspend=True), an_active_run(claim=0, confirmed=False)])
def test_unknown_never_starts_cancels_or_fails_anything(run: ActiveRun) -> None:
    assert step(run, Unknown("the engine is away")) is None


@pytest.mark.parametrize(
    "changes",
    [{"suspend": True}, {"facts": {"start_after": "2026-11-22T12:00:01.000Z"}}, {"facts": {"depends_on": ["run/other"]}}],
    ids=["suspended", "start-after", "dependency"],
)
def test_a_pending_run_that_waits_is_told_of_once_and_is_not_started_by_later_passes_either(changes: dict[str, Any]) -> None:
    run = an_active_run(status=Status.PENDING, claim=0, confirmed=False, **changes)

    first = step(run, Missing())
    assert isinstance(first, Postpone)
    later = step(replace(run, reason=first.reason, message=first.message), Missing())

    assert later is None


def test_an_order_that_was_never_claimed_is_given_again_under_the_same_number() -> None:
    run = an_active_run(claim=4)

    again = step(run, Unclaimed(replace(FRESH, claim=3), ordered=False))

    assert isinstance(again, Claim)
    assert (again.claim, again.cause) == (4, "again")
    assert step(run, Unclaimed(replace(FRESH, claim=3), ordered=True)) is None


def test_a_dead_worker_is_followed_by_the_next_claim_at_once() -> None:
    action = step(an_active_run(), Gone(FRESH))

    assert isinstance(action, Claim)
    assert (action.claim, action.cause, action.alone) == (2, "takeover", True)


def test_a_second_death_without_a_result_waits_a_moment_and_the_third_fails_the_run() -> None:
    run = an_active_run()

    second = step(run, Gone(replace(FRESH, barren=2)))
    third = step(run, Gone(replace(FRESH, barren=3)))

    assert isinstance(second, Postpone)
    assert second.seconds == 1
    assert isinstance(third, End)
    assert (third.status, third.reason) == (Status.FAILED, "crash-limit")
    waiting = replace(run, reason="backoff", not_before=NOON + SECOND)
    assert step(waiting, Gone(replace(FRESH, barren=2))) is None
    assert isinstance(step(waiting, Gone(replace(FRESH, barren=2)), NOON + SECOND), Claim)


def test_a_released_claim_is_no_death_and_goes_on() -> None:
    action = step(an_active_run(), LetGo(FRESH, "suspended", Status.RUNNING))

    assert isinstance(action, Claim)
    assert (action.claim, action.cause) == (2, "resume")


def test_no_space_waits_before_the_next_claim() -> None:
    action = step(an_active_run(), LetGo(FRESH, "no-space", Status.RUNNING))

    assert isinstance(action, Postpone)
    assert (action.reason, action.seconds) == ("no-space", 30)


def test_cancel_tells_a_living_worker_once_and_kills_it_when_its_time_is_over() -> None:
    run = an_active_run(cancel="stop")
    told = replace(run, cancel_sent_at=NOON)
    live = Live(FRESH, Status.RUNNING)

    assert step(run, live) == Cancel(run, "stop")
    assert step(told, live, NOON + 72 * SECOND) is None
    assert isinstance(step(told, live, NOON + 73 * SECOND), Kill)


@pytest.mark.parametrize("seen", [Gone(FRESH), parked(None), LetGo(FRESH, "suspended", Status.RUNNING), Unclaimed(FRESH, ordered=False)])
def test_cancel_ends_a_run_that_no_worker_holds(seen: Observation) -> None:
    action = step(an_active_run(cancel="stop"), seen)

    assert isinstance(action, End)
    assert (action.status, action.message) == (Status.CANCELED, "stop")


def test_a_suspended_run_is_neither_started_nor_woken_nor_killed() -> None:
    pending = an_active_run(suspend=True, claim=0, confirmed=False)
    asleep = an_active_run(suspend=True)

    assert isinstance(step(pending, Missing()), Postpone)
    assert isinstance(step(asleep, parked(NOON)), Postpone)
    assert step(asleep, Live(FRESH, Status.RUNNING)) is None


def test_a_reason_is_remembered_once() -> None:
    run = an_active_run(suspend=True, reason="suspended", message="suspended: it is not woken")

    assert step(run, parked(NOON)) is None


def test_the_time_out_of_a_run_counts_from_its_first_start_and_also_while_it_sleeps() -> None:
    run = an_active_run(revision=a_revision(settings={"timeout_ms": 60_000}), started_at=NOON)

    assert step(run, parked(NOON + 3600 * SECOND), NOON + 59 * SECOND) is None
    ended = step(run, parked(NOON + 3600 * SECOND), NOON + 60 * SECOND)
    assert isinstance(ended, End)
    assert (ended.status, ended.reason) == (Status.FAILED, "timeout")
    live = Live(FRESH, Status.RUNNING)
    assert step(run, live, NOON + 60 * SECOND) is None, "its worker ends it by the same clock"
    assert isinstance(step(run, live, NOON + 63 * SECOND), Kill)


@pytest.mark.parametrize(("status", "kind"), [("completed", Claim), ("failed", End), ("canceled", End), ("skipped", End), ("running", Postpone)])
def test_a_dependency_lets_go_holds_or_skips(status: str, kind: type[Action]) -> None:
    run = an_active_run(claim=0, confirmed=False, status=Status.PENDING, facts={"depends_on": ["run/first"]})

    action = step(run, Missing(), statuses={"shop/dev/first": status})

    assert isinstance(action, kind)
    if isinstance(action, End):
        assert action.status is Status.SKIPPED


def test_a_run_waits_for_its_start_and_is_skipped_after_its_deadline() -> None:
    facts = {"start_after": "2026-11-22T12:00:10.000Z", "start_deadline_ms": 5000}
    run = an_active_run(claim=0, confirmed=False, status=Status.PENDING, facts=facts)

    assert isinstance(step(run, Missing(), NOON), Postpone)
    assert isinstance(step(run, Missing(), NOON + 12 * SECOND), Claim)
    late = step(run, Missing(), NOON + 16 * SECOND)
    assert isinstance(late, End)
    assert late.status is Status.SKIPPED


def test_a_damaged_journal_holds_its_run() -> None:
    action = step(an_active_run(cancel="stop"), Quarantined("line 3: the CRC does not fit"))

    assert isinstance(action, Postpone)
    assert action.reason == "quarantined"


def test_code_that_no_longer_asks_for_what_is_recorded_is_given_up_after_a_few_claims() -> None:
    run = an_active_run(not_before=NOON)

    again = step(run, LetGo(replace(FRESH, graces=2), "grace", Status.RUNNING))
    given_up = step(run, LetGo(replace(FRESH, graces=3), "grace", Status.RUNNING))

    assert isinstance(again, Claim)
    assert isinstance(given_up, End)
    assert (given_up.status, given_up.reason) == (Status.FAILED, "nondeterminism")


def test_a_person_may_settle_a_run_that_the_platform_forgot_by_canceling_it() -> None:
    action = step(an_active_run(cancel="I looked: it did nothing"), Missing())

    assert isinstance(action, End)
    assert (action.status, action.message) == (Status.CANCELED, "I looked: it did nothing")
