"""What this version does not do yet is said, not left out."""

import pytest

from reconciler.unavailable import with_remarks
from tests.support.builders import a_run, a_workflow, desired


@pytest.mark.parametrize(
    ("declared", "about"),
    [
        (desired(a_run(task={"title": "x"})), "run/greet-world"),
        (desired(a_run(task=True)), "run/greet-world"),
    ],
)
def test_what_is_not_available_is_a_warning_at_its_object(declared: object, about: str) -> None:
    problems = with_remarks(declared).problems  # type: ignore[arg-type]

    assert [(problem.about, problem.warning) for problem in problems] == [(about, True)]
    assert "not available yet" in problems[0].message


def test_what_is_available_is_not_remarked() -> None:
    assert with_remarks(desired(a_workflow(keep={"completed": "30d"}), a_run(), a_run("b", task=False))).problems == ()
