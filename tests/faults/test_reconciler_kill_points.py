"""A real `reconcile` is killed at every system call of a pass that writes, and the passes after it converge."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.state import open_store
from tests.faults.counts import note
from tests.support import die_at
from tests.support.cli import clean_environment
from tests.support.site import Site, eventually

FULL = os.environ.get("TYOW_FULL") == "1"
EVERY = 1 if FULL else 5
AT_LEAST = 60
PASSES = 3
SIDE_BY_SIDE = 2
ALONE = [os.path.realpath(sys.executable), "-I", "-S", die_at.__file__, "--alone"]
STEP = """\
import os

def workflow(input, ctx):
    def work():
        with open(os.path.expanduser("~/effects"), "a") as file:
            file.write(f"{input}\\n")
    ctx.step("work", work)
    if input.startswith("parked"):
        ctx.sleep("long", "1d")
    return input
"""
pytestmark = [
    pytest.mark.timeout(3600 if FULL else 300),
    pytest.mark.skipif(
        not die_at.supported() and not os.environ.get("CI"), reason="the system calls of this machine are not known to tests/support/die_at.py"
    ),
]


def chance() -> int:
    """Return a number that is printed, so that a failure can be repeated with TYOW_SEED."""
    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(2), "big"))
    print(f"seed {seed}")
    return seed


def declare(site: Site) -> None:
    """Declare three workflows and six runs, two of which are canceled now, and take away the manifest of a seventh."""
    for number, names in enumerate((("parked-a", "parked-b"), ("c", "d"), ("e", "f"))):
        site.workflow(f"w{number}", f"w{number}.py", STEP + f"# two {number}\n")
        for name in names:
            site.start(name, f"w{number}", input=name, cancel=name.startswith("parked"))


@pytest.fixture
def before(tmp_path: Path) -> Site:
    """A site after its first pass: two runs are parked, and one has a worker no more."""
    (tmp_path / "first").mkdir()
    site = Site(tmp_path / "first")
    site.workflow("w0", "w0.py", STEP)
    for name in ("parked-a", "parked-b", "parked-gone"):
        site.start(name, "w0", input=name)
    site.pass_()
    eventually(lambda: all(site.reached(name, "parked") for name in ("parked-a", "parked-b", "parked-gone")))
    eventually(lambda: not site.processes())
    site.pass_()
    (site.folder / "parked-gone.yaml").unlink()
    declare(site)
    return site


def again(before: Site, root: Path) -> Site:
    """Return a site of its own with the same past; its folder of manifests is the same one."""
    root.mkdir()
    site = Site(root)
    subprocess.run(["cp", "-a", before.data, site.data], check=True)  # with its pipes
    site.folder = before.folder
    return site


def killed(site: Site, limit: int) -> tuple[int, str]:
    """Run a pass that is killed at its call number `limit`; return how many calls it made, and the last."""
    report = site.home / "report"
    command = [
        *ALONE,
        str(limit),
        str(report),
        sys.executable,
        "-m",
        "reconciler",
        "--data-dir",
        str(site.data),
        "reconcile",
        "--once",
        str(site.folder),
    ]
    with open(site.home / "printed", "wb") as printed:
        program = subprocess.Popen(command, cwd=site.folder, env=clean_environment(site.home), stdout=printed, stderr=printed)
        eventually(report.exists)
        calls, _, last = report.read_text().strip().partition(" ")
        eventually(lambda: not site.processes())
        program.wait()
    return int(calls), last


def converges(site: Site, where: str) -> None:
    """Check what three passes make of what the killed one has left, and that a fourth has nothing to do."""
    for _ in range(PASSES):
        site.pass_(expect=None)
        eventually(lambda: not site.processes())
    assert site.plan()["changes"] == [], where
    store = open_store(site.data)
    try:
        changes = store.db.execute("PRAGMA data_version").fetchone()
        site.pass_()
        assert store.db.execute("PRAGMA data_version").fetchone() == changes, f"{where}: a pass without a change wrote to the database"
        rows = dict(store.db.execute("SELECT name, status FROM runs").fetchall())
    finally:
        store.close()
    ended = dict.fromkeys("cdef", "completed") | dict.fromkeys(("parked-a", "parked-b", "parked-gone"), "canceled")
    assert rows == ended, where
    check_journals(site, where)


def check_journals(site: Site, where: str) -> None:
    """Check that every run began once and ended once, and that nothing is there that nobody knows."""
    journals = site.journals()
    assert journals.keys() == {*"cdef", "parked-a", "parked-b", "parked-gone"}, where
    for name, records in journals.items():
        kinds = Counter(record["type"] for record in records)
        assert kinds["finished"] == 1, f"{where}: {name}"
        assert kinds["requested"] == (2 if name.startswith("parked") else 1), f"{where}: {name}"
    assert Counter((site.home / "effects").read_text().split()) == dict.fromkeys("cdef", 1), f"{where}: a step ran twice or never"


def test_I7_I9_I11_a_reconciler_killed_at_any_call_that_writes_is_followed_by_three_passes_that_converge(before: Site, tmp_path: Path) -> None:
    whole = again(before, tmp_path / "whole")
    total, last = killed(whole, 0)
    assert not last
    converges(whole, "nobody was killed")

    def survive(limit: int) -> bool:
        site = again(before, tmp_path / f"at-{limit}")
        try:
            _, last = killed(site, limit)
            converges(site, f"killed at call {limit} of {total}: {last}")
        finally:
            site.close()
        shutil.rmtree(tmp_path / f"at-{limit}")
        return bool(last)

    points = range(1 + chance() % EVERY, total + 1, EVERY)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        deaths = sum(pool.map(survive, points))
    note("kill points, reconcile", deaths)
    assert total >= AT_LEAST
    assert deaths >= len(points) * 0.8
