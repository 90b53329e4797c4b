"""Several `reconcile --once` at the same time, and one that is killed while it holds the lock: each run is started once."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counts import note
from tests.support.site import Site, eventually, kill

FULL = os.environ.get("TYOW_FULL") == "1"
ROUNDS = 60 if FULL else 5
AT_ONCE, RUNS = 4, 5
CODE = """\
import os

def workflow(input, ctx):
    def work():
        with open(os.environ["EFFECTS"], "a") as file:
            file.write(f"{input}\\n")
    ctx.step("work", work)
"""
pytestmark = pytest.mark.timeout(1800 if FULL else 120)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.workflow("w", "w.py", CODE)
    yield made
    made.close()


def holder(site: Site) -> int:
    """Return the process that was last to take the lock, 0 if nobody has."""
    try:
        return int((site.data / "lock").read_text().split(" ")[0])
    except (FileNotFoundError, ValueError, IndexError):
        return 0


def test_I7_I10_each_run_is_started_once_whoever_is_killed_beside_whom(site: Site) -> None:
    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed}")
    dice, killed = random.Random(seed), 0
    for number in range(ROUNDS):
        before = holder(site)
        for index in range(RUNS):
            site.start(f"r{number}-{index}", "w", input=f"r{number}-{index}")
        programs = [site.spawn("reconcile", "--once", str(site.folder)) for _ in range(AT_ONCE)]
        pids = {program.pid for program in programs}
        if dice.random() < 0.8:
            eventually(lambda before=before, pids=pids: holder(site) != before and holder(site) in pids)  # type: ignore[misc]
            for _ in range(dice.randrange(40)):
                os.sched_yield()
            killed += kill(holder(site))
        for program in programs:
            program.communicate(timeout=60)
            assert program.returncode in (0, -9), program.returncode

    site.finish("--timeout", "60s")

    names = {f"r{number}-{index}" for number in range(ROUNDS) for index in range(RUNS)}
    assert site.statuses() == dict.fromkeys(names, "completed")
    assert Counter(site.effects()) == dict.fromkeys(names, 1)
    for name, records in site.journals().items():
        claims = [record["claim"] for record in records if record["type"] == "claim"]
        assert claims == [1], f"{name}: {claims}"
    note("reconcilers killed beside others", killed)
    assert killed
