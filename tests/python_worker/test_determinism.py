"""Code that changed between two claims is found before it does anything new."""

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import types

ORIGINAL = """
import os
def workflow(input, ctx):
    ctx.step("one", lambda: 1)
    ctx.step("two", lambda: 2)
    ctx.step("kill", lambda step: os.kill(os.getpid(), 9) if step.attempt == 1 else None)
    return "done"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('ctx.step("two", lambda: 2)', 'ctx.sleep("two", 0)', 'sleep "two" was recorded as a step: the code has changed since'),
        ('ctx.step("two", lambda: 2)', "return 1", 'the journal holds step "two" here, the code did not ask for it: the code has changed since'),
        ('ctx.step("two", lambda: 2)', "raise ValueError('x')", 'the journal holds step "two" here, the code did not ask for it'),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_proof_of_another_code_fails_the_run_without_another_try(bench: MakeBench, old: str, new: str, message: str, *, is_async: bool) -> None:
    def written(text: str) -> str:
        return text.replace("def workflow", "async def workflow").replace("    ctx.", "    await ctx.") if is_async else text

    made = bench(written(ORIGINAL))
    made.create("u", settings={"retry": {"max_attempts": 5}})
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    assert worker.wait() == -9

    (made.folder / "code/main.py").write_text(written(ORIGINAL.replace(old, new)))
    error = made.resume("u").finished["error"]  # type: ignore[index]
    assert error["name"] == "NonDeterminismError"
    assert message in error["message"]
    assert types(made.records("u"))[-1] == "finished" and types(made.records("u")).count("requested") == 3


@pytest.mark.parametrize(
    "change", [('"two"', '"renamed"'), ('ctx.step("two", lambda: 2)\n', "pass\n"), ('ctx.step("two", lambda: 2)', 'ctx.step("new", lambda: 0)')]
)
def test_without_proof_the_claim_ends_after_a_grace_and_nothing_new_starts(bench: MakeBench, change: tuple[str, str]) -> None:
    text = ORIGINAL.replace("return", 'ctx.step("end", lambda: 1)\n    return')
    made = bench(text)
    made.create("u")
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    assert worker.wait() == -9

    (made.folder / "code/main.py").write_text(text.replace(*change))
    history = made.resume("u")
    assert history.let_go == "grace"
    assert types(made.records("u"))[5:] in (["warning", "released"], ["started", "completed", "warning", "released"])
    assert 'the journal holds step "two" here' in history.warnings[0]["message"]


def test_branches_may_come_in_another_order(bench: MakeBench) -> None:
    text = """
import os
def workflow(input, ctx):
    result = ctx.parallel(lambda: ctx.step("a", lambda: "A"), lambda: ctx.step("b", lambda: "B"))
    ctx.step("kill", lambda step: os.kill(os.getpid(), 9) if step.attempt == 1 else None)
    return result
"""
    made = bench(text)
    made.create("u")
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    worker.wait()

    swapped = text.replace('"a", lambda: "A"', '"x"').replace('"b", lambda: "B"', '"a", lambda: "A"').replace('"x"', '"b", lambda: "B"')
    (made.folder / "code/main.py").write_text(swapped)
    assert made.resume("u").finished["output"] == ["B", "A"]  # type: ignore[index]
