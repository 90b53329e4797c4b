"""Who goes first when there is not room for all."""

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.actions import Claim
from reconciler.plan import Limits
from reconciler.reconcile import Report
from tests.support.builders import a_run, desired
from tests.support.trouble import behaves
from tests.support.world import World

LIMITS = [Limits(concurrency=1), Limits(adapters={"memory": 1}), Limits()]
PARK, WORK, ECHO, PARENT = (behaves(name) for name in ("park", "work", "echo", "parent"))


def step(world: World, *items: object) -> Report:
    report = world.run_pass(desired(*items))  # type: ignore[arg-type]
    assert report is not None
    return report


def claimed(report: Report) -> list[str]:
    return [action.run.name for action in report.plan.actions if isinstance(action, Claim)]


@settings(max_examples=60, deadline=None)
@given(
    waves=st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=4), min_size=1, max_size=4),
    limit=st.integers(1, 3),
    where=st.sampled_from(["all", "adapter", "workflow"]),
)
def test_the_higher_priority_goes_first_then_the_older_and_nobody_is_left_behind(waves: list[list[int]], limit: int, where: str) -> None:
    limits = {"all": Limits(concurrency=limit), "adapter": Limits(adapters={"memory": limit}), "workflow": Limits()}[where]
    echo = behaves("echo", concurrency=limit if where == "workflow" else 0)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), limits)
        declared, order, waiting = [echo], [], []
        for wave, priorities in enumerate([*waves, *([[]] * 20)]):
            fresh = [(priority, wave, f"r{wave}-{number}") for number, priority in enumerate(priorities)]
            declared += [a_run(name, workflow="echo", priority=priority) for priority, _, name in fresh]  # type: ignore[misc]
            waiting += fresh
            waiting.sort(key=lambda run: (-run[0], run[1], run[2]))
            started = claimed(step(world, *declared))
            assert started == [name for _, _, name in waiting[:limit]]
            order += started
            del waiting[:limit]
            world.clock.at += timedelta(seconds=1)

        assert len(order) == sum(map(len, waves))


@settings(max_examples=60, deadline=None)
@given(parents=st.integers(1, 5), limits=st.sampled_from(LIMITS))
def test_parents_never_wait_for_children_that_wait_for_their_room(parents: int, limits: Limits) -> None:
    flows = [behaves("parent", concurrency=1), behaves("echo", concurrency=1)]
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), limits)
        runs = [a_run(f"p{number}", workflow="parent") for number in range(parents)]
        for _ in range(6 * parents + 4):
            report = step(world, *flows, *runs)

        assert report.active == {}
        assert all(b'"status":"completed"' in data for data in world.platform.journals.values())
        assert len(world.platform.journals) == 2 * parents


@settings(max_examples=30, deadline=None)
@given(sleepers=st.integers(1, 6), limits=st.sampled_from(LIMITS))
def test_parked_runs_take_no_room(sleepers: int, limits: Limits) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), limits)
        runs = [a_run(f"s{number}", workflow="park") for number in range(sleepers)]
        for _ in range(sleepers + 1):
            step(world, PARK, WORK, *runs)
        step(world, PARK, WORK, *runs, a_run("busy", workflow="work"))

        assert len(world.platform.journals) == sleepers + 1
        assert len(world.platform.alive) == 1


@settings(max_examples=40, deadline=None)
@given(asleep=st.integers(-2, 2), fresh=st.integers(-2, 2), limits=st.sampled_from(LIMITS[:2]))
def test_a_wake_up_competes_by_priority_and_the_older_goes_first_among_equals(asleep: int, fresh: int, limits: Limits) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), limits)
        sleeper = a_run("z-sleeper", workflow="park", priority=asleep)
        for _ in range(2):
            step(world, PARK, WORK, sleeper)
        world.clock.at = world.clock.at.replace(year=2100)

        first = claimed(step(world, PARK, WORK, sleeper, a_run("a-fresh", workflow="work", priority=fresh)))

        assert first == ["z-sleeper" if asleep >= fresh else "a-fresh"]


@settings(max_examples=30, deadline=None)
@given(dead=st.integers(1, 4), limit=st.integers(1, 3))
def test_takeovers_take_the_room_that_their_dead_left_and_no_more(dead: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Limits(adapters={"memory": limit}))
        runs = [a_run(f"w{number}", workflow="work") for number in range(dead)]
        step(world, WORK, *runs)
        world.platform.alive.clear()
        for _ in range(3):
            step(world, WORK, *runs)
            assert len(world.platform.alive) == min(limit, dead)


def test_a_full_workflow_keeps_nobody_else_waiting() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Limits(concurrency=3))
        flows = [behaves("work", concurrency=1), ECHO]
        runs = [*(a_run(f"w{number}", workflow="work", priority=9) for number in range(5)), a_run("e", workflow="echo")]

        started = claimed(step(world, *flows, *runs))

        assert started == ["w0", "e"]


def test_more_than_there_is_room_for_is_admitted_as_room_comes_however_many_places_wait() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Limits(adapters={"memory": 2}))
        runs = [a_run(f"p{number}", workflow="parent") for number in range(4)] + [a_run("e", workflow="echo", priority=-1)]
        seen = [claimed(step(world, PARENT, ECHO, *runs)) for _ in range(20)]

        assert all(len(names) <= 2 for names in seen)
        assert [names for names in seen if "e" in names]
