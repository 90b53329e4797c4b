"""The database is deleted, flipped, cut, stale or taken away while runs are in every state: nothing runs twice, and everything comes back."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reconciler.journal import decode_lines, encode_line
from reconciler.state import open_store
from reconciler.state.store import NEWEST
from tests.faults.counts import note
from tests.support import die_at
from tests.support.site import Site, eventually, kill
from tests.unit.test_store import as_of_schema

FULL = os.environ.get("TYOW_FULL") == "1"
EACH = 20
FLIPS = int(os.environ.get("TYOW_FLIPS") or (1064 if FULL else 16))
CODE = """\
import os

def effect(key):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (key + "\\n").encode())
    os.close(fd)

def workflow(input, ctx):
    ctx.step("first", lambda step: effect(step.key))
    if input == "live":
        ctx.step("gate", wait)
    if input == "asleep":
        ctx.sleep("nap", "1h")
    if input == "waiting":
        ctx.wait_for_signal("go")
    if input == "parent":
        return ctx.run_workflow("many", "live")
    if input == "failing":
        raise ValueError("no")
    return ctx.step("last", lambda step: effect(step.key) or ["result", input])

def wait():
    import time
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
"""
KINDS = ("done", "failing", "live", "asleep", "waiting")
pytestmark = pytest.mark.timeout(3600 if FULL or "TYOW_FLIPS" in os.environ else 240)


def delete_database(site: Site) -> None:
    for path in site.data.glob("state.db*"):
        path.unlink()


def copy(source: Path, target: Path) -> None:
    """Copy a data folder whose workers have ended."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("workers"))


def facts(site: Site) -> dict[str, tuple[Any, ...]]:
    """Return what is remembered of each run that a person would miss."""
    shown = site.cli.run("list", "runs", "-n", "1000", "--json").json
    fields = ("status", "output", "error", "input", "incarnation", "workflow_id")
    return {run["id"]: (*(run[field] for field in fields), run["metadata"]["uid"], run["metadata"]["parent"]) for run in shown}


@pytest.fixture
def mixed(site: Site) -> Site:
    """A hundred runs and more: ended, failed, held by workers, asleep, waiting; parents with children; one whose journal is damaged."""
    site.settings("adapters: {exec: {concurrency: 200, runs_per_worker: 16}}\n")
    site.workflow("many", "many.py", CODE, env={"GATE": {"value": str(site.home / "gate")}}, exec={"runsPerWorker": 16})
    for kind in KINDS:
        for number in range(EACH):
            site.start(f"{kind}-{number}", "many", input=kind)
    for number in range(3):
        site.start(f"parent-{number}", "many", input="parent")
    site.start("torn", "many", input="waiting")
    eventually(lambda: site.pass_(expect=None) and settled(site), 90)
    site.pass_(expect=None)
    return site


def settled(site: Site) -> bool:
    """Say whether every run has come to where it stays."""
    journals = site.journals()
    ends = {"done": "finished", "failing": "finished", "asleep": "parked", "waiting": "parked", "torn": "parked", "parent": "parked"}

    def is_there(name: str) -> bool:
        if name.startswith("live") or "-many-" in name:
            return any(record.get("key") == "gate" for record in journals[name])
        return bool(journals[name][-1]["type"] == ends[name.partition("-")[0]])

    return len(journals) == len(KINDS) * EACH + 7 and all(map(is_there, journals))


def damage(site: Site, run: str) -> None:
    for path in (site.data / "exec" / "runs").glob("*.journal.jsonl"):
        records = decode_lines(path.read_bytes())
        if records[0]["run"] == run:
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join([*lines[:2], b"x" + lines[2][1:], *lines[3:]]))


def test_I1_I6_the_database_is_deleted_in_the_middle_and_a_hundred_of_a_hundred_are_back(mixed: Site) -> None:
    site = mixed
    damage(site, "torn")
    site.pass_(expect=6)
    before, effects = facts(site), Counter(site.effects())
    living = set(site.processes())
    delete_database(site)

    looked = facts(site)
    site.pass_(expect=6)
    after = facts(site)

    assert len(before) == len(KINDS) * EACH + 7
    torn = [found.pop("torn") for found in (looked, after, before)]
    assert looked == after == before
    assert torn[1][6] == torn[2][6]
    assert set(site.processes()) >= living  # they were adopted
    assert Counter(site.effects()) == effects
    delete_database(site)
    (site.home / "gate").touch()
    site.cli.run("signal", "waiting-0", "go")
    site.pass_(expect=6)
    eventually(lambda: not any(run["status"] == "running" for run in _views(site)), 60)
    site.pass_(expect=6)
    site.pass_(expect=6)
    statuses = Counter(site.statuses().values())
    assert statuses == {"completed": EACH * 2 + 6 + 1, "failed": EACH, "sleeping": EACH, "waiting": EACH - 1, "running": 1}, statuses
    assert max(Counter(site.effects()).values()) == 1
    note("runs that came back after the loss of the database", len(before))


def _views(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.cli.run("list", "runs", "-n", "1000", "--json").json
    return [run for run in found if run["id"] != "torn"]


# Truth 7: hints that were taken and not used, ends that were written and not recorded

TAKE_HINTS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from adapters.exec import ExecAdapter, ExecSettings
adapter = ExecAdapter(ExecSettings(work_dir=sys.argv[2]))
assert adapter.drain_changes()
os.kill(os.getpid(), 9)
"""


def test_I6_an_end_whose_mark_was_unlinked_just_before_a_kill_reaches_the_database(site: Site) -> None:
    site.gated()
    site.start("one", "gated")
    site.pass_()
    eventually(lambda: site.reached("one", "requested"))
    site.open_gate()
    eventually(lambda: site.reached("one", "finished"))
    eventually(lambda: not site.processes())
    checkout = str(Path(__file__).parents[2])

    killed = subprocess.run([sys.executable, "-c", TAKE_HINTS, checkout, str(site.data / "exec")], check=False)
    left = list((site.data / "exec" / "changed").iterdir())
    remembered = sqlite3.connect(site.data / "state.db").execute("SELECT status FROM runs").fetchone()
    site.pass_()

    assert killed.returncode == -9
    assert left == []
    assert remembered == ("running",)
    assert sqlite3.connect(site.data / "state.db").execute("SELECT status FROM runs").fetchone() == ("completed",)


@pytest.mark.skipif(not die_at.supported(), reason="the system calls of this machine are not known to tests/support/die_at.py")
def test_I5_killed_between_the_terminal_record_that_it_writes_itself_and_the_database_it_has_one_terminal_state(site: Site) -> None:
    site.workflow("wait", "wait.py", "def workflow(input, ctx):\n    return ctx.wait_for_signal('go')\n")
    site.settings("adapters: {exec: {linger: 1ms}}\n")
    site.start("one", "wait")
    site.finish("--until", "parked")
    eventually(lambda: not site.processes())
    site.start("one", "wait", cancel=True)
    before = site.home / "before"
    copy(site.data, before)
    report = site.home / "report"

    def cancel(limit: int) -> tuple[int, str]:
        shutil.rmtree(site.data)
        copy(before, site.data)
        under = (sys.executable, "-I", "-S", die_at.__file__, str(limit), str(report))
        words = ["--data-dir", str(site.data), "reconcile", "--once", str(site.folder)]
        subprocess.run([*under, *site.cli.command, *words], env=_environment(site), cwd=site.folder, check=False, capture_output=True)
        calls, _, last = report.read_text().strip().partition(" ")
        return int(calls), last

    total, _ = cancel(0)
    between = points = 0

    def written_at(point: int) -> bool:
        nonlocal between, points
        points += 1
        _, last = cancel(point)
        written = site.reached("one", "finished")
        with sqlite3.connect(site.data / "state.db") as db:
            between += written and db.execute("SELECT completed_at FROM runs").fetchone() == (None,)
        db.close()
        site.pass_(expect=None)
        ends = [record for record in site.journal("one") if record["type"] == "finished"]
        assert [end["status"] for end in ends] == ["canceled"], (point, last)
        assert site.statuses() == {"one": "canceled"}, (point, last)
        assert site.plan()["changes"] == []
        return written

    step = 1 if FULL else 6
    first = next((point for point in range(total, 0, -step) if not written_at(point) and not FULL), 0)
    for point in range(first + 1, first + step):  # where the end is written, and not remembered
        written_at(point)
    assert between > 0
    note("kills of a reconciler that ends a run itself", points)


def _environment(site: Site) -> dict[str, str]:
    from tests.support.cli import clean_environment

    return clean_environment(site.home, PYTHONPATH=str(Path(__file__).parents[2]), PYTHONDONTWRITEBYTECODE="1")


# Migration

MIGRATE = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from reconciler.state import open_store; open_store(Path(sys.argv[2])).close()"


@pytest.mark.skipif(not die_at.supported(), reason="the system calls of this machine are not known to tests/support/die_at.py")
@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_migration_that_is_killed_anywhere_has_happened_or_not(tmp_path: Path, version: int) -> None:
    checkout, report = str(Path(__file__).parents[2]), tmp_path / "report"
    folder, before = tmp_path / "data", tmp_path / "before"
    before.mkdir()
    if version:
        as_of_schema(version, before).close()

    def migrate(limit: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        under = [sys.executable, "-I", "-S", die_at.__file__, str(limit), str(report)]
        subprocess.run([*under, sys.executable, "-B", "-c", MIGRATE, checkout, str(folder)], check=False, capture_output=True)
        return int(report.read_text().split()[0])

    total = migrate(0)
    points = range(1, total + 1) if FULL else range(1 + version, total + 1, 6)
    for point in points:
        migrate(point)
        if (folder / "state.db").exists():
            with sqlite3.connect(folder / "state.db") as db:
                assert db.execute("PRAGMA user_version").fetchone()[0] in (0, version, NEWEST), point
            db.close()
        store = open_store(folder)
        assert store.db.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert store.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        store.close()
    note(f"kills of a migration from schema {version}", len(points))


# Broken databases


def flip(data: bytes, dice: random.Random) -> bytes:
    """Return a database with one byte another, or cut, or with a page of nonsense."""
    what = dice.random()
    where = dice.randrange(len(data))
    if what < 0.08:
        return data[:where]
    if what < 0.16:
        page = where // 4096 * 4096
        return data[:page] + dice.randbytes(4096) + data[page + 4096 :]
    return data[:where] + bytes([data[where] ^ (1 << dice.randrange(8))]) + data[where + 1 :]


def test_B7_a_flipped_or_cut_database_never_gives_a_wrong_end_and_nothing_runs_again(site: Site) -> None:
    site.workflow("many", "many.py", CODE)
    site.settings("adapters: {exec: {linger: 1ms, concurrency: 20}}\n")
    for kind in ("done", "failing", "waiting"):
        for number in range(3):
            site.start(f"{kind}-{number}", "many", input=kind)
    site.finish("--until", "parked", expect=5)
    eventually(lambda: not site.processes())
    with sqlite3.connect(site.data / "state.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    whole, effects = (site.data / "state.db").read_bytes(), site.effects()
    before = site.home / "before"
    copy(site.data, before)
    journals = {path.name: path.read_bytes() for path in (site.data / "exec" / "runs").glob("*.journal.jsonl")}
    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big"))
    dice, told = random.Random(seed), Counter[str]()
    print(f"seed {seed}")
    for number in range(FLIPS):
        shutil.rmtree(site.data)
        copy(before, site.data)
        (site.data / "state.db").write_bytes(flip(whole, dice))
        done = site.pass_(expect=None)
        assert "Traceback" not in done.stderr, (seed, number, done.stderr)
        assert site.effects() == effects, (seed, number)
        after = {path.name: path.read_bytes() for path in (site.data / "exec" / "runs").glob("*.journal.jsonl")}
        assert {name: data for name, data in after.items() if journals.get(name) != data and b'"finished"' in journals.get(name, b"")} == {}, (
            seed,
            number,
        )
        newer = "newer ty-openworkflow" in done.stderr
        told["newer" if newer else "rebuilt" if "moved to" in done.stderr else "unharmed"] += 1
        if not newer:
            again = site.pass_(expect=None)
            assert "Traceback" not in again.stderr, (seed, number, again.stderr)
            looked = site.cli.run("list", "runs", "-n", "1000", "--json", expect=None)
            if looked.exit:  # in what a pass does not read
                assert "is damaged" in looked.stderr, (seed, number, looked.stderr)
                told["rebuilt by command"] += 1
                site.cli.run("state", "rebuild")
            for name, status in site.statuses().items():
                expected = {"done": "completed", "failing": "failed", "waiting": "waiting"}.get(name.rpartition("-")[0])
                assert status in (expected, None) or expected is None, (seed, number, name, status)
    print(dict(told))
    note("flips and cuts of the database", FLIPS)


def test_a_stale_database_is_brought_up_to_date_by_the_journals(site: Site) -> None:
    site.settings("adapters: {exec: {linger: 1ms}}\n")
    site.workflow("many", "many.py", CODE)
    site.start("a", "many", input="waiting")
    site.finish("--until", "parked")
    stale = site.home / "stale"
    shutil.copytree(site.data, stale, ignore=lambda _, names: [name for name in names if name == "exec"])
    site.cli.run("signal", "a", "go")
    site.start("b", "many", input="done")
    site.finish()
    effects = site.effects()
    delete_database(site)
    for path in stale.glob("state.db*"):
        shutil.copy(path, site.data)

    site.finish()

    assert site.statuses() == {"a": "completed", "b": "completed"}
    assert site.effects() == effects


def test_a_wal_without_its_database_does_not_get_into_the_new_one(site: Site) -> None:
    site.workflow("many", "many.py", CODE)
    site.start("a", "many", input="done")
    site.finish()
    holder = sqlite3.connect(site.data / "state.db")
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM runs").fetchall()
    site.start("b", "many", input="done")
    site.finish()
    assert (site.data / "state.db-wal").stat().st_size > 0
    wal = (site.data / "state.db-wal").read_bytes()
    holder.close()
    delete_database(site)
    (site.data / "state.db-wal").write_bytes(wal)

    site.pass_()

    assert site.statuses() == {"a": "completed", "b": "completed"}
    assert (site.data / "state.db.lost-wal").read_bytes() == wal
    assert len(site.effects()) == 4


def test_B5_a_database_that_another_program_has_locked_starts_nothing_and_recovers_alone(site: Site) -> None:
    site.workflow("many", "many.py", CODE)
    site.start("a", "many", input="done")
    site.finish()
    site.start("b", "many", input="done")
    with sqlite3.connect(site.data / "state.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")

        done = site.pass_(expect=1)
        looked = site.statuses()
        other.execute("ROLLBACK")
    other.close()
    effects = len(site.effects())
    site.finish()

    assert "is locked by another program" in done.stderr
    assert looked == {"a": "completed"}
    assert effects == 2
    assert site.statuses() == {"a": "completed", "b": "completed"}


def test_a_data_folder_that_cannot_be_written_to_is_looked_at_and_starts_nothing(site: Site) -> None:
    site.workflow("many", "many.py", CODE)
    site.start("a", "many", input="done")
    site.finish()
    site.start("b", "many", input="done")
    if subprocess.run(["mount", "--bind", str(site.data), str(site.data)], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(site.data)], check=True)
        refused = site.pass_(expect=1)
        looked = site.statuses()
        changes = site.plan()["changes"]
    finally:
        subprocess.run(["umount", str(site.data)], check=True)
    site.finish()

    assert "Read-only file system" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert looked == {"a": "completed"}
    assert [change["name"] for change in changes] == ["b"]
    assert site.statuses() == {"a": "completed", "b": "completed"}


def test_a_journal_of_an_older_program_is_enough_for_a_rebuild_and_its_token_counts_as_handled(site: Site) -> None:
    site.workflow("many", "many.py", CODE)
    site.start("a", "many", input="done", rerun="one")
    site.finish()
    (journal,) = (site.data / "exec" / "runs").glob("*.journal.jsonl")
    first, *others = decode_lines(journal.read_bytes())
    old = {name: value for name, value in first.items() if name not in ("rerun", "source", "created_at", "facts", "priority", "concurrency")}
    journal.write_bytes(b"".join(map(encode_line, [old, *others])))
    (revision,) = (site.data / "exec" / "revisions").iterdir()
    (revision / "revision.json").unlink()
    delete_database(site)

    site.pass_()
    site.pass_()
    plan = site.plan()
    site.start("a", "many", input="done", rerun="two")
    site.finish()

    assert plan["changes"] == []
    assert site.status("a")["incarnation"] == 2
    assert len(site.effects()) == 4


def test_a_lost_database_does_not_stop_a_run_whose_worker_dies_then(site: Site) -> None:
    site.gated()
    site.start("one", "gated")
    site.pass_()
    eventually(lambda: site.reached("one", "requested"))
    delete_database(site)
    for pid in site.processes():
        kill(pid)

    site.open_gate()
    site.finish()

    assert site.statuses() == {"one": "completed"}
    assert [record["claim"] for record in site.journal("one") if record["type"] == "claim"] == [1, 2]
