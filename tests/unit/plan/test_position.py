"""Why a run is pending: which limit is reached, and its place in the queue."""

from datetime import timedelta

from reconciler.compute import LetGo, Live, Observation, Seen
from reconciler.model import Status
from reconciler.plan.position import queued_behind, waits_in_queue
from reconciler.plan.queue import Limits
from reconciler.recorded import ActiveRun
from reconciler.values import replace
from tests.support.builders import NOON, an_active_run

LIVE = Live(Seen(claim=1), Status.RUNNING)


def pending(name: str, **changes: object) -> ActiveRun:
    return an_active_run(name, claim=0, confirmed=False, status=Status.PENDING, **changes)


def asked(run: ActiveRun, *others: ActiveRun, limits: Limits | None = None, seen: dict[str, Observation] | None = None) -> str:
    active = {one.uid: one for one in (run, *others)}
    known = {one.uid: LIVE for one in others if one.claim} if seen is None else seen
    return queued_behind(run, active, known, limits or Limits()).message


def test_the_limit_of_the_workflow_is_named_with_the_place_in_its_queue() -> None:
    run = pending("late", concurrency=2, created_at=NOON + timedelta(seconds=9))
    holding = [an_active_run(f"busy-{number}") for number in range(2)]

    text = asked(run, *holding, pending("early", concurrency=2), pending("other", workflow="etl"))

    assert text == "2 of 2 runs of workflow greet hold a worker; number 2 of 2 in the queue"


def test_the_limits_of_the_settings_are_named() -> None:
    run = pending("late")

    assert asked(run, an_active_run("busy"), limits=Limits(concurrency=1)) == "1 of 1 runs in all (concurrency) hold a worker; alone in the queue"
    text = asked(run, an_active_run("busy"), limits=Limits(adapters={"memory": 1}))
    assert text == "1 run on memory hold a worker, and adapters.memory.concurrency is 1; alone in the queue"


def test_a_parked_run_holds_no_room() -> None:
    parked = an_active_run("parked")
    seen: dict[str, Observation] = {parked.uid: LetGo(Seen(claim=1), "parked", Status.SLEEPING)}

    assert asked(pending("late"), parked, limits=Limits(concurrency=1), seen=seen).startswith("there is room for it")


def test_a_higher_priority_goes_first() -> None:
    run = pending("late", priority=1, created_at=NOON + timedelta(seconds=9))

    assert queued_behind(run, {one.uid: one for one in (run, pending("early"))}, {}, Limits()).position == 1


def test_who_waits_for_something_else_is_not_in_the_queue() -> None:
    run = pending("late")

    assert waits_in_queue(run)
    for changes in ({"suspend": True}, {"cancel": "no"}, {"not_before": NOON}, {"reason": "dependency"}, {"claim": 1}):
        assert not waits_in_queue(replace(run, **changes))
