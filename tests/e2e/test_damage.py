"""Disks that are full, databases that are damaged, locks that were left: nothing is lost, and nothing runs twice."""

import fcntl
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.broken import ECHO, check_others, check_told, failures, use
from tests.support.site import Site, eventually


@pytest.fixture
def used(site: Site) -> Site:
    """An installation that has carried out a run, and has a second one declared."""
    use(site)
    return site


@pytest.fixture
def small(site: Site) -> Iterator[Site]:
    """An installation on a file system of its own, of one mebibyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file system that is full")
    site.data.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(site.data)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield site
    site.close()
    subprocess.run(["umount", str(site.data)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free on the file system of a folder; returns what fills it."""
    path = folder / "fill"
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return path


# Room


def test_a_full_disk_starts_nothing_and_says_so(small: Site) -> None:
    small.workflow("echo", "echo.py", ECHO)
    small.start("one", "echo")
    filler = fill(small.data)

    found = failures(small)
    check_others(small, broken=("reconcile",), says="No space left on device")
    filler.unlink()
    small.finish()

    assert "0 MiB free" in found["disk"]
    assert "make room" in found["disk"]
    assert small.effects() == ["echo"]


def test_a_disk_that_fills_up_later_loses_nothing(small: Site) -> None:
    small.workflow("echo", "echo.py", ECHO)
    small.start("one", "echo")
    small.finish()
    small.start("two", "echo")
    filler = fill(small.data)

    done = small.pass_(expect=1)
    filler.unlink()
    small.finish()

    assert str(small.data / "state.db") in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert small.statuses() == {"one": "completed", "two": "completed"}
    assert small.effects() == ["echo", "echo"]


# The database


def overwrite_the_head(path: Path) -> None:
    path.write_bytes(b"nonsense" * 100 + path.read_bytes()[800:])


def overwrite_the_rest(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + bytes(value % 251 for value in range(path.stat().st_size - 4096)))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [overwrite_the_head, overwrite_the_rest, cut_in_half])
def test_a_damaged_database_is_named_by_those_who_look_and_moved_aside_and_rebuilt_by_a_pass(used: Site, damage: Callable[[Path], None]) -> None:
    database = used.data / "state.db"
    damage(database)
    before = database.read_bytes()

    found = failures(used)
    for words in (["plan", str(used.folder)], ["status"]):
        check_told(used.cli.run(*words, expect=None), words[0], f"{database} is damaged")
    done = used.finish()

    (moved,) = [path for path in used.data.glob("state.db.damaged-*") if not path.name.endswith(("-wal", "-shm"))]
    assert moved.read_bytes() == before
    assert str(database) in found["database"]
    assert "state rebuild" in found["database"]
    assert f"moved to {moved}" in done.stderr
    assert failures(used) == {}
    assert used.effects() == ["echo", "echo"]
    assert used.status("one")["claims"] == 1


def test_a_database_of_a_newer_program_is_left_alone(used: Site) -> None:
    database = used.data / "state.db"
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = database.read_bytes()

    found = failures(used)
    check_others(used, broken=("plan", "status", "reconcile"), says="written by a newer ty-openworkflow")

    assert "has schema 99" in found["database"]
    assert database.read_bytes() == before


# The lock


def test_the_lock_of_a_holder_that_was_killed_is_free(used: Site) -> None:
    waiting = used.home / "waiting"
    used.settings(f"secrets: {{slow: {{cmd: 'touch {waiting}; exec sleep 9'}}}}\n")
    used.workflow("slow", "slow.py", ECHO, env={"SLOW": {"secret": "slow"}})
    used.start("three", "slow")
    holder = used.spawn("reconcile", "--once", str(used.folder))
    eventually(waiting.exists)
    during = used.cli.run("doctor").stdout
    holder.kill()
    holder.communicate()

    assert f"held by process {holder.pid} reconcile --once" in during
    assert f"free (last held by process {holder.pid} reconcile --once, which is gone" in used.cli.run("doctor").stdout
    assert failures(used) == {}
    used.settings("secrets: {slow: {cmd: echo x}}\n")
    used.finish()
    assert used.status("three")["status"] == "completed"


def test_a_lock_that_outlives_its_holder_is_a_finding_and_looking_goes_on(used: Site) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with open(used.data / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{gone.pid} reconcile --once\n")
        lock.flush()

        found = failures(used)

        assert used.statuses() == {"one": "completed"}
        assert used.cli.run("plan", str(used.folder), "--json").json["summary"]["changes"] == 1
    assert f"held by process {gone.pid}" in found["lock"]
    assert "something inherited the lock" in found["lock"]
