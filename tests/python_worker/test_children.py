"""Child runs: asked for by a record, answered by a message."""

from typing import Any

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.fronts import FRONTS, Runs
from tests.support.workers import until

pytestmark = pytest.mark.parametrize("front", FRONTS)

ONE = """
async def workflow(input, ctx):
    try:
        return await ctx.run_workflow("other", {"x": 1}, timeout=input)
    except Exception as error:
        return [error.name, str(error), getattr(error, "run", None), getattr(error, "status", None), str(error.__cause__)]
"""


def test_a_child_is_asked_for_once_and_its_output_comes_back(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, ONE, front)
    runs.begin(linger_ms=0)
    until((runs.bench.folder / "changed/u").exists)
    assert runs.end().waits == ("child",)
    assert runs.records("parked")[0]["waits"] == [{"key": "other", "kind": "child"}]

    runs.bench.send("u", {"type": "child", "id": "1", "key": "other", "run": "u-other-1", "status": "completed", "output": [1]})
    runs.go_on()
    assert runs.output() == [1]
    (request,) = runs.records("requested")
    assert (request["workflow"], request["input"], request["on_cancel"], "until" in request) == ("other", {"x": 1}, "cancel", False)
    assert [(r["value"], r["inbox"]) for r in runs.records("completed")] == [([1], 1)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"status": "failed", "error": {"name": "ValueError", "message": "no"}},
            ["ChildError", "run c1 of workflow other failed: no", "c1", "failed", "no"],
        ),
        ({"status": "canceled", "reason": "enough"}, ["ChildError", "run c1 of workflow other canceled: enough", "c1", "canceled", "None"]),
        ({"status": "canceled"}, ["ChildError", "run c1 of workflow other canceled", "c1", "canceled", "None"]),
        (
            {"status": "refused", "error": {"name": "InputError", "message": "$.x is wrong", "fields": {"path": "$.x"}}},
            ["InputError", "$.x is wrong", None, None, "None"],
        ),
    ],
)
def test_a_child_that_did_not_complete_is_an_error(bench: MakeBench, front: str, message: dict[str, Any], expected: list[Any]) -> None:
    runs = Runs(bench, ONE, front)
    runs.begin()
    runs.written('"requested"')
    runs.send(type="child", id="1", key="other", run="c1", **message)

    assert runs.output() == expected
    assert [(r["type"], r["inbox"]) for r in runs.records(key="other")[1:]] == [("failed", 1)]


def test_a_child_that_takes_too_long_is_a_timeout(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, ONE, front)
    runs.begin("200ms")

    assert runs.output()[:2] == ["TimeoutError", 'child "other" did not end within its timeout']
    failed = runs.records("failed")[0]
    assert failed["at"] >= runs.records("requested")[0]["until"] and "inbox" not in failed


def test_many_children_at_once_are_matched_by_their_keys(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    return await both(ctx, *[lambda n=n: ctx.run_workflow("other", n, on_cancel="finish") for n in range(100)])
""",
        front,
    )
    runs.begin()
    runs.written('"other#100"')
    for number in reversed(range(100)):
        key = f"other#{number + 1}" if number else "other"
        runs.bench.send("u", {"type": "child", "id": key, "key": key, "run": f"c{number}", "status": "completed", "output": number})
    runs.worker.wake()

    assert runs.output() == list(range(100))
    assert {record["on_cancel"] for record in runs.records("requested")} == {"finish"}
