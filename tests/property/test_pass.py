"""Laws of the pass, over random folders and random faults."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.journal import decode_lines
from reconciler.model import Desired
from reconciler.plan import Limits
from reconciler.reconcile import Report
from tests.support.builders import a_run, a_workflow, desired
from tests.support.world import World

NAMES = ["a", "b", "c", "d"]
BEHAVIOURS = ["echo", "fail", "park", "work", "crash", "parent", "wait", "tell", "undo"]


@st.composite
def folders(draw: st.DrawFn) -> Desired:
    """Any folder: each run may be there, in one of a few shapes; the workflows always are."""
    workflows = [a_workflow(behaviour, code=a_workflow(behaviour).code.__class__({}, behaviour, "/srv")) for behaviour in BEHAVIOURS]
    runs = []
    for name in NAMES:
        if not draw(st.booleans()):
            continue
        behaviour = draw(st.sampled_from(BEHAVIOURS))
        facts: dict[str, Any] = {
            "workflow": behaviour,
            "spec_hash": f"{name}-{behaviour}",
            "cancel": draw(st.booleans()) and draw(st.booleans()),
            "rerun": draw(st.sampled_from(["", "", "", "x"])),
            "on_change": draw(st.sampled_from(["reject", "rerun"])),
            "on_delete": draw(st.sampled_from(["cancel", "finish", "orphan"])),
            "priority": draw(st.sampled_from([0, 0, 7])),
            "signals": draw(st.sampled_from([{}, {"go": 1}])),
        }
        runs.append(a_run(name, **facts))
    return desired(*workflows, *runs)


def started_claims(world: World) -> Counter[tuple[str, int]]:
    """Return how often each claim of each run was taken, by what the journals say."""
    taken: Counter[tuple[str, int]] = Counter()
    for uid, data in world.platform.journals.items():
        taken.update((uid, record["claim"]) for record in decode_lines(data) if record["type"] == "claim")
    return taken


def settle(world: World, folder: Desired) -> Report:
    """Run passes until one has nothing left to do; a crashing run needs its limit of claims, and pauses between them."""
    report = None
    for _ in range(12):
        report = world.run_pass(folder)
        assert report is not None
        if not report.plan.actions:
            return report
        world.clock.at = world.clock.at.replace(minute=(world.clock.at.minute + 1) % 60, hour=world.clock.at.hour + (world.clock.at.minute == 59))
    raise AssertionError(f"it does not settle: {report}")


@settings(max_examples=150, deadline=None)
@given(history=st.lists(folders(), min_size=1, max_size=4))
def test_I10_a_pass_that_worked_leaves_nothing_to_do(history: list[Desired]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for declared in history:
            settle(world, declared)
            writes = world.platform.writes

            again = world.run_pass(declared)

            assert again is not None
            assert again.plan.actions == ()
            assert (world.writes, world.platform.writes) == (0, writes)


@settings(max_examples=150, deadline=None)
@given(history=st.lists(st.tuples(folders(), st.integers(0, 25)), min_size=1, max_size=5))
def test_I9_I11_a_reconciler_that_dies_anywhere_starts_nothing_twice_and_converges(history: list[tuple[Desired, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for declared, die_after in history:
            world.run_pass(declared, die_after=die_after)
        settle(world, history[-1][0])

        assert all(count == 1 for count in started_claims(world).values())


@settings(max_examples=100, deadline=None)
@given(history=st.lists(st.tuples(folders(), st.integers(0, 25)), min_size=1, max_size=5))
def test_a_call_for_a_child_starts_one_run_and_a_signal_comes_once_whoever_dies(history: list[tuple[Desired, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for declared, die_after in history:
            world.run_pass(declared, die_after=die_after)
        settle(world, history[-1][0])

        orders = [decode_lines(data)[0] for data in world.platform.journals.values()]
        children = Counter((order["parent"]["uid"], order["parent"]["key"]) for order in orders if "parent" in order)
        assert all(count == 1 for count in children.values())
        for inbox in world.platform.inboxes.values():
            assert len(inbox) == len({message["id"] for message in inbox})


@settings(max_examples=60, deadline=None)
@given(declared=folders())
def test_what_runs_ask_of_others_is_answered(declared: Desired) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        settle(world, declared)

        waiting = {}
        for data in world.platform.journals.values():
            records = decode_lines(data)
            if records[-1]["type"] == "parked":
                waiting[records[0]["run"]] = [wait["kind"] for wait in records[-1]["waits"]]
        assert not [name for name, kinds in waiting.items() if kinds in (["child"], ["send"])]
        assert not [
            name for name, kinds in waiting.items() if kinds == ["signal"] and declared.runs[name].workflow == "wait" and declared.runs[name].signals
        ]


@settings(max_examples=60, deadline=None)
@given(declared=folders())
def test_I16_a_canceled_run_that_waits_undoes_what_it_did(declared: Desired) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        settle(world, declared)
        gone = desired(*declared.workflows.values(), prune_max=100)
        settle(world, gone)

        for data in world.platform.journals.values():
            records = decode_lines(data)
            undone = any(record.get("kind") == "clean-up" for record in records)
            did = any(record.get("compensate") for record in records)
            assert undone == (did and records[-1].get("status") == "canceled")


@settings(max_examples=100, deadline=None)
@given(history=st.lists(folders(), min_size=2, max_size=6))
def test_I5_what_has_ended_stays_as_it_ended(history: list[Desired]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        ends: dict[str, bytes] = {}
        for declared in history:
            settle(world, declared)
            for uid, data in world.platform.journals.items():
                if b'"type":"finished"' in data:
                    assert ends.setdefault(uid, data) == data


@settings(max_examples=100, deadline=None)
@given(declared=folders(), limit=st.integers(1, 3))
def test_no_more_runs_hold_a_worker_than_the_limit_allows(declared: Desired, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Limits(adapters={"memory": limit}))
        for _ in range(6):
            report = world.run_pass(declared)
            assert report is not None
            assert len(world.platform.alive) <= limit


@settings(max_examples=60, deadline=None)
@given(declared=folders())
def test_a_platform_that_is_away_changes_nothing(declared: Desired) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        settle(world, declared)
        world.platform.down = True
        journals = dict(world.platform.journals)

        report = world.run_pass(declared)

        assert report is not None
        assert world.platform.journals == journals
        assert report.plan.changes == []
