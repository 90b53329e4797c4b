"""The table names every behaviour once, and what it names is there."""

import ast
from pathlib import Path

from tests.conformance.runtimes.table import PLACE, cases, elsewhere, ids, table

ROOT = Path(__file__).parents[3]


def test_the_table_is_up_to_date() -> None:
    assert PLACE.read_text() == table(), "run: python -m tests.conformance.runtimes.table"


def test_every_behaviour_has_one_row_that_says_something() -> None:
    rows = [line.split(" | ") for line in PLACE.read_text().splitlines() if line.startswith("| ") and line[2:3].isupper()]

    assert [row[0].removeprefix("| ") for row in rows] == ids()
    assert all(row[1].removesuffix(" |").strip() for row in rows)
    assert len(ids()) == 243


def test_no_id_is_unknown_or_told_of_in_two_places() -> None:
    shown, told = set(cases()), set(elsewhere())

    assert shown | told == set(ids())
    assert shown & told == set()


def test_every_test_that_is_named_is_there() -> None:
    named = {test for each in elsewhere().values() for test in each.get("tests", [])}
    functions = {path: _functions(ROOT / path) for path in {test.partition("::")[0] for test in named}}

    assert [test for test in sorted(named) if test.partition("::")[2] not in functions[test.partition("::")[0]]] == []


def _functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
