"""How late things are: a killed worker's successor, a sleep, a signal."""

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

from adapters.runfiles import RunFiles
from reconciler.errors import DamagedError
from reconciler.journal import decode_lines
from tests.benchmarks.measure import PROGRAM, ROOT, Line, median_of, seconds
from tests.support.site import MARK, environments, kill
from tests.support.workers import NODE, Bench

_TIMES = 5
_NUMBER = 100
_PATIENCE = 60.0
_HOLD = {
    "python": (
        "hold.py",
        """\
import time

def hold(attempt):
    if not attempt.in_doubt:
        time.sleep(600)

def workflow(input, ctx):
    for n in range(1000):
        ctx.step("s", lambda: n)
    ctx.step("hold", hold)
""",
    ),
    "node": (
        "hold.js",
        """\
async function workflow(input, { step }) {
  for (let n = 0; n < 1000; n++) await step("s", () => n);
  await step("hold", ({ inDoubt }) => inDoubt || new Promise((done) => setTimeout(done, 600000)));
}
""",
    ),
}
_SLEEPS = {
    "python": ("nap.py", 'def workflow(input, ctx):\n    for n in range(input):\n        ctx.sleep("nap", 0.015)\n'),
    "node": ("nap.js", 'async function workflow(input, { sleep }) {\n  for (let n = 0; n < input; n++) await sleep("nap", 15);\n}\n'),
}
_SIGNALS = {
    "python": ("wait.py", 'def workflow(input, ctx):\n    for n in range(input):\n        ctx.wait_for_signal("go")\n'),
    "node": ("wait.js", 'async function workflow(input, { waitForSignal }) {\n  for (let n = 0; n < input; n++) await waitForSignal("go");\n}\n'),
}


def lines(folder: Path) -> Iterator[Line]:
    """Measure both languages."""
    for runtime in ("python", "node"):
        if runtime == "node" and NODE is None:
            continue
        bare = [sys.executable, "-I", "-S", "-c", "pass"] if runtime == "python" else [str(NODE), "-e", "0"]
        start = median_of(_TIMES, lambda b=bare: seconds(b))  # type: ignore[misc]
        takeover = median_of(_TIMES, lambda r=runtime: _takeover(r, folder))  # type: ignore[misc]
        beside = f"{takeover / start:.1f} x the start of an idle {runtime}"
        yield Line(f"worker killed: past its last of 1,000 steps, {runtime}", takeover * 1000, "ms", beside, 100)
        late = _sleeps(runtime, folder)
        yield Line(f"sleep in a live worker, p95 late, {runtime}", _p95(late), "ms", f"p50 {statistics.median(late):.1f} ms", 10)
        told = _signals(runtime, folder)
        yield Line(f"signal in the inbox to waiting code, p50, {runtime}", statistics.median(told), "ms", f"p95 {_p95(told):.1f} ms", 20)


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def _milliseconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp() * 1000


def _takeover(runtime: str, folder: Path) -> float:
    """Return the seconds from the death of a worker to the next try of its step, while a command waits for the run."""
    home = folder / f"takeover-{time.monotonic_ns()}"
    project, data = home / "project", home / "data"
    project.mkdir(parents=True)
    entry, code = _HOLD[runtime]
    (project / entry).write_text(code)
    for kind, name, spec in (("Workflow", "hold", {"code": {"file": entry}}), ("Run", "held", {"workflow": "hold"})):
        document: dict[str, Any] = {"apiVersion": "ty-openworkflow/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        (project / f"{name}.yaml").write_text(json.dumps(document))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [*PROGRAM, "--data-dir", str(data), "reconcile", "--once", "--wait", str(project)]
    loop = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(lambda: any(record.get("key") == "hold" for record in _journal(data)))
    worker = next(record["worker"] for record in _journal(data) if record["type"] == "claim")
    pid = next(pid for pid, entries in environments() if f"{MARK}={worker}".encode() in entries)
    killed = time.time() * 1000
    kill(pid)
    assert loop.wait(_PATIENCE) == 0
    again = next(record for record in _journal(data) if record["type"] == "started")
    return (_milliseconds(again["at"]) - killed) / 1000


def _journal(data: Path) -> list[dict[str, Any]]:
    try:
        return [record for path in (data / "exec" / "runs").glob("*.journal.jsonl") for record in decode_lines(path.read_bytes())]
    except (FileNotFoundError, DamagedError):
        return []


def _until(question: Any) -> None:
    end = time.monotonic() + _PATIENCE
    while not question():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


def _sleeps(runtime: str, folder: Path) -> list[float]:
    """Return how late each of a hundred sleeps was released, in milliseconds."""
    entry, code = _SLEEPS[runtime]
    bench = Bench(folder / f"sleeps-{time.monotonic_ns()}", {entry: code}, runtime=runtime)
    bench.run("u1", _NUMBER)
    records = bench.records("u1")
    until = {record["key"]: record["until"] for record in records if record["type"] == "requested"}
    return [_milliseconds(record["at"]) - _milliseconds(until[record["key"]]) for record in records if record["type"] == "completed"]


def _signals(runtime: str, folder: Path) -> list[float]:
    """Return the milliseconds from each of a hundred messages, written as the reconciler writes them, to the next call of the code."""
    entry, code = _SIGNALS[runtime]
    bench = Bench(folder / f"signals-{time.monotonic_ns()}", {entry: code}, runtime=runtime)
    bench.create("u1", _NUMBER + 1)
    worker = bench.spawn(uid="u1")
    worker.order("u1", 1)
    files = RunFiles(bench.prefix("u1"))
    sent = []
    for number in range(_NUMBER):
        _until(lambda n=number: sum(record["type"] == "requested" for record in bench.records("u1")) == n + 1)
        sent.append(time.time() * 1000)
        files.send({"type": "signal", "id": str(number), "name": "go", "data": number})
        worker.wake()
    _until(lambda: sum(record["type"] == "requested" for record in bench.records("u1")) == _NUMBER + 1)
    asked = [_milliseconds(record["at"]) for record in bench.records("u1") if record["type"] == "requested"]
    worker.kill()
    return [after - before for before, after in zip(sent, asked[1:], strict=True)]
