"""I10: passes over an unchanged world, by what the kernel sees of the real program."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import strace
from tests.support.cli import clean_environment
from tests.support.site import Site, eventually

PASSES = 20
SETTLE_SECONDS = "2.1"  # files that changed less than two seconds ago are read again
CODE = 'def workflow(input, ctx):\n    ctx.step("work", lambda: 1)\n    if input:\n        ctx.sleep("long", "1d")\n'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with finished, parked, suspended and canceled runs, on which everything was done."""
    made = Site(tmp_path)
    made.workflow("w", "w.py", CODE)
    for number in range(6):
        made.start(f"done-{number}", "w", input=0)
    made.start("parked", "w", input=1)
    made.start("suspended", "w", suspend=True)
    made.start("canceled", "w", cancel=True)
    made.start("waits", "w", dependsOn=["run/parked"])
    made.pass_("--wait", "--timeout", "1s", expect=None)
    eventually(lambda: made.reached("parked", "parked") and not made.processes())
    eventually(lambda: made.pass_(expect=None) and made.plan()["changes"] == [])
    subprocess.run(["sleep", SETTLE_SECONDS], check=True)
    made.pass_()
    yield made
    made.close()


def changed(site: Site, log: Path) -> list[str]:
    """Run one pass under strace, and return what it did to files below the data folder."""
    command = [*site.cli.command, "--data-dir", str(site.data), "reconcile", "--once", str(site.folder)]
    events = strace.record(command, log, cwd=site.folder, env=clean_environment(site.home))
    writing = [event for event in events if event.name not in ("openat", "open") or "O_CREAT" in event.flags or "O_TRUNC" in event.flags]
    return [f"{event.name} {path}" for event in writing for path in event.paths if path.startswith(str(site.data))]


def test_I10_twenty_passes_over_an_unchanged_world_write_nothing_and_plan_nothing(site: Site) -> None:
    before = {path: path.read_bytes() for path in site.data.rglob("*") if path.is_file() and not path.name.startswith(("lock", "state.db-"))}

    for _ in range(PASSES):
        assert site.plan()["changes"] == []
        site.pass_()

    after = {path: path.read_bytes() for path in site.data.rglob("*") if path.is_file() and not path.name.startswith(("lock", "state.db-"))}
    assert after == before


def test_I10_a_pass_over_an_unchanged_world_neither_writes_to_the_database_nor_syncs_anything(site: Site, tmp_path: Path) -> None:
    for number in range(3):
        done = changed(site, tmp_path / f"strace-{number}")

        # The lock names its holder; SQLite makes the index of its write-ahead log anew when it is opened.
        lock = str(site.data / "lock")
        index = str(site.data / "state.db-shm")
        rest = [event for event in done if event.split(" ", 1)[1] not in (lock, index)]
        assert not [event for event in rest if event.startswith(("fsync", "fdatasync", "sync"))]
        assert not [event for event in rest if "state.db" in event and event.startswith(("write", "pwrite64", "writev", "ftruncate"))]
        assert not [event for event in rest if str(site.data / "exec") in event]


def test_I10_a_finished_world_stays_finished_when_all_files_are_moved_and_renamed(site: Site) -> None:
    (site.folder / "deeper" / "still").mkdir(parents=True)
    for path in sorted(site.folder.glob("*.yaml")):
        if not path.name.startswith("workflow-"):  # its code lies beside it
            path.rename(site.folder / "deeper" / "still" / f"other-{path.name}")

    assert site.plan()["changes"] == []
