"""Cancel, SIGTERM, deadlines and exits: how a run ends before its body does."""

import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.instants import stamp
from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import types
from tests.support.workers import now, until

WAIT = """
import os, time
def workflow(input, ctx):
    def wait(step):
        open(input + ".in", "w").close()
        while not os.path.exists(input + ".go"):
            if step.signal.canceled: return "aborted"
            time.sleep(0.005)
        return "waited"
    first = ctx.step("wait", wait)
    return [first, ctx.step("after", lambda: "after")]
"""


def test_a_cancel_is_acknowledged_aborts_the_step_and_starts_no_other(bench: MakeBench) -> None:
    made = bench(WAIT)
    base = str(made.folder / "x")
    made.create("u", base)
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    until(Path(base + ".in").exists)
    made.send("u", {"type": "cancel", "reason": "enough"})
    worker.wake()

    assert worker.wait() == 0
    history = made.history("u")
    assert (history.status, history.finished["reason"]) == ("canceled", "enough")  # type: ignore[index]
    assert types(made.records("u")) == ["requested", "canceling", "completed", "finished"]
    assert made.records("u")[3]["inbox"] == 1


def test_a_step_that_does_not_listen_is_abandoned_after_the_grace(bench: MakeBench) -> None:
    made = bench(WAIT.replace("step.signal.canceled", "False"))
    base = str(made.folder / "x")
    made.create("u", base, {"cancel": {"grace_ms": 150}})
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    until(Path(base + ".in").exists)
    made.send("u", {"type": "cancel", "reason": ""})
    worker.wake()

    assert worker.wait(3) == 0
    assert types(made.records("u")) == ["requested", "canceling", "abandoned", "finished"]


def test_a_cancel_that_came_before_the_worker_starts_nothing(bench: MakeBench) -> None:
    made = bench("open('/dev/null/never')\n")
    made.create("u")
    made.send("u", {"type": "unknown"})
    made.send("u", {"type": "cancel", "reason": "r"})
    worker = made.spawn(uid="u")
    worker.order("u", 1)

    assert worker.wait() == 0
    assert types(made.records("u")) == ["canceling", "finished"]


def test_a_cancel_that_was_acknowledged_before_the_death_is_carried_out_by_the_next(bench: MakeBench) -> None:
    made = bench(WAIT.replace("step.signal.canceled", "False"))
    base = str(made.folder / "x")
    made.create("u", base)
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    until(Path(base + ".in").exists)
    made.send("u", {"type": "cancel", "reason": "r"})
    worker.wake()
    until(lambda: b"canceling" in made.journal("u"))
    worker.kill()
    worker.wait()

    assert made.resume("u").status == "canceled"
    assert types(made.records("u")) == ["requested", "canceling", "finished"]


@pytest.mark.parametrize("state", ["sleep", "pause", "parallel"])
def test_a_cancel_reaches_a_run_that_waits(bench: MakeBench, state: str) -> None:
    made = bench("""
def workflow(input, ctx):
    if input == "sleep": ctx.sleep("z", 100)
    if input == "pause": ctx.step("s", lambda: 1 / 0, retry={"initial_interval": "100s", "jitter": False})
    ctx.parallel(lambda: ctx.sleep("a", 100), lambda: ctx.sleep("b", 100))
""")
    made.create("u", state)
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    until(
        lambda: (
            made.journal("u").count(b'"requested"') == (2 if state == "parallel" else 1) and (state != "pause" or b"retrying" in made.journal("u"))
        )
    )
    made.send("u", {"type": "cancel", "reason": "r"})
    worker.wake()

    assert worker.wait(3) == 0
    assert made.history("u").status == "canceled"


def test_sigterm_lets_the_step_end_and_releases_the_run(bench: MakeBench) -> None:
    made = bench(WAIT)
    base = str(made.folder / "x")
    made.create("u", base)
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    until(Path(base + ".in").exists)
    worker.kill(signal.SIGTERM)
    time.sleep(0.1)
    Path(base + ".go").touch()

    assert worker.wait() == 0
    assert made.history("u").let_go == "suspended"
    assert types(made.records("u")) == ["requested", "completed", "released"]
    assert made.resume("u").finished["output"] == ["waited", "after"]  # type: ignore[index]


@pytest.mark.parametrize("body", ["while True: time.sleep(0.01)", "time.sleep(60)", "ctx.sleep('z', 60)", "threading.Event().wait()"])
def test_sigterm_ends_a_worker_whatever_the_code_does(bench: MakeBench, body: str) -> None:
    made = bench(f"import threading, time\ndef workflow(input, ctx):\n    open(input, 'w').close()\n    {body}\n")
    made.create("u", str(made.folder / "in"))
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    until((made.folder / "in").exists)
    worker.kill(signal.SIGTERM)

    assert worker.wait(2) == 0
    assert made.history("u").let_go == "suspended"


def test_sigterm_and_cancel_do_not_wait_for_code_that_is_still_loaded(bench: MakeBench) -> None:
    made = bench("import os, time\nopen(os.environ['MARK'], 'w').close()\ntime.sleep(60)\ndef workflow(input, ctx): pass\n")
    mark = made.folder / "mark"
    for number in (1, 2):
        made.create(f"u{number}")
        worker = made.spawn(uid=f"u{number}", env={"MARK": str(mark)})
        worker.order(f"u{number}", 1)
        until(mark.exists)
        mark.unlink()
        if number == 1:
            worker.kill(signal.SIGTERM)
        else:
            made.send("u2", {"type": "cancel", "reason": "r"})
            worker.wake()
        assert worker.wait(5) == 0
    assert (made.history("u1").let_go, made.history("u2").status) == ("suspended", "canceled")


def test_a_worker_without_orders_ends_on_sigterm_and_on_drain(bench: MakeBench) -> None:
    made = bench("def workflow(input, ctx):\n    return 1\n")
    first, second = made.spawn(), made.spawn()
    time.sleep(0.1)
    assert first.alive() and second.alive()
    first.kill(signal.SIGTERM)
    second.drain()

    assert (first.wait(2), second.wait(2)) == (0, 0)
    assert not first.alive()


def test_a_body_that_exits_the_process_is_a_crash_and_one_that_raises_system_exit_a_failure(bench: MakeBench) -> None:
    made = bench("import os, sys\ndef workflow(input, ctx):\n    (os._exit if input else sys.exit)(7)\n")
    failed = made.run("f", False)
    made.create("c", True)
    worker = made.spawn(uid="c")
    worker.order("c", 1)

    assert failed.finished["error"]["name"] == "SystemExit"  # type: ignore[index]
    assert worker.wait() == 7
    assert made.history("c").finished is None


def test_the_timeout_of_the_run_counts_from_its_first_claim_and_ends_it_by_the_clock(bench: MakeBench) -> None:
    made = bench("def workflow(input, ctx):\n    ctx.sleep('z', 60)\n")
    made.create("u", settings={"timeout_ms": 600})
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    until(lambda: b'"requested"' in made.journal("u"))
    worker.kill()
    worker.wait()
    history = made.resume("u")
    records = made.records("u")

    assert history.finished is not None
    assert (history.finished["status"], history.finished["reason"], history.finished["error"]["name"]) == ("failed", "timeout", "TimeoutError")
    assert history.finished["error"]["message"] == "the run did not end within its timeout of 600 ms"
    assert records[-1]["at"] >= plus(records[1]["at"], 600)


def test_a_run_whose_timeout_is_over_before_it_is_claimed_runs_no_code(bench: MakeBench) -> None:
    made = bench("def workflow(input, ctx):\n    open(input, 'w').close()\n    ctx.sleep('z', 60)\n")
    mark = made.folder / "mark"
    made.run("u", str(mark), settings={"timeout_ms": 300}, park_after_ms=0)
    mark.unlink()
    until(lambda: now() > plus(made.records("u")[1]["at"], 300))

    assert made.resume("u").finished["reason"] == "timeout"  # type: ignore[index]
    assert not mark.exists()
    assert made.records("u")[3]["until"] == plus(made.records("u")[1]["at"], 300)


def plus(at: str, ms: int) -> str:
    """Return an instant in its text, moved."""
    return stamp(datetime.fromisoformat(at) + timedelta(milliseconds=ms))
