"""A try that takes too long fails by the clock, not when its function happens to return."""

from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import FAST, types


def test_a_function_that_looks_at_its_signal_is_told(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    began = time.time()
    seen = []
    try:
        ctx.step("late", lambda step: seen.append(step.signal.wait(30)), timeout="50ms", retry={"max_attempts": 2})
    except TimeoutError as error:
        return [str(error), seen, time.time() - began]
""")
    message, seen, seconds = made.run("u", settings=FAST).finished["output"]  # type: ignore[index]

    assert message == 'step "late" took longer than 50 ms'
    assert seen == [True, True]
    assert seconds < 1
    assert types(made.records("u")) == ["requested", "retrying", "started", "failed", "finished"]


def test_a_late_result_counts_for_nothing(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    def late(step):
        if step.attempt == 1:
            time.sleep(0.3)
            return "too late"
        return "in time"
    return ctx.step("late", late, timeout="100ms")
""")

    assert made.run("u", settings=FAST).finished["output"] == "in time"  # type: ignore[index]
    assert types(made.records("u")) == ["requested", "retrying", "started", "completed", "finished"]


def test_code_goes_on_without_a_function_that_never_returns(bench: MakeBench) -> None:
    made = bench("""
import threading, time
def workflow(input, ctx):
    first = ctx.step("first", lambda: "first")
    def hangs(step):
        if step.attempt < 3:
            threading.Event().wait()
        return step.attempt
    second = ctx.step("hangs", hangs, timeout="100ms")
    try:
        ctx.step("for ever", threading.Event().wait, timeout="100ms", retry={"max_attempts": 1})
    except TimeoutError as error:
        return [first, second, ctx.step("last", lambda: str(error))]
""")
    history = made.run("u", settings=FAST)
    records = made.records("u")

    assert history.finished is not None
    assert history.finished["output"] == ["first", 3, 'step "for ever" took longer than 100 ms']
    assert types(records) == ["requested", "completed", "requested", "retrying", "started", "retrying", "started", "completed", "requested", "failed", "requested",
                              "completed", "finished"]  # fmt: skip
    assert history.claims == 1


def test_a_branch_goes_on_without_its_function(bench: MakeBench) -> None:
    made = bench("""
import threading, time
def workflow(input, ctx):
    def late():
        try:
            ctx.step("for ever", threading.Event().wait, timeout="100ms", retry={"max_attempts": 1})
        except TimeoutError as error:
            return str(error)
    return ctx.parallel(late, lambda: ctx.step("quick", lambda: 1))
""")

    assert made.run("u").finished["output"] == ['step "for ever" took longer than 100 ms', 1]  # type: ignore[index]
    assert types(made.records("u")) == ["requested", "requested", "completed", "failed", "finished"]


def test_the_timeout_of_the_settings_counts_and_zero_is_none(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    ctx.step("free", lambda: time.sleep(0.3), timeout=0)
    ctx.step("late", lambda: time.sleep(0.3), retry={"max_attempts": 1})
""")
    error = made.run("u", settings={"step": {"timeout_ms": 100}}).finished["error"]  # type: ignore[index]

    assert error["message"] == 'step "late" took longer than 100 ms'


def test_in_a_larger_worker_only_the_run_that_hangs_is_concerned(bench: MakeBench) -> None:
    made = bench("""
import threading
def workflow(input, ctx):
    if input:
        try:
            ctx.step("for ever", threading.Event().wait, timeout="100ms", retry={"max_attempts": 1})
        except TimeoutError:
            return ctx.step("after", lambda: "went on")
    return ctx.step("quick", lambda: "quick")
""")
    worker = made.spawn(capacity=4, linger_ms=100)
    for number in range(4):
        made.create(f"r{number}", number % 2)
        worker.order(f"r{number}", 1)

    assert worker.wait() == 0
    assert [made.history(f"r{number}").finished["output"] for number in range(4)] == ["quick", "went on"] * 2  # type: ignore[index]
