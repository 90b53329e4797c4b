"""Workflows in plain sequential code, in real workers."""

import json
from pathlib import Path
from typing import Any

import pytest

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


def test_a_step_is_tried_again_until_it_returns(bench: MakeBench) -> None:
    made = bench("""
def workflow(input, ctx):
    def flaky(step):
        if step.attempt < 3:
            raise ConnectionError(f"try {step.attempt}")
        return [step.key, step.attempt, step.in_doubt, step.signal.canceled, step.heartbeat({"at": 1})]
    return ctx.step("flaky", flaky)
""")
    history = made.run("u", settings=FAST)

    assert history.finished is not None and history.finished["output"] == ["u/flaky", 3, False, False, None]
    assert types(made.records("u")) == ["requested", "retrying", "started", "retrying", "started", "completed", "finished"]
    assert [record["try"] for record in made.records("u") if "try" in record] == [1, 1, 2, 2, 3, 3]


def test_a_failed_step_is_raised_as_its_class_live_and_in_replay(bench: MakeBench) -> None:
    made = bench("""
import os
def workflow(input, ctx):
    def bad():
        raise KeyError("k") from ValueError("why")
    try:
        ctx.step("bad", bad, retry={"max_attempts": 2, "initial_interval": "1ms"})
    except KeyError as error:
        caught = [type(error).__name__, str(error), error.name, repr(error.__cause__), "main.py" in error.stack]
    if ctx.step("live", lambda: True) and not os.path.exists(input):
        open(input, "w").close()
        os.kill(os.getpid(), 9)
    return caught
""")
    mark = str(made.folder / "mark")
    made.create("u", mark)
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    assert worker.wait() == -9

    assert made.resume("u").finished["output"] == ["KeyError", "'k'", "KeyError", "ValueError('why')", True]  # type: ignore[index]
    assert types(made.records("u")) == ["requested", "retrying", "started", "failed", "requested", "completed", "finished"]


@pytest.mark.parametrize("raised", ["ctx.NonRetryableError('no')", "Declined('no')", "Marked('no')"])
def test_an_error_that_rules_out_another_try_gets_none(bench: MakeBench, raised: str) -> None:
    made = bench(f"""
def workflow(input, ctx):
    class Declined(ctx.NonRetryableError): pass
    class Marked(Exception): non_retryable = True
    def bad():
        raise {raised}
    ctx.step("bad", bad)
""")
    history = made.run("u", settings={"retry": {"max_attempts": 3}})

    assert history.status == "failed"
    assert types(made.records("u")) == ["requested", "failed", "finished"]


def test_a_value_that_is_not_json_fails_the_step_once_and_names_the_place(bench: MakeBench) -> None:
    made = bench("""
def workflow(input, ctx):
    ctx.step("bad", lambda: {"items": [1, {2}]})
""")
    error = made.run("u").finished["error"]  # type: ignore[index]

    assert (error["name"], error["message"]) == ("NotSerializableError", "$.items[1] is a set: use a list")
    assert types(made.records("u")) == ["requested", "failed", "finished"]


def test_limits_are_errors_that_name_the_setting(bench: MakeBench) -> None:
    made = bench("""
def workflow(input, ctx):
    if input == "value":
        return ctx.step("big", lambda: "x" * 2000)
    if input == "output":
        return "x" * 2000
    for number in range(20):
        ctx.step("s", lambda: "y" * 900)
""")
    for given, limits, name in (
        ("value", {"value": 1000}, "limits.value"), ("output", {"value": 1000}, "limits.value"),
        ("calls", {"calls": 7}, "limits.calls"), ("journal", {"journal": 5000}, "limits.journal"),
    ):  # fmt: skip
        error = made.run(given, given, settings={"limits": limits}).finished["error"]  # type: ignore[index]
        assert error["name"] == "LimitError" and f"({name})" in error["message"]


def test_wrong_arguments_are_type_errors_that_name_them(bench: MakeBench) -> None:
    made = bench("""
async def later(): pass

def workflow(input, ctx):
    messages = []
    for call in (
        lambda: ctx.step(1, print), lambda: ctx.step("a", 1), lambda: ctx.step("a", later()), lambda: ctx.step("a", later),
        lambda: ctx.step("a", print, retry=3), lambda: ctx.step("a", print, timeout="soon"), lambda: ctx.sleep("a", "soon"),
        lambda: ctx.sleep("a", -1), lambda: ctx.parallel(1), lambda: ctx.parallel(later),
    ):
        try:
            call()
        except TypeError as error:
            messages.append(str(error))
    return messages
""")
    messages = made.run("u").finished["output"]  # type: ignore[index]

    wanted = ["name must be text", "fn must be a function", "write `lambda: f(x)`", "is an async function", "retry must be", "timeout must be", "duration must be",
              "duration must be", "branch 1 must be a function", "branch 1 is an async function"]  # fmt: skip
    assert len(messages) == len(wanted)
    assert all(part in message for part, message in zip(wanted, messages, strict=True))
    assert types(made.records("u")) == ["finished"]


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


def test_the_body_is_tried_again_with_completed_steps_as_a_memo(bench: MakeBench) -> None:
    made = bench("""
import os
def workflow(input, ctx):
    input.append("mine")
    def effect(name):
        with open(input[0], "a") as file: file.write(name + "\\n")
        return os.urandom(4).hex()
    first = ctx.step("first", lambda: effect("first"))
    ctx.sleep("z", "1ms")
    try:
        ctx.step("bad", lambda: 1 / 0, retry={"max_attempts": 1})
    except ZeroDivisionError:
        pass
    if ctx.step("count", lambda: len(open(input[0]).read().split())) == 1 and os.stat(input[0]).st_mode & 0o100 == 0:
        os.chmod(input[0], 0o700)
        raise RuntimeError("once more")
    return [first, len(input)]
""")
    effects = made.folder / "effects"
    history = made.run("u", [str(effects)], settings={"retry": {"max_attempts": 2, "initial_interval_ms": 20, "jitter": False}})
    records = made.records("u")

    assert history.status == "completed", history.finished
    assert effects.read_text().split() == ["first"]
    assert history.finished["output"] == [next(r["value"] for r in records if r.get("key") == "first" and "value" in r), 2]  # type: ignore[index]
    failed = types(records).index("body.failed")
    rest = [record for record in records if record["type"] not in ("order", "claim")][failed + 1 :]
    assert [(r["type"], r["key"], r.get("memo")) for r in rest[:2]] == [("requested", "first", True), ("completed", "first", True)]
    assert [r["key"] for r in rest if r["type"] == "requested" and not r.get("memo")] == ["z", "bad"]


def test_a_body_that_waits_for_its_next_attempt_parks_and_goes_on_in_another_worker(bench: MakeBench) -> None:
    made = bench("""
import os
def workflow(input, ctx):
    ctx.step("s", lambda: 1)
    if not os.path.exists(input):
        open(input, "w").close()
        raise RuntimeError("once more")
    return "done"
""")
    settings = {"retry": {"max_attempts": 2, "initial_interval_ms": 300, "jitter": False}}
    parked = made.run("u", str(made.folder / "mark"), settings=settings, park_after_ms=100)

    assert (parked.let_go, parked.attempt, parked.waits) == ("parked", 2, ("retry",))
    assert made.resume("u", park_after_ms=1000).finished["output"] == "done"  # type: ignore[index]


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


def test_a_run_that_sleeps_tells_so(bench: MakeBench) -> None:
    made = bench("""
import os, time
def workflow(input, ctx):
    def wait():
        while not os.path.exists(input): time.sleep(0.005)
    ctx.step("wait", wait)
    ctx.sleep("z", 30)
""")
    made.create("u", str(made.folder / "go"))
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    hint = made.folder / "changed" / "u"
    until(hint.exists)
    hint.unlink()
    (made.folder / "go").touch()
    until(hint.exists)

    assert made.history("u").status == "sleeping"
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


def test_a_step_in_flight_at_death_starts_again_in_doubt(bench: MakeBench) -> None:
    made = bench("""
import os
def workflow(input, ctx):
    def pay(step):
        if step.attempt == 1:
            os._exit(3)
        if step.attempt == 2:
            raise OSError("again")
        return [step.attempt, step.in_doubt, step.key]
    return ctx.step("pay", pay)
""")
    made.create("u", settings=FAST)
    worker = made.spawn(uid="u")
    worker.order("u", 1)
    assert worker.wait() == 3

    assert made.resume("u").finished["output"] == [3, True, "u/pay"]  # type: ignore[index]


def test_unicode_and_newlines_travel(bench: MakeBench) -> None:
    value = {"text": "zeile\n\u2028\x00 \U0001f600 'q\"", "ä": [1.5, None]}
    made = bench("def workflow(input, ctx):\n    return ctx.step('größe/ü', lambda: input)\n")

    assert made.run("u", value).finished["output"] == value  # type: ignore[index]
    assert all(json.loads(line[9:]) for line in made.journal("u").splitlines())
