"""Replay orders: does the code still fit the journal?"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.fronts import FRONTS, Runs

pytestmark = pytest.mark.parametrize("front", FRONTS)

CODE = """
async def workflow(input, ctx):
    first = await ctx.step("one", lambda: open(input, "a").write("1") and 1)
    at = ctx.now()
    got = await ctx.wait_for_signal("go", timeout="1ms")
    pair = await both(ctx, lambda: ctx.step("left", lambda: "L"), lambda: ctx.step("right", lambda: time.sleep(0.1) or "R"))
    await ctx.sleep("nap", "1ms")
    return [first, got, pair, at > 0]
"""


def verdict(runs: Runs) -> dict[str, Any]:
    """Order a replay, and return the verdict; nothing else of the run may change."""
    before = {path: path.read_bytes() for path in (runs.bench.folder / "runs").rglob("*") if path.is_file()}
    worker = runs.bench.spawn()
    worker._line({"type": "replay", "uid": "u", "prefix": runs.bench.prefix("u")})
    worker.wake()
    assert worker.wait() == 0
    after = {path: path.read_bytes() for path in (runs.bench.folder / "runs").rglob("*") if path.is_file()}
    assert after == before
    found: dict[str, Any] = json.loads((worker.folder / "verdict.json").read_text())
    return found


def change(runs: Runs, old: str, new: str) -> None:
    """Change the code."""
    path = runs.bench.folder / "code/main.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def finished(bench: MakeBench, front: str) -> Runs:
    """Return a run that completed."""
    runs = Runs(bench, CODE, front)
    runs.begin(str(runs.bench.folder / "effects"))
    assert runs.output() == [1, None, ["L", "R"], True]
    return runs


def test_code_that_fits(finished: Runs) -> None:
    (finished.bench.folder / "changed/u").unlink()

    assert verdict(finished) == {"fits": True, "asked": 6, "recorded": 6, "difference": None, "next": None, "end": "returned"}
    assert (finished.bench.folder / "effects").read_text() == "1"
    assert not (finished.bench.folder / "changed/u").exists()


@pytest.mark.parametrize(
    ("old", "new", "asked", "difference"),
    [
        ('ctx.step("one"', 'ctx.step("uno"', 0, 'the journal holds step "one" here, the code asked for step "uno"'),
        ('ctx.sleep("nap", "1ms")', 'ctx.step("nap", lambda: 1)', 5, 'the journal holds sleep "nap" here, the code asked for step "nap"'),
        ("    at = ctx.now()\n", "    at = 1\n", 1, 'the journal holds now "ty/now" here, the code asked for signal "go"'),
        ('"left", lambda: "L"', '"right", lambda: "L"', 3, 'the journal holds step "left" here, the code asked for step "right"'),
        ("return [first", "return [0, first", 6, "the code returns another output than the recorded one"),
        ("return [first", "raise ValueError('x')\n    return [first", 6, "the run completed, the code throws ValueError: x"),
        ("return [first", "return {1}\n    return [first", 6, "the run completed, the code throws NotSerializableError: $ is a set: use a list"),
    ],
)  # fmt: skip
def test_code_that_does_not_fit(finished: Runs, old: str, new: str, asked: int, difference: str) -> None:
    change(finished, old, new)
    found = verdict(finished)

    assert (found["fits"], found["asked"], found["difference"]) == (False, asked, difference)


def test_a_call_that_was_removed_at_the_end_and_one_that_was_added(finished: Runs, front: str) -> None:
    call = 'await ctx.sleep("nap", "1ms")' if front == "asyncio" else 'ctx.sleep("nap", "1ms")'
    change(finished, call, "pass")
    assert verdict(finished)["difference"] == 'the journal holds sleep "nap" here, the code did not ask for it'

    change(finished, "    pass\n", f"    {call}\n    {call.replace('nap', 'more')}\n")
    assert verdict(finished) == {
        "fits": False, "asked": 6, "recorded": 6, "difference": "the run has ended, the code has not", "next": {"kind": "sleep", "key": "more"}, "end": None,
    }  # fmt: skip


def test_calls_in_another_order_of_results_are_a_difference(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    await ctx.step("a", lambda: 1)
    await ctx.step("b", lambda: 2)
""",
        front,
    )
    runs.begin()
    runs.end()
    path = runs.bench.folder / "code/main.py"
    lines = path.read_text().splitlines()[:-2]
    path.write_text(
        "\n".join([*lines, f"    {'await ' if front == 'asyncio' else ''}both(ctx, lambda: ctx.step('a', int), lambda: ctx.step('b', int))\n"])
    )

    assert verdict(runs)["difference"] == 'the journal holds step "b" after 1 results, the code asked for it after 0'


def test_a_run_that_is_not_over_fits_as_far_as_it_has_come(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    await ctx.step("one", lambda: 1)
    await ctx.step("kill", lambda step: os.kill(os.getpid(), 9))
    await ctx.step("after", lambda: 1)
""",
        front,
    )
    runs.begin()
    assert runs.worker.wait() == -9
    assert verdict(runs) == {"fits": True, "asked": 2, "recorded": 2, "difference": None, "next": None, "end": None}

    path = Path(runs.bench.prefix("u") + "journal.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert verdict(runs)["next"] == {"kind": "step", "key": "kill"}


@pytest.mark.parametrize(("text", "difference"), [("raise ValueError('x')", None), ("return 1", "the run failed, the code returns")])
def test_a_run_that_failed_must_fail_again(bench: MakeBench, front: str, text: str, difference: str | None) -> None:
    runs = Runs(bench, "async def workflow(input, ctx):\n    await ctx.step('s', lambda: 1)\n    raise KeyError('end')\n", front)
    runs.begin()
    runs.end()
    change(runs, "raise KeyError('end')", text)

    assert verdict(runs)["difference"] == difference


def test_code_that_cannot_be_loaded_fits_nothing(finished: Runs) -> None:
    (finished.bench.folder / "code/main.py").write_text("def other(): pass\n")
    found = verdict(finished)

    assert (found["fits"], found["asked"], found["recorded"]) == (False, 0, 6)
    assert found["difference"].startswith("main.py:1: no workflow found")


def test_what_was_held_in_a_claim_may_be_asked_for_earlier(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    async def second():
        await ctx.step("b", lambda step: os.kill(os.getpid(), 9) if step.attempt == 1 else 2)
    async def third():
        await ctx.step("early", lambda: 3)
    async def first():
        await ctx.step("a", lambda: 1)
    await both(ctx, first, second) if not os.path.exists(input) else await both(ctx, first, second, third)
""".replace("await both(ctx, first, second) if", "await both(ctx, first, second) if"),
        front,
    )
    mark = runs.bench.folder / "mark"
    runs.begin(str(mark))
    runs.worker.wait()
    mark.touch()
    runs.go_on()
    assert runs.end().status == "completed"

    assert verdict(runs)["fits"] is True
