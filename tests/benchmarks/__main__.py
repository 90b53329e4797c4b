"""`make bench`: every figure with its aim; fails when one misses its aim by more than a factor of two."""

import sys
import tempfile
from pathlib import Path

from tests.benchmarks import inside, latency, loop, noop, runs, startup, steps
from tests.benchmarks.measure import Line, machine

SUITES = {
    "startup": startup.lines,
    "noop": noop.lines,
    "inside": inside.lines,
    "steps": steps.lines,
    "runs": runs.lines,
    "latency": latency.lines,
    "loop": loop.lines,
}


def main() -> int:
    """Run the suites that were named, or all."""
    found: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        print(machine(Path(folder)))
        for name in sys.argv[1:] or SUITES:
            for line in SUITES[name](Path(folder)):
                print(line, flush=True)
                found.append(line)
    missed = [line for line in found if line.missed]
    print(f"{len(found)} figures, {len(missed)} miss their aim by more than a factor of two")
    return 1 if missed else 0


sys.exit(main())
