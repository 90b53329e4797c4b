"""Suspended by command: who asked is shown, nothing is started or claimed, and the request is over when the manifest's own field changes."""

from typing import Any

import pytest

from reconciler.actions import Action, Claim, Edit, Fulfil, Plan, Postpone, Start
from reconciler.compute import Gone, LetGo, Live, Observation, Seen, Unclaimed
from reconciler.model import Schedule, Source, Status
from reconciler.plan import Limits, Observed, decide
from reconciler.plan.suspension import CHANGED, ENDED
from reconciler.recorded import ActiveRun, Asked, Recorded, RunLine, overrides_of
from reconciler.values import replace
from tests.support.builders import FOLDER, NOON, PLACE, SECOND, a_revision, a_run, an_active_run, desired

PARKED = LetGo(Seen(claim=1), "parked", Status.SLEEPING, NOON - SECOND)


def asked(verb: str = "suspend", about: str = "run/greet-world", *, declared: bool = False, **changes: Any) -> Asked:
    return Asked(
        **{
            "id": 1,
            "place": PLACE,
            "object": about,
            "verb": verb,
            "who": "ana",
            "at": NOON,
            "why": "the database is down",
            "declared": declared,
            **changes,
        }
    )


def plan_of(run: ActiveRun | None, *requests: Asked, seen: Observation | None = None, want: Any = None) -> Plan:
    active = {} if run is None else {run.uid: run}
    recorded = Recorded(active=active, scope="home", asked=requests, overrides=overrides_of(requests))
    if want is not None and run is not None:
        line = RunLine(
            run.name,
            run.uid,
            1,
            FOLDER,
            "greet",
            run.spec_hash,
            "",
            run.status,
            int(run.suspend),
            0,
            None,
            run.claim,
            run.revision.digest,
            "",
            "{}",
            None,
            None,
        )
        recorded = replace(recorded, runs={run.name: line})
    observed = Observed({} if run is None or seen is None else {run.uid: seen}, frozenset({"revision-of-greet"}))
    return decide(want, recorded, observed, Limits(), now=NOON)


PENDING = an_active_run(claim=0, confirmed=False, status=Status.PENDING)


@pytest.mark.parametrize(
    ("run", "seen"),
    [(PENDING, None), (an_active_run(), PARKED), (an_active_run(), Gone(Seen(claim=1))), (an_active_run(), Unclaimed(Seen(claim=1), ordered=False))],
    ids=["before its start", "asleep and due", "its worker died", "its order was not taken"],
)
@pytest.mark.parametrize("about", ["run/greet-world", "workflow/greet"])
def test_nothing_that_is_suspended_gets_a_claim_and_the_plan_says_who_asked(run: ActiveRun, seen: Observation | None, about: str) -> None:
    plan = plan_of(run, asked(about=about), seen=seen)

    [action] = plan.actions
    assert isinstance(action, Postpone)
    assert action.reason == "suspended"
    assert action.message.endswith("suspended by ana: the database is down")
    assert plan.asked == (asked(about=about),)


@pytest.mark.parametrize("seen", [Live(Seen(claim=1), Status.RUNNING), Unclaimed(Seen(), ordered=True)])
def test_what_a_worker_is_doing_goes_on(seen: Observation) -> None:
    assert plan_of(an_active_run(), asked(), seen=seen).actions == ()


def test_a_second_pass_over_what_is_suspended_does_nothing() -> None:
    run = replace(PENDING, reason="suspended", message="suspended by ana: the database is down")

    assert plan_of(run, asked()).actions == ()
    assert plan_of(replace(run, claim=1, confirmed=True), asked(), seen=PARKED).actions == ()


def test_what_is_resumed_goes_on_in_the_same_pass() -> None:
    held = replace(PENDING, reason="suspended", message="told")

    assert [type(action) for action in plan_of(held).actions] == [Claim]
    assert [type(action) for action in plan_of(an_active_run(reason="suspended"), seen=PARKED).actions] == [Claim]


def test_what_is_resumed_and_has_no_room_or_time_yet_is_no_longer_called_suspended() -> None:
    held = replace(PENDING, reason="suspended", message="told")
    other = an_active_run("other", concurrency=1)
    recorded = Recorded(active={"a": replace(held, concurrency=1), other.uid: other})
    full = decide(None, recorded, Observed({other.uid: Live(Seen(claim=1), Status.RUNNING)}, frozenset({"revision-of-greet"})), Limits(), now=NOON)
    asleep = plan_of(an_active_run(reason="suspended"), seen=replace(PARKED, due_at=NOON + SECOND))

    assert [(action.reason, action.message) for action in full.actions if isinstance(action, Postpone)] == [("", "")]
    assert [(action.reason, action.message) for action in asleep.actions if isinstance(action, Postpone)] == [("parked", "")]


def test_a_run_that_is_resumed_against_its_manifest_goes_on() -> None:
    plan = plan_of(replace(PENDING, suspend=True), asked("resume", declared=True))

    assert [type(action) for action in plan.actions] == [Claim]


def test_a_workflow_holds_also_a_run_that_was_resumed_itself() -> None:
    requests = (asked("resume", declared=True), asked(about="workflow/greet", id=2))

    assert [type(action) for action in plan_of(replace(PENDING, suspend=True), *requests).actions] == [Postpone]


@pytest.mark.parametrize(("verb", "declared"), [("suspend", False), ("resume", True)])
def test_a_request_is_over_when_the_manifests_own_field_changes(verb: str, declared: bool) -> None:
    run = replace(PENDING, suspend=declared)
    unchanged = plan_of(run, asked(verb, declared=declared), want=desired(a_run(suspend=declared)))
    changed = plan_of(run, asked(verb, declared=declared), want=desired(a_run(suspend=not declared)))

    assert not [action for action in unchanged.actions if isinstance(action, Fulfil)]
    assert [action for action in changed.actions if isinstance(action, Fulfil)] == [Fulfil(1, CHANGED)]
    assert changed.asked == ()
    assert any(isinstance(action, Edit) for action in changed.actions)


def test_a_request_about_a_schedule_is_over_when_its_field_changes_in_a_folder_that_is_seen() -> None:
    def want(*, suspend: bool) -> Any:
        return desired(
            schedules={"nightly": Schedule("nightly", {"suspend": suspend, "cron": "@daily", "run": {"workflow": "w"}}, source=Source("s.yaml", 1))}
        )

    request = asked(about="schedule/nightly")

    def over(plan: Plan) -> list[Action]:
        return [action for action in plan.actions if isinstance(action, Fulfil)]

    assert over(plan_of(None, request)) == []
    assert over(plan_of(None, request, want=want(suspend=False))) == []
    assert over(plan_of(None, request, want=want(suspend=True))) == [Fulfil(1, CHANGED)]


def test_requests_about_a_run_are_over_when_it_has_ended() -> None:
    requests = (asked(), asked("cancel", id=2, uid="uid-of-greet-world"))

    assert plan_of(None, *requests).actions == (Fulfil(1, ENDED), Fulfil(2))
    assert not [
        action for action in plan_of(an_active_run(), *requests, seen=Live(Seen(claim=1), Status.RUNNING)).actions if isinstance(action, Fulfil)
    ]


def test_a_run_that_ends_in_this_pass_takes_its_request_with_it() -> None:
    run = replace(PENDING, cancel="enough")
    plan = plan_of(run, asked(), asked("cancel", id=2, uid=run.uid))

    assert [action for action in plan.actions if isinstance(action, Fulfil)] == [Fulfil(1, ENDED), Fulfil(2)]


def test_a_run_of_a_suspended_workflow_is_asked_for_and_waits() -> None:
    requests = (asked(about="workflow/greet"),)
    recorded = Recorded(scope="home", asked=requests, overrides=overrides_of(requests))
    want = desired(a_run(), workflows={})
    known = replace(recorded, workflows={"greet": _known()})
    plan = decide(want, known, Observed({}, frozenset({"revision-of-greet"})), Limits(), now=NOON)

    assert [type(action) for action in plan.actions if isinstance(action, Start | Postpone | Claim)] == [Start, Postpone]
    assert next((change.action, change.reason) for change in plan.changes) == ("wait", "workflow/greet is suspended by ana: the database is down")


def _known() -> Any:
    from reconciler.recorded import KnownWorkflow

    return KnownWorkflow("greet", "", a_revision(), {"adapter": "memory"}, Source("g.yaml", 1))
