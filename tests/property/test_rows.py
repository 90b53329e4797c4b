"""DESIGN's table "Runs under a level-triggered loop", row by row, over the whole pass and a platform in memory."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.compute import Live, Seen
from reconciler.history import fold
from reconciler.model import Code, Desired, Run, Status, Workflow
from reconciler.observe import status_of
from reconciler.reconcile import Report
from reconciler.state import open_store, runs
from tests.support.builders import a_run, a_workflow, desired
from tests.support.memory import Platform
from tests.support.world import World

MINUTE = timedelta(minutes=1)


def behaving(entry: str, revision: str = "one") -> Workflow:
    """Return the workflow `w` whose runs do what `entry` says."""
    return a_workflow("w", revision=f"{entry}-{revision}", code=Code({}, entry, "/srv"))


def run(name: str = "a", **changes: Any) -> Run:
    return a_run(name, **{"workflow": "w", "spec_hash": f"spec of {name}", **changes})


def declared(*runs: Run, entry: str = "park", revision: str = "one") -> Desired:
    return desired(behaving(entry, revision), *runs, prune_max=100)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def passes(world: World, wanted: Desired, number: int = 1) -> Report:
    report = None
    for _ in range(number):
        report = world.run_pass(wanted)
    assert report is not None
    return report


def rows(world: World) -> list[tuple[Any, ...]]:
    """Return (name, incarnation, status, claim) of every run that is remembered."""
    store = open_store(world.folder)
    try:
        return store.db.execute("SELECT name, incarnation, status, claim FROM runs ORDER BY name, incarnation").fetchall()
    finally:
        store.close()


def statuses(world: World) -> list[str]:
    return [row[2] for row in rows(world)]


def reasons(report: Report) -> list[str]:
    return [notice.reason for notice in report.plan.rejected]


# finished


@pytest.mark.parametrize("entry", ["echo", "fail"])
def test_finished_it_does_not_run_again_whatever_happens_to_its_folder_or_its_manifest(world: World, entry: str) -> None:
    wanted = declared(run(), entry=entry)
    passes(world, wanted, 2)
    before = rows(world)

    world.platform.journals.clear()
    passes(world, declared(entry=entry), 2)
    passes(world, declared(run(priority=9, suspend=True, cancel=True), entry=entry, revision="two"), 2)
    passes(world, wanted, 2)

    assert rows(world) == before
    assert not world.platform.journals


# manifest removed, then added again


def test_removed_and_added_again_with_the_same_spec_is_adopted(world: World) -> None:
    passes(world, declared(run()))
    passes(world, declared(), 2)
    assert statuses(world) == ["canceled"]

    report = passes(world, declared(run()))

    assert report.plan.actions == ()
    assert rows(world) == [("a", 1, "canceled", 2)]


def test_removed_and_added_again_with_another_spec_is_rejected_as_an_edit_would_be(world: World) -> None:
    passes(world, declared(run()))
    passes(world, declared(), 2)

    report = passes(world, declared(run(spec_hash="another")))

    assert reasons(report) == ["edited-after-start"]
    assert rows(world) == [("a", 1, "canceled", 2)]


# edited after start


@pytest.mark.parametrize("changes", [{"priority": 4}, {"labels": {"team": "web"}}, {"suspend": True}, {"cancel": True}, {"signals": {"go": 1}}])
def test_edited_after_start_what_may_change_is_applied(world: World, changes: dict[str, Any]) -> None:
    passes(world, declared(run()))

    report = passes(world, declared(run(**changes)))

    assert report.plan.actions
    assert reasons(report) == []
    assert passes(world, declared(run(**changes)), 3).plan.actions == ()


@pytest.mark.parametrize("entry", ["park", "work", "echo"])
def test_edited_after_start_another_input_is_rejected_visibly_and_the_run_is_not_touched(world: World, entry: str) -> None:
    passes(world, declared(run(), entry=entry), 2)
    before = rows(world)

    for _ in range(3):
        report = passes(world, declared(run(spec_hash="another"), entry=entry))
        assert reasons(report) == ["edited-after-start"]

    assert report.plan.actions == ()
    assert rows(world) == before


@pytest.mark.parametrize("entry", ["park", "work", "echo"])
def test_edited_after_start_with_on_change_rerun_the_next_incarnation_follows(world: World, entry: str) -> None:
    passes(world, declared(run(on_change="rerun"), entry=entry), 2)

    passes(world, declared(run(on_change="rerun", spec_hash="another"), entry=entry), 4)

    assert [(row[0], row[1]) for row in rows(world)] == [("a", 1), ("a", 2)]
    assert statuses(world)[0] == ("completed" if entry == "echo" else "canceled")


def test_edited_before_its_start_it_simply_changes(world: World) -> None:
    passes(world, declared(run(suspend=True)))

    passes(world, declared(run(spec_hash="another", input=7)), 2)

    assert rows(world) == [("a", 1, "sleeping", 1)]
    history = fold(next(iter(world.platform.journals.values())))
    assert history is not None
    assert (history.order["input"], history.order["spec_hash"]) == (7, "another")


def test_edited_before_its_start_and_suspended_at_once_it_does_not_start(world: World) -> None:
    passes(world, declared(run(start_after=world.clock.at + MINUTE)))
    world.clock.at += 2 * MINUTE

    passes(world, declared(run(spec_hash="another", suspend=True)), 2)

    assert rows(world) == [("a", 1, "pending", 0)]


def test_edited_after_start_a_rejected_edit_keeps_nobody_from_canceling(world: World) -> None:
    passes(world, declared(run()), 2)
    passes(world, declared(run(spec_hash="another")), 2)

    report = passes(world, declared(run(spec_hash="another", cancel=True)))

    assert reasons(report) == ["edited-after-start"]
    assert statuses(world) == ["canceled"]


# rerun


@pytest.mark.parametrize("entry", ["echo", "park", "work"])
def test_rerun_a_new_token_starts_exactly_one_new_incarnation_of_the_present_revision(world: World, entry: str) -> None:
    passes(world, declared(run(), entry=entry), 2)

    passes(world, declared(run(rerun="x"), entry=entry, revision="two"), 6)

    assert [(row[0], row[1]) for row in rows(world)] == [("a", 1), ("a", 2)]
    assert [order["revision"] for order in orders(world.platform)] == [f"{entry}-one", f"{entry}-two"]


@pytest.mark.parametrize("entry", ["echo", "park", "work"])
def test_rerun_the_same_token_again_starts_nothing_and_ends_nothing(world: World, entry: str) -> None:
    passes(world, declared(run(rerun="x"), entry=entry), 2)
    before = rows(world)

    assert passes(world, declared(run(rerun="x"), entry=entry), 3).plan.actions == ()
    assert rows(world) == before


def orders(platform: Platform) -> list[Any]:
    """Return the first records of all runs, in the order of their incarnations."""
    histories = [history for data in platform.journals.values() if (history := fold(data)) is not None]
    return sorted((history.order for history in histories), key=lambda order: int(order["incarnation"]))


# deleted


def test_deleted_while_it_is_pending_it_is_canceled_without_a_start(world: World) -> None:
    passes(world, declared(run(suspend=True)))

    passes(world, declared(), 2)

    assert rows(world)[0][2] == "canceled"
    assert all(b'"worker":"m' not in data for data in world.platform.journals.values())


@pytest.mark.parametrize(("on_delete", "status"), [("cancel", "canceled"), ("finish", "sleeping"), ("orphan", "sleeping")])
def test_deleted_while_it_is_active_it_does_as_on_delete_says(world: World, on_delete: str, status: str) -> None:
    passes(world, declared(run(on_delete=on_delete)), 2)

    passes(world, declared(), 3)

    assert statuses(world) == [status]
    assert passes(world, declared()).plan.actions == ()


def test_deleted_after_its_end_its_history_stays(world: World) -> None:
    passes(world, declared(run(), entry="echo"), 2)

    report = passes(world, declared(entry="echo"))

    assert report.plan.actions == ()
    assert statuses(world) == ["completed"]
    assert len(world.platform.journals) == 1


# crash between intent and effect


@pytest.mark.parametrize("call", range(8))
def test_crash_between_intent_and_effect_the_run_is_adopted_or_started_under_the_same_id(world: World, call: int) -> None:
    world.run_pass(declared(run(), entry="echo"), die_after=call)

    passes(world, declared(run(), entry="echo"), 3)

    assert rows(world) == [("a", 1, "completed", 1)]
    assert len(world.platform.journals) == 1


def test_crash_between_intent_and_effect_while_the_platform_is_away_it_is_waited_for(world: World) -> None:
    world.run_pass(declared(run()), die_after=2)
    world.platform.down = True

    report = passes(world, declared(run()), 3)

    assert report.plan.changes == []
    assert statuses(world) == ["pending"]


def test_a_start_that_was_confirmed_is_never_made_again_because_the_platform_has_forgotten_it(world: World) -> None:
    passes(world, declared(run()))
    world.platform.journals.clear()

    report = passes(world, declared(run()), 3)

    assert [notice.reason for notice in report.plan.held] == ["state-unknown"]
    assert not world.platform.journals


def test_nothing_starts_whose_revision_could_not_be_deployed(world: World) -> None:
    world.platform.deploys = False
    passes(world, declared(run(), entry="echo"), 2)
    assert not world.platform.journals

    world.platform.deploys = True
    passes(world, declared(run(), entry="echo"), 2)

    assert statuses(world) == ["completed"]


# worker gone without a terminal record


def test_worker_gone_the_next_claim_comes_at_once_then_with_a_pause_and_after_three_the_run_fails(world: World) -> None:
    wanted = declared(run(), entry="crash")
    claims = []
    for _ in range(8):
        passes(world, wanted)
        claims.append(rows(world)[0][3])
    assert claims == [1, 2, 2, 2, 2, 2, 2, 2]  # the second death waits

    for _ in range(4):
        world.clock.at += MINUTE
        passes(world, wanted)

    assert rows(world) == [("a", 1, "failed", 4)]
    history = fold(next(iter(world.platform.journals.values())))
    assert history is not None
    assert history.finished is not None
    assert history.finished["reason"] == "crash-limit"


@pytest.mark.parametrize("reason", ["suspended", "storage", "no-space", "handed-over"])
def test_worker_gone_that_let_go_in_order_is_no_crash(world: World, reason: str) -> None:
    wanted = declared(run(), entry="work")
    for _ in range(5):
        passes(world, wanted)
        uid = next(iter(world.platform.journals))
        history = fold(world.platform.journals[uid])
        assert history is not None
        world.platform.append(uid, history.claim, {"type": "released", "reason": reason})
        world.platform.alive.discard(uid)
        world.clock.at += MINUTE
        passes(world, wanted)
        world.clock.at += MINUTE

    assert passes(world, wanted, 2).plan.changes == []
    assert [row[2:] for row in rows(world)] == [("running", 6)]


# workflow changed while runs are active


def test_workflow_changed_the_runs_stay_and_the_plan_says_how_many(world: World) -> None:
    passes(world, declared(run("a"), run("b")), 2)

    report = passes(world, declared(run("a"), run("b"), revision="two"))

    assert [change.reason for change in report.plan.changes] == ["code changed; 2 active runs stay on their revision"]
    assert sorted(world.platform.revisions) == ["park-one", "park-two"]
    world.clock.at += timedelta(days=40_000)
    assert passes(world, declared(run("a"), run("b"), revision="two")).plan.changes
    assert {order["revision"] for order in orders(world.platform)} == {"park-one"}


def test_workflow_changed_the_old_revision_goes_when_no_run_needs_it(world: World) -> None:
    passes(world, declared(run()), 2)
    passes(world, declared(run(), revision="two"))

    passes(world, declared(run(cancel=True), revision="two"), 3)

    assert sorted(world.platform.revisions) == ["park-two"]


def test_workflow_changed_and_reverted_the_old_revision_is_back_as_it_was(world: World) -> None:
    passes(world, declared(run()), 2)
    code = dict(world.platform.revisions)
    passes(world, declared(run(), revision="two"))

    report = passes(world, declared(run()))

    assert [change.action for change in report.plan.changes] == ["update"]
    assert world.platform.revisions == code
    assert passes(world, declared(run())).plan.actions == ()


# prune


def test_prune_comes_last_and_forgets_a_workflow_whose_runs_go_on(world: World) -> None:
    passes(world, declared(run(on_delete="finish")), 2)

    report = passes(world, desired(a_workflow("other")))

    assert [change.action for change in report.plan.changes] == ["deploy", "remove"]
    assert statuses(world) == ["sleeping"]
    assert "park-one" in world.platform.revisions


@pytest.mark.parametrize("number", [9, 10, 11, 40])
def test_prune_of_more_than_the_larger_of_ten_and_a_fifth_is_held(world: World, number: int) -> None:
    runs = [run(f"r{index:02}") for index in range(45)]
    passes(world, declared(*runs), 2)

    report = passes(world, desired(behaving("park"), *runs[number:]))

    assert bool(report.plan.held) == (number > 10)
    assert passes(world, desired(behaving("park"), *runs[number:]), 2).plan.actions == ()
    assert statuses(world).count("canceled") == (0 if number > 10 else number)


def test_prune_does_not_count_runs_that_have_ended(world: World) -> None:
    runs = [run(f"r{index:02}") for index in range(40)]
    passes(world, declared(*runs, entry="echo"), 2)

    report = passes(world, desired(behaving("echo"), run("new")))

    assert not report.plan.held


# canceled


def test_canceled_before_its_worker_has_taken_it_a_run_is_being_canceled_until_its_worker_has_ended_it(world: World) -> None:
    wanted = declared(run(), entry="work")
    world.run_pass(wanted, die_after=2)  # the order is given, and nobody knows
    uid = run_uid(world)
    store = open_store(world.folder)
    try:
        with store.transaction():
            runs.edit_run(store, uid, {"cancel": "stop", "cancel_sent_at": "2026-11-22T12:00:00.000Z"})
        seen = Live(Seen(claim=1, size=10), Status.RUNNING)
        with store.transaction():
            assert runs.record_progress(store, uid, seen, status_of(runs.active_runs(store)[uid], seen), reason="")
    finally:
        store.close()

    assert statuses(world) == ["canceling"]


def run_uid(world: World) -> str:
    store = open_store(world.folder)
    try:
        return str(store.db.execute("SELECT uid FROM runs").fetchone()[0])
    finally:
        store.close()


# waiting for its start


def test_start_after_dependencies_priority_and_deadline_hold_a_run_before_its_start(world: World) -> None:
    later = world.clock.at + MINUTE
    wanted = declared(
        run("a"), run("b", depends_on=("run/a",)), run("c", start_after=later), run("d", start_deadline=MINUTE, suspend=True), entry="echo"
    )
    passes(world, wanted, 3)
    assert rows(world) == [("a", 1, "completed", 1), ("b", 1, "completed", 1), ("c", 1, "pending", 0), ("d", 1, "pending", 0)]

    world.clock.at += 2 * MINUTE
    passes(world, wanted, 2)

    assert [row[2] for row in rows(world)] == ["completed", "completed", "completed", "skipped"]


def test_a_dependency_that_did_not_complete_skips_what_waits_for_it(world: World) -> None:
    wanted = declared(run("a"), run("b", depends_on=("run/a",)), run("c", depends_on=("run/b",)), entry="fail")

    passes(world, wanted, 4)

    assert statuses(world) == ["failed", "skipped", "skipped"]
