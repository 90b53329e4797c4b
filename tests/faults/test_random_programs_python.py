"""Random programs, killed at random: they reach the same end in every replay, and nothing that has a result runs again."""

import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.python_worker import programs
from tests.python_worker.crashes import CrashingRun
from tests.support.workers import Bench

FULL = os.environ.get("TYOW_FULL") == "1"
PROGRAMS = int(os.environ.get("TYOW_PROGRAMS", "2000" if FULL else "30"))
KILLED = 30 if FULL else 6
FIRST_SEED = 10_000


def _end(record: Mapping[str, Any]) -> tuple[Any, ...]:
    error = record.get("error") or {}
    return record["type"], record.get("status"), record.get("output"), error.get("name"), error.get("message")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "asyncio"])
def test_i1_i3_programs_whose_writes_are_lost_at_random_end_the_same_in_every_replay(tmp_path: Path, *, is_async: bool) -> None:
    crashes = messages = 0
    for seed in range(FIRST_SEED, FIRST_SEED + PROGRAMS):
        run = CrashingRun(tmp_path / str(seed), seed, is_async=is_async)
        live = run.carry_out()
        crashes += run.crashes

        assert live["type"] == "finished", f"seed {seed}"
        assert run.under_two_keys() == [], f"seed {seed}"
        delivered = run.delivered()
        assert len(set(delivered)) == len(delivered), f"seed {seed}: a message was delivered twice"
        assert _end(run.replay()) == _end(live), f"seed {seed}"
        messages += len(delivered)
    assert crashes > PROGRAMS
    assert messages > PROGRAMS // 10
    print(f"{PROGRAMS} programs, {crashes} crashes, {messages} messages")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "asyncio"])
def test_i1_i3_programs_in_real_workers_that_are_killed_end_the_same_in_every_replay(tmp_path: Path, *, is_async: bool) -> None:
    text = Path(programs.__file__).read_text()
    made = Bench(tmp_path, {"main.py": text + "\n\nworkflow = async_workflow\n" if is_async else text}, runtime="python")
    killed = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 20 * KILLED):
        if killed >= KILLED and seed >= FIRST_SEED + KILLED:
            break  # a short program may end before it is killed: go on until enough of them were
        uid, chance = f"r{seed}", random.Random(seed)
        made.create(uid, {"seed": seed, "effects": str(tmp_path / f"{uid}.effects")}, {"cancel": {"grace_ms": 50}})
        patience = 0.05
        while made.history(uid).finished is None:
            patience += 0.05
            before = _executed(tmp_path, uid)
            completed = {record["key"] for record in made.records(uid) if record["type"] in ("completed", "failed")}
            worker = made.spawn(uid=uid)
            worker.order(uid, made.history(uid).claim + 1)
            time.sleep(patience / 2 + chance.random() * patience)
            worker.kill()
            killed += worker.wait() == -9
            again = {line.split()[0].partition("/")[2] for line in _executed(tmp_path, uid)[len(before) :]} & completed
            assert not again, f"seed {seed}: {again} had a result and ran again"
        live = made.records(uid)[-1]

        _take_the_end_away(made, uid)
        assert _end(made.resume(uid).finished or {"type": "none"}) == _end(live), f"seed {seed}"
    assert killed >= KILLED


def _executed(folder: Path, uid: str) -> list[str]:
    path = folder / f"{uid}.effects"
    return path.read_text().splitlines() if path.exists() else []


def _take_the_end_away(made: Bench, uid: str) -> None:
    lines, records = made.journal(uid).splitlines(keepends=True), made.records(uid)
    while records[-1]["type"] in ("finished", "abandoned"):
        records.pop()
    Path(made.prefix(uid) + "journal.jsonl").write_bytes(b"".join(lines[: len(records)]))
