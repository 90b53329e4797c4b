"""Workflows in plain sequential code, in real workers."""

import json
from pathlib import Path
from typing import Any

from tests.python_worker.conftest import MakeBench
from tests.support.workers import until

FAST = {"step": {"retry": {"initial_interval_ms": 5, "jitter": False}}}


def types(records: list[Any]) -> list[str]:
    """Return the types of records, without the first and the claims."""
    return [record["type"] for record in records if record["type"] not in ("order", "claim")]


def test_the_documented_example_runs_unchanged(bench: MakeBench) -> None:
    code = """
def fetch_data(url):
    return {"url": url}

def transform(data):
    return data["url"].upper()

def workflow(input, ctx):
    data = ctx.step("fetch-data", lambda: fetch_data(input["url"]))
    ctx.sleep("wait", 60)                                      # seconds, or "60s"
    return ctx.step("process", lambda: transform(data))
"""
    made = bench(code)
    parked = made.run("u", {"url": "x"}, park_after_ms=1000)

    assert parked.let_go == "parked" and parked.waits == ("sleep",)
    assert types(made.records("u")) == ["requested", "completed", "requested", "parked"]

    path = Path(made.prefix("u") + "journal.jsonl")
    _move_into_the_past(path)
    history = made.resume("u")

    assert history.finished is not None and history.finished["output"] == "X"
    assert types(made.records("u"))[4:] == ["completed", "requested", "completed", "finished"]


def _move_into_the_past(path: Path) -> None:
    """Let every sleep be over: as if the run had been parked a year ago."""
    from reconciler.journal import decode_lines, encode_line

    records = [{**record, "until": "2025-01-01T00:00:00.000Z"} if "until" in record else record for record in decode_lines(path.read_bytes())]
    path.write_bytes(b"".join(map(encode_line, records)))


def test_a_sequential_step_costs_two_records_and_is_durable_before_it_returns(bench: MakeBench) -> None:
    made = bench("""
import ty_worker.journal as journal
synced = []
def sync(fd, real=journal._sync):
    synced.append(journal.os.fstat(fd).st_size)
    real(fd)
journal._sync = sync

def workflow(input, ctx):
    sizes = []
    for number in range(3):
        ctx.step("s", lambda: number)
        sizes.append([len(synced), journal.os.stat(input).st_size == synced[-1]])
    return sizes
""")
    history = made.run("u", made.prefix("u") + "journal.jsonl")

    assert history.finished is not None and history.finished["output"] == [[1, True], [2, True], [3, True]]
    assert types(made.records("u")) == ["requested", "completed"] * 3 + ["finished"]


def test_names_that_repeat_get_numbers(bench: MakeBench) -> None:
    made = bench("""
def workflow(input, ctx):
    ctx.sleep("a", 0)
    return [ctx.step("a", lambda step: step.key), ctx.step("b", lambda step: step.key), ctx.step("a", lambda step: step.key)]
""")

    assert made.run("u").finished["output"] == ["u/a#2", "u/b", "u/a#3"]  # type: ignore[index]


def test_the_run_is_described_and_read_only(bench: MakeBench) -> None:
    made = bench("""
import os
def workflow(input, ctx):
    before = os.path.exists(input)
    open(os.path.join(ctx.run.folder, "x"), "w").close()
    try:
        ctx.run.uid = "other"
    except AttributeError as error:
        return [before, str(error), ctx.run.id, ctx.run.uid, ctx.run.incarnation, ctx.run.revision, ctx.run.version]
""")
    folder = made.prefix("u") + "files"

    assert made.run("u", folder).finished["output"] == [False, "ctx.run is read-only: uid cannot be set", "u", "u", 1, "r1", "1"]  # type: ignore[index]
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert (Path(folder) / "x").stat().st_mode & 0o777 == 0o600


def test_a_sleep_does_not_end_early(bench: MakeBench) -> None:
    made = bench("""
import time
def workflow(input, ctx):
    late = []
    for ms in (0, 1, 5, 20):
        began = time.time()
        ctx.sleep("z", f"{ms}ms")
        late.append((time.time() - began) * 1000 - ms)
    return late
""")
    late = made.run("u").finished["output"]  # type: ignore[index]

    assert min(late) >= 0
    assert max(late) < 100


def test_a_run_tells_when_it_begins_to_sleep_and_when_it_goes_on(bench: MakeBench) -> None:
    made = bench("""
import os, time
def workflow(input, ctx):
    def wait():
        while not os.path.exists(input): time.sleep(0.005)
    ctx.step("wait", wait)
    ctx.sleep("z", 0.3)
    ctx.step("long", lambda: time.sleep(30))
""")
    made.create("u", str(made.folder / "go"), {"step": {"timeout_ms": 0}})  # a try with a timeout is announced, too
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    hint = made.folder / "changed" / "u"
    until(hint.exists)
    hint.unlink()
    (made.folder / "go").touch()
    until(hint.exists)

    assert made.history("u").status == "sleeping"
    hint.unlink()
    until(hint.exists)
    assert b'"completed"' in made.journal("u").splitlines()[-1] or b"long" in made.journal("u")
    worker.kill()
    worker.wait()


def test_replay_gives_every_attempt_a_fresh_copy_of_what_was_recorded(bench: MakeBench) -> None:
    made = bench("""
import os
def workflow(input, ctx):
    data = ctx.step("data", lambda: {"list": [1]})
    data["list"].append(2)
    ctx.step("kill", lambda step: os.kill(os.getpid(), 9) if step.attempt == 1 else None)
    return data
""")
    made.create("u")
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    assert worker.wait() == -9

    history = made.resume("u")
    assert history.finished["output"] == {"list": [1, 2]}  # type: ignore[index]


def test_unicode_and_newlines_travel(bench: MakeBench) -> None:
    value = {"text": "zeile\n\u2028\x00 \U0001f600 'q\"", "ä": [1.5, None]}
    made = bench("def workflow(input, ctx):\n    return ctx.step('größe/ü', lambda: input)\n")

    assert made.run("u", value).finished["output"] == value  # type: ignore[index]
    assert all(json.loads(line[9:]) for line in made.journal("u").splitlines())
