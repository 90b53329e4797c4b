"""Branches in threads: one baton, results in journal order."""

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import types


def test_branches_run_side_by_side_and_their_results_keep_their_order(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    began = time.time()
    def slow(n):
        time.sleep(0.2 - n * 0.01)
        return n
    results = ctx.parallel(*[lambda n=n: ctx.step("slow", lambda: slow(n)) for n in range(10)])
    return [results, time.time() - began]
""")
    results, seconds = made.run("u").finished["output"]  # type: ignore[index]

    assert results == list(range(10))
    assert seconds < 1
    assert [record["key"] for record in made.records("u") if record["type"] == "requested"] == ["slow", *(f"slow#{n}" for n in range(2, 11))]


def test_a_list_of_branches_and_none_at_all(bench: MakeBench) -> None:
    made = bench("""
def workflow(input, ctx):
    return [ctx.parallel([lambda: 1, lambda: 2]), ctx.parallel(), ctx.parallel([]), ctx.parallel(lambda: ctx.parallel(lambda: "inner"))]
""")

    assert made.run("u").finished["output"] == [[1, 2], [], [], [["inner"]]]  # type: ignore[index]


def test_only_one_branch_runs_workflow_code_at_a_time(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    inside, most = [], []
    def branch():
        for _ in range(5):
            ctx.step("s", lambda: None)
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.002)
            inside.pop()
    ctx.parallel(*[branch] * 6)
    return max(most)
""")

    assert made.run("u").finished["output"] == 1  # type: ignore[index]


def test_the_first_failure_is_raised_and_the_other_branches_go_on(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    log = []
    def good():
        ctx.step("slow", lambda: time.sleep(0.1))
        log.append("good")
    def bad():
        ctx.step("bad", lambda: [][1], retry={"max_attempts": 1})
    try:
        ctx.parallel(good, bad)
    except IndexError as error:
        log.append(str(error))
    ctx.step("later", lambda: time.sleep(0.3))
    return log
""")

    assert made.run("u").finished["output"] == ["list index out of range", "good"]  # type: ignore[index]


def test_a_step_in_flight_when_the_body_ends_is_told_to_abort_and_else_abandoned(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    def polite(step):
        return step.signal.wait(5)
    def rude(step):
        time.sleep(5)
    ctx.parallel(lambda: ctx.step("polite", polite), lambda: ctx.step("rude", rude), lambda: 1 / 0)
""")
    history = made.run("u", settings={"cancel": {"grace_ms": 200}})
    records = made.records("u")

    assert history.finished["error"]["name"] == "ZeroDivisionError"  # type: ignore[index]
    assert types(records) == ["requested", "requested", "completed", "abandoned", "finished"]
    assert (records[4]["value"], records[5]["key"]) == (True, "rude")


def test_parallel_steps_share_syncs(bench: MakeBench) -> None:
    made = bench("""
import time
import ty_worker.journal as journal
count = [0]
def sync(fd):
    count[0] += 1
    time.sleep(0.005)
journal._sync = sync

def workflow(input, ctx):
    ctx.parallel(*[lambda: ctx.step("s", lambda: None)] * 40)
    return count[0]
""")

    assert made.run("u").finished["output"] < 20  # type: ignore[index]


@pytest.mark.parametrize("where", ["thread", "step", "branch step"])
def test_a_call_from_where_none_may_be_made_is_refused(bench: MakeBench, where: str) -> None:
    made = bench("""
import threading
def workflow(input, ctx):
    said = []
    def call():
        try:
            ctx.step("inner", lambda: 1)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    if input == "thread":
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    elif input == "step":
        ctx.step("outer", call)
    else:
        ctx.parallel(lambda: ctx.step("outer", call), lambda: 1)
    return said
""")

    said = made.run("u", where).finished["output"]  # type: ignore[index]
    inside = 'CallError: step "inner" was called inside the body of step "outer": call it from the workflow'
    elsewhere = 'CallError: step "inner" was called in a thread of its own: call it in the workflow function, or in a branch of ctx.parallel'
    assert said == [elsewhere if where == "thread" else inside]


def test_many_branches(bench: MakeBench) -> None:
    made = bench("""
def workflow(input, ctx):
    return sum(ctx.parallel(*[lambda n=n: ctx.step("s", lambda: n) for n in range(500)]))
""")

    assert made.run("u").finished["output"] == 124_750  # type: ignore[index]
