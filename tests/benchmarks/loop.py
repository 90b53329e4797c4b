"""Under a living loop: from a manifest that is written to what its run does, and to its end."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.errors import DamagedError
from reconciler.journal import decode_lines
from tests.benchmarks.measure import PROGRAM, ROOT, Line, median_of, seconds
from tests.support.workers import NODE

_NUMBER = 30
_PATIENCE = 60.0
_CODE = {
    "python": ("one.py", 'def workflow(input, ctx):\n    return ctx.step("only", lambda: 1)\n'),
    "node": ("one.js", 'async function workflow(input, { step }) {\n  return await step("only", () => 1);\n}\n'),
}


def lines(folder: Path) -> Iterator[Line]:
    """Measure both languages, with workers that linger and with a fresh one for each run."""
    for runtime in ("python", "node"):
        if runtime == "node" and NODE is None:
            continue
        bare = [sys.executable, "-I", "-S", "-c", "pass"] if runtime == "python" else [str(NODE), "-e", "0"]
        start = median_of(5, lambda b=bare: seconds(b)) * 1000  # type: ignore[misc]
        _, ends = _measure(runtime, folder, runs_per_worker=16)
        yield Line(f"loop, warm: manifest written to run finished, p50, {runtime}", statistics.median(ends), "ms", f"p95 {_p95(ends):.0f} ms", 50)
        starts, _ = _measure(runtime, folder, runs_per_worker=1)
        beside = f"p95 {_p95(starts):.0f} ms, {statistics.median(starts) / start:.1f} x the start of an idle {runtime}"
        aim = 150 if runtime == "python" else 200
        yield Line(f"loop: change to first effect, fresh worker, p50, {runtime}", statistics.median(starts), "ms", beside, aim)


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def _measure(runtime: str, folder: Path, runs_per_worker: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds from each manifest to the first step of its run, and to its end."""
    home = folder / f"loop-{runtime}-{runs_per_worker}"
    project, data = home / "project", home / "data"
    project.mkdir(parents=True)
    entry, code = _CODE[runtime]
    (project / entry).write_text(code)
    _write(project, "Workflow", "one", {"code": {"file": entry}, "exec": {"runsPerWorker": runs_per_worker}})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    loop = subprocess.Popen(
        [*PROGRAM, "--data-dir", str(data), "reconcile", str(project)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    starts, ends = [], []
    try:
        for number in range(_NUMBER + 2):
            name = f"r{number}"
            at = time.time() * 1000
            _write(project, "Run", name, {"workflow": "one"})
            records = _finished(data, name)
            if number > 1:  # the first ones also pay for the deployment and for a first worker
                starts.append(_at(records, "requested") - at)
                ends.append(_at(records, "finished") - at)
            time.sleep(0.2)
    finally:
        loop.terminate()
        loop.wait(_PATIENCE)
    return starts, ends


def _write(project: Path, kind: str, name: str, spec: dict[str, Any]) -> None:
    document = {"apiVersion": "ty-openworkflow/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    temporary = project / f".{name}"
    temporary.write_text(json.dumps(document))
    temporary.rename(project / f"{name}.yaml")


def _finished(data: Path, name: str) -> list[dict[str, Any]]:
    """Wait for the end of a run, and return its journal."""
    end = time.monotonic() + _PATIENCE
    known: set[Path] = set()
    while time.monotonic() < end:
        for path in (data / "exec" / "runs").glob("*.journal.jsonl"):
            if path in known:
                continue
            try:
                records = decode_lines(path.read_bytes())
            except DamagedError:
                continue
            if records and records[-1]["type"] == "finished":
                known.add(path)
                if records[0]["run"] == name:
                    return records
        time.sleep(0.002)
    message = f"run {name} has not ended"
    raise AssertionError(message)


def _at(records: list[dict[str, Any]], kind: str) -> float:
    return datetime.fromisoformat(next(record["at"] for record in records if record["type"] == kind)).timestamp() * 1000
