"""Reasons are a closed list: no code gives another one, and the schema and README say what each one means."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.reasons import OF_EVENTS, OF_RUNS, OF_TROUBLE, REASONS, let_go_reason, reason_of_end
from tests.support import reasons_table
from tests.support.cli import CHECKOUT
from tests.support.settings_table import README

# Which argument of a call is a reason: by position, or by name.
_CALLS = {
    "Notice": (1,),
    "Postpone": (1,),
    "_postpone": (1,),
    "Refused": (1,),
    "Failure": (1,),
    "End": (2,),
    "LetGo": (1,),
    "add_event": (3,),
    "hold": (2,),
}


def given(path: Path) -> Iterator[tuple[int, str]]:
    """Return the reasons that a module names in so many words, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            chosen = [node.args[number] for number in _CALLS.get(name, ()) if number < len(node.args)]
            if name in _CALLS:
                chosen += [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            for argument in chosen:
                for value in ast.walk(argument):
                    if isinstance(value, ast.Constant) and isinstance(value.value, str) and not _within(value, argument):
                        yield node.lineno, value.value
        elif isinstance(node, ast.Assign) and "reason" in {
            part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)
        }:
            first = node.value.elts[0] if isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2 else node.value
            for value in [first, *([first.body, first.orelse] if isinstance(first, ast.IfExp) else [])]:
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and "reason, message" in ast.unparse(node):
                    yield node.lineno, value.value


def _within(value: ast.Constant, argument: ast.expr) -> bool:
    """Say whether a text is a part of another expression than a choice: a key, a part of a message."""
    choices = [argument, *([argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [])]
    return value not in choices


def modules() -> list[Path]:
    return sorted([*(CHECKOUT / "reconciler").rglob("*.py"), *(CHECKOUT / "adapters").rglob("*.py")])


def test_no_code_gives_a_reason_that_is_not_of_the_list() -> None:
    found = {(str(path.relative_to(CHECKOUT)), line, reason) for path in modules() for line, reason in given(path)}

    assert len(found) > 25, "the search finds what the code says"
    assert sorted(one for one in found if one[2] not in REASONS and one[2]) == []


def test_the_search_finds_a_reason_that_nobody_knows(tmp_path: Path) -> None:
    module = tmp_path / "odd.py"
    module.write_text('x = Notice("run/x", "odd" if y else "held-up", f"of {z}")\nreason, message = "queer", "told"\n')

    assert {reason for _, reason in given(module)} == {"odd", "held-up", "queer"}


def test_schema_and_readme_have_every_reason_with_its_meaning() -> None:
    page = README.read_text()

    assert reasons_table.shipped() == reasons_table.schema(), "bring it up to date: python -m tests.support.reasons_table"
    assert reasons_table.written(page) == page, "bring it up to date: python -m tests.support.reasons_table"
    assert "| `edited-after-start` |" in page


def test_a_reason_is_explained_once() -> None:
    assert len(REASONS) == len(OF_RUNS) + len(OF_TROUBLE) + len(OF_EVENTS)


@pytest.mark.parametrize(
    ("status", "reason", "message", "expected"),
    [
        ("canceled", "its manifest is gone", "", ("pruned", "its manifest is gone")),
        ("canceled", "canceled by its manifest", "", ("canceled-by-manifest", "canceled by its manifest")),
        ("canceled", "replaced (rerun 'b')", "", ("replaced", "replaced (rerun 'b')")),
        ("canceled", "its parent run/x is canceled", "", ("parent-canceled", "its parent run/x is canceled")),
        ("canceled", "we had enough", "", ("canceled-by-command", "we had enough")),
        ("canceled", "canceled", "its manifest is gone", ("pruned", "its manifest is gone")),
        ("canceled", "timeout", "", ("timeout", "")),
        ("canceled", "", "", ("canceled", "")),
        ("failed", "timeout", "", ("timeout", "")),
        ("failed", "", "", ("", "")),
        ("failed", "something of the future", "", ("failed", "something of the future")),
        ("skipped", "dependency", "run/a is failed", ("dependency", "run/a is failed")),
    ],
)
def test_words_of_an_end_become_a_reason_and_a_message(status: str, reason: str, message: str, expected: tuple[str, str]) -> None:
    assert reason_of_end(status, reason, message) == expected


def test_a_worker_that_was_told_to_end_is_interrupted_and_its_run_not_suspended() -> None:
    assert [let_go_reason(reason) for reason in ("suspended", "parked", "no-space")] == ["interrupted", "parked", "no-space"]
