"""A few seeds, quickly: what broken code must not get past (tests/faults/mutants.yaml)."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.workers import ROOT

LAST = 40


@pytest.mark.slow
def test_the_invariants_hold_for_the_first_seeds() -> None:
    command = [sys.executable, "-m", "tests.simulation", "1", str(LAST)]
    told = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "1"}, stdout=subprocess.PIPE, text=True, check=True).stdout

    outcomes = [json.loads(line) for line in told.splitlines()]
    assert len(outcomes) == LAST
    assert [f"seed {outcome['seed']}: {outcome['error']}" for outcome in outcomes if outcome["error"]] == []
