"""Steps of one run, against a raw loop of append and fdatasync in the same language."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.history import fold
from tests.benchmarks.measure import Line, median_of
from tests.support.workers import NODE, Bench

_TIMES = 3
_RECORD = 230  # bytes of a completed record with its request, about
_CODE = {
    "python": ("w.py", 'def workflow(input, ctx):\n    for i in range(input):\n        ctx.step("s", lambda: i)\n    return input\n'),
    "node": ("w.js", 'async function workflow(input, { step }) {\n  for (let i = 0; i < input; i++) await step("s", () => i);\n  return input;\n}\n'),
}
_RAW = {
    "python": """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND); data = b"x" * int(sys.argv[3]); begin = time.perf_counter()
for _ in range(int(sys.argv[2])): os.write(fd, data); os.fdatasync(fd)
print(time.perf_counter() - begin)
""",
    "node": """
const fs = require("fs"); const [path, n, size] = process.argv.slice(1); const fd = fs.openSync(path, "a"); const data = Buffer.alloc(+size, 120);
const begin = process.hrtime.bigint(); for (let i = 0; i < +n; i++) { fs.writeSync(fd, data); fs.fdatasyncSync(fd); }
console.log(Number(process.hrtime.bigint() - begin) / 1e9);
""",
}


def lines(folder: Path) -> Iterator[Line]:
    """Measure both languages at 1,000 and 10,000 steps, then the replay of the longer run."""
    for runtime in ("python", "node"):
        if runtime == "node" and NODE is None:
            continue
        rates = {}
        for number in (1_000, 10_000):
            raw = median_of(_TIMES, lambda r=runtime, n=number: n / _raw(r, folder, n))  # type: ignore[misc]
            rates[number] = median_of(_TIMES, lambda r=runtime, n=number: n / _steps(r, folder, n))  # type: ignore[misc]
            share = 100 * rates[number] / raw
            beside = f"{rates[number]:.0f} steps/s; {raw:.0f} syncs/s"
            yield Line(f"steps in one run of {number}, {runtime}", share, "% of raw", beside, 65, more=True)
        yield Line(f"cost of a step at 10,000 against 1,000, {runtime}", rates[1_000] / rates[10_000], "x", aim=1.2)
        yield Line(f"replay of 10,000 steps, {runtime}", median_of(_TIMES, lambda r=runtime: _replay(r, folder)) * 1000, "ms", aim=200)  # type: ignore[misc]


def _fresh(folder: Path, name: str) -> Path:
    return folder / f"{name}-{time.monotonic_ns()}"


def _raw(runtime: str, folder: Path, number: int) -> float:
    program = [sys.executable, "-c"] if runtime == "python" else [str(NODE), "-e"]
    command = [*program, _RAW[runtime], str(_fresh(folder, "raw")), str(number), str(_RECORD)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _steps(runtime: str, folder: Path, number: int) -> float:
    """Return the seconds from the first request to the end, by the journal."""
    entry, code = _CODE[runtime]
    bench = Bench(_fresh(folder, "steps"), {entry: code}, runtime=runtime)
    bench.run("u1", number, timeout=120)
    records = bench.records("u1")
    first = next(record for record in records if record["type"] == "requested")
    return _seconds(first["at"], records[-1]["at"])


def _replay(runtime: str, folder: Path) -> float:
    """Return the seconds from the claim of a worker to the first new step after 10,000 recorded ones."""
    entry, code = _CODE[runtime]
    more = code.replace(
        "return input", 'ctx.step("new", lambda: 1)\n    return input' if runtime == "python" else 'await step("new", () => 1);\n  return input'
    )
    bench = Bench(_fresh(folder, "replay"), {entry: more}, runtime=runtime)
    bench.run("u1", 10_000, timeout=120)
    path = Path(bench.prefix("u1") + "journal.jsonl")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"\n", 0, data.index(b'"key":"new"')) + 1])
    history = fold(path.read_bytes())
    assert history is not None
    assert sum(call.status == "completed" for call in history.calls.values()) == 10_000
    bench.resume("u1", timeout=60)
    records = bench.records("u1")
    claim = [record for record in records if record["type"] == "claim"][-1]
    new = next(record for record in records if record.get("key") == "new")
    return _seconds(claim["at"], new["at"])


def _seconds(begin: str, end: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
