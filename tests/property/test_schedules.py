"""Laws of schedules, over random times of looking, policies and deaths of the reconciler."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.journal import decode_json, decode_lines
from reconciler.model import Code, Desired, Schedule, Source
from reconciler.slots import slots_between, timing_of
from reconciler.state import open_store, runs, schedules
from tests.support.builders import FOLDER, NOON, PLACE, a_workflow, desired
from tests.support.world import World

TIMES: list[dict[str, Any]] = [
    {"every": "15m"},
    {"cron": "*/10 * * * *", "timeZone": "Europe/Berlin"},
    {"cron": "5,35 * * * *"},
    {"every": "1h", "jitter": "20m"},
]
POLICIES = st.fixed_dictionaries(
    {"overlap": st.sampled_from(["skip", "allow", "replace", "queue"]), "catchUp": st.sampled_from(["none", "latest", "all"])},
    optional={"startDeadline": st.sampled_from(["5m", "40m", "3h"])},
)
# How far the clock goes between two looks, also back; whether the reconciler dies at one of its calls to the platform; whether it is suspended.
LOOKS = st.lists(
    st.tuples(st.sampled_from([1, 3, 10, 15, 30, 60, 200, -20, -60]), st.one_of(st.none(), st.integers(0, 6)), st.booleans()), min_size=1, max_size=14
)


def declared(spec: dict[str, Any], does: str) -> Desired:
    workflow = a_workflow(code=Code({}, does, FOLDER), revision=f"revision-that-does-{does}")
    return desired(workflow, schedules={"s": Schedule("s", {"run": {"workflow": "greet"}, **spec}, {}, Source("s.yaml", 1))})


def settle(world: World, folder: Desired) -> None:
    for _ in range(8):
        report = world.run_pass(folder)
        assert report is not None
        if not report.plan.actions and not world.writes:
            return
    raise AssertionError("it does not settle")


@settings(max_examples=40, deadline=None)
@given(times=st.sampled_from(TIMES), policy=POLICIES, does=st.sampled_from(["echo", "work", "park"]), looks=LOOKS)
def test_every_slot_has_one_run_or_a_reason_and_a_pass_after_it_does_nothing(
    times: dict[str, Any], policy: dict[str, Any], does: str, looks: list[tuple[int, int | None, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        spec = {**times, **policy}
        settle(world, declared(spec, does))
        for minutes, die_after, suspend in looks:
            world.clock.at += timedelta(minutes=minutes)
            folder_now = declared({**spec, "suspend": suspend}, does)
            if die_after is not None:
                world.run_pass(folder_now, die_after=die_after)
            settle(world, folder_now)
        settle(world, declared(spec, does))

        store = open_store(world.folder)
        (row,) = schedules.list_schedules(store, project=None, environment=None)
        lines = runs.latest_runs(store, PLACE)
        store.close()
        since = datetime.fromisoformat(row["since"])
        orders = [decode_lines(data)[0] for data in world.platform.journals.values()]
        made = [order["schedule"]["slot"] for order in orders]
        expected = {slot.strftime("%Y-%m-%dT%H:%M:%S.000Z") for slot in slots_between(timing_of(spec), NOON, since)}
        counts = decode_json(row["counts"])
        overtaken = sum(line.status == "canceled" for line in lines.values()) if policy["overlap"] == "queue" else 0
        assert len(made) == len(set(made))
        assert set(made) <= expected
        assert len(lines) + sum(counts.values()) - overtaken == len(expected)
        assert all(line.owner == "schedule/s" for line in lines.values())
        assert not row["next_at"] or datetime.fromisoformat(row["next_at"]) > min(since, world.clock.at.astimezone(UTC))


@settings(max_examples=20, deadline=None)
@given(times=st.sampled_from(TIMES), policy=POLICIES, looks=LOOKS)
def test_two_at_once_never_run_unless_overlap_is_allowed(
    times: dict[str, Any], policy: dict[str, Any], looks: list[tuple[int, int | None, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        spec = {**times, **policy}
        for minutes, die_after, suspend in [(0, None, False), *looks]:
            world.clock.at += timedelta(minutes=minutes)
            now = declared({**spec, "suspend": suspend}, "work")
            if die_after is not None:
                world.run_pass(now, die_after=die_after)
            settle(world, now)
            assert policy["overlap"] == "allow" or len(world.platform.alive) <= 1
