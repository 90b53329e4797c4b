"""Whatever looks after the state is killed at calls that write: a rebuild, a collection, a backup, a restore. What follows makes up for it."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import tombstones
from tests.faults.counts import note
from tests.faults.test_lost_state import copy, delete_database
from tests.support import die_at
from tests.support.broken import ECHO
from tests.support.cli import clean_environment
from tests.support.site import Site, eventually

FULL = os.environ.get("TYOW_FULL") == "1"
SAMPLE = 4
PARK = "import os\n\ndef workflow(input, ctx):\n    ctx.step('note', lambda: open(os.path.join(ctx.run.folder, 'note'), 'w').close())\n    return ctx.wait_for_signal('go')\n"
ENDED = {"one": "completed", "two": "completed", "parked": "waiting"}
pytestmark = [
    pytest.mark.timeout(1800 if FULL else 180),
    pytest.mark.skipif(not die_at.supported(), reason="the system calls of this machine are not known to tests/support/die_at.py"),
]


class Killer:
    """Carries a command out again and again over the same data, killed at another call each time."""

    def __init__(self, site: Site) -> None:
        """Keep what the data folder holds now."""
        self.site, self.before, self.report = site, site.home / "before", site.home / "report"
        copy(site.data, self.before)

    def reset(self) -> None:
        shutil.rmtree(self.site.data)
        copy(self.before, self.site.data)

    def kill_at(self, limit: int, *words: str) -> tuple[int, str]:
        """Carry out a command that dies at its call number `limit`; returns how many calls it made, and the last."""
        self.reset()
        under = (sys.executable, "-I", "-S", die_at.__file__, str(limit), str(self.report))
        environment = clean_environment(self.site.home, PYTHONPATH=str(Path(__file__).parents[2]), PYTHONDONTWRITEBYTECODE="1")
        command = [*under, *self.site.cli.command, "--data-dir", str(self.site.data), *words]
        subprocess.run(command, env=environment, cwd=self.site.folder, check=False, capture_output=True)
        calls, _, last = self.report.read_text().strip().partition(" ")
        return int(calls), last

    def everywhere(self, what: str, words: tuple[str, ...], check: Callable[[str], None]) -> None:
        """Kill a command at each of its calls, or at some of them, and check each time."""
        total, _ = self.kill_at(0, *words)
        seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big"))
        print(f"seed {seed}, {total} calls")
        points = range(1, total + 1) if FULL else sorted(random.Random(seed).sample(range(1, total + 1), min(total, SAMPLE)))
        for point in points:
            _, last = self.kill_at(point, *words)
            check(f"killed at call {point}: {last}")
        note(f"kills of {what}", len(points))


@pytest.fixture
def used(site: Site) -> Site:
    """Two runs that have ended, and a parked one."""
    site.settings("adapters: {exec: {linger: 1ms}}\n")
    site.workflow("echo", "echo.py", ECHO, keep={"completed": "1h"})
    site.workflow("park", "park.py", PARK)
    site.start("one", "echo")
    site.start("two", "echo")
    site.start("parked", "park")
    site.finish("--until", "parked")
    eventually(lambda: not site.processes())
    return site


def test_a_rebuild_that_is_killed_anywhere_is_made_by_the_next_pass(used: Site) -> None:
    delete_database(used)

    def check(where: str) -> None:
        used.pass_()
        assert used.statuses() == ENDED, where
        assert used.effects() == ["echo", "echo"], where
        assert used.plan()["changes"] == [], where

    Killer(used).everywhere("a rebuild", ("reconcile", "--once", str(used.folder)), check)


def test_a_collection_that_is_killed_anywhere_leaves_each_run_whole_or_buried(used: Site) -> None:
    with sqlite3.connect(used.data / "state.db") as db:
        db.execute("UPDATE runs SET completed_at = '2020-01-01T00:00:00.000Z' WHERE completed_at IS NOT NULL")
        db.execute("UPDATE keeps SET due_at = '2020-01-01T00:00:00.000Z'")
    db.close()

    def check(where: str) -> None:
        used.pass_()
        assert used.statuses() == ENDED, where
        assert {stone["run"] for stone in tombstones.read(used.data).lines.values()} == {"one", "two"}, where
        assert list(used.journals()) == ["parked"], where
        delete_database(used)
        used.pass_()
        assert used.statuses() == ENDED, where
        assert used.effects() == ["echo", "echo"], where

    Killer(used).everywhere("a collection", ("reconcile", "--once", str(used.folder)), check)


def test_a_backup_that_is_killed_anywhere_is_there_whole_or_not_at_all(used: Site) -> None:
    file = used.home / "all.tar"

    def check(where: str) -> None:
        used.pass_()
        assert used.statuses() == ENDED, where
        if file.exists():
            used.cli.run("state", "restore", str(file))
            used.pass_()
            assert used.statuses() == ENDED, where
            file.unlink()

    Killer(used).everywhere("a backup", ("state", "backup", str(file)), check)


def test_a_restore_that_is_killed_anywhere_is_done_again(used: Site) -> None:
    file = used.home / "all.tar"
    used.cli.run("state", "backup", str(file))
    used.start("later", "echo")
    used.finish("--until", "parked")

    def check(where: str) -> None:
        if (used.data / "fenced").exists():
            assert "run it again" in used.pass_(expect=6).stderr, where
        used.cli.run("state", "restore", str(file))
        used.pass_()
        assert used.statuses() == {**ENDED, "later": "completed"}, where
        assert used.effects() == ["echo", "echo", "echo"], where
        assert (used.status("parked")["steps"][0]["status"], used.status("parked")["reason"]) == ("completed", "parked"), where

    Killer(used).everywhere("a restore", ("state", "restore", str(file)), check)
