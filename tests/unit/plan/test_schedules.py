"""What a pass does about schedules: over the platform in memory, with the clock moved by hand."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.actions import Arm, Edit, Notice, Start
from reconciler.journal import decode_json, decode_lines
from reconciler.model import Code, Desired, Place, Schedule, Source, Status
from reconciler.plan.schedules import Facts, decide_schedules
from reconciler.plan.slotruns import jitter_of
from reconciler.reconcile import Report
from reconciler.recorded import KnownSchedule, Override, Recorded
from reconciler.state import open_store, runs, schedules
from reconciler.values import replace
from tests.support.builders import FOLDER, NOON, PLACE, a_revision, a_run, a_workflow, an_active_run, desired
from tests.support.world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def a_schedule(name: str = "hourly", **spec: Any) -> Schedule:
    when = {} if "cron" in spec else {"every": "1h"}
    return Schedule(name, {"run": {"workflow": "greet", "input": {"at": "${slot.iso}"}}, **when, **spec}, {}, Source(f"{name}.yaml", 1))


def folder(*declared: Schedule, does: str = "echo", **changes: Any) -> Desired:
    workflow = a_workflow(code=Code({}, does, FOLDER), revision=f"revision-that-does-{does}")
    return desired(workflow, schedules={schedule.name: schedule for schedule in declared}, **changes)


def at(world: World, moment: datetime, declared: Desired | None) -> Report:
    """Run passes at a moment until one has nothing to do, and return the first."""
    world.clock.at = moment
    first = world.run_pass(declared)
    assert first is not None
    for _ in range(5):
        again = world.run_pass(declared)
        assert again is not None
        if not again.plan.actions:
            return first
    raise AssertionError(f"it does not settle: {again}")


def statuses(world: World) -> dict[str, str]:
    store = open_store(world.folder)
    try:
        return {name: line.status for name, line in runs.latest_runs(store, PLACE).items()}
    finally:
        store.close()


def row(world: World, name: str = "hourly") -> Mapping[str, Any]:
    store = open_store(world.folder)
    try:
        return next(found for found in schedules.list_schedules(store, project=None, environment=None) if found["name"] == name)
    finally:
        store.close()


def changes(report: Report) -> list[tuple[str, str]]:
    return [(f"{change.kind}/{change.name}", change.action) for change in report.plan.changes if change.kind != "workflow"]


def test_a_slot_makes_one_run_that_says_where_it_comes_from(world: World) -> None:
    declared = folder(a_schedule())
    at(world, NOON, declared)

    first = at(world, NOON + HOUR, declared)

    assert changes(first) == [("run/hourly-20261122t1300z", "start")]
    assert statuses(world) == {"hourly-20261122t1300z": "completed"}
    (journal,) = [decode_lines(data)[0] for data in world.platform.journals.values()]
    assert journal["schedule"] == {"name": "hourly", "slot": "2026-11-22T13:00:00.000Z"}
    assert (journal["owner"], journal["input"]) == ("schedule/hourly", {"at": "2026-11-22T13:00:00+00:00"})


def test_I10_a_pass_before_the_next_slot_writes_nothing_and_says_when_it_comes(world: World) -> None:
    declared = folder(a_schedule(), a_schedule("daily", cron="30 2 * * *", timeZone="Europe/Berlin"))
    at(world, NOON, declared)

    for minutes in (1, 30, 59):
        world.clock.at = NOON + timedelta(minutes=minutes)
        report = world.run_pass(declared)

        assert report is not None
        assert (report.plan.actions, world.writes, report.plan.unchanged) == ((), 0, 3)
        assert report.dues == (NOON + HOUR, datetime(2026, 11, 23, 1, 30, tzinfo=UTC))


def test_a_pass_without_the_folder_fires_nothing_and_knows_the_next_slot(world: World) -> None:
    declared = folder(a_schedule())
    at(world, NOON, declared)

    report = at(world, NOON + HOUR, None)

    assert report.plan.actions == ()
    assert report.dues == (NOON + HOUR,)
    assert changes(at(world, NOON + HOUR, declared)) == [("run/hourly-20261122t1300z", "start")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"cron": "0 23 * * *"}, {"cron": "0 5 * * *"}),  # gitops.md, section 7, case 9
        ({"cron": "0 13 * * *", "timeZone": "Europe/Berlin"}, {"cron": "0 13 * * *", "timeZone": "America/New_York"}),
        ({"every": "10h"}, {"every": "1m"}),
    ],
)
def test_an_edit_of_its_times_never_fires_in_retrospect(world: World, before: dict[str, str], after: dict[str, str]) -> None:
    at(world, NOON - timedelta(days=2), folder(a_schedule(**before)))

    world.clock.at = NOON
    report = world.run_pass(folder(a_schedule(**after)))

    assert report is not None
    assert changes(report) == [("schedule/hourly", "update")]
    assert statuses(world) == {}
    assert row(world)["next_at"] > row(world)["since"] == "2026-11-22T12:00:00.000Z"


def test_slots_of_the_times_before_an_edit_are_told_of(world: World) -> None:
    at(world, NOON, folder(a_schedule()))

    at(world, NOON + timedelta(hours=3, minutes=5), folder(a_schedule(every="2h")))

    assert row(world)["counts"] == '{"edited":3}'


def test_an_edit_of_anything_else_leaves_its_slots_alone(world: World) -> None:
    at(world, NOON, folder(a_schedule()))

    first = at(world, NOON + HOUR, folder(a_schedule(overlap="allow", jitter="0s")))

    assert changes(first) == [("schedule/hourly", "update"), ("run/hourly-20261122t1300z", "start")]


def test_a_new_schedule_starts_with_its_next_slot(world: World) -> None:
    first = at(world, NOON, folder(a_schedule(every="1m")))

    assert changes(first) == [("schedule/hourly", "create")]
    assert statuses(world) == {}


def test_the_clock_set_back_an_hour_fires_no_slot_again(world: World) -> None:
    declared = folder(a_schedule(every="10m"))
    at(world, NOON, declared)
    for minutes in (10, 20, 30):
        at(world, NOON + timedelta(minutes=minutes), declared)

    for minutes in (-30, -20, -1, 10, 20, 30):
        assert changes(at(world, NOON + timedelta(minutes=minutes), declared)) == []
    assert changes(at(world, NOON + timedelta(minutes=40), declared)) == [("run/hourly-20261122t1240z", "start")]

    assert len(statuses(world)) == 4


@pytest.mark.parametrize(
    ("catch_up", "more", "names", "counts"),
    [
        ("latest", {}, ["2000z"], {"missed": 7}),
        ("none", {}, [], {"missed": 8}),
        ("all", {"overlap": "allow"}, ["1300z", "1400z", "1500z", "1600z", "1700z", "1800z", "1900z", "2000z"], {}),
        ("all", {"overlap": "allow", "startDeadline": "2h30m"}, ["1800z", "1900z", "2000z"], {"start-deadline": 5}),
        ("latest", {"startDeadline": "2h30m"}, ["2000z"], {"start-deadline": 5, "missed": 2}),
        ("latest", {"startDeadline": "2m"}, [], {"start-deadline": 8}),
        ("all", {"overlap": "skip"}, ["1300z"], {"overlap": 7}),
        ("all", {"overlap": "queue"}, ["1300z", "2000z"], {"overlap": 6}),
        ("all", {"overlap": "replace"}, ["2000z"], {"overlap": 7}),
    ],
)
def test_asleep_for_eight_hours(world: World, catch_up: str, more: dict[str, str], names: list[str], counts: dict[str, int]) -> None:
    declared = folder(a_schedule(catchUp=catch_up, **more))
    at(world, NOON, declared)

    at(world, NOON + timedelta(hours=8, minutes=5), declared)

    assert sorted(statuses(world)) == [f"hourly-20261122t{name}" for name in names]
    assert set(statuses(world).values()) <= {"completed"}
    assert schedules_counts(world) == counts
    assert changes(at(world, NOON + timedelta(hours=9), declared)) == [("run/hourly-20261122t2100z", "start")]


def schedules_counts(world: World) -> dict[str, int]:
    found: dict[str, int] = decode_json(row(world)["counts"])
    return found


def test_all_has_a_bound_and_says_when_it_bites(world: World) -> None:
    declared = folder(a_schedule(every="1m", catchUp="all", overlap="allow"))
    at(world, NOON, declared)

    first = at(world, NOON + timedelta(minutes=1003), declared)

    assert ("schedule/hourly", "skip") in changes(first)
    skip = next(change for change in first.plan.changes if change.action == "skip")
    assert skip.reason == "3 slots missed and skipped (only the 1000 newest are made up for)"
    assert len(statuses(world)) == 1000


def test_a_year_of_missed_minutes_starts_the_latest_and_is_counted_as_far_as_it_makes_sense(world: World) -> None:
    declared = folder(a_schedule(cron="* * * * *", timeZone="Europe/Berlin"))
    at(world, NOON - timedelta(days=365), declared)

    first = at(world, NOON, declared)

    assert changes(first) == [("schedule/hourly", "skip"), ("run/hourly-20261122t1200z", "start")]
    assert first.plan.changes[0].reason == "1000 or more slots missed and skipped (catchUp: latest)"


def test_on_time_is_within_a_minute_for_catch_up_none(world: World) -> None:
    declared = folder(a_schedule(catchUp="none"))
    at(world, NOON, declared)

    assert changes(at(world, NOON + HOUR + timedelta(seconds=59), declared)) == [("run/hourly-20261122t1300z", "start")]
    assert changes(at(world, NOON + 2 * HOUR + timedelta(seconds=61), declared)) == [("schedule/hourly", "skip")]


# Overlap: the runs of `work` go on until somebody ends them.


def test_skip_leaves_out_a_slot_while_the_run_before_goes_on(world: World) -> None:
    declared = folder(a_schedule(), does="work")
    at(world, NOON, declared)
    at(world, NOON + HOUR, declared)

    second = at(world, NOON + 2 * HOUR, declared)

    assert changes(second) == [("schedule/hourly", "skip")]
    assert second.plan.changes[0].reason == "run/hourly-20261122t1300z is still active"
    assert schedules_counts(world) == {"overlap": 1}
    assert list(statuses(world)) == ["hourly-20261122t1300z"]


def test_allow_starts_beside_the_run_before(world: World) -> None:
    declared = folder(a_schedule(overlap="allow"), does="work")
    for hours in range(4):
        at(world, NOON + hours * HOUR, declared)

    assert list(statuses(world).values()) == ["running"] * 3


def test_replace_cancels_the_run_before_and_starts_when_it_has_ended(world: World) -> None:
    declared = folder(a_schedule(overlap="replace"), does="work")
    at(world, NOON, declared)
    at(world, NOON + HOUR, declared)

    second = at(world, NOON + 2 * HOUR, declared)

    assert ("run/hourly-20261122t1400z", "wait") in changes(second)
    assert statuses(world) == {"hourly-20261122t1300z": "canceled", "hourly-20261122t1400z": "running"}


def test_replace_takes_it_that_the_run_before_has_ended(world: World) -> None:
    declared = folder(a_schedule(overlap="replace"))
    for hours in range(4):
        at(world, NOON + hours * HOUR, declared)

    assert list(statuses(world).values()) == ["completed"] * 3


def test_queue_holds_one_and_the_newest_wins(world: World) -> None:
    declared = folder(a_schedule(overlap="queue"), does="work")
    for hours in range(5):
        at(world, NOON + hours * HOUR, declared)

    assert statuses(world) == {
        "hourly-20261122t1300z": "running",
        "hourly-20261122t1400z": "canceled",
        "hourly-20261122t1500z": "canceled",
        "hourly-20261122t1600z": "pending",
    }
    assert schedules_counts(world) == {"overlap": 2}

    finish(world)
    at(world, NOON + 4 * HOUR + timedelta(minutes=1), declared)

    assert statuses(world)["hourly-20261122t1600z"] == "running"


def finish(world: World) -> None:
    """Let the workers that live complete their runs."""
    for uid in sorted(world.platform.alive):
        world.platform.append(uid, 1, {"type": "finished", "status": "completed", "output": None})
    world.platform.alive.clear()


def test_the_active_runs_are_those_that_the_rows_say_whoever_ended_them(world: World) -> None:
    declared = folder(a_schedule(), does="work")
    at(world, NOON, declared)
    at(world, NOON + HOUR, declared)
    finish(world)

    assert changes(at(world, NOON + 2 * HOUR, declared)) == [("run/hourly-20261122t1400z", "start")]


@pytest.mark.parametrize("policy", ["skip", "replace", "queue"])
def test_runs_that_a_person_asked_for_are_not_in_the_way_of_slots(policy: str) -> None:
    slot = NOON + HOUR
    since = "2026-11-22T12:00:00.000Z"
    known = KnownSchedule(
        "hourly", FOLDER, a_schedule(overlap=policy).spec, {}, Source("hourly.yaml", 1), False, since, "2026-11-22T13:00:00.000Z", ""
    )

    def started(**origin: Any) -> list[Mapping[str, Any]]:
        active = an_active_run("by-hand", owner="schedule/hourly", origin={"schedule": {"name": "hourly", "slot": since, **origin}})
        facts = Facts(
            folder(a_schedule(overlap=policy)),
            Recorded(schedules={"hourly": known}),
            {"greet": (a_revision(), None, "memory")},
            {"u": active},
            frozenset(),
            slot,
            0,
        )
        actions = decide_schedules(facts).actions
        assert any(isinstance(action, Edit) for action in actions) == (policy == "replace" and not origin)
        return [action.run.facts for action in actions if isinstance(action, Start)]

    assert started(manual=True) == started(backfill=True) == [{}]
    assert started() == {"skip": [], "replace": [{"follows": ["by-hand"]}], "queue": [{"follows": ["by-hand"]}]}[policy]


# Suspension


def test_suspended_slots_are_skipped_and_counted_when_it_is_resumed(world: World) -> None:
    at(world, NOON, folder(a_schedule()))
    first = at(world, NOON + timedelta(minutes=30), folder(a_schedule(suspend=True)))
    assert changes(first) == [("schedule/hourly", "suspend")]
    for hours in (1, 2, 3):
        world.clock.at = NOON + hours * HOUR
        report = world.run_pass(folder(a_schedule(suspend=True)))
        assert report is not None
        assert (report.plan.actions, world.writes, report.dues) == ((), 0, ())

    resumed = at(world, NOON + timedelta(hours=3, minutes=30), folder(a_schedule()))

    assert changes(resumed) == [("schedule/hourly", "resume")]
    assert schedules_counts(world) == {"suspended": 3}
    assert statuses(world) == {}
    assert changes(at(world, NOON + 4 * HOUR, folder(a_schedule()))) == [("run/hourly-20261122t1600z", "start")]


def test_a_slot_that_nobody_looked_at_before_the_suspension_does_not_fire_after_it(world: World) -> None:
    at(world, NOON, folder(a_schedule()))
    at(world, NOON + HOUR, folder(a_schedule(suspend=True)))

    at(world, NOON + timedelta(hours=1, minutes=1), folder(a_schedule()))

    assert statuses(world) == {}
    assert schedules_counts(world) == {"suspended": 1}


def test_a_schedule_that_is_declared_suspended_counts_nothing_before_it_was_there(world: World) -> None:
    first = at(world, NOON, folder(a_schedule(suspend=True)))
    at(world, NOON + timedelta(minutes=59), folder(a_schedule()))

    assert changes(first) == [("schedule/hourly", "create")]
    assert schedules_counts(world) == {}


def test_what_a_person_suspended_stays_so_through_redeploys_until_the_manifests_own_field_changes() -> None:
    """gitops.md, section 7, case 11."""
    asked = Override(suspend=True, declared=False, who="ana", why="", at=NOON)

    def armed(known: KnownSchedule, declared: Schedule) -> list[tuple[str, bool]]:
        recorded = Recorded(schedules={"hourly": known}, overrides={(PLACE, "schedule/hourly"): asked})
        facts = Facts(folder(declared), recorded, {}, {}, frozenset(), NOON + 3 * HOUR, 0)
        return [(action.verb, action.suspended) for action in decide_schedules(facts).actions if isinstance(action, Arm)]

    spec = a_schedule().spec
    running = KnownSchedule("hourly", FOLDER, spec, {}, Source("hourly.yaml", 1), False, "2026-11-22T12:00:00.000Z", "2026-11-22T13:00:00.000Z", "")
    held = replace(running, suspended=True, next_at="")

    assert armed(running, a_schedule()) == [("suspend", True)]
    assert armed(held, a_schedule()) == []
    assert armed(held, a_schedule(overlap="allow")) == [("update", True)]
    assert armed(held, a_schedule(suspend=True)) == [("update", True)]
    assert armed(replace(held, spec=a_schedule(suspend=True).spec), a_schedule(suspend=True)) == []


# What else is in the way


def test_a_zone_that_this_machine_no_longer_knows_stops_its_schedule_only_and_can_be_edited_away(world: World) -> None:
    daily = a_schedule("daily", cron="0 13 * * *", timeZone="Europe/Berlin")
    at(world, NOON - HOUR, folder(daily, a_schedule()))
    gone = a_schedule("daily", cron="0 13 * * *", timeZone="Europe/Atlantis")
    store = open_store(world.folder)
    with store.transaction():
        store.db.execute("UPDATE schedules SET spec = replace(spec, 'Berlin', 'Atlantis')")
    store.close()

    broken = at(world, NOON, folder(gone, a_schedule()))
    mended = at(world, NOON + HOUR, folder(daily, a_schedule()))

    assert [(notice.object, notice.reason, notice.message) for notice in broken.plan.rejected] == [
        ("schedule/daily", "time-zone-missing", "there is no time zone 'Europe/Atlantis'")
    ]
    assert changes(broken) == [("run/hourly-20261122t1200z", "start")]
    assert changes(mended) == [("schedule/daily", "update"), ("run/hourly-20261122t1300z", "start")]


def test_a_slot_waits_for_its_workflow_and_is_caught_up_with(world: World) -> None:
    declared = folder(a_schedule())
    at(world, NOON, declared)
    broken = desired(a_workflow(runtime="nowhere", revision="other"), schedules=declared.schedules)

    report = at(world, NOON + HOUR, broken)

    assert [(notice.object, notice.reason) for notice in report.plan.rejected if notice.object.startswith("schedule")] == [
        ("schedule/hourly", "workflow-missing")
    ]
    assert changes(at(world, NOON + timedelta(hours=1, minutes=20), declared)) == [("run/hourly-20261122t1300z", "start")]


def test_a_manifest_that_cannot_be_used_neither_fires_nor_is_forgotten(world: World) -> None:
    at(world, NOON, folder(a_schedule()))

    report = at(world, NOON + HOUR, folder(invalid=frozenset({"schedule/hourly"})))

    assert report.plan.actions == ()
    assert changes(at(world, NOON + timedelta(hours=1, minutes=5), folder(a_schedule()))) == [("run/hourly-20261122t1300z", "start")]


def test_a_schedule_of_another_folder_is_a_conflict(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    at(world, NOON, folder(a_schedule(), folder=str(tmp_path / "other")))

    report = at(world, NOON + HOUR, folder(a_schedule()))

    assert (
        Notice(
            "schedule/hourly",
            "conflict",
            f"belongs to {tmp_path / 'other'}: remove it there first, or give this one another name",
            Source("hourly.yaml", 1),
        )
        in report.plan.rejected
    )
    assert statuses(world) == {}
    (tmp_path / "other").rmdir()
    assert ("schedule/hourly", "update") in changes(at(world, NOON + HOUR, folder(a_schedule())))


def test_a_removed_schedule_stops_firing_and_its_runs_end_by_themselves(world: World) -> None:
    at(world, NOON, folder(a_schedule(), does="work"))
    at(world, NOON + HOUR, folder(a_schedule(), does="work"))

    gone = at(world, NOON + timedelta(hours=1, minutes=5), folder(does="work"))

    assert changes(gone) == [("schedule/hourly", "remove")]
    assert statuses(world) == {"hourly-20261122t1300z": "running"}
    assert at(world, NOON + 2 * HOUR, folder(does="work")).dues == ()
    assert changes(at(world, NOON + 3 * HOUR, folder(a_schedule(), does="work"))) == [("schedule/hourly", "create")]


def test_nothing_is_forgotten_while_a_manifest_is_broken_or_prune_is_disabled(world: World) -> None:
    at(world, NOON, folder(a_schedule(), a_schedule("kept", prune="disabled")))

    held = at(world, NOON, folder(complete=False))
    after = at(world, NOON, folder())

    assert [(notice.object, notice.reason) for notice in held.plan.held] == [("schedule/hourly", "prune-held")]
    assert changes(after) == [("schedule/hourly", "remove")]


def test_a_name_that_something_else_has_skips_the_slot_and_says_so(world: World) -> None:
    declared = folder(a_schedule(), runs={"hourly-20261122t1300z": a_run("hourly-20261122t1300z")})
    at(world, NOON, declared)

    first = at(world, NOON + HOUR, declared)

    assert changes(first) == [("schedule/hourly", "skip")]
    assert schedules_counts(world) == {"name-taken": 1}


def test_after_a_loss_of_the_database_it_goes_on_from_now_and_a_slot_keeps_its_identity(world: World) -> None:
    declared = folder(a_schedule())
    at(world, NOON, declared)
    at(world, NOON + HOUR, declared)
    uids = set(world.platform.journals)
    for path in world.folder.glob("state.db*"):
        path.unlink()

    world.clock.at = NOON + 3 * HOUR
    first = world.run_pass(declared)

    assert first is not None
    assert changes(first) == [("schedule/hourly", "create")]
    assert set(world.platform.journals) == uids


def test_two_places_have_schedules_of_the_same_name(world: World) -> None:
    here, there = folder(a_schedule()), folder(a_schedule(), place=Place("shop", "prod"), folder="/srv/prod")
    for declared in (here, there):
        at(world, NOON, declared)
    for declared in (here, there):
        at(world, NOON + HOUR, declared)

    assert len(world.platform.journals) == 2


# Jitter and deadlines


def test_jitter_is_the_same_for_everybody_and_leaves_the_slot_its_name(world: World) -> None:
    declared = folder(a_schedule(jitter="30m"))
    at(world, NOON, declared)
    delay = jitter_of({"jitter": "30m"}, PLACE, "hourly", NOON + HOUR)
    assert timedelta(0) < delay < timedelta(minutes=30)

    first = at(world, NOON + HOUR, declared)
    assert changes(first) == [("run/hourly-20261122t1300z", "wait")]
    assert NOON + HOUR + delay in at(world, NOON + HOUR + delay / 2, declared).dues
    assert statuses(world) == {"hourly-20261122t1300z": Status.PENDING}

    at(world, NOON + HOUR + delay, declared)
    assert statuses(world) == {"hourly-20261122t1300z": "completed"}


def test_jitter_spreads_slots_and_schedules() -> None:
    delays = {jitter_of({"jitter": "1h"}, PLACE, f"s{number}", NOON + hours * HOUR) for number in range(10) for hours in range(10)}

    assert len(delays) == 100
    assert max(delays) - min(delays) > timedelta(minutes=50)
    assert max(delays) < HOUR


def test_a_queued_run_that_waits_beyond_its_start_deadline_is_skipped(world: World) -> None:
    declared = folder(a_schedule(overlap="queue", startDeadline="90m"), does="work")
    for hours in range(3):
        at(world, NOON + hours * HOUR, declared)

    at(world, NOON + timedelta(hours=2, minutes=31 + 60), folder(does="work"))

    assert statuses(world) == {"hourly-20261122t1300z": "running", "hourly-20261122t1400z": "skipped"}


# Several reconcilers


def test_I15_a_slot_that_another_reconciler_has_decided_meanwhile_is_not_started_again(world: World) -> None:
    declared = folder(a_schedule(overlap="allow"))
    at(world, NOON, declared)
    world.clock.at = NOON + 3 * HOUR
    reports: list[Report | None] = []

    store = open_store(world.folder)
    slow = world._reconciler(store, []).run_pass(declared, show=lambda _: reports.append(world.run_pass(declared)))
    store.close()

    assert [change.name for change in slow.plan.changes if change.kind == "run"] == ["hourly-20261122t1500z"]
    (quick,) = reports
    assert quick is not None
    assert (slow.applied.started, len(quick.applied.started)) == ([], 1)
    assert (len(statuses(world)), world.platform.writes) == (1, 2)  # one revision, one run
    assert schedules_counts(world) == {"missed": 2}


def test_I15_what_another_reconciler_has_skipped_is_not_started_by_one_that_saw_the_run_before_end(world: World) -> None:
    declared = folder(a_schedule(), does="work")
    at(world, NOON, declared)
    at(world, NOON + HOUR, declared)
    world.clock.at = NOON + 2 * HOUR
    assert world.run_pass(declared) is not None  # skips 14:00, since 13:00 is still active
    finish(world)

    store = open_store(world.folder)
    try:
        with store.transaction():
            store.db.execute("UPDATE schedules SET since = '2026-11-22T13:00:00.000Z', next_at = '2026-11-22T14:00:00.000Z'")
        skipping = lambda _: put_back(world)  # noqa: E731  # what the other one has written becomes visible now
        late = world._reconciler(store, []).run_pass(declared, show=skipping)
    finally:
        store.close()

    assert [change.name for change in late.plan.changes if change.action == "start"] == ["hourly-20261122t1400z"]
    assert list(statuses(world)) == ["hourly-20261122t1300z"]


def put_back(world: World) -> None:
    store = open_store(world.folder)
    with store.transaction():
        store.db.execute("UPDATE schedules SET since = '2026-11-22T14:00:00.000Z', next_at = '2026-11-22T15:00:00.000Z'")
    store.close()


def test_I15_the_database_itself_takes_one_run_for_a_slot(world: World) -> None:
    declared = folder(a_schedule())
    at(world, NOON, declared)
    at(world, NOON + HOUR, declared)
    store = open_store(world.folder)

    with pytest.raises(sqlite3.IntegrityError, match="runs_by_slot"), store.transaction():
        columns = [found[1] for found in store.db.execute("PRAGMA table_info(runs)")]
        copied = ", ".join({"uid": "'another'", "name": "'another'"}.get(column, column) for column in columns)
        store.db.execute(f"INSERT INTO runs ({', '.join(columns)}) SELECT {copied} FROM runs")
    store.close()
