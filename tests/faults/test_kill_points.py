"""A worker is killed at every system call of a run that writes, and the next one goes on where it was."""

import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.counts import note
from tests.faults.programs import EXTENSION, THIRTY, check_end, check_recovered
from tests.support import die_at
from tests.support.workers import Bench

FULL = os.environ.get("TYOW_FULL") == "1"
SAMPLE = 22
AT_LEAST = 300
SIDE_BY_SIDE = 2
LANGUAGES = ["node", "python"]
UNDER = [os.path.realpath(sys.executable), "-I", "-S", die_at.__file__]
pytestmark = [
    pytest.mark.timeout(3600 if FULL else 120),
    pytest.mark.skipif(
        not die_at.supported() and not os.environ.get("CI"), reason="the system calls of this machine are not known to tests/support/die_at.py"
    ),
]


@dataclass
class Kills:
    """Runs of the same program, each with workers that die at chosen calls."""

    bench: Bench

    def journal_and_side(self, uid: str) -> tuple[bytes, bytes]:
        side = Path(self.bench.prefix(uid) + "files/side")
        return self.bench.journal(uid), side.read_bytes() if side.exists() else b""

    def claim(self, uid: str, limit: int) -> tuple[int, str]:
        """Let a worker take the next claim and die at its call number `limit`; return how many calls it made, and the last."""
        report = self.bench.folder / f"{uid}.report"
        worker = self.bench.spawn(uid=uid, under=[*UNDER, str(limit), str(report)])
        worker.order(uid, self.bench.history(uid).claim + 1)
        status = worker.wait(60)
        calls, _, last = report.read_text().strip().partition(" ")
        assert status == (-9 if last else 0), f"call {limit}: the worker ended with {status}: {worker.log()}"
        return int(calls), last

    def calls(self) -> int:
        """Return how many calls a run makes whose worker is not killed, once Python has compiled what it needs."""
        for uid in ("first", "whole"):
            self.bench.create(uid)
            before = self.journal_and_side(uid)
            total, _ = self.claim(uid, 0)
            check_end(THIRTY, before, self.journal_and_side(uid), "nobody was killed")
        return total

    def survive(self, uid: str, *limits: int) -> int:
        """Create a run, let its workers die at their calls of these numbers, check, and return how many did."""
        self.bench.create(uid)
        deaths = 0
        for limit in limits:
            if self.bench.history(uid).finished is not None:
                break
            before = self.journal_and_side(uid)
            _, last = self.claim(uid, limit)
            deaths += bool(last)
            self.bench.cut(uid)
            where = f"{limits}: killed at {last}"
            check_recovered(*self.journal_and_side(uid), where)
            assert self.bench.journal(uid).startswith(before[0]), where  # I4
        before = self.journal_and_side(uid)
        if self.bench.history(uid).finished is None:
            self.bench.resume(uid)
        check_end(THIRTY, before, self.journal_and_side(uid), str(limits))
        return deaths


@pytest.fixture(params=LANGUAGES)
def kills(request: pytest.FixtureRequest, tmp_path: Path) -> Kills:
    language = request.param
    return Kills(Bench(tmp_path, THIRTY.code(language), runtime=language, entry=EXTENSION[language]))


def chance() -> random.Random:
    """Return a generator whose seed is printed, so that a failure can be repeated with TYOW_SEED."""
    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed}")
    return random.Random(seed)


def test_I1_I2_I4_I5_I14_a_worker_killed_at_any_call_that_writes_is_followed_by_one_that_goes_on(kills: Kills) -> None:
    total = kills.calls()
    points = range(1, total + 1) if FULL else sorted(chance().sample(range(1, total + 1), SAMPLE))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        deaths = sum(pool.map(lambda point: kills.survive(f"r{point}", point), points))
        while FULL and kills.survive(f"r{total + 1}", total + 1):  # another run may make more calls than the first one did
            total, deaths = total + 1, deaths + 1
    note(f"kill points, {kills.bench.runtime}", deaths)
    assert total >= AT_LEAST
    assert deaths >= len(points) * 0.8  # a run may also make fewer


def test_I4_a_worker_killed_while_it_recovers_from_a_kill_is_followed_by_one_that_goes_on(kills: Kills) -> None:
    total, dice = kills.calls(), chance()
    limits = [[dice.randint(1, total), *(dice.randint(1, total // 2) for _ in range(1 + number % 2))] for number in range(175 if FULL else 4)]

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        deaths = sum(pool.map(lambda numbered: kills.survive(f"d{numbered[0]}", *numbered[1]), enumerate(limits)))
    note(f"kills in a row, {kills.bench.runtime}", deaths)
    assert deaths > len(limits)


def test_the_program_of_these_tests_has_thirty_steps(kills: Kills) -> None:
    history = kills.bench.run("u")

    assert [sum(call.kind == kind for call in history.calls.values()) for kind in ("step", "sleep")] == [30, 2]
