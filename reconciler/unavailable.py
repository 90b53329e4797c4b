"""What manifests may say and this version does not do yet: told where it would be needed, never silently left out."""

from collections.abc import Iterator

from reconciler.model import Desired, Problem, Source
from reconciler.values import replace


def with_remarks(desired: Desired) -> Desired:
    """Return a folder with a warning at each object that asks for something which is not available yet."""
    remarks = tuple(_remarks(desired))
    return replace(desired, problems=desired.problems + remarks) if remarks else desired


def _remarks(desired: Desired) -> Iterator[Problem]:
    for name, run in desired.runs.items():
        if run.task not in (None, False):
            yield _remark(run.source, f"run/{name}", "/spec/task", "TaskYou is not available yet in this version: the run has no task")


def _remark(source: Source, about: str, pointer: str, message: str) -> Problem:
    return Problem(source.file, source.line, 1, pointer, message, about=about, code="not-available-yet", warning=True)
