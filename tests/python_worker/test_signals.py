"""Waiting for signals, and sending them."""

import time

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.fronts import FRONTS, Runs
from tests.support.workers import until

pytestmark = pytest.mark.parametrize("front", FRONTS)


def test_signals_that_came_before_the_wait_are_delivered_in_order_and_each_once(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    await ctx.step("before", lambda: None)
    first = await ctx.wait_for_signal("go")
    other = await ctx.wait_for_signal("other", name="by-name")
    return [first, other, await ctx.wait_for_signal("go"), await ctx.wait_for_signal("go", timeout="1ms")]
""",
        front,
    )
    runs.bench.create("u")
    for name, data in (("go", 1), ("go", {"n": 2}), ("unheard", 0), ("other", None)):
        runs.bench.send("u", {"type": "signal", "id": f"{name}{data}", "name": name, "data": data})
    runs.go_on()

    assert runs.output() == [1, None, {"n": 2}, None]
    requests = [(r["key"], r["kind"], r["signal"], "until" in r) for r in runs.records("requested") if r["kind"] == "signal"]
    assert requests == [
        ("go", "signal", "go", False),
        ("by-name", "signal", "other", False),
        ("go#2", "signal", "go", False),
        ("go#3", "signal", "go", True),
    ]
    completed = [(r["key"], r.get("inbox"), r.get("expired")) for r in runs.records("completed")][1:]
    assert completed == [("go", 1, None), ("by-name", 4, None), ("go#2", 2, None), ("go#3", None, True)]


def test_a_signal_reaches_a_waiting_run_and_what_was_taken_is_not_taken_again_after_a_kill(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    first = await ctx.wait_for_signal("go")
    await ctx.step("kill", lambda step: os.kill(os.getpid(), 9) if step.attempt == 1 else None)
    return [first, await ctx.wait_for_signal("go")]
""",
        front,
    )
    runs.begin()
    runs.written('"requested"')
    runs.signal("go", 1)
    assert runs.worker.wait() == -9

    runs.go_on()
    runs.written("go#2")
    runs.signal("go", 2)
    assert runs.output() == [1, 2]


def test_two_waits_for_one_name_are_served_in_the_order_in_which_they_were_made(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    return await both(ctx, lambda: ctx.wait_for_signal("go"), lambda: ctx.wait_for_signal("go"), lambda: ctx.wait_for_signal("go"))
""",
        front,
    )
    runs.begin()
    runs.written("go#3")
    runs.signal("go", "a")
    runs.written('"a"')
    runs.kill()
    runs.bench.send("u", {"type": "signal", "id": "b", "name": "go", "data": "b"})
    runs.bench.send("u", {"type": "signal", "id": "c", "name": "go", "data": "c"})
    runs.go_on()

    assert runs.output() == ["a", "b", "c"]


def test_what_came_while_a_run_was_parked_is_handed_out_in_the_order_in_which_it_came(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    order = []
    async def wait(name):
        order.append([name, await ctx.wait_for_signal(name)])
    await both(ctx, lambda: wait("a"), lambda: wait("b"), lambda: wait("c"))
    return order
""",
        front,
    )
    runs.begin(linger_ms=0)
    runs.end()
    for name in "cab":
        runs.bench.send("u", {"type": "signal", "id": name, "name": name, "data": name.upper()})
    runs.go_on()

    assert runs.output() == [["c", "C"], ["a", "A"], ["b", "B"]]


def test_a_run_that_waits_for_a_signal_lingers_then_parks_and_goes_on_when_it_has_come(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, "async def workflow(input, ctx):\n    return await ctx.wait_for_signal('go', timeout='1h')\n", front)
    runs.begin(linger_ms=300)
    parked = runs.end()
    (record,) = runs.records("parked")
    until_ = runs.records("requested")[0]["until"]

    assert parked.waits == ("signal",)
    assert (record["waits"], record["until"], record["inbox"]) == ([{"key": "go", "kind": "signal", "signal": "go"}], until_, 0)
    runs.bench.send("u", {"type": "signal", "id": "1", "name": "go", "data": 7})
    runs.go_on()
    assert runs.output() == 7


def test_a_wait_whose_time_is_over_when_it_is_claimed_takes_the_signal_that_is_there(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, "async def workflow(input, ctx):\n    return await ctx.wait_for_signal('go', timeout=0.3)\n", front)
    runs.begin(linger_ms=0, park_after_ms=0)
    runs.end()
    runs.bench.send("u", {"type": "signal", "id": "1", "name": "go", "data": "late, but there"})
    time.sleep(0.4)
    runs.go_on()

    assert runs.output() == "late, but there"


def test_a_message_that_nobody_announced_is_found_before_the_wait_expires(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, "async def workflow(input, ctx):\n    return await ctx.wait_for_signal('go', timeout=0.5)\n", front)
    runs.begin()
    runs.written('"requested"')
    runs.bench.send("u", {"type": "signal", "id": "1", "name": "go", "data": "unannounced"})

    assert runs.output() == "unannounced"


def test_a_signal_and_a_child_that_arrive_beside_a_sleep_make_no_hot_loop(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    waits = [lambda: ctx.sleep("z", 1.2), lambda: ctx.wait_for_signal("go", timeout=1.1), lambda: ctx.run_workflow("child", timeout=1.1)]
    await both(ctx, *waits)
    return time.process_time()
""",
        front,
    )
    runs.begin()
    runs.written('"kind":"child"')
    runs.signal("go", 1)
    runs.send(type="child", id="2", key="child", run="c", status="completed", output=1)

    assert runs.output() < 0.6  # seconds of the processor in all, of which the start takes a tenth


def test_a_sent_signal_is_recorded_once_and_completes_when_the_answer_comes(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    await ctx.send_signal("other-run", "go", {"x": (1, 2)})
    try:
        await ctx.send_signal("gone", "go", name="second")
    except Exception as error:
        return [type(error).__name__, error.name, str(error)]
""",
        front,
    )
    runs.begin()
    runs.written('"send"')
    hint = runs.bench.folder / "changed/u"
    until(hint.exists)
    runs.kill()
    runs.bench.send("u", {"type": "sent", "id": "1", "key": "go"})
    runs.go_on()
    runs.written('"second"')
    runs.send(type="sent", id="2", key="second", error={"name": "NoSuchRun", "message": "there is no run gone"})

    assert runs.output() == ["StepError", "NoSuchRun", "there is no run gone"]
    first, second = runs.records("requested")
    assert (first["key"], first["kind"], first["run"], first["signal"], first["data"]) == ("go", "send", "other-run", "go", {"x": [1, 2]})
    assert (second["key"], second["data"]) == ("second", None)
    assert [(r["type"], r.get("inbox")) for r in runs.records(key="go")[1:]] == [("completed", 1)]
    assert [(r["type"], r.get("inbox")) for r in runs.records(key="second")[1:]] == [("failed", 2)]


def test_wrong_arguments_are_type_errors_that_name_them(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    said = []
    for call in (
        lambda: ctx.wait_for_signal(1), lambda: ctx.wait_for_signal("a~b"), lambda: ctx.wait_for_signal("a", timeout="soon"), lambda: ctx.send_signal("", "a"),
        lambda: ctx.send_signal("r", "ty/a"), lambda: ctx.send_signal("r", "a", {1}), lambda: ctx.send_signal("r", "a", "x" * 5000),
        lambda: ctx.sleep_until("z", "2026-01-01"), lambda: ctx.run_workflow("w", on_cancel="no"), lambda: ctx.run_workflow(None), lambda: ctx.patched(""),
        lambda: ctx.on_cancel(1), lambda: ctx.uuid(3), lambda: ctx.step("s", print, on_in_doubt="maybe"), lambda: ctx.step("s", print, compensate=1),
        lambda: ctx.step("s", print, heartbeat_timeout=-1), lambda: ctx.step("s", print, nothing=1),
    ):
        try:
            await call()
            said.append("nothing")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return said
""",
        front,
    )
    runs.begin(settings={"limits": {"value": 4000}})
    said = runs.output()

    wanted = ["signal must be text, got 1", 'signal must not contain "~"', "timeout must be", "run must be text of 1 to 500 bytes", 'signal must not begin with "ty/"',
              "$ is a set", 'LimitError: the data of signal "a" is larger than 4000 bytes (limits.value)', "instant must be an aware datetime",
              'on_cancel must be "cancel" or "finish"', "workflow must be text", "id must have 1 to 200 bytes", "fn must be a function", "name must be text",
              'on_in_doubt must be "retry", "fail" or "ask"', "compensate must be a function", "heartbeat_timeout must be",
              "option nothing is unknown; known are retry, timeout, heartbeat_timeout, on_in_doubt, compensate"]  # fmt: skip
    assert len(said) == len(wanted)
    assert [part for part, line in zip(wanted, said, strict=True) if part not in line] == [], said
    assert runs.types() == ["finished"]
