"""What it costs to start the program."""

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import PROGRAM, Line, median_of, seconds

_TIMES = 9


def lines(folder: Path) -> Iterator[Line]:
    """Compare the program with a Python that does nothing."""
    empty, data = folder / "empty", folder / "startup-data"
    empty.mkdir()
    nothing = median_of(_TIMES, lambda: seconds([sys.executable, "-c", "pass"]))
    version = median_of(_TIMES, lambda: seconds([*PROGRAM, "--version"]))
    plan = median_of(_TIMES, lambda: seconds([*PROGRAM, "--data-dir", str(data), "plan", str(empty)]))
    yield Line("`python -c pass`", nothing * 1000, "ms")
    yield Line("`--version`", version * 1000, "ms", f"{version / nothing:.1f} x `python -c pass`")
    yield Line("`plan` on an empty folder", plan * 1000, "ms", f"{plan / nothing:.1f} x `python -c pass`")
