"""What fails: tries of steps, attempts of the body, wrong values and wrong arguments."""

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import FAST, types


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
    assert types(made.records("u")) == ["requested", "retrying", "started", "retrying", "started", "heartbeat", "completed", "finished"]
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
    assert [r["key"] for r in rest if r["type"] == "requested" and not r.get("memo")] == ["bad"]


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
