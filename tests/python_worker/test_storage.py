"""Full and failing disks, and what user code does to the process around the journal."""

from pathlib import Path

import pytest

from reconciler.journal import decode_lines, encode_line
from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import types

FAULT = """
import errno, os
import ty_worker.journal as journal

def fail(name, number, after, partial=0):
    real, count = getattr(journal, name), [0]
    def call(fd, *rest):
        count[0] += 1
        if count[0] < after:
            return real(fd, *rest)
        if partial and count[0] == after:
            return real(fd, rest[0][:partial])
        raise OSError(number, os.strerror(number))
    setattr(journal, name, call)

def workflow(input, ctx):
    done = [ctx.step("one", lambda: 1)]
    {fault}
    done.append(ctx.step("two", lambda: 2))
    done.append(ctx.step("three", lambda: 3))
    return done
"""


@pytest.mark.parametrize("after", [1, 2, 3, 5])
@pytest.mark.parametrize("partial", [0, 30])
def test_a_full_disk_ends_the_claim_without_a_torn_line_and_without_a_crash(bench: MakeBench, after: int, partial: int) -> None:
    made = bench(FAULT.replace("{fault}", f"fail('_write', errno.ENOSPC, {after}, {partial}) if input else None"))
    history = made.run("u", True)

    assert history.finished is None
    assert made.journal("u").endswith(b"\n")
    assert types(made.records("u")) == [*["requested", "completed"] * 4, "finished"][: 1 + after]
    _hand_over(made, False)
    assert made.resume("u").finished["output"] == [1, 2, 3]  # type: ignore[index]


def _hand_over(made: object, value: bool) -> None:
    """Change the input, so that the next claim meets no fault."""
    path = Path(made.prefix("u") + "journal.jsonl")  # type: ignore[attr-defined]
    first, *rest = decode_lines(path.read_bytes())
    path.write_bytes(b"".join(map(encode_line, [{**first, "input": value}, *rest])))


def test_a_disk_that_had_room_for_one_more_record_says_so(bench: MakeBench) -> None:
    made = bench(
        FAULT.replace("{fault}", "fail_once()")
        + """
def fail_once():
    real, count = journal._write, [0]
    def call(fd, data):
        count[0] += 1
        if count[0] == 2:
            raise OSError(errno.EDQUOT, "quota")
        return real(fd, data)
    journal._write = call
"""
    )
    made.create("u")
    worker = made.spawn(uid="u")
    worker.order("u", 1)

    assert worker.wait() == 0
    assert made.history("u").let_go == "no-space"
    assert types(made.records("u")) == ["requested", "completed", "requested", "released"]


@pytest.mark.parametrize("name", ["_write", "_sync"])
def test_a_failing_disk_ends_the_process_and_nothing_is_tried_again(bench: MakeBench, name: str) -> None:
    made = bench(FAULT.replace("{fault}", f"fail('{name}', errno.EIO, 1)"))
    made.create("u")
    worker = made.spawn(uid="u")
    worker.order("u", 1)

    assert worker.wait() == 70
    assert made.history("u").let_go is None
    assert "Input/output error" in (made.folder / "runs/u.output.log").read_text()


def test_mischief_of_user_code_does_not_reach_the_journal(bench: MakeBench) -> None:
    made = bench("""
import builtins, json, os, sys, time, zlib, threading, gc
def workflow(input, ctx):
    def broken(*arguments, **named):
        raise RuntimeError("patched")
    for module, names in ((os, ("write", "fdatasync", "open", "close", "umask")), (json, ("dumps", "loads")), (zlib, ("crc32",)), (time, ("time", "time_ns", "monotonic"))):
        for name in names:
            setattr(module, name, broken)
    json.JSONEncoder.default = json.JSONEncoder.encode = json.JSONEncoder.iterencode = broken
    sys.stdout.close()
    sys.stderr = None
    sys.setrecursionlimit(200)
    gc.disable()
    results = ctx.parallel(lambda: ctx.step("a", lambda: {"x": 1}), lambda: ctx.step("b", lambda: [2]))
    ctx.sleep("z", 0.02)
    try:
        ctx.step("c", lambda: 1 / 0, retry={"max_attempts": 2, "initial_interval": 0.01})
    except ZeroDivisionError:
        return results
""")

    assert made.run("u").finished["output"] == [{"x": 1}, [2]]  # type: ignore[index]


def test_output_goes_to_the_log_of_the_run_line_by_line(bench: MakeBench) -> None:
    made = bench("""
import os, subprocess, sys
def workflow(input, ctx):
    print("grüße \\ud800")
    sys.stderr.write("error\\n")
    ctx.step("s", lambda: subprocess.run(["echo", "child"]).returncode)
    print("no newline", end="")
    os.kill(os.getpid(), 9) if input else None
""")
    made.run("u", False)
    assert (made.folder / "runs/u.output.log").read_text() == "grüße \\ud800\nerror\nchild\nno newline"

    made.create("k", True)
    worker = made.spawn(uid="k")
    worker.order("k", 1)
    worker.wait()
    assert (made.folder / "runs/k.output.log").read_text() == "grüße \\ud800\nerror\nchild\n"


def test_output_of_hosted_runs_is_told_apart(bench: MakeBench) -> None:
    made = bench("""
import asyncio, sys
print("loaded")
def workflow(input, ctx):
    print("body", input)
    ctx.parallel(lambda: print("branch", input), lambda: ctx.step("s", lambda: print("step", input)), lambda: ctx.step("t", lambda: sys.stderr.write(f"err {input}\\n")))
""")
    worker = made.spawn(capacity=3, linger_ms=100)
    for number in range(3):
        made.create(f"r{number}", number)
        worker.order(f"r{number}", 1)
    worker.wait()

    for number in range(3):
        lines = (made.folder / f"runs/r{number}.output.log").read_text().splitlines()
        assert sorted(line for line in lines if line != "loaded") == [f"body {number}", f"branch {number}", f"err {number}", f"step {number}"]


def test_output_of_hosted_event_loops_is_told_apart(bench: MakeBench) -> None:
    made = bench("""
import asyncio
async def workflow(input, ctx):
    async def say(): print("task", input)
    await asyncio.gather(say(), ctx.step("s", lambda: print("step", input)), asyncio.to_thread(print, "thread", input))
""")
    worker = made.spawn(capacity=3, linger_ms=100)
    for number in range(3):
        made.create(f"r{number}", number)
        worker.order(f"r{number}", 1)
    worker.wait()

    for number in range(3):
        assert sorted((made.folder / f"runs/r{number}.output.log").read_text().splitlines()) == [
            f"{what} {number}" for what in ("step", "task", "thread")
        ]


@pytest.mark.parametrize("capacity", [1, 2])
def test_the_oldest_output_is_dropped(bench: MakeBench, capacity: int) -> None:
    made = bench("""
import os, time
def workflow(input, ctx):
    line = "x" * 1023 + "\\n"
    for _ in range(66):
        print(line * 1024, end="")
    print("last", flush=True)
    def wait():
        while os.path.getsize(input) > 60 << 20:
            time.sleep(0.05)
        time.sleep(0.5)
    ctx.step("wait", wait)
    print("after")
""")
    path = Path(made.prefix("u") + "output.log")
    made.create("u", str(path))
    worker = made.spawn(uid="u" if capacity == 1 else "", capacity=capacity, linger_ms=10)
    worker.order("u", 1)
    assert worker.wait(20) == 0

    data = path.read_bytes()
    assert 47 << 20 < len(data) < 49 << 20
    assert data.startswith(b"x" * 1023 + b"\n") and data.endswith(b"last\nafter\n")
