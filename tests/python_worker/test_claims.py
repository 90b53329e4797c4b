"""Orders, claims, and how a worker hosts runs."""

import time
from pathlib import Path

import pytest

from reconciler.journal import encode_line
from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import types
from tests.support.workers import until


def test_the_first_claim_wins_and_the_other_worker_withdraws(bench: MakeBench) -> None:
    made = bench("import time\ndef workflow(input, ctx):\n    return ctx.step('s', lambda: time.sleep(0.3))\n")
    made.create("u")
    workers = [made.spawn() for _ in range(4)]
    for worker in workers:
        worker.order("u", 1)

    assert [worker.wait() for worker in workers] == [0] * 4
    assert types(made.records("u")) == ["requested", "completed", "finished"]
    assert made.history("u").claims == 1


@pytest.mark.parametrize("trouble", ["old claim", "finished", "damaged", "missing", "empty", "torn"])
def test_a_run_that_cannot_be_taken_is_left_as_it_is(bench: MakeBench, trouble: str) -> None:
    made = bench("def workflow(input, ctx):\n    return 1\n")
    path = Path(made.prefix("u") + "journal.jsonl")
    if trouble == "finished":
        made.run("u")
    elif trouble != "missing":
        made.create("u")
    data = path.read_bytes() if path.exists() else b""
    if trouble in ("damaged", "empty", "torn"):
        data = {"damaged": b"00000000 {}\n" + data, "empty": b"", "torn": data + b"12345678 {"}[trouble]
        path.write_bytes(data)
    worker = made.spawn()
    worker._line({"type": "order", "uid": "u", "claim": 0 if trouble == "old claim" else 9, "prefix": made.prefix("u")})
    worker.wake()

    assert worker.wait() == 0
    assert (path.read_bytes() if path.exists() else b"") == data
    assert "claim" in worker.log() or trouble == "missing"


def test_an_older_claim_in_the_tail_is_skipped(bench: MakeBench) -> None:
    made = bench("def workflow(input, ctx):\n    return ctx.step('s', lambda: 7)\n")
    made.create("u")
    path = Path(made.prefix("u") + "journal.jsonl")
    late = {"type": "completed", "claim": 1, "seq": 2, "at": "2026-11-22T14:37:00.123Z", "key": "s", "value": "stale"}
    claims = [{"type": "claim", "claim": n, "seq": 1, "at": late["at"], "worker": f"x{n}", "after": n} for n in (1, 2)]
    path.write_bytes(path.read_bytes() + b"".join(map(encode_line, [*claims, late])))

    assert made.resume("u").finished["output"] == 7  # type: ignore[index]


def test_a_worker_takes_further_orders_that_are_there_already(bench: MakeBench) -> None:
    made = bench("import os\ndef workflow(input, ctx):\n    return ctx.step('s', os.getpid)\n")
    for uid in "abc":
        made.create(uid)
    worker = made.spawn()
    for uid in "abc":
        worker.order(uid, 1)

    assert worker.wait() == 0
    assert {made.history(uid).finished["output"] for uid in "abc"} == {worker.pid}  # type: ignore[index]


def test_a_larger_worker_hosts_runs_side_by_side_and_lingers(bench: MakeBench) -> None:
    made = bench("""
import threading
barrier = threading.Barrier(8)
def workflow(input, ctx):
    return ctx.step("meet", lambda: barrier.wait(5) >= 0)
""")
    worker = made.spawn(capacity=8, linger_ms=300)
    for round_ in range(2):
        for number in range(8):
            made.create(f"r{round_}-{number}")
            worker.order(f"r{round_}-{number}", 1)
        for number in range(8):
            until(lambda uid=f"r{round_}-{number}": made.history(uid).finished)
        time.sleep(0.1)
        assert worker.alive()

    began = time.monotonic()
    assert worker.wait(3) == 0
    assert time.monotonic() - began < 1
    assert {made.history(f"r1-{number}").status for number in range(8)} == {"completed"}


def test_a_larger_worker_takes_no_more_than_its_capacity(bench: MakeBench) -> None:
    made = bench("""
import time
inside = []
def workflow(input, ctx):
    def body():
        inside.append(1)
        most = len(inside)
        time.sleep(0.05)
        inside.pop()
        return most
    return ctx.step("s", body)
""")
    worker = made.spawn(capacity=2, linger_ms=100)
    for number in range(6):
        made.create(f"r{number}")
        worker.order(f"r{number}", 1)

    assert worker.wait() == 0
    assert max(made.history(f"r{number}").finished["output"] for number in range(6)) == 2  # type: ignore[index]


def test_orders_beyond_the_capacity_wait_for_their_turn_and_need_no_further_wake(bench: MakeBench) -> None:
    made = bench("def workflow(input, ctx):\n    return ctx.step('s', lambda: 1)\n")
    for number in range(100):
        made.create(f"r{number}")
    worker = made.spawn(capacity=4, linger_ms=200)
    for number in range(100):
        worker._line({"type": "order", "uid": f"r{number}", "claim": 1, "prefix": made.prefix(f"r{number}")})
    worker.wake()

    assert worker.wait() == 0
    assert {made.history(f"r{number}").status for number in range(100)} == {"completed"}


def test_parked_runs_leave_their_threads_behind_and_the_worker_does_not_linger(bench: MakeBench) -> None:
    made = bench("def workflow(input, ctx):\n    ctx.sleep('z', 3600)\n")
    worker = made.spawn(capacity=50, linger_ms=60_000)
    for number in range(40):
        made.create(f"r{number}")
        worker._line({"type": "order", "uid": f"r{number}", "claim": 1, "prefix": made.prefix(f"r{number}")})
    worker.wake()

    assert worker.wait(5) == 0
    assert {made.history(f"r{number}").let_go for number in range(40)} == {"parked"}


def test_the_journal_is_private_and_the_umask_does_not_matter(bench: MakeBench) -> None:
    made = bench(
        "import os\ndef workflow(input, ctx):\n    os.umask(0)\n    os.chdir('/')\n    print('x')\n    return [ctx.run.folder, os.getcwd()]\n"
    )
    worker = made.spawn(capacity=2, linger_ms=10)
    made.create("u")
    worker.order("u", 1)
    worker.wait()

    assert Path(made.prefix("u") + "output.log").stat().st_mode & 0o077 == 0
    assert Path(made.history("u").finished["output"][0]).stat().st_mode & 0o777 == 0o700  # type: ignore[index]


def test_the_environment_has_no_descriptor_of_ours(bench: MakeBench) -> None:
    made = bench("""
import os, subprocess
def workflow(input, ctx):
    return ctx.step("ls", lambda: subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, close_fds=False).stdout)
""")
    listed = made.run("u").finished["output"]  # type: ignore[index]

    assert "/workers/" not in listed and "journal" not in listed and "pipe:" in listed
