"""Random parallel programs in real JavaScript workers that are killed at random: the journal decides, whatever was lost."""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.history import History
from tests.support.workers import NODE, ROOT, Bench, Worker, until

WORKERS, RUNS_EACH, KILLS = (6, 5, 4) if os.environ.get("TYOW_FULL") == "1" else (2, 4, 3)
PROGRAMS = ROOT / "tests/javascript/support/random_programs.mjs"
SIGNALS = json.loads(next(line for line in PROGRAMS.read_text().splitlines() if line.startswith("export const SIGNALS")).split("=")[1].rstrip(";"))
ENTRY = """
import fs from "node:fs";
import { interpret } from "./random_programs.mjs";

export default (input, calls) => {
  const execute = (key) => {
    fs.appendFileSync(`${calls.run.folder}/executed`, `${key.slice(key.indexOf("/") + 1)}\\n`);
    return Math.floor(Math.random() * 1e6);
  };
  return interpret({ execute })(input, calls);
};
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path, {"main.mjs": ENTRY, "random_programs.mjs": PROGRAMS.read_text()}, runtime="node")
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("group", range(WORKERS))
def test_a_program_that_is_killed_at_random_ends_as_its_replay_does_and_repeats_no_completed_step(bench: Bench, group: int) -> None:
    chance = random.Random(group)
    seeds = {f"run{number}": 1000 * group + number for number in range(RUNS_EACH)}
    for uid, seed in seeds.items():
        bench.create(uid, {"seed": seed}, {"cancel": {"grace_ms": 20}})
    for _ in range(KILLS):
        _carry_on_and_kill(bench, list(seeds), chance)
    while not _have_ended(bench, list(seeds)):
        worker = _carry_on(bench, list(seeds))
        until(lambda w=worker: not w.alive() or _signal_one(bench, list(seeds), w, chance), timeout=60)
        worker.wait()

    for uid in seeds:
        _check_replay(bench, uid)


def _carry_on(bench: Bench, uids: list[str]) -> Worker:
    """Order all runs that have not ended from one new worker."""
    worker = bench.spawn(capacity=len(uids), linger_ms=50)
    for uid in uids:
        history = bench.history(uid)
        if history.finished is None:
            worker.order(uid, history.claim + 1)
    return worker


def _have_ended(bench: Bench, uids: list[str]) -> bool:
    return all(bench.history(uid).finished for uid in uids)


def _signal_one(bench: Bench, uids: list[str], worker: Worker, chance: random.Random) -> bool:
    """Send a signal to one run and wake the worker; say whether all runs have ended."""
    uid = chance.choice(uids)
    bench.send(uid, {"type": "signal", "id": str(chance.random()), "name": chance.choice(SIGNALS), "data": chance.randrange(1_000_000)})
    worker.wake()
    return _have_ended(bench, uids)


def _carry_on_and_kill(bench: Bench, uids: list[str], chance: random.Random) -> None:
    completed = {uid: _completed(bench, uid) for uid in uids}
    executed = {uid: len(_executed(bench, uid)) for uid in uids}
    worker = _carry_on(bench, uids)
    until(lambda: any(bench.history(uid).worker == worker.id for uid in uids) or all(bench.history(uid).finished for uid in uids))
    end = time.monotonic() + chance.uniform(0, 0.06)
    while time.monotonic() < end and not _signal_one(bench, uids, worker, chance):
        time.sleep(chance.uniform(0, 0.01))
    worker.kill()
    worker.wait()
    for uid in uids:
        assert not completed[uid] & set(_executed(bench, uid)[executed[uid] :])


def _completed(bench: Bench, uid: str) -> set[str]:
    return {record["key"] for record in bench.records(uid) if record["type"] == "completed" and "try" in record}


def _executed(bench: Bench, uid: str) -> list[str]:
    """Return the keys of the steps whose effects happened, in order."""
    path = Path(bench.prefix(uid) + "files/executed")
    return path.read_text().splitlines() if path.exists() else []


def _check_replay(bench: Bench, uid: str) -> None:
    """Take the terminal record away, and let another worker come to the end again."""
    before, executed = bench.history(uid), _executed(bench, uid)
    journal = Path(bench.prefix(uid) + "journal.jsonl")
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    after = bench.resume(uid)

    assert _end(after) == _end(before)
    assert _executed(bench, uid) == executed


def _end(history: History) -> tuple[object, ...]:
    assert history.finished is not None
    return history.finished["status"], history.finished.get("output"), history.finished.get("error", {}).get("message")
