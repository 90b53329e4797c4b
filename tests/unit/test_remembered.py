"""What stays of passes: conditions that flip once, events that are told once and bounded, passes that did something."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.actions import Notice, Plan
from reconciler.conditions import HELD, READY, SUSPENDED, SYNCED, Known, news
from reconciler.model import Desired, Place, Problem
from reconciler.reasons import REASONS
from reconciler.state import conditions, events, open_store, requests
from tests.support.builders import FOLDER, NOON, PLACE, SECOND, a_run, a_workflow, desired
from tests.support.world import World

PARK = a_workflow("park", code=a_workflow("park").code.__class__({}, "park", "/srv"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def known(world: World, about: str, kind: str) -> Known | None:
    store = open_store(world.folder)
    try:
        return conditions.remembered_of(store, PLACE, about).get(kind)
    finally:
        store.close()


def told(world: World, about: str | None = None) -> list[tuple[str, str, int]]:
    store = open_store(world.folder)
    try:
        found = events.events_of(store, about=about, project=None, environment=None)
    finally:
        store.close()
    assert {event["reason"] for event in found} <= REASONS.keys()
    return [(event["object"], event["reason"], event["count"]) for event in found]


def quiet(world: World, want: Desired) -> None:
    """Check that a further pass writes nothing."""
    report = world.run_pass(want)
    assert report is not None and report.plan.actions == ()
    assert world.writes == 0


def settle(world: World, want: Desired) -> None:
    """Run a pass, and another one that records what the first one has set going."""
    world.run_pass(want)
    world.run_pass(want)


def ask(world: World, verb: str, about: str, **data: Any) -> None:
    store = open_store(world.folder)
    with store.transaction():
        requests.add_request(store, PLACE, about, verb, {"declared": False, "why": "tired", **data}, "ana", now=world.clock.now(), handled=False)
    store.close()


def test_a_refused_edit_stays_visible_until_it_is_taken_back_and_is_told_once(world: World) -> None:
    good, edited = desired(PARK, a_run("a", workflow="park")), desired(PARK, a_run("a", workflow="park", spec_hash="another"))
    settle(world, good)
    quiet(world, good)
    world.clock.at += SECOND
    world.run_pass(edited)
    quiet(world, edited)
    quiet(world, edited)
    since = known(world, "run/a", SYNCED)
    world.clock.at += SECOND
    world.run_pass(good)
    back = known(world, "run/a", SYNCED)
    quiet(world, good)

    assert since is not None and (since.status, since.reason, since.since) == ("False", "edited-after-start", "2026-11-22T12:00:01.000Z")
    assert back == Known("True", "declared", "", "2026-11-22T12:00:02.000Z")
    assert told(world, "run/a") == [
        ("run/a", "asked-for", 1),
        ("run/a", "started", 1),
        ("run/a", "edited-after-start", 1),
        ("run/a", "resolved", 1),
    ]


def test_since_changes_only_with_a_flip(world: World) -> None:
    world.run_pass(desired(PARK, a_run("a", workflow="park")))
    world.run_pass(desired(PARK, a_run("a", workflow="park", spec_hash="another")))
    world.clock.at += SECOND
    world.run_pass(desired(PARK, a_run("a", workflow="none", spec_hash="a third")))
    found = known(world, "run/a", SYNCED)

    assert found is not None and "workflow changed" in found.message
    assert found.since == "2026-11-22T12:00:00.000Z"


def test_an_invalid_manifest_is_a_condition_of_its_object_and_goes_with_it(world: World) -> None:
    good = desired(PARK, a_run("a", workflow="park"))
    problem = Problem("a.yaml", 3, 1, "/spec", "what is this", about="run/b")
    bad = desired(PARK, a_run("a", workflow="park"), problems=(problem,), invalid=frozenset({"run/b"}))
    settle(world, bad)
    quiet(world, bad)
    found = known(world, "run/b", SYNCED)
    world.run_pass(good)

    assert found is not None and (found.reason, found.message) == ("invalid", "a.yaml:3: what is this")
    assert known(world, "run/b", SYNCED) is None


def test_what_is_held_from_prune_says_so_until_it_is_settled(world: World) -> None:
    world.run_pass(desired(PARK, a_run("a", workflow="park")))
    gone = desired(PARK, complete=False)
    world.run_pass(gone)
    quiet(world, gone)
    found = known(world, "run/a", HELD)
    world.run_pass(desired(PARK))

    assert found is not None and (found.status, found.reason) == ("True", "prune-held")
    assert known(world, "run/a", HELD) is None
    assert [reason for about, reason, _ in told(world) if about == "run/a"] == [
        "asked-for",
        "started",
        "prune-held",
        "canceled",
        "resolved",
        "pruned",
    ]


def test_a_deploy_that_fails_counts_and_its_condition_flips_once(world: World) -> None:
    world.platform.revisions.clear()
    want = desired(PARK)
    failing = FailingOnce(world)
    failing.run(want)
    failing.run(want)
    bad = known(world, "workflow/park", READY)
    world.clock.at += SECOND
    world.run_pass(want)
    quiet(world, want)

    assert bad is not None and (bad.status, bad.reason) == ("False", "deploy-failed")
    assert known(world, "workflow/park", READY) == Known("True", "deployed", "", "2026-11-22T12:00:01.000Z")
    assert told(world, "workflow/park") == [
        ("workflow/park", "deploy-failed", 2),
        ("workflow/park", "deployed", 1),
        ("workflow/park", "resolved", 1),
    ]


def test_a_workflow_is_ready_again_when_its_manifest_goes_back_to_what_is_deployed(world: World) -> None:
    want = desired(PARK)
    world.run_pass(want)
    FailingOnce(world).run(desired(a_workflow("park", code=PARK.code, revision="broken")))
    bad = known(world, "workflow/park", READY)
    world.run_pass(want)
    quiet(world, want)
    found = known(world, "workflow/park", READY)

    assert bad is not None and bad.status == "False"
    assert found is not None and (found.status, found.reason) == ("True", "deployed")


def test_a_pass_that_is_held_as_a_whole_takes_no_refusal_for_settled() -> None:
    refused = {(PLACE, "run/a", SYNCED): Known("False", "edited-after-start", "told", "2026-11-22T12:00:00.000Z")}
    held = Plan(held=(Notice("project/shop", "wrong-branch", "nothing is carried out"),))
    want = desired(PARK, a_run("a", workflow="park"))

    during, after = news(refused, want, held, {}, now=NOON), news(refused, want, Plan(), {}, now=NOON)

    assert [key[1:] for key, _ in during.conditions] == [("project/shop", HELD)]
    assert [key[1:] for key, _ in after.conditions] == [("run/a", SYNCED)]


class FailingOnce:
    """Runs passes in which deploying does not work."""

    def __init__(self, world: World) -> None:
        self.world = world

    def run(self, want: Desired) -> None:
        from reconciler.errors import RejectedError
        from tests.support.world import Dying

        deploy = Dying.deploy

        def refuse(*_: Any) -> None:
            message = "no such thing"
            raise RejectedError(message)

        Dying.deploy = refuse  # type: ignore[assignment, method-assign]
        try:
            self.world.run_pass(want)
        finally:
            Dying.deploy = deploy  # type: ignore[method-assign]


def test_a_manifest_that_suspends_is_told_with_its_instant_and_so_is_its_end(world: World) -> None:
    held, free = desired(PARK, a_run("a", workflow="park", suspend=True)), desired(PARK, a_run("a", workflow="park"))
    world.run_pass(held)
    quiet(world, held)
    since = known(world, "run/a", SUSPENDED)
    settle(world, free)
    quiet(world, free)

    assert since is not None and since.since == "2026-11-22T12:00:00.000Z"
    assert known(world, "run/a", SUSPENDED) is None
    assert [reason for _, reason, _ in told(world, "run/a")] == ["asked-for", "suspended", "started", "resumed"]


def test_a_request_survives_redeploys_and_writes_nothing_while_it_holds(world: World) -> None:
    want = desired(PARK, a_run("a", workflow="park", start_after=NOON + timedelta(seconds=9)))
    world.run_pass(want)
    ask(world, "suspend", "run/a")
    world.run_pass(want)
    quiet(world, want)
    world.clock.at += timedelta(seconds=10)
    newer = desired(a_workflow("park", code=PARK.code, revision="another"), a_run("a", workflow="park", start_after=NOON + timedelta(seconds=9)))
    report = world.run_pass(newer)
    quiet(world, newer)

    assert report is not None and report.applied.started == []
    assert [asked.object for asked in report.plan.asked] == ["run/a"]


def test_a_request_that_is_over_is_marked_once_and_the_manifest_counts(world: World) -> None:
    world.run_pass(desired(PARK, a_run("a", workflow="park", start_after=NOON + timedelta(seconds=9))))
    ask(world, "resume", "run/a", declared=True)
    held = desired(PARK, a_run("a", workflow="park", start_after=NOON + timedelta(seconds=9), suspend=True))
    world.run_pass(held)
    quiet(world, held)
    world.run_pass(desired(PARK, a_run("a", workflow="park", start_after=NOON + timedelta(seconds=9))))
    quiet(world, desired(PARK, a_run("a", workflow="park", start_after=NOON + timedelta(seconds=9))))
    store = open_store(world.folder)
    found = requests.requests_of(store, PLACE, "run/a")
    store.close()

    assert [(request["who"], request["outcome"]) for request in found] == [("ana", "its manifest changed")]


def test_passes_are_kept_with_who_and_counts_and_only_those_that_did_something(world: World) -> None:
    want = desired(PARK, a_run("a", workflow="park"))
    world.run_pass(want)
    world.run_pass(want)
    store = open_store(world.folder)
    found = events.last_passes(store, 10)
    store.close()

    assert [(one["folder"], one["summary"]["actions"], one["duration_ms"]) for one in found] == [(FOLDER, {"deploy": 1, "start": 1}, 0)]


def test_events_are_bounded_for_each_object_and_by_their_age(world: World) -> None:
    store = open_store(world.folder)
    with store.transaction():
        events.add_event(store, PLACE, "run/old", "failed", "long ago", now=NOON - timedelta(days=31))
        for number in range(events.MOST_OF_OBJECT + 20):
            events.add_event(store, PLACE, "run/a", "failed", f"error {number}", now=NOON)
        events.add_event(store, Place("other", "dev"), "run/a", "failed", "once", now=NOON)
        events.add_pass(store, None, {"revision": "", "who": "", "began_at": NOON}, {}, now=NOON)
    found = events.events_of(store, about=None, project=None, environment=None)
    store.close()

    assert [event["message"] for event in found] == [*(f"error {number}" for number in range(20, 120)), "once"]


def test_the_same_again_counts_and_comes_last(world: World) -> None:
    store = open_store(world.folder)
    with store.transaction():
        for second, message in enumerate(("a", "b", "a")):
            events.add_event(store, PLACE, "run/x", "unavailable", message, now=NOON + timedelta(seconds=second))
    found = events.events_of(store, about="run/x", project="shop", environment="dev", after=2)
    every = events.events_of(store, about="run/x", project=None, environment=None, since=NOON + SECOND)
    nobody = events.events_of(store, about="run/x", project="other", environment=None)
    store.close()

    assert [(event["message"], event["count"], event["first_at"][17:19], event["last_at"][17:19]) for event in found] == [("a", 2, "00", "02")]
    assert [event["message"] for event in every] == ["b", "a"]
    assert nobody == []
