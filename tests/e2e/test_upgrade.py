"""A data folder that an earlier program left, with runs asleep, waiting and pending: the present one carries on.

`tests/fixtures/state-3e7a965` was written by the program of commit 3e7a965 (schema 2, journals without what a rebuild would like to know):
its `again` was started a second time by a token, `parent` waits for a child that sleeps, `later` was never started.
"""

import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from tests.support.site import Site, eventually

FIXTURE = Path(__file__).parents[1] / "fixtures" / "state-3e7a965"
CHILD = "parent-flow-cc5b3fbd"
ENDED = {"again": "completed", "bad": "failed", "done": "completed"}


@pytest.fixture
def old(site: Site) -> Site:
    """The folder and the data of an earlier program, moved to another place."""
    shutil.copytree(FIXTURE / "project", site.folder, dirs_exist_ok=True)
    site.data.mkdir(mode=0o700)
    shutil.copytree(FIXTURE / "exec", site.data / "exec")
    shutil.copy(FIXTURE / "installation", site.data)
    with sqlite3.connect(site.data / "state.db") as db:
        db.executescript((FIXTURE / "state.sql").read_text())
    db.close()
    site.settings("park_after: 100ms\nadapters: {exec: {linger: 1ms, concurrency: 20}}\n")
    return site


def effects(site: Site) -> Counter[str]:
    """Return what the steps of all runs have left, by key of the step."""
    return Counter(line for path in (site.data / "exec" / "runs").glob("*.files/effects") for line in path.read_text().splitlines())


def finish(site: Site) -> None:
    """See every run to its end."""
    site.cli.run("signal", "waiting", "go", "--data", "7")
    site.finish("--timeout", "60s", expect=None)
    eventually(lambda: not site.processes())


def check_end(site: Site, before: Counter[str]) -> None:
    assert site.statuses() == {**ENDED, **dict.fromkeys(("asleep", "waiting", "parent", "later", CHILD), "completed")}
    assert site.status("waiting")["output"] == ["waiting", [1, 7]]
    assert site.status("parent")["output"] == ["parent", [1, ["asleep", 1]]]
    assert site.status("again")["incarnation"] == 2
    after = effects(site)
    assert set(after.values()) == {1}
    assert before <= after
    assert site.plan()["changes"] == []


def test_an_older_database_is_looked_at_without_being_migrated(old: Site) -> None:
    found = old.cli.run("list", "runs", "--json").json
    plan = old.plan()

    assert {run["id"]: run["status"] for run in found if run["id"] != "again"} == {
        "bad": "failed",
        "done": "completed",
        **dict.fromkeys(("asleep", CHILD), "sleeping"),
        **dict.fromkeys(("waiting", "parent"), "waiting"),
        "later": "pending",
    }
    assert {change["action"] for change in plan["changes"] if change["kind"] == "run"} <= {"wake", "edit"}
    with sqlite3.connect(old.data / "state.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


def test_runs_that_slept_under_an_earlier_program_go_on(old: Site) -> None:
    before = effects(old)

    old.pass_(expect=None)
    finish(old)

    check_end(old, before)


def test_they_also_go_on_when_the_old_database_is_lost(old: Site) -> None:
    before = effects(old)
    (old.data / "state.db").unlink()

    held = old.pass_(expect=6)
    old.cli.run("reconcile", "--once", "--assume", "start", str(old.folder), expect=None)
    finish(old)

    assert "run/later" in held.stdout
    check_end(old, before)


def test_what_a_lost_database_would_need_is_kept_at_the_first_pass(old: Site) -> None:
    old.pass_(expect=None)
    described = list((old.data / "exec" / "revisions").glob("*/revision.json"))
    for path in old.data.glob("state.db*"):
        path.unlink()
    (old.folder / "flow.py").write_text("def workflow(input, ctx):\n    return 'another revision'\n")

    old.pass_(expect=6)
    old.cli.run("signal", "waiting", "go", "--data", "7")
    old.cli.run("wait", "waiting")

    assert len(described) == 1
    assert old.status("waiting")["output"] == ["waiting", [1, 7]]
