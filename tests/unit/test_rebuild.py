"""What a journal's first record must tell, so that a lost database comes back as it was."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler import tombstones
from reconciler.model import Run, Source, Workflow
from reconciler.recorded import pending_run
from reconciler.state import marks, messages, open_store, proofs, runs, workflows
from tests.support.builders import FOLDER, NOON, PLACE, a_run, a_workflow, desired
from tests.support.world import World

COLUMNS = (
    "uid, project, environment, name, incarnation, owner, source, workflow, revision, adapter, spec_hash, input, facts, rerun, priority, concurrency,"
    " status, claim, confirmed, created_at, started_at, completed_at, due_at, output, error, origin, attempt"
)


def remembered(world: World, columns: str = COLUMNS) -> list[Any]:
    store = open_store(world.folder)
    rows = store.db.execute(f"SELECT {columns} FROM runs ORDER BY uid").fetchall()
    store.close()
    return rows


def lose(world: World) -> None:
    for path in world.folder.glob("state.db*"):
        path.unlink()


def test_every_column_that_matters_comes_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    workflows_ = [
        a_workflow(does, code=a_workflow().code.__class__({"workflow.py": "0"}, does, FOLDER), concurrency=3) for does in ("echo", "park", "parent")
    ]
    objects: list[Workflow | Run] = [
        *workflows_,
        a_run("one", workflow="echo", labels={"team": "web"}, priority=7, rerun="first", depends_on=("run/two",)),
        a_run("two", workflow="echo", input=[1, {"a": None}]),
        a_run("asleep", workflow="park", signals={"go": 1}, on_delete="finish"),
        a_run("mother", workflow="parent"),
    ]
    for _ in range(4):
        world.run_pass(desired(*objects))
    store = open_store(tmp_path)
    known = workflows.known_workflows(store, PLACE)["echo"]
    slot = {"name": "nightly", "slot": "2026-11-22T01:30:00.000Z"}
    scheduled = pending_run(
        uid="uid-of-slot", place=PLACE, name="nightly-1", incarnation=1, owner="schedule/nightly", workflow="echo", adapter="memory", spec_hash="s",
        input=None, revision=known.revision, created_at=NOON, source=Source("nightly.yaml", 3), origin={"schedule": slot},
    )  # fmt: skip
    with store.transaction():
        runs.insert_run(store, scheduled, "", now=NOON)
    store.close()
    for _ in range(2):
        world.run_pass(desired(*objects))
    before, writes = remembered(world), world.platform.writes
    lose(world)

    world.run_pass(None)

    assert len(before) == 6
    assert remembered(world) == before
    assert world.platform.writes == writes
    report = world.run_pass(desired(*objects))
    assert report is not None
    assert {change.kind for change in report.plan.changes} <= {"workflow"}
    assert world.platform.writes == writes


def test_messages_and_a_cancel_that_are_in_an_inbox_are_known_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    work = a_workflow("deaf", code=a_workflow().code.__class__({"workflow.py": "0"}, "deaf", FOLDER))
    run = a_run("busy", workflow="deaf", signals={"go": 1})
    for _ in range(2):
        world.run_pass(desired(work, run))
    world.run_pass(desired(work, a_run("busy", workflow="deaf", signals={"go": 1}, cancel=True)))
    (uid,) = world.platform.journals
    told = [message["id"] for message in world.platform.inboxes[uid]]
    lose(world)

    report = world.run_pass(None)
    store = open_store(tmp_path)
    known, row = messages.ids_of(store, uid), store.db.execute("SELECT cancel, cancel_sent_at FROM runs").fetchone()
    store.close()

    assert report is not None
    assert report.plan.actions == ()
    assert told == ["manifest/go", f"cancel-{uid}"]
    assert known == ["manifest/go"]
    assert row == ("canceled by its manifest", "2026-11-22T12:00:00.000Z")


def test_incarnations_come_back_in_their_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    for token in ("", "a", "b"):
        for _ in range(2):
            world.run_pass(desired(a_workflow(), a_run(rerun=token)))
    before = remembered(world)
    lose(world)

    world.run_pass(desired(a_workflow(), a_run(rerun="b")))

    assert sorted(row[4] for row in before) == [1, 2, 3]
    assert remembered(world) == before


def test_two_journals_of_one_incarnation_leave_one_run_and_say_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run_pass(desired(a_workflow(), a_run()))
    (uid,) = world.platform.journals
    from reconciler.journal import decode_lines, encode_line

    first, *rest = decode_lines(world.platform.journals[uid])
    world.platform.journals["zz"] = b"".join(map(encode_line, [{**first, "uid": "zz"}, *rest]))
    lose(world)

    world.run_pass(None)

    assert [row[0] for row in remembered(world)] == [uid]


def test_a_rebuild_is_made_once_and_an_unchanged_world_writes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(3):
        world.run_pass(desired(a_workflow(), a_run()))
    assert world.writes == 0
    lose(world)
    world.run_pass(desired(a_workflow(), a_run()))
    world.run_pass(desired(a_workflow(), a_run()))

    assert world.writes == 0


def test_a_platform_that_cannot_be_asked_starts_nothing(tmp_path: Path) -> None:
    from reconciler.errors import UnavailableError

    world = World(tmp_path)
    world.run_pass(desired(a_workflow(), a_run()))
    lose(world)
    world.platform.down = True

    with pytest.raises(UnavailableError, match="the platform is away"):
        world.run_pass(desired(a_workflow(), a_run("other")))

    store = open_store(tmp_path)
    assert (proofs.count_runs(store), marks.mark(store, marks.REBUILT)) == (0, None)
    store.close()


NO_ROOM = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from reconciler import tombstones
from reconciler.errors import UnavailableError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    tombstones.append(Path(sys.argv[2]), [{"type": "tombstone", "uid": "b" * 200}])
except UnavailableError as error:
    print(error)
"""


def test_without_room_no_tombstone_is_half_written(tmp_path: Path) -> None:
    tombstones.append(tmp_path, [{"type": "tombstone", "uid": "a"}])
    before = (tmp_path / tombstones.NAME).read_bytes()

    for more in (0, 1, 50, 150):
        command = [sys.executable, "-c", NO_ROOM, str(Path(__file__).parents[2]), str(tmp_path), str(len(before) + more)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert "nothing is collected until they can" in told
        assert (tmp_path / tombstones.NAME).read_bytes() == before
    assert os.stat(tmp_path / tombstones.NAME).st_mode & 0o777 == 0o600
