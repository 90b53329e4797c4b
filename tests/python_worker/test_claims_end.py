"""How claims end while their runs go on: parked, handed over, on a full disk; and what a person is warned of."""

import os
import stat
import time

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.fronts import FRONTS, Runs, written
from tests.support.workers import until

pytestmark = pytest.mark.parametrize("front", FRONTS)


def test_a_hand_over_lets_all_runs_go_but_one(bench: MakeBench, front: str) -> None:
    made = bench(
        written(
            """
async def workflow(input, ctx):
    def wait(step):
        open(input + ".in", "w").close()
        while not os.path.exists(input + ".go"): time.sleep(0.005)
    await ctx.step("wait", wait)
    return await ctx.step("after", os.getpid)
""",
            front,
        )
    )
    worker = made.spawn(capacity=4, linger_ms=60_000)
    bases = {uid: str(made.folder / uid) for uid in "abc"}
    for uid, base in bases.items():
        made.create(uid, base)
        worker.order(uid, 1)
    until(lambda: all(os.path.exists(base + ".in") for base in bases.values()))
    worker._line({"type": "hand-over", "keep": "b"})
    worker.wake()
    made.create("d", bases["a"])
    worker.order("d", 1)
    for uid in "ac":
        open(bases[uid] + ".go", "w").close()
        until(lambda uid=uid: made.history(uid).let_go)
        assert (made.history(uid).let_go, made.records(uid)[-1]["inbox"]) == ("handed-over", 0)
        assert [r["type"] for r in made.records(uid)][2:] == ["requested", "completed", "released"]
    assert worker.alive() and made.history("b").let_go is None
    open(bases["b"] + ".go", "w").close()

    assert worker.wait(5) == 0
    assert made.history("b").finished["output"] == worker.pid  # type: ignore[index]
    assert made.history("d").claim == 0
    assert made.resume("a").status == "completed"


def test_a_step_beside_a_long_sleep_keeps_the_process(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        "async def workflow(input, ctx):\n    await both(ctx, lambda: ctx.sleep('z', 3600), lambda: ctx.step('s', lambda: time.sleep(0.6)))\n",
        front,
    )
    runs.begin(park_after_ms=0, linger_ms=0)
    runs.end()

    assert runs.types() == ["requested", "requested", "completed", "parked"]
    assert runs.records("parked")[0]["waits"] == [{"key": "z", "kind": "sleep"}]


def test_a_wait_for_a_message_beside_a_short_sleep_keeps_the_process(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench, "async def workflow(input, ctx):\n    await both(ctx, lambda: ctx.sleep('z', 0.5), lambda: ctx.run_workflow('w', timeout=1))\n", front
    )
    runs.begin(linger_ms=0)
    runs.end()

    assert "parked" not in runs.types() and runs.records("finished")[0]["error"]["name"] == "TimeoutError"


def test_where_a_full_disk_takes_no_record_the_lock_tells(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
import errno
import ty_worker.journal as journal
async def workflow(input, ctx):
    await ctx.step("one", lambda: 1)
    def full(fd, data):
        raise OSError(errno.ENOSPC, "full")
    journal._write = full
    await ctx.step("two", lambda: 2)
""",
        front,
    )
    runs.begin()
    runs.end()

    assert runs.types() == ["requested", "completed"]
    assert os.stat(runs.worker.folder / "lock").st_mode & stat.S_ISVTX


def test_eighty_percent_of_a_limit_is_a_warning(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    def big(step):
        step.heartbeat("x" * 850)
        return "y" * 850
    await ctx.step("big", big)
    await ctx.step("large", lambda: "y" * 850)
    for _ in range(7):
        await ctx.step("s", lambda: None)
    return "z" * 850
""",
        front,
    )
    runs.begin(settings={"limits": {"value": 1000, "calls": 10, "journal": 7000}})
    runs.end()

    said = [(r.get("key"), r["message"]) for r in runs.records("warning")]
    assert said == [
        ("big", 'the details of a heartbeat of step "big" is larger than 80 % of 1000 bytes (limits.value)'),
        ("large", 'the result of step "large" is larger than 80 % of 1000 bytes (limits.value)'),
        (None, "the journal is larger than 80 % of 7000 bytes (limits.journal)"),
        (None, "more than 80 % of 10 calls in one run are made (limits.calls)"),
        (None, "what the workflow returned is larger than 80 % of 1000 bytes (limits.value)"),
    ]
    assert {r["code"] for r in runs.records("warning")} == {"limit"}


def test_a_name_that_is_used_again_after_something_foreign_is_a_warning(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    async def branch(seconds):
        await asyncio.sleep(seconds)
        return await ctx.step("get", lambda: time.sleep(0.1))
    await both(ctx, lambda: branch(0.05), lambda: branch(0.1))
    await ctx.step("alone", lambda: 1)
    await ctx.step("alone", lambda: 1)
""".replace("asyncio.sleep", "asyncio.sleep" if front == "asyncio" else "time.sleep"),
        front,
    )
    runs.begin()
    runs.end()

    found = [(r["code"], r["key"]) for r in runs.records("warning")]
    assert found == ([("repeated-name", "get#2")] if front == "asyncio" else [])


def test_a_branch_that_fails_or_parks_never_makes_another_run_twice(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    def slow():
        open(input, "a").write("x")
        time.sleep(0.3)
        return "slow"
    async def fails():
        await ctx.step("bad", lambda: 1 / 0, retry={"max_attempts": 1})
    async def works():
        return [await ctx.step("slow", slow), await ctx.step("next", lambda: open(input, "a").write("y"))]
    try:
        await both(ctx, works, fails)
    except ZeroDivisionError:
        await ctx.sleep("z", 0.7)
        await ctx.sleep("long", 3600)
""",
        front,
    )
    mark = runs.bench.folder / "mark"
    runs.begin(str(mark), park_after_ms=1000)
    assert runs.end().let_go == "parked"
    time.sleep(0.01)
    runs.go_on(park_after_ms=1000)

    assert runs.end().let_go == "parked"
    assert mark.read_text() == "xy"


def test_the_output_is_what_the_body_returned_and_not_what_others_made_of_it_later(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    log = []
    def patient(step):
        step.signal.wait(5)
        log.append("too late")
    def fails():
        raise KeyError("over")
    try:
        await both(ctx, lambda: ctx.step("patient", patient), lambda: ctx.step("fails", fails, retry={"max_attempts": 1}))
    except KeyError:
        log.append("over")
        return log
""",
        front,
    )
    runs.begin()

    assert runs.output() == ["over"]
    assert runs.types()[-2:] == ["completed", "finished"]
