"""Whole runs: cold from a manifest to the first result, and many of them at once."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import PROGRAM, Line, median_of, seconds
from tests.support.workers import NODE

_RUNS = 200
_HEAD = "apiVersion: ty-openworkflow/v1\n"
_CODE = {
    "python": ("w.py", 'def workflow(input, ctx):\n    return ctx.step("s", lambda: input)\n'),
    "node": ("w.js", 'async function workflow(input, { step }) {\n  return await step("s", () => input);\n}\n'),
}


def lines(folder: Path) -> Iterator[Line]:
    """Measure both languages where they are there."""
    runtimes = ["python", "node"] if NODE else ["python"]
    for runtime in runtimes:
        counter = iter(range(1_000))
        took = median_of(5, lambda r=runtime, c=counter: _reconcile(folder / f"cold-{r}-{next(c)}", r, 1, 1))  # type: ignore[misc]
        yield Line(f"cold: manifest to first result, whole process, {runtime}", took * 1000, "ms", aim=200 if runtime == "python" else 250)
    for runtime in runtimes:
        for shared in (1, 16):
            again = iter(range(9))
            took = median_of(3, lambda r=runtime, s=shared, c=again: _reconcile(folder / f"many-{r}-{s}-{next(c)}", r, _RUNS, s))  # type: ignore[misc]
            yield Line(
                f"{_RUNS} one-step runs, runs_per_worker {shared}, {runtime}", _RUNS / took, "runs/s", f"{took:.2f} s, whole process", more=True
            )


def _reconcile(folder: Path, runtime: str, number: int, shared: int) -> float:
    entry, code = _CODE[runtime]
    work = folder / "work"
    work.mkdir(parents=True)
    (work / entry).write_text(code)
    documents = [f"kind: Workflow\nmetadata: {{name: w}}\nspec: {{code: {{file: {entry}}}, exec: {{runsPerWorker: {shared}}}}}\n"]
    documents += [f"kind: Run\nmetadata: {{name: r{run}}}\nspec: {{workflow: w, input: {run}}}\n" for run in range(number)]
    (work / "all.yaml").write_text("---\n".join(_HEAD + document for document in documents))
    return seconds([*PROGRAM, "--data-dir", str(folder / "data"), "reconcile", "--once", "--wait", str(work)])
