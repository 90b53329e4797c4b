"""Processes die at random moments, and nothing that was recorded is done again."""

import os
import random
import select
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.site import Site, eventually, kill

FULL = os.environ.get("TYOW_FULL") == "1"
KILLS = 200 if FULL else 20
STEPS = 30
SIDE_BY_SIDE = 5
EXPECTED = [number * number for number in range(STEPS)]
PYTHON = """\
import os, time

def work(number, step):
    effects = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(effects, f"{step.key} {step.attempt}\\n".encode())
    os.close(effects)
    time.sleep(0.008)
    return number * number

def workflow(input, ctx):
    return [ctx.step(f"step-{n}", lambda step, n=n: work(n, step)) for n in range(input["steps"])]
"""
JAVASCRIPT = """\
const fs = require("node:fs");

async function work(number, { key, attempt }) {
  fs.appendFileSync(process.env.EFFECTS, `${key} ${attempt}\\n`);
  await new Promise((done) => setTimeout(done, 8));
  return number * number;
}

async function workflow(input, { step }) {
  const results = [];
  for (let n = 0; n < input.steps; n++) results.push(await step(`step-${n}`, (context) => work(n, context)));
  return results;
}
"""
pytestmark = pytest.mark.timeout(1800 if FULL else 120)


@dataclass
class Tally:
    """What a test did, printed at its end so that it can be repeated."""

    seed: int = field(default_factory=lambda: int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big")))
    kills: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def moment(self, longest: float) -> None:
        """Let a random time go by."""
        select.select([], [], [], self.random.uniform(0, longest))


@pytest.fixture
def tally() -> Iterator[Tally]:
    made = Tally()
    yield made
    print(f"seed {made.seed}: {made.kills} kills, {dict(made.counts)}")


@pytest.fixture
def counting(site: Site) -> Site:
    site.settings("adapters: {exec: {concurrency: 10}}\n")
    return deployed(site)


def deployed(site: Site, version: int = 0) -> Site:
    """Declare the workflows; another version is another revision."""
    site.workflow("count-python", "count.py", f"# {version}\n{PYTHON}")
    site.workflow("count-node", "count.js", f"// {version}\n{JAVASCRIPT}")
    return site


def declare(site: Site, workflows: list[str], number: int) -> list[str]:
    """Declare the runs of one round and return their names."""
    names = []
    for index in range(SIDE_BY_SIDE):
        names.append(f"round-{number}-{index}")
        site.start(names[-1], workflows[index % len(workflows)], input={"steps": STEPS})
    return names


def check_effects(site: Site, names: list[str], kills: int, tally: Tally) -> None:
    """Compare what was done with what was recorded, for all runs so far."""
    effects = Counter(tuple(line.rsplit(" ", 1)) for line in site.effects())
    journals = site.journals()
    again = 0
    for name in names:
        records = journals[name]
        claims = [record["claim"] for record in records if record["type"] == "claim"]
        uid, done = records[0]["uid"], {record["key"]: record for record in records if record["type"] == "completed"}
        assert len(claims) == len(set(claims)), f"{name} has a claim number that was taken twice: {claims}"
        assert records[-1]["type"] == "finished"
        assert records[-1]["output"] == EXPECTED, name
        assert sum(record["type"] == "completed" for record in records) == len(done) == STEPS
        for key, record in done.items():
            tries = [attempt for attempt in range(1, 20) if effects[f"{uid}/{key}", str(attempt)]]
            assert record["try"] == max(tries), f"{name}: {key} was recorded at try {record['try']}, and done at {tries}"
            assert {effects[f"{uid}/{key}", str(attempt)] for attempt in tries} == {1}, f"{name}: one try of {key} was carried out twice"
            again += len(tries) - 1
        tally.counts["claims"] += len(claims)
    assert again <= kills, f"{again} steps were done again after {kills} kills"
    tally.counts["done again"] += again
    tally.counts["steps"] += STEPS * len(names)


def settled(site: Site, names: list[str]) -> None:
    """Check that the command line tells the same as the journals, and that there is nothing left to do."""
    statuses = site.statuses()
    assert {name: statuses[name] for name in names if statuses[name] != "completed"} == {}
    assert site.plan()["changes"] == []


@pytest.mark.parametrize("language", ["python", "node"])
def test_I1_no_recorded_step_runs_again_after_kill_9_of_its_worker_at_a_random_moment(counting: Site, tally: Tally, language: str) -> None:
    site, names, rounds = counting, [], 0
    while tally.kills < KILLS:
        current = declare(site, [f"count-{language}"], rounds)
        before, rounds = tally.kills, rounds + 1
        site.pass_()
        for pid in tally.random.sample(sorted(site.processes()), len(site.processes())):
            tally.moment(0.12)
            tally.kills += kill(pid)
        site.finish()
        check_effects(site, current, tally.kills - before, tally)
        names += current

    settled(site, names)
    assert tally.counts["claims"] > len(names)  # some were killed after they had taken their claim


@pytest.mark.parametrize("waits", [False, True], ids=["once", "wait"])
def test_I9_nothing_runs_twice_after_kill_9_of_reconcile_at_a_random_moment(counting: Site, tally: Tally, waits: bool) -> None:
    site, names, rounds = counting, [], 0
    words = ["reconcile", "--once", *(["--wait"] if waits else []), str(site.folder)]
    while tally.kills < KILLS // 2:
        deployed(site, rounds)
        current = declare(site, ["count-python", "count-node"], rounds)
        rounds += 1
        for _ in range(2):
            process = site.spawn(*words)
            tally.moment(1.0 if waits else 0.6)
            process.kill()
            process.communicate()
            tally.kills += process.returncode < 0
        site.finish()
        check_effects(site, current, 0, tally)
        names += current

    settled(site, names)
    assert tally.counts["claims"] == len(names)  # the next one adopted what the killed one had begun
    eventually(lambda: not site.processes())


def test_I7_a_worker_and_its_reconcile_killed_together_leave_a_run_that_completes(counting: Site, tally: Tally) -> None:
    site = counting
    names = declare(site, ["count-python", "count-node"], 0)

    process = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    eventually(lambda: len(site.effects()) > STEPS)
    process.kill()
    process.communicate()
    tally.kills = sum(kill(pid) for pid in site.processes())
    site.finish()

    check_effects(site, names, tally.kills, tally)
    settled(site, names)
