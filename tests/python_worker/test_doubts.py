"""Tries that were cut off: what counts as a failure, and what follows."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.journal import decode_lines, encode_line
from tests.python_worker.conftest import MakeBench
from tests.python_worker.fronts import FRONTS, Runs
from tests.python_worker.test_sequential import FAST
from tests.support.workers import until

pytestmark = pytest.mark.parametrize("front", FRONTS)

PAY = """
async def workflow(input, ctx):
    def pay(step):
        with open(input["log"], "a") as log: log.write(f"{step.attempt} {step.in_doubt} {step.key}\\n")
        if step.attempt <= input["kills"]: os.kill(os.getpid(), 9)
        return f"paid {step.attempt}"
    try:
        return await ctx.step("pay", pay, retry={"max_attempts": 2, "initial_interval": 0}, on_in_doubt=input["mode"])
    except Exception as error:
        return [error.name, str(error)]
"""


def begin(runs: Runs, mode: str, kills: int) -> Path:
    """Begin a run whose worker dies in the first tries, and wait for its death."""
    log = runs.bench.folder / "log"
    runs.begin({"log": str(log), "kills": kills, "mode": mode})
    assert runs.worker.wait() == -9
    return log


def test_a_try_that_died_with_its_worker_is_a_failure_and_the_last_one_is_a_crash_error(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, PAY, front)
    log = begin(runs, "retry", 9)
    runs.go_on()
    assert runs.worker.wait() == -9
    runs.go_on()

    assert runs.output() == ["CrashError", 'step "pay" failed: its worker died during try 2, and no try is left']
    assert log.read_text().splitlines() == ["1 False u/pay", "2 True u/pay"]
    assert runs.types() == ["requested", "started", "failed", "finished"]
    boots = {record["boot"] for record in runs.records("claim")}
    assert boots == {Path("/proc/sys/kernel/random/boot_id").read_text().strip()}


@pytest.mark.parametrize("how", ["reboot", "no space", "old journal"])
def test_tries_that_were_cut_off_otherwise_are_no_failures(bench: MakeBench, front: str, how: str) -> None:
    runs = Runs(bench, PAY, front)
    log = begin(runs, "retry", 2)
    for _ in range(1):
        rewrite(runs, how)
        runs.go_on(before="no-space" if how == "no space" else None)
        assert runs.worker.wait() == -9
    rewrite(runs, how)
    runs.go_on(before="no-space" if how == "no space" else None)

    assert runs.output() == "paid 3"
    assert len(log.read_text().splitlines()) == 3
    if how == "no space":
        assert [record.get("before") for record in runs.records("claim")] == [None, "no-space", "no-space"]


def rewrite(runs: Runs, how: str) -> None:
    """Let the claims of a journal come from another boot of the machine, or from a worker that knew of none."""
    path = Path(runs.bench.prefix("u") + "journal.jsonl")
    records: list[Any] = decode_lines(path.read_bytes())
    for record in records:
        if record["type"] == "claim" and how == "reboot":
            record["boot"] = f"boot {record['claim']}"
        if record["type"] == "claim" and how == "old journal":
            record.pop("boot", None)
    path.write_bytes(b"".join(map(encode_line, records)))


def test_a_try_that_sigterm_cut_off_is_no_failure_but_in_doubt(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    def slow(step):
        if step.attempt > 1: return [step.attempt, step.in_doubt]
        open(input, "w").close()
        time.sleep(60)
    return await ctx.step("slow", slow, retry={"max_attempts": 1})
""",
        front,
    )
    mark = runs.bench.folder / "mark"
    runs.begin(str(mark), settings={"cancel": {"grace_ms": 50}})
    until(mark.exists)
    runs.worker.kill(15)
    assert runs.end().let_go == "suspended"
    runs.go_on()

    assert runs.output() == [2, True]


def test_a_step_that_must_not_be_repeated_fails_when_it_was_cut_off(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, PAY, front)
    log = begin(runs, "fail", 1)
    runs.go_on()

    assert runs.output() == ["InDoubtError", 'step "pay" was cut off during try 1, and may have had its effect (on_in_doubt)']
    assert log.read_text().splitlines() == ["1 False u/pay"]


@pytest.mark.parametrize(
    ("decision", "output", "record"),
    [
        ("retry", "paid 2", {"type": "started", "try": 2, "inbox": 2}),
        (
            "fail",
            ["InDoubtError", 'step "pay" was cut off during try 1, and a person decided that it failed'],
            {"type": "failed", "try": 1, "inbox": 2},
        ),
        ({"result": {"id": 7}}, {"id": 7}, {"type": "completed", "value": {"id": 7}, "try": 1, "inbox": 2}),
    ],
)
def test_a_person_decides_what_becomes_of_a_step_in_doubt(bench: MakeBench, front: str, decision: Any, output: Any, record: dict[str, Any]) -> None:
    runs = Runs(bench, PAY, front)
    begin(runs, "ask", 1)
    runs.go_on()
    runs.written('"asked"')
    runs.kill()
    runs.go_on(linger_ms=0)
    parked = runs.end()
    assert runs.records("parked")[0]["waits"] == [{"key": "pay", "kind": "decision"}]
    assert parked.let_go == "parked"

    runs.bench.send("u", {"type": "signal", "id": "1", "name": "pay~in-doubt", "data": "perhaps"})
    runs.go_on()
    runs.written('"warning"')
    runs.kill()
    runs.bench.send("u", {"type": "signal", "id": "2", "name": "pay~in-doubt", "data": decision})
    runs.go_on()
    assert runs.output() == output
    (warning,) = runs.records("warning")
    expected = '"retry", "fail" or {"result": ...} was expected for step "pay", which is in doubt: message 1 is ignored'
    assert (warning["code"], warning["key"], warning["inbox"], warning["message"]) == ("in-doubt", "pay", 1, expected)
    assert [(r["key"], r["try"]) for r in runs.records("asked")] == [("pay", 1)]
    (decided,) = [each for each in runs.records(key="pay") if each.get("inbox") == 2]
    assert {name: decided[name] for name in record} == record


def test_the_start_of_a_step_that_must_not_be_repeated_and_the_time_are_durable_before_a_body(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
import ty_worker.journal as journal
synced = []
def sync(fd, real=journal._sync):
    synced.append(os.fstat(fd).st_size)
    real(fd)
journal._sync = sync

async def workflow(input, ctx):
    durable = []
    def body(step):
        durable.append(bool(synced) and synced[-1] == os.stat(input).st_size)
        if step.attempt == 1: raise OSError("again")
    for mode in ("retry", "fail"):
        await ctx.step("s", body, on_in_doubt=mode)
    ctx.now()
    await ctx.step("s", body)
    return durable
""",
        front,
    )
    runs.begin(runs.bench.prefix("u") + "journal.jsonl", settings=FAST)

    assert runs.output() == [False, False, True, True, True, False]


def test_a_try_without_heartbeat_fails_and_one_with_heartbeats_does_not(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    async def quiet(step):
        step.heartbeat("begun")
        await asyncio.sleep(60)
    async def lively(step):
        for number in range(8):
            step.heartbeat({"n": number})
            await asyncio.sleep(0.1)
        return "done"
    try:
        await ctx.step("quiet", quiet, heartbeat_timeout=0.3, retry={"max_attempts": 1})
    except TimeoutError as error:
        return [str(error), await ctx.step("lively", lively, heartbeat_timeout=0.5, timeout=0)]
""".replace("await asyncio.sleep", "await asyncio.sleep" if front == "asyncio" else "time.sleep"),
        front,
    )
    runs.begin()

    assert runs.output() == ['step "quiet" sent no heartbeat for 300 ms', "done"]
    assert [(r["key"], r["details"]) for r in runs.records("heartbeat")] == [("quiet", "begun"), ("lively", {"n": 0})]
    assert "timeout_ms" not in runs.records("requested")[1] and runs.records("requested")[0]["timeout_ms"] == 600_000
