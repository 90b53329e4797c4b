"""Workflows in `async def`: the code is quiet when its event loop would block."""

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import FAST, types


def test_awaited_calls_gather_and_task_groups(bench: MakeBench) -> None:
    made = bench("""
import asyncio
async def workflow(input, ctx):
    async def fetch(n):
        await asyncio.sleep(0.02 - n / 1000)
        return n
    first = await ctx.step("first", lambda: fetch(1))
    many = await asyncio.gather(*[ctx.step("many", lambda n=n: fetch(n)) for n in range(5)])
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ctx.step("group", lambda n=n: n * n)) for n in range(3)]
    await ctx.sleep("nap", "10ms")
    other = asyncio.create_task(ctx.step("task", fetch_with_context))
    return [first, many, [task.result() for task in tasks], await other]

async def fetch_with_context(step):
    await asyncio.sleep(0)
    return [step.key, step.attempt]
""")

    assert made.run("u").finished["output"] == [1, [0, 1, 2, 3, 4], [0, 1, 4], ["u/task", 1]]  # type: ignore[index]


def test_a_blocking_step_does_not_block_the_others(bench: MakeBench) -> None:
    made = bench("""
import asyncio, time
async def workflow(input, ctx):
    began = time.time()
    await asyncio.gather(*[ctx.step("slow", lambda: time.sleep(0.2)) for _ in range(20)])
    return time.time() - began
""")

    assert made.run("u").finished["output"] < 1.5  # type: ignore[index]


def test_tries_failures_and_timeouts(bench: MakeBench) -> None:
    made = bench("""
import asyncio
async def workflow(input, ctx):
    async def flaky(step):
        if step.attempt < 3: raise OSError(step.attempt)
        return step.attempt
    seen = []
    async def hangs(step):
        try:
            await asyncio.sleep(30)
        finally:
            seen.append(step.signal.canceled)
    values = [await ctx.step("flaky", flaky)]
    for body in (hangs, lambda step: seen.append(step.signal.wait(30))):
        try:
            await ctx.step("late", body, timeout="50ms", retry={"max_attempts": 2})
        except TimeoutError as error:
            values.append(str(error))
    await asyncio.sleep(0.05)
    return [values, seen]
""")
    values, seen = made.run("u", settings=FAST).finished["output"]  # type: ignore[index]

    assert values == [3, 'step "late" took longer than 50 ms', 'step "late#2" took longer than 50 ms']
    assert seen == [True] * 4


def test_a_body_that_raises_or_exits_is_a_failed_step(bench: MakeBench) -> None:
    made = bench("""
import sys
async def workflow(input, ctx):
    names = []
    async def stop(): raise StopIteration("x")
    for body in (lambda: sys.exit(3), lambda: next(iter([])), stop):
        try:
            await ctx.step("bad", body, retry={"max_attempts": 1})
        except Exception as error:
            names.append(type(error).__name__)
    return names
""")

    assert len(made.run("u").finished["output"]) == 3  # type: ignore[index]


@pytest.mark.parametrize("where", ["step", "thread", "task of a step"])
def test_a_call_from_where_none_may_be_made_is_refused(bench: MakeBench, where: str) -> None:
    made = bench("""
import asyncio
async def workflow(input, ctx):
    async def call():
        try:
            await ctx.step("inner", lambda: 1)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    if input == "step":
        return await ctx.step("outer", call)
    if input == "thread":
        return await ctx.step("outer", lambda: asyncio.run(call()))
    async def outer():
        return await asyncio.create_task(call())
    return await ctx.step("outer", outer)
""")

    said = made.run("u", where).finished["output"]  # type: ignore[index]
    assert said == 'CallError: step "inner" was called inside the body of step "outer": call it from the workflow'


def test_parallel_is_refused_with_a_hint(bench: MakeBench) -> None:
    made = bench("async def workflow(input, ctx):\n    ctx.parallel(lambda: 1)\n")

    assert "asyncio.gather" in made.run("u").finished["error"]["message"]  # type: ignore[index]


def test_an_async_function_in_a_plain_workflow_is_refused_with_a_hint(bench: MakeBench) -> None:
    made = bench("""
async def later(): return 1
def workflow(input, ctx):
    return ctx.step("s", (lambda: later()) if input else later)
""")

    assert "write `async def workflow(input, ctx)`" in made.run("u").finished["error"]["message"]  # type: ignore[index]
    assert "an awaitable: await it first" in made.run("v", True).finished["error"]["message"]  # type: ignore[index]


def test_foreign_io_between_steps_of_branches_replays(bench: MakeBench) -> None:
    made = bench("""
import asyncio, os, random
async def workflow(input, ctx):
    async def branch(n):
        values = []
        for turn in range(4):
            await asyncio.sleep(random.random() / 100)
            values.append(await ctx.step(f"b{n}", lambda: n))
            await asyncio.to_thread(lambda: None)
        return values
    result = await asyncio.gather(*[branch(n) for n in range(4)])
    await ctx.step("kill", lambda step: os.kill(os.getpid(), 9) if step.attempt == 1 else None)
    return result
""")
    made.create("u")
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    assert worker.wait() == -9

    assert made.resume("u").finished["output"] == [[n] * 4 for n in range(4)]  # type: ignore[index]
    assert types(made.records("u")).count("started") == 1


def test_a_run_does_not_park_while_something_foreign_is_pending(bench: MakeBench) -> None:
    made = bench("""
import asyncio, time
async def workflow(input, ctx):
    nap = asyncio.create_task(ctx.sleep("nap", 3600))
    await {"timer": lambda: asyncio.sleep(0.3), "thread": lambda: asyncio.to_thread(time.sleep, 0.3)}[input]()
    await ctx.step("after", lambda: 1)
    await nap
""")
    for given in ("timer", "thread"):
        assert made.run(given, given, park_after_ms=50).let_go == "parked"
        assert types(made.records(given)) == ["requested", "requested", "completed", "parked"]


def test_a_parked_workflow_runs_no_finally(bench: MakeBench) -> None:
    made = bench("""
async def workflow(input, ctx):
    try:
        await ctx.sleep("long", 3600)
    finally:
        open(input, "w").close()
""")
    mark = made.folder / "finally"

    assert made.run("u", str(mark), park_after_ms=50).let_go == "parked"
    assert not mark.exists()


def test_what_the_body_leaves_behind_is_ended(bench: MakeBench) -> None:
    made = bench("""
import asyncio
async def workflow(input, ctx):
    async def background():
        try:
            await asyncio.sleep(60)
        finally:
            print("ended", flush=True)
    asyncio.create_task(background())
    await ctx.step("s", lambda: 1)
    return "done"
""")

    assert made.run("u").finished["output"] == "done"  # type: ignore[index]
    assert "ended" in (made.folder / "runs/u.output.log").read_text()


def test_a_task_that_exits_does_not_end_the_worker(bench: MakeBench) -> None:
    made = bench("""
import asyncio, sys
async def workflow(input, ctx):
    async def bad(): sys.exit(5)
    asyncio.create_task(bad())
    await ctx.sleep("nap", "20ms")
    return await ctx.step("s", lambda: 1)
""")

    assert made.run("u").finished["output"] == 1  # type: ignore[index]
    assert "SystemExit(5)" in (made.folder / "runs/u.output.log").read_text()
