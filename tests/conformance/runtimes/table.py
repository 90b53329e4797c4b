"""The table of what OpenWorkflow's tests show, and where it is shown here: `python -m tests.conformance.runtimes.table` writes OPENWORKFLOW.md."""

from collections.abc import Mapping
from typing import Any

import yaml

from tests.conformance.runtimes.cases import HERE, load_cases

# Section 3 of reference/openworkflow.md: backend, its specifics, worker, execution, client and units, dashboard and command line.
IDS = {"B": 76, "P": 10, "L": 1, "W": 52, "E": 79, "C": 15, "U": 6, "D": 4}
PLACE = HERE / "OPENWORKFLOW.md"
HEAD = """# What OpenWorkflow's tests show, and where it is shown here

The behaviours are those of section 3 of the notes on OpenWorkflow (0.9.2), under the ids that they have there. A case is one of `cases/*.yaml`, which
both workers pass; other tests are named by file and function. Written by `python -m tests.conformance.runtimes.table` from the `ids` of the cases and
from `elsewhere.yaml`; `test_table.py` checks it.

| id | case, test, or why it has no meaning here |
| --- | --- |
"""


def ids() -> list[str]:
    """Return all ids, in order."""
    return [f"{letter}{number:02d}" for letter, count in IDS.items() for number in range(1, count + 1)]


def elsewhere() -> dict[str, Mapping[str, Any]]:
    """Return tests and reasons by id."""
    found: dict[str, Mapping[str, Any]] = yaml.load((HERE / "elsewhere.yaml").read_text(), yaml.CSafeLoader)
    return found


def cases() -> dict[str, list[str]]:
    """Return the names of cases by id."""
    found: dict[str, list[str]] = {}
    for case in load_cases():
        for each in case.ids:
            found.setdefault(each, []).append(f"{case.topic}: {case.name}")
    return found


def table() -> str:
    """Return the page."""
    by_id, others = cases(), elsewhere()
    return HEAD + "".join(f"| {each} | {_cell(by_id.get(each, []), others.get(each, {}))} |\n" for each in ids())


def _cell(names: list[str], other: Mapping[str, Any]) -> str:
    tests = [f"`{test.removeprefix('tests/')}`" for test in other.get("tests", [])]
    return "<br>".join([*names, *tests, *([other["reason"]] if "reason" in other else [])])


if __name__ == "__main__":
    PLACE.write_text(table())
