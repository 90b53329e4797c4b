"""Two environments, or two projects, never touch each other: not in one data folder, and not on one platform."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.journal import decode_lines
from reconciler.model import Desired, Place, Run
from reconciler.plan import Limits
from reconciler.state import open_store, queries
from reconciler.values import replace
from tests.property.test_pass import folders, settle
from tests.support.builders import FOLDER, a_run, desired
from tests.support.memory import Platform
from tests.support.trouble import behaves
from tests.support.world import World

DEV, PROD, OTHER = Place("shop", "dev"), Place("shop", "prod"), Place("bank", "dev")
WORKFLOWS = [behaves(name) for name in ("echo", "work", "park", "wait", "tell", "parent")]


def at(place: Place, *runs: Run, **changes: Any) -> Desired:
    folder = FOLDER if place.project == "shop" else "/srv/bank"
    return desired(*WORKFLOWS, *runs, place=place, folder=folder, **{"prune_max": 100, **changes})


def rows(world: World, place: Place) -> dict[str, dict[str, Any]]:
    store = open_store(world.folder)
    try:
        found, _ = queries.list_runs(store, workflow=None, statuses=(), project=place.project, environment=place.environment, limit=1000)
        return {row["name"]: row for row in found}
    finally:
        store.close()


def journals(world: World, place: Place) -> dict[str, bytes]:
    return {uid: data for uid, data in world.platform.journals.items() if decode_lines(data)[0]["environment"] == place.environment}


@settings(max_examples=60, deadline=None)
@given(mine=st.lists(folders(), min_size=1, max_size=3), theirs=folders(), other=st.sampled_from([PROD, OTHER]))
def test_whatever_is_edited_pruned_and_canceled_in_one_place_changes_nothing_in_another(mine: list[Desired], theirs: Desired, other: Place) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        settle(world, replace(theirs, place=other, folder=FOLDER if other == PROD else "/srv/bank"))
        before = rows(world, other)
        uids = {row["uid"]: world.platform.journals.get(row["uid"]) for row in before.values()}
        for declared in [*mine, at(DEV), desired(place=DEV)]:
            settle(world, replace(declared, place=DEV, prune_max=100))

        assert rows(world, other) == before
        assert {uid: world.platform.journals.get(uid) for uid in uids} == uids


def test_the_same_names_are_other_runs_with_other_uids(tmp_path: Path) -> None:
    world = World(tmp_path)
    for place in (DEV, PROD, OTHER):
        settle(world, at(place, a_run("a", workflow="echo", input=place.environment)))

    found = [rows(world, place)["a"] for place in (DEV, PROD, OTHER)]
    assert {row["status"] for row in found} == {"completed"}
    assert len({row["uid"] for row in found} | set(world.platform.journals)) == 3
    assert [row["output"] for row in found] == ['"dev"', '"prod"', '"dev"']


def test_limits_of_a_workflow_hold_in_each_place_for_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    works = behaves("work", concurrency=1)
    for place in (DEV, PROD):
        runs = [a_run(name, workflow="work") for name in ("a", "b")]
        world.run_pass(desired(works, *runs, place=place))

    assert len(world.platform.alive) == 2
    assert [row["claim"] for place in (DEV, PROD) for row in rows(world, place).values()].count(0) == 2


def test_the_global_limit_counts_all_places(tmp_path: Path) -> None:
    world = World(tmp_path, Limits(concurrency=1))
    for place in (DEV, PROD):
        world.run_pass(at(place, a_run("a", workflow="work")))

    assert len(world.platform.alive) == 1


def test_signals_and_children_stay_in_their_place(tmp_path: Path) -> None:
    world = World(tmp_path)
    waits = a_run("a", workflow="wait")
    settle(world, at(PROD, waits))
    settle(world, at(DEV, waits, a_run("t", workflow="tell"), a_run("p", workflow="parent")))

    dev, prod = rows(world, DEV), rows(world, PROD)
    assert dev["a"]["status"] == dev["t"]["status"] == dev["p"]["status"] == "completed"
    assert (set(prod), prod["a"]["status"]) == ({"a"}, "waiting")
    assert {row["environment"] for name, row in dev.items() if name.startswith("p-kid")} == {"dev"}


def test_two_data_folders_on_one_platform_carry_out_their_own(tmp_path: Path) -> None:
    platform = Platform()
    worlds = {place: World(tmp_path / place.environment, platform=platform, installation=place.environment) for place in (DEV, PROD)}
    for place, world in worlds.items():
        world.run_pass(at(place, lineage="abcd1234"), assume="start")  # neither has ever seen the project
        settle(world, at(place, a_run("a", workflow="echo"), a_run("b", workflow="work")))
    prod = journals(worlds[PROD], PROD)

    settle(worlds[DEV], at(DEV))

    assert rows(worlds[DEV], DEV)["b"]["status"] == "canceled"
    assert (rows(worlds[PROD], PROD)["a"]["status"], rows(worlds[PROD], PROD)["b"]["status"]) == ("completed", "running")
    assert journals(worlds[PROD], PROD) == prod
    assert len(platform.journals) == 4


def test_a_revision_that_another_place_needs_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    for place in (DEV, PROD):
        settle(world, at(place))
    settle(world, desired(behaves("echo"), place=DEV, prune_max=100))

    assert set(world.platform.revisions) == {workflow.revision for workflow in WORKFLOWS}
    settle(world, desired(behaves("echo"), place=PROD, prune_max=100))
    assert set(world.platform.revisions) == {"revision-of-echo"}
