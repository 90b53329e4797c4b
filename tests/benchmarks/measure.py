"""Timing whole processes, the machine, and the table at the end."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "reconciler"]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: `value` in `unit`; `aim` is what it should reach (at most it, or at least it where `more` is better)."""

    name: str
    value: float
    unit: str
    beside: str = ""
    aim: float | None = None
    more: bool = False

    @property
    def missed(self) -> bool:
        """Say whether the aim is missed by more than a factor of two."""
        if self.aim is None:
            return False
        return self.value < self.aim / 2 if self.more else self.value > self.aim * 2

    def __str__(self) -> str:
        aim = "" if self.aim is None else f"{'>=' if self.more else '<='} {self.aim:g} {self.unit}"
        return f"{self.name:<58} {self.value:>10.2f} {self.unit:<8} {aim:<16} {'MISSED ' if self.missed else ''}{self.beside}"


def machine(folder: Path) -> str:
    """Return the machine and the file system, as every table of figures must say."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=True).stdout.strip()
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores {model}, {kind}, Linux {platform.release()}, Python {platform.python_version()}, load {load:.2f}"


def median_of(times: int, action: Callable[[], float]) -> float:
    """Return the median of several results."""
    return statistics.median(action() for _ in range(times))


def seconds(command: Sequence[str], *, cwd: Path | None = None, expect: int = 0) -> float:
    """Return the wall time of a process; the Python of these benchmarks is first on its PATH, so that no shim is timed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=cwd or ROOT, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": path})
    took = time.perf_counter() - begin
    assert done.returncode == expect, f"{command} ended with {done.returncode}: {done.stderr.decode()[-500:]}"
    return took
