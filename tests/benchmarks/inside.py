"""Inside a loop, over 10,000 manifests: a pass with nothing to do, one changed file, and what the loop costs while nothing happens."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.config import Settings
from reconciler.config.types import AdapterSettings, ExecSettings
from reconciler.service import Service
from tests.benchmarks.measure import PROGRAM, ROOT, Line, median_of
from tests.benchmarks.noop import tree
from tests.support.site import eventually

_NUMBER = 10_000
_TIMES = 7
_IDLE_SECONDS = 20.0
_YOUNG_SECONDS = 2.1  # a file that is younger is read again by every pass


def lines(folder: Path) -> Iterator[Line]:
    """Measure passes of a service as a loop keeps it, then a loop as a process."""
    work, data = folder / "inside", folder / "inside-data"
    tree(work, _NUMBER)
    subprocess.run([*PROGRAM, "--data-dir", str(data), "reconcile", "--once", str(work)], cwd=ROOT, check=False, capture_output=True)
    time.sleep(_YOUNG_SECONDS)
    yield from _passes(work, data)
    yield from _idle(work, data)


def _passes(work: Path, data: Path) -> Iterator[Line]:
    adapters = AdapterSettings(exec=ExecSettings(work_dir=data / "exec"))
    service = Service(Settings(data, adapters=adapters), SystemClock(), lambda _: None)
    service.is_loop = True

    def pass_() -> float:
        begin = time.perf_counter()
        passed = service.reconcile([work], "the loop", lambda *_: None, changed=frozenset())
        took = time.perf_counter() - begin
        assert all(not report.applied.failures for report in passed.reports)
        return took * 1000

    def changed() -> float:
        path = work / "runs" / "r00042.yaml"
        text = path.read_text().partition("  priority")[0] + f"  priority: {time.time_ns() % 1000}\n"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)
        return pass_()

    for _ in range(3):
        pass_()
    yield Line(f"no-op pass over {_NUMBER} manifests, inside a loop", median_of(_TIMES, pass_), "ms", "", 100)
    yield Line(f"one changed file of {_NUMBER}, inside a loop", median_of(_TIMES, changed), "ms", "an edit of a run that has ended", None)
    service.close()


def _idle(work: Path, data: Path) -> Iterator[Line]:
    loop = subprocess.Popen(
        [*PROGRAM, "--data-dir", str(data), "reconcile", str(work)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _rests(loop.pid), timeout=60)
        begin = _cpu_seconds(loop.pid)
        time.sleep(_IDLE_SECONDS)
        share = (_cpu_seconds(loop.pid) - begin) / _IDLE_SECONDS * 100
        yield Line(f"a loop with {_NUMBER} objects, idle", share, "% core", f"over {_IDLE_SECONDS:g} s between two full passes", 0.5)
        yield Line(f"a loop with {_NUMBER} objects, memory", _resident(loop.pid), "MiB", "", 150)
    finally:
        loop.terminate()
        loop.wait(60)


def _rests(pid: int) -> bool:
    """Say whether a process has used no time for a second."""
    before = _cpu_seconds(pid)
    time.sleep(1)
    return before > 0 and _cpu_seconds(pid) == before


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
