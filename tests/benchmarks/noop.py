"""A pass that has nothing to do, against `git status` on the same tree."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import PROGRAM, Line, median_of, seconds

_TIMES = 5
_HEAD = "apiVersion: ty-openworkflow/v1\n"
_WORKFLOW = _HEAD + 'kind: Workflow\nmetadata: {name: w}\nspec:\n  runtime: python\n  code: {inline: "def workflow(input, ctx): return 1"}\n'


def tree(folder: Path, number: int, extra: str = "") -> None:
    """Write a workflow and `number - 1` runs of it, a file each, committed to git."""
    (folder / "runs").mkdir(parents=True)
    (folder / "w.yaml").write_text(_WORKFLOW + extra)
    for run in range(number - 1):
        text = f"{_HEAD}kind: Run\nmetadata: {{name: r{run:05d}}}\nspec:\n  workflow: w\n  input: {{number: {run}}}\n  cancel: true\n"
        (folder / "runs" / f"r{run:05d}.yaml").write_text(text)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def lines(folder: Path) -> Iterator[Line]:
    """Measure the whole process with 100, 1,000 and 10,000 manifests; the runs have ended (canceled before they started)."""
    for number in (100, 1_000, 10_000):
        work, data = folder / f"noop-{number}", folder / f"noop-data-{number}"
        tree(work, number)
        command = [*PROGRAM, "--data-dir", str(data), "reconcile", "--once", str(work)]
        subprocess.run(command, check=False, capture_output=True)
        for _ in range(2):  # once for the files that were too young to be trusted
            seconds(command)
        status = median_of(_TIMES, lambda work=work: seconds(["git", "status"], cwd=work))  # type: ignore[misc]
        took = median_of(_TIMES, lambda command=command: seconds(command))  # type: ignore[misc]
        aim = 10.0 if number == 10_000 else None
        yield Line(
            f"no-op `reconcile --once`, {number} manifests", took / status, "x git", f"{took * 1000:.0f} ms; git status {status * 1000:.0f} ms", aim
        )
