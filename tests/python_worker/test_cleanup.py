"""What is undone when a run fails or is canceled."""

from pathlib import Path
from typing import Any

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.fronts import FRONTS, Runs
from tests.python_worker.test_sequential import FAST
from tests.support.workers import now, until

pytestmark = pytest.mark.parametrize("front", FRONTS)

SAGA = """
async def workflow(input, ctx):
    def say(*words):
        with open(input["log"], "a") as log: log.write(" ".join(map(str, words)) + "\\n")
    async def undo(result, step=None):
        say("undo", result, step)
    async def undo_with(result, step):
        say("undo", result, step.key, step.attempt, step.in_doubt)
        if input.get("kill") == result and step.attempt == 1: os.kill(os.getpid(), 9)
        if input.get("bad") == result: raise OSError("cannot undo")
    async def canceled(step):
        say("on-cancel", step.key)
    await ctx.step("plain", lambda: 0)
    ctx.on_cancel(lambda: say("never"))
    await both(ctx, lambda: ctx.step("a", lambda: "A", compensate=undo_with), lambda: ctx.step("b", lambda: time.sleep(0.1) or "B", compensate=undo))
    ctx.on_cancel(canceled)
    await ctx.step("c", lambda: ["C"], compensate=lambda: say("undo c"), timeout="5s")
    try:
        await ctx.step("bad", lambda: 1 / 0, retry={"max_attempts": 1}, compensate=undo)
    except ZeroDivisionError:
        pass
    open(input["log"] + ".there", "w").close()
    await ctx.sleep("z", input.get("sleep", 0))
    raise ValueError("in the end")
"""


class Saga(Runs):
    """A run of the saga."""

    def __init__(self, bench: MakeBench, front: str, **given: Any) -> None:
        super().__init__(bench, SAGA, front)
        self.log = self.bench.folder / "log"
        self.given = {"log": str(self.log), **given}

    def said(self) -> list[str]:
        """Return what the functions wrote."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def asleep(self) -> None:
        """Wait until the body sleeps."""
        self.written('"kind":"sleep"')


UNDONE = ["undo c", "undo B None", "undo A u/a~compensate 1 False"]
CANCELED = ["on-cancel u/ty/on-cancel~run", *UNDONE]


def test_a_run_that_fails_undoes_its_steps_the_last_first(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front)
    saga.begin(saga.given)
    finished = saga.end().finished

    assert finished is not None and (finished["status"], finished["error"]["message"]) == ("failed", "in the end")
    assert saga.said() == UNDONE
    ending = saga.types().index("ending")
    keys = ["c~compensate", "b~compensate", "a~compensate"]
    assert saga.types()[ending:] == ["ending", *["requested", "completed"] * 3, "finished"]
    assert [(r["key"], r["try"], r.get("timeout_ms"), "after" in r) for r in saga.records("requested") if r["kind"] == "clean-up"] == [
        (keys[0], 1, 5000, False),
        (keys[1], 1, 600_000, False),
        (keys[2], 1, 600_000, False),
    ]
    assert [r["value"] for r in saga.records("completed") if "~" in r["key"]] == [None] * 3
    (record,) = saga.records("ending")
    assert (record["status"], record["error"], "reason" in record) == ("failed", finished["error"], False)
    assert [r.get("compensate") for r in saga.records("requested") if r["kind"] == "step"] == [None, True, True, True, True]


def test_a_cancel_runs_the_last_function_given_for_it_and_then_undoes_the_steps(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front, sleep=60)
    saga.begin(saga.given)
    saga.asleep()
    saga.send(type="cancel", id="1", reason="enough")
    saga.end()

    assert saga.said() == CANCELED
    assert saga.types()[saga.types().index("canceling") :] == ["canceling", "ending", *["requested", "completed"] * 4, "finished"]
    assert [saga.records(kind)[0]["reason"] for kind in ("canceling", "ending", "finished")] == ["enough"] * 3
    assert saga.records("finished")[0]["status"] == "canceled"


def test_a_run_that_is_parked_is_wound_down_by_the_worker_that_reads_of_the_cancel(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front, sleep=60)
    saga.begin(saga.given, park_after_ms=0)
    assert saga.end().let_go == "parked"
    saga.bench.send("u", {"type": "cancel", "id": "1", "reason": "enough"})
    saga.go_on()
    history = saga.end()

    assert history.status == "canceled" and saga.said() == CANCELED
    assert saga.types()[saga.types().index("parked") :] == ["parked", "canceling", "ending", *["requested", "completed"] * 4, "finished"]


@pytest.mark.parametrize("victim", ["A", "in the end"])
def test_clean_up_goes_on_where_it_was_after_a_kill_in_its_middle(bench: MakeBench, front: str, victim: str) -> None:
    saga = Saga(bench, front, kill="A")
    saga.begin(saga.given)
    assert saga.worker.wait() == -9
    saga.go_on()
    finished = saga.end().finished

    assert finished is not None and finished["error"]["message"] == "in the end"
    assert saga.said() == [*UNDONE, "undo A u/a~compensate 2 True"]
    assert len(saga.records("ending")) == 1 and saga.records("ending")[0]["error"] == finished["error"]
    assert [r["try"] for r in saga.records("started", "a~compensate")] == [2]


def test_a_cancel_that_was_acknowledged_before_a_kill_is_wound_down(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front, sleep=60, kill="A")
    saga.begin(saga.given)
    saga.asleep()
    saga.send(type="cancel", id="1", reason="enough")
    assert saga.worker.wait() == -9
    saga.go_on()

    assert saga.end().status == "canceled"
    assert saga.said() == [*CANCELED, "undo A u/a~compensate 2 True"]
    assert len(saga.records("canceling")) == len(saga.records("ending")) == 1


def test_a_function_that_fails_for_good_leaves_a_warning_and_the_others_go_on(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front, bad="A")
    settings = {"step": {"retry": {"max_attempts": 2, "initial_interval_ms": 5}}}
    saga.begin(saga.given, settings=settings)
    saga.end()

    assert saga.said() == [*UNDONE, "undo A u/a~compensate 2 False"]
    assert [(r["code"], r["key"], r["message"]) for r in saga.records("warning")] == [
        ("clean-up", "a~compensate", '"a~compensate" failed: cannot undo')
    ]
    assert saga.types()[-5:] == ["retrying", "started", "failed", "warning", "finished"]


def test_sigterm_in_the_middle_of_clean_up_lets_the_next_worker_go_on(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    def slow(result, step):
        open(f"{input}.{result}", "w").close()
        if result == 2 and step.attempt == 1: step.signal.wait(60)
    for number in (1, 2):
        await ctx.step("s", lambda: number, compensate=slow)
    raise ValueError("end")
""",
        front,
    )
    base = runs.bench.folder / "mark"
    runs.begin(str(base), settings={"cancel": {"grace_ms": 50}})
    until(Path(f"{base}.2").exists)
    runs.worker.kill(15)
    assert runs.end().let_go == "suspended"
    assert not Path(f"{base}.1").exists()
    runs.go_on()

    assert runs.end().status == "failed"
    assert Path(f"{base}.1").exists()
    assert [r["try"] for r in runs.records("started")] == [2]


def test_clean_up_has_its_time_and_no_more(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    def slow(result, step):
        step.signal.wait(60)
        open(input, "w").close()
    await ctx.step("first", lambda: 1, compensate=slow)
    await ctx.step("second", lambda: 2, compensate=slow)
    raise ValueError("end")
""",
        front,
    )
    mark = runs.bench.folder / "mark"
    runs.begin(str(mark), settings={"cancel": {"cleanup_ms": 200}})
    history = runs.end(5)

    assert history.status == "failed"
    assert runs.types()[-4:] == ["ending", "requested", "warning", "finished"]
    (warning,) = runs.records("warning")
    assert (warning["code"], warning["key"]) == ("clean-up", "second~compensate")
    assert warning["message"] == "clean-up did not end within 200 ms (cancel.cleanup_ms)"


def test_a_cancel_in_the_middle_of_a_replay_finds_everything_that_is_recorded(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front, sleep=60)
    saga.begin(saga.given)
    saga.asleep()
    saga.kill()
    (saga.bench.folder / "log.there").unlink()
    path = saga.bench.folder / "code/main.py"
    held = f"    open(input['log'] + '.here', 'w').close()\n    while not os.path.exists({str(saga.bench.folder / 'go')!r}): time.sleep(0.01)\n    await ctx.step(\"c\""
    path.write_text(
        path.read_text().replace(
            '    await ctx.step("c"' if front == "asyncio" else '    ctx.step("c"', held if front == "asyncio" else held.replace("await ", "")
        )
    )
    saga.go_on()
    until((saga.bench.folder / "log.here").exists)
    saga.send(type="cancel", id="1", reason="enough")
    saga.written('"canceling"')
    (saga.bench.folder / "go").touch()
    saga.end()

    assert saga.said() == CANCELED


def test_a_cancel_in_the_pause_before_another_attempt_undoes_what_the_memo_holds(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front)
    retry = {"max_attempts": 2, "initial_interval_ms": 60_000, "jitter": False}
    saga.begin(saga.given, settings={"retry": retry})
    saga.written('"body.failed"')
    saga.send(type="cancel", id="1", reason="enough")
    saga.end()

    assert saga.said() == CANCELED
    rest = saga.types()[saga.types().index("canceling") :]
    assert "started" not in rest and rest[-1] == "finished"
    assert {r["key"] for r in saga.records("completed") if r.get("memo")} == {"plain", "a", "b", "c"}


def test_where_nothing_can_need_clean_up_no_code_is_run_for_it(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        "async def workflow(input, ctx):\n    open(input, 'a').write('x')\n    await ctx.step('s', lambda: 1)\n    await ctx.sleep('z', 60)\n",
        front,
    )
    mark = runs.bench.folder / "mark"
    runs.begin(str(mark), park_after_ms=0)
    runs.end()
    runs.bench.send("u", {"type": "cancel", "id": "1", "reason": "enough"})
    runs.go_on()

    assert runs.end().status == "canceled"
    assert mark.read_text() == "x"
    assert runs.types()[-3:] == ["parked", "canceling", "finished"]


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('ctx.step("c", lambda: ["C"]', 'ctx.step("other", lambda: ["C"]', 'the journal holds step "c" here'),
        ("def workflow", "syntax error def workflow", "main.py"),
    ],
)
def test_code_that_does_not_fit_any_more_cleans_up_nothing_and_says_so(bench: MakeBench, front: str, old: str, new: str, part: str) -> None:
    saga = Saga(bench, front, sleep=60)
    saga.begin(saga.given, park_after_ms=0)
    saga.end()
    path = saga.bench.folder / "code/main.py"
    path.write_text(path.read_text().replace(old, new))
    saga.bench.send("u", {"type": "cancel", "id": "1", "reason": "enough"})
    saga.go_on()

    assert saga.end().status == "canceled" and saga.said() == []
    (warning,) = saga.records("warning")
    assert warning["message"].startswith("the code cannot be replayed, so that nothing is cleaned up: ") and part in warning["message"]


def test_a_function_that_the_code_no_longer_gives_is_a_warning(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front, sleep=60)
    saga.begin(saga.given, park_after_ms=0)
    saga.end()
    path = saga.bench.folder / "code/main.py"
    path.write_text(path.read_text().replace(', compensate=lambda: say("undo c")', ""))
    saga.bench.send("u", {"type": "cancel", "id": "1", "reason": "enough"})
    saga.go_on()

    assert saga.end().status == "canceled"
    assert saga.said() == [line for line in CANCELED if line != "undo c"]
    (warning,) = saga.records("warning")
    assert (warning["key"], warning["message"]) == ("c~compensate", '"c~compensate" cannot be run: the code no longer gives it')


def test_a_run_whose_timeout_is_over_is_cleaned_up(bench: MakeBench, front: str) -> None:
    saga = Saga(bench, front, sleep=60)
    saga.begin(saga.given, settings={"timeout_ms": 2000, **FAST})
    saga.end()
    finished = saga.records("finished")[0]

    assert (finished["status"], finished["reason"]) == ("failed", "timeout")
    assert saga.said() == UNDONE and saga.records("ending")[0]["reason"] == "timeout"


def test_a_cancel_while_a_step_runs_waits_for_it_and_undoes_it(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    def slow(step):
        open(input, "w").close()
        step.signal.wait(60)
        return "stopped"
    await both(ctx, lambda: ctx.step("slow", slow, compensate=lambda result: open(input + result, "w").close()), lambda: ctx.step("hangs", lambda: time.sleep(5)))
""",
        front,
    )
    mark = runs.bench.folder / "mark"
    runs.begin(str(mark), settings={"cancel": {"grace_ms": 300}})
    until(mark.exists)
    runs.written('"hangs"')
    runs.send(type="cancel", id="1", reason="enough")
    began = now()
    runs.end()

    assert Path(f"{mark}stopped").exists()
    assert runs.types() == ["requested", "requested", "canceling", "completed", "abandoned", "ending", "requested", "completed", "finished"]
    assert began < runs.records("finished")[0]["at"]
