"""What is kept of ended runs, and what goes: over the platform in memory, with a clock that the test moves."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler import tombstones
from reconciler.collection import collect
from reconciler.model import Schedule
from reconciler.state import open_store, read_store
from reconciler.state.runs import active_runs
from reconciler.values import replace
from tests.support.builders import SECOND, a_run, a_workflow, desired
from tests.support.memory import MemoryAdapter
from tests.support.world import HandClock, World

HOUR = timedelta(hours=1)


def a_world(folder: Path) -> World:
    """A world whose clock begins at the present: the platform in memory stamps its journals with that."""
    return World(folder, clock=HandClock(datetime.now(UTC).replace(microsecond=0) + SECOND))


def of(workflow: str, number: int) -> list[Any]:
    return [a_run(f"{workflow}-{index}", workflow=workflow) for index in range(number)]


def entry(workflow: Any, does: str) -> Any:
    return replace(workflow, code=replace(workflow.code, entry=does))


def rows(world: World) -> dict[str, dict[str, Any]]:
    store = read_store(world.folder)
    assert store is not None
    cursor = store.db.execute("SELECT * FROM runs ORDER BY name")
    names = [column[0] for column in cursor.description]
    found = {row[names.index("name")]: dict(zip(names, row, strict=True)) for row in cursor}
    store.close()
    return found


def collected(world: World) -> set[str]:
    return {name for name, row in rows(world).items() if row["collected_at"] is not None}


def run_out(world: World, *objects: Any, **more: Any) -> None:
    """Run passes until nothing is left to do."""
    for _ in range(4):
        report = world.run_pass(desired(*objects, **more))
    assert report is not None
    assert report.plan.actions == ()


def end_one_by_one(world: World, workflow: Any, names: list[Any]) -> None:
    for index in range(1, len(names) + 1):
        run_out(world, workflow, *names[:index])
        world.clock.at += SECOND


def test_without_keep_everything_stays(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    run_out(world, a_workflow(), *of("greet", 3))
    world.clock.at += 10_000 * HOUR
    run_out(world, a_workflow(), *of("greet", 3))

    assert collected(world) == set()
    assert len(world.platform.journals) == 3
    assert not (tmp_path / tombstones.NAME).exists()


def test_a_number_keeps_the_newest_and_what_goes_leaves_tombstones_and_never_runs_again(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    workflow, runs = a_workflow(keep={"completed": 2}), of("greet", 5)
    end_one_by_one(world, workflow, runs)
    world.clock.at += HOUR

    report = world.run_pass(desired(workflow, *runs))
    writes = world.platform.writes
    run_out(world, workflow, *runs)

    assert report is not None
    assert collected(world) == {"greet-0", "greet-1", "greet-2"}
    assert len(world.platform.journals) == 2
    assert world.platform.writes == writes
    assert world.writes == 0
    stones = tombstones.read(tmp_path).lines.values()
    assert {(stone["run"], stone["status"], stone["spec_hash"]) for stone in stones} == {
        (f"greet-{number}", "completed", f"spec-of-greet-{number}") for number in range(3)
    }
    gone = rows(world)["greet-0"]
    assert (gone["status"], gone["input"], gone["output"]) == ("completed", "null", None)


def test_a_duration_is_counted_from_the_end_and_tells_the_loop_when_to_look(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    workflow, runs = a_workflow(keep={"completed": "2h"}), of("greet", 1)
    report = world.run_pass(desired(workflow, *runs))
    report = world.run_pass(desired(workflow, *runs)) or report
    assert report is not None
    ended = rows(world)["greet-0"]["completed_at"]

    (due,) = report.dues
    world.clock.at = due - SECOND
    world.run_pass(desired(workflow, *runs))
    before = collected(world)
    world.clock.at = due
    world.run_pass(None)

    assert (due.isoformat(), before, collected(world)) == (
        (type(due).fromisoformat(ended) + 2 * HOUR).isoformat(),
        set(),
        {"greet-0"},
    )


def test_what_one_pass_collects_is_bounded_and_the_rest_follows(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    runs = of("greet", 250)
    run_out(world, a_workflow(), *runs)
    world.clock.at += HOUR
    workflow = a_workflow(keep={"completed": 0})

    numbers = []
    for _ in range(4):
        report = world.run_pass(desired(workflow, *runs))
        assert report is not None
        numbers.append((len(collected(world)), len(report.dues)))
        world.clock.at += SECOND

    assert numbers == [(100, 1), (200, 1), (250, 0), (250, 0)]


def test_outcomes_have_limits_of_their_own(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    good, bad = a_workflow("good", keep={"failed": 0}), entry(a_workflow("bad", keep={"failed": 0}), "fail")
    runs = [*of("good", 1), *of("bad", 1)]
    run_out(world, good, bad, *runs)
    world.clock.at += HOUR
    run_out(world, good, bad, *runs)

    assert collected(world) == {"bad-0"}


def test_a_child_stays_as_long_as_its_parent_may_ask_for_its_result(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    echo, parent = a_workflow("echo", keep={"completed": 0}), entry(a_workflow("parent"), "parent")
    run_out(world, echo, parent, a_run("p", workflow="parent"))
    (child,) = [name for name in rows(world) if name != "p"]
    world.clock.at += HOUR
    adapters = {"memory": MemoryAdapter(world.platform)}
    store = open_store(tmp_path)
    store.db.execute("UPDATE runs SET completed_at = NULL, status = 'waiting' WHERE name = 'p'")  # as if its next attempt had begun
    store.db.execute("UPDATE keeps SET due_at = '2026-01-01T00:00:00.000Z'")

    due = collect(store, adapters, active_runs(store), now=world.clock.at)
    during = collected(world)
    store.db.execute("UPDATE runs SET completed_at = created_at, status = 'completed' WHERE name = 'p'")
    collect(store, adapters, active_runs(store), now=world.clock.at + timedelta(minutes=1))
    store.close()

    assert due == world.clock.at + timedelta(minutes=1)
    assert (during, collected(world)) == (set(), {child})


def test_a_schedule_keeps_its_runs_as_it_says_itself(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    runs = of("greet", 2)
    workflow = a_workflow(keep={"completed": 5})
    schedule = {
        "schedules": {"nightly": Schedule("nightly", {"cron": "@daily", "suspend": True, "run": {"workflow": "greet"}, "keep": {"completed": 0}})}
    }
    run_out(world, workflow, *runs, **schedule)
    store = open_store(tmp_path)
    origin = json.dumps({"schedule": {"name": "nightly", "slot": "2026-11-22T01:30:00.000Z"}})
    store.db.execute("UPDATE runs SET origin = :origin WHERE name = 'greet-1'", {"origin": origin})
    store.db.execute("UPDATE keeps SET due_at = '2026-01-01T00:00:00.000Z'")
    store.close()
    world.clock.at += HOUR
    run_out(world, workflow, *runs, **schedule)

    assert collected(world) == {"greet-1"}


def test_a_collected_run_comes_back_from_its_tombstone_when_the_database_is_lost(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    workflow, runs = a_workflow(keep={"completed": 1}), of("greet", 3)
    end_one_by_one(world, workflow, runs)
    world.clock.at += HOUR
    run_out(world, workflow, *runs)
    writes, before = world.platform.writes, {name: row["status"] for name, row in rows(world).items()}
    for path in tmp_path.glob("state.db*"):
        path.unlink()

    run_out(world, workflow, *runs)

    assert {name: row["status"] for name, row in rows(world).items()} == before
    assert collected(world) == {"greet-0", "greet-1"}
    assert world.platform.writes == writes


def test_a_rule_outlives_its_workflow_and_goes_when_its_manifest_says_nothing_any_more(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    runs = of("greet", 1)
    run_out(world, a_workflow(keep={"completed": "2h"}), *runs)
    run_out(world, a_workflow("other"))
    world.clock.at += 3 * HOUR
    world.run_pass(desired(a_workflow("other")))

    assert collected(world) == {"greet-0"}
    run_out(world, a_workflow("other"), a_workflow())
    store = open_store(tmp_path)
    assert store.db.execute("SELECT count(*) FROM keeps").fetchone() == (0,)
    store.close()


def test_a_pass_that_is_killed_while_it_collects_is_made_up_for(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    workflow, runs = a_workflow(keep={"completed": 0}), of("greet", 1)
    run_out(world, workflow, *runs)
    world.clock.at += HOUR
    store = open_store(tmp_path)
    row = dict(rows(world)["greet-0"])
    tombstones.append(tmp_path, [tombstones.tombstone_of(row, now=world.clock.at)])  # killed after the tombstone,
    world.platform.journals.clear()  # or after the removal
    store.close()

    run_out(world, workflow, *runs)

    assert collected(world) == {"greet-0"}
    assert len(tombstones.read(tmp_path).lines) == 1


def test_a_torn_tombstone_is_cut_before_the_next_one(tmp_path: Path) -> None:
    tombstones.append(tmp_path, [{"type": "tombstone", "uid": "a"}])
    with open(tmp_path / tombstones.NAME, "ab") as file:
        file.write(b"12345678 {half")
    assert set(tombstones.read(tmp_path).lines) == {"a"}

    tombstones.append(tmp_path, [{"type": "tombstone", "uid": "b"}])

    found = tombstones.read(tmp_path)
    assert (set(found.lines), found.damaged) == ({"a", "b"}, 0)
