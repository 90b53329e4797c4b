"""Calls that return at once: `now`, `random`, `uuid`, `patched`; and `sleep_until`."""

import hmac
import time
import uuid
from datetime import datetime
from pathlib import Path

import pytest

from reconciler.journal import decode_lines, encode_line
from tests.python_worker.conftest import MakeBench
from tests.python_worker.fronts import FRONTS, Runs

pytestmark = pytest.mark.parametrize("front", FRONTS)

VALUES = """
async def workflow(input, ctx):
    before = [ctx.now(), ctx.random(), ctx.uuid(), ctx.uuid("mine"), ctx.random()]
    await ctx.step("kill", lambda step: os.kill(os.getpid(), 9) if step.attempt == 1 else open(input, "a").write(str(before[0])) and None)
    return [*before, ctx.now()]
"""


def test_values_are_the_same_in_every_replay_and_time_is_durable_before_a_step_can_use_it(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, VALUES, front)
    mark = runs.bench.folder / "mark"
    runs.begin(str(mark))
    assert runs.worker.wait() == -9
    (recorded,) = runs.records("requested", "ty/now")
    runs.go_on()
    now, chance, first, mine, other, later = runs.output()

    assert now * 1000 == recorded["value"] and mark.read_text() == str(now)
    assert 0 <= chance < 1 and chance != other and later >= now
    keys = ["ty/now", "ty/random", "ty/uuid", "mine", "ty/random#2", "kill", "ty/now#2"]
    assert [(r["key"], r["kind"]) for r in runs.records("requested")] == list(
        zip(keys, ["now", "random", "uuid", "uuid", "random", "step", "now"], strict=True)
    )
    assert len(runs.records("completed")) == 1

    digest = hmac.digest(b"u", b"mine", "sha256")
    assert mine == str(uuid.UUID(bytes=digest[:16], version=4))
    assert uuid.UUID(first).version == 4
    assert chance == (int.from_bytes(hmac.digest(b"u", b"ty/random", "sha256")[:8], "big") >> 11) * 2**-53


def test_the_seed_of_the_order_takes_the_place_of_the_uid(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, "async def workflow(input, ctx):\n    return [ctx.uuid('a'), await ctx.step('s', lambda step: step.key)]\n", front)
    runs.bench.create("u")
    path = Path(runs.bench.prefix("u") + "journal.jsonl")
    path.write_bytes(encode_line({**decode_lines(path.read_bytes())[0], "seed": "older"}))
    runs.go_on()

    assert runs.output() == [str(uuid.UUID(bytes=hmac.digest(b"older", b"a", "sha256")[:16], version=4)), "older/s"]


def test_a_name_of_ours_is_refused_and_a_call_in_a_step_too(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
async def workflow(input, ctx):
    said = []
    for call in (lambda: ctx.uuid("ty/x"), lambda: ctx.now(), lambda: ctx.patched("p"), lambda: ctx.on_cancel(print), lambda: ctx.random("r")):
        try:
            await ctx.step("s", call, retry={"max_attempts": 1})
        except Exception as error:
            said.append(f"{error.name}: {error}")
    return said
""",
        front,
    )
    runs.begin()
    inside = 'was called inside the body of step "s'
    for line, what in zip(
        runs.output(), ['name must not begin with "ty/"', "now", 'patched "p"', 'on-cancel "ty/on-cancel"', 'random "r"'], strict=True
    ):
        assert what in line and ("TypeError" in line or (f"CallError: {what.split()[0]}" in line and inside in line))


PATCHED = """
async def workflow(input, ctx):
    seen = []
    if MARK: seen.append(["first", ctx.patched("first")])
    await ctx.step("a", lambda: 1)
    if MARK: seen.append(["second", ctx.patched("second")])
    await ctx.step("kill", lambda step: os.kill(os.getpid(), 9) if step.attempt < 3 else None)
    seen.append(["third", ctx.patched("third"), ctx.patched("second"), ctx.patched("first")])
    return seen
"""


def test_patched_is_true_for_new_runs_and_false_where_the_journal_is_of_the_old_code(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, PATCHED.replace("MARK", "False"), front)
    runs.begin()
    runs.worker.wait()
    path = runs.bench.folder / "code/main.py"
    path.write_text(path.read_text().replace("if False", "if True"))
    runs.go_on()
    runs.worker.wait()
    runs.go_on()

    assert runs.output() == [["first", False], ["second", False], ["third", True, False, False]]
    assert [record["id"] for record in runs.records("marker")] == ["third"]


def test_a_marker_holds_in_every_replay(bench: MakeBench, front: str) -> None:
    runs = Runs(bench, PATCHED.replace("MARK", "True"), front)
    runs.begin()
    runs.worker.wait()
    runs.go_on()
    runs.worker.wait()
    runs.go_on()

    assert runs.output() == [["first", True], ["second", True], ["third", True, True, True]]
    assert [record["id"] for record in runs.records("marker")] == ["first", "second", "third"]


def test_sleep_until_takes_datetimes_seconds_and_text_and_does_not_end_early(bench: MakeBench, front: str) -> None:
    runs = Runs(
        bench,
        """
from datetime import datetime, timedelta, timezone
async def workflow(input, ctx):
    await ctx.sleep_until("number", input + 0.2)
    first = time.time()
    await ctx.sleep_until("datetime", datetime.fromtimestamp(input + 0.3, timezone(timedelta(hours=2))))
    second = time.time()
    await ctx.sleep_until("text", "2020-01-01T00:00:00+01:00")
    await ctx.sleep_until("zulu", "2020-01-01T00:00:00.1234Z")
    return [first - input, second - input]
""",
        front,
    )
    runs.begin(time.time())
    first, second = runs.output()

    assert first >= 0.2 and second >= 0.3
    assert [(r["kind"], r["until"]) for r in runs.records("requested")][2:] == [
        ("sleep", "2019-12-31T23:00:00.000Z"),
        ("sleep", "2020-01-01T00:00:00.124Z"),
    ]
    assert datetime.fromisoformat(runs.records("requested")[1]["until"]).timestamp() >= second - first
