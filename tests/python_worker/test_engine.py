"""The rules of replay, one by one: what is released when, and what is held."""

from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ty_worker.engine import Attempt
from ty_worker.errors import LimitError
from ty_worker.immediate import NowCall
from ty_worker.journal import ClosedError, Journal
from ty_worker.orders import Inbox
from ty_worker.policy import Settings
from ty_worker.signals import SignalCall
from ty_worker.sleeps import SleepCall
from ty_worker.steps import StepCall

from reconciler.journal import encode_line

AT = "2026-11-22T14:37:00.123Z"


class _Front:
    """Runs nothing: it remembers which steps it was to start."""

    resting = foreign = leftover = False

    def __init__(self) -> None:
        self.started: list[tuple[str, int, bool]] = []

    def body(self, workflow: Callable[..., Any], *arguments: object) -> None: ...

    def wake(self) -> None: ...

    def start(self, call: StepCall) -> None:
        assert call.running is not None
        self.started.append((call.key, call.running.attempt, call.running.in_doubt))

    def give_up(self, call: StepCall) -> None: ...

    def stuck_at(self) -> float:
        return float("inf")

    def stop(self) -> None: ...

    def commit(self, offset: int) -> None: ...


class _Port:
    """A run on a journal that holds the records given, in the hands of claim 2."""

    seed = "u"

    def __init__(self, folder: Path, records: list[dict[str, Any]], limits: dict[str, int]) -> None:
        first = {"type": "order", "claim": 0, "seq": 1, "at": AT, "uid": "u"}
        claim = {"type": "claim", "claim": 1, "seq": 1, "at": AT, "worker": "dead", "after": 1}
        numbered = [{**record, "claim": 1, "seq": seq, "at": AT} for seq, record in enumerate(records, 2)]
        (folder / "journal.jsonl").write_bytes(b"".join(map(encode_line, [first, claim, *numbered])))
        self.inbox, self.warned = Inbox(str(folder / "inbox"), set()), set[tuple[str, str]]()
        self.lock, self.settings = allocate_lock(), Settings({"limits": limits})
        self.journal = Journal(str(folder / "journal.jsonl"), 2, "w", _broken)

    def plan(self, moment: float) -> None: ...

    def plan_at(self, ms: int) -> None: ...

    def conclude(self) -> None: ...

    def changed(self) -> None: ...

    def look_for_messages(self) -> None: ...


def _broken(message: str) -> NoReturn:
    raise AssertionError(message)


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[..., tuple[Attempt, _Front]]:
    """Return what makes an attempt of the body that has these records behind it."""

    def make(*records: dict[str, Any], **limits: int) -> tuple[Attempt, _Front]:
        port = _Port(tmp_path, list(records), limits)
        made, front = Attempt(port, port.journal.claim()), _Front()
        made.front = front
        return made, front

    return make


def requested(key: str, after: int, **fields: Any) -> dict[str, Any]:
    """Return the record of a request."""
    return {"type": "requested", "key": key, "kind": "step", "after": after, "try": 1, **fields}


def completed(key: str, value: Any = None) -> dict[str, Any]:
    """Return the record of a result."""
    return {"type": "completed", "key": key, "value": value, "try": 1}


def step(name: str) -> StepCall:
    """Return a call."""
    return StepCall(name, lambda: None, Settings({}).step_retry, 0, wants_context=False)


def ask(made: Attempt, *names: str) -> list[StepCall]:
    """Make calls."""
    calls = [step(name) for name in names]
    for call in calls:
        made.request(call)
    return calls


def released(made: Attempt) -> list[str]:
    """Release what can be released."""
    keys = []
    while call := made.release():
        keys.append(call.key)
    return keys


MakeAttempt = Callable[..., tuple[Attempt, _Front]]


def test_results_are_released_in_the_order_of_the_journal(attempt: MakeAttempt) -> None:
    made, front = attempt(requested("a", 0), requested("b", 0), completed("b", 2), completed("a", 1))
    a, b = ask(made, "a", "b")

    assert released(made) == ["b", "a"]
    assert (a.result(), b.result(), front.started) == (1, 2, [])


def test_a_result_waits_for_what_was_asked_for_before_its_release(attempt: MakeAttempt) -> None:
    made, _ = attempt(requested("a", 0), requested("b", 0), completed("a"), requested("c", 1), completed("b"))
    ask(made, "a")
    assert released(made) == []

    ask(made, "b")
    assert released(made) == ["a"]

    ask(made, "c")
    assert released(made) == ["b"]


def test_requests_may_come_in_another_order(attempt: MakeAttempt) -> None:
    made, _ = attempt(requested("a", 0), requested("b", 0), completed("a", 1), completed("b", 2))
    b, a = ask(made, "b", "a")

    assert released(made) == ["a", "b"]
    assert (a.result(), b.result()) == (1, 2)


def test_a_new_call_is_held_until_all_that_is_recorded_was_asked_for_and_released(attempt: MakeAttempt) -> None:
    made, front = attempt(requested("a", 0), completed("a"), requested("b", 1))
    ask(made, "new", "a")
    assert made.behind and front.started == []

    assert released(made) == ["a"]
    assert made.behind and front.started == []

    ask(made, "b")
    assert front.started == [("b", 2, True), ("new", 1, False)]
    assert not made.behind
    assert made.journal.history().requests[-1]["after"] == 1


def test_a_call_of_another_kind_ends_the_attempt(attempt: MakeAttempt) -> None:
    made, _ = attempt(requested("a", 0))
    with pytest.raises(ClosedError):
        made.request(SleepCall("a", 5))

    assert made.outcome is not None and made.outcome[0] == "refused"
    assert str(made.outcome[1]) == 'sleep "a" was recorded as a step: the code has changed since'


def test_a_body_that_ends_before_it_asked_for_everything_may_still_do_so(attempt: MakeAttempt) -> None:
    made, _ = attempt(requested("a", 0), requested("b", 0), completed("a"))
    ask(made, "a")
    made.body_over(("returned", 1))
    assert made.outcome is None and released(made) == []
    assert str(made.difference()).startswith('the journal holds step "b" here, the code did not ask for it')

    ask(made, "b")
    assert made.outcome == ("returned", 1)


def test_recorded_results_go_on_being_released_when_the_body_has_ended_and_new_ones_are_not(attempt: MakeAttempt) -> None:
    made, _ = attempt(requested("a", 0), completed("a"), requested("b", 1), requested("c", 1))
    ask(made, "a")
    made.body_over(("threw", ValueError("x")))
    assert released(made) == ["a"]

    ask(made, "b")
    assert made.outcome is None and released(made) == []


def test_the_first_difference_is_named(attempt: MakeAttempt) -> None:
    made, _ = attempt(requested("a", 0), completed("a"), requested("b", 1))
    ask(made, "a", "c")
    released(made)

    assert str(made.difference()).startswith('the journal holds step "b" here, the code asked for step "c": the code has changed since')


def test_a_step_in_flight_starts_again_and_one_that_failed_waits_for_its_pause(attempt: MakeAttempt) -> None:
    failed = {"type": "retrying", "key": "b", "try": 1, "error": {"name": "E", "message": ""}, "retry_at": "2999-01-01T00:00:00.000Z"}
    doubted = {"type": "started", "key": "c", "try": 2}
    over = {**failed, "key": "c", "try": 2, "retry_at": "2020-01-01T00:00:00.000Z"}
    made, front = attempt(requested("a", 0), requested("b", 0), requested("c", 0), failed, doubted, over)
    _, b, c = ask(made, "a", "b", "c")

    assert front.started == [("a", 2, True)]
    assert made.wake_due(1_800_000_000_000) == b.due
    assert front.started == [("a", 2, True), ("c", 3, True)]
    assert (b.failures, c.failures) == (1, 1)


def test_names_count_through_all_kinds(attempt: MakeAttempt) -> None:
    made, _ = attempt()
    made.request(SleepCall("a", 5))

    assert [call.key for call in ask(made, "a", "b", "a")] == ["a#2", "b", "a#3"]


def test_a_result_is_released_when_it_is_durable_and_not_before(attempt: MakeAttempt) -> None:
    made, _ = attempt()
    (call,) = ask(made, "a")
    assert call.running is not None
    call.returned(made, call.running, {"x": (1,)})
    assert released(made) == []

    made.journal.sync(call.offset)
    assert released(made) == ["a"]
    assert call.result() == {"x": [1]}


def test_after_a_failed_body_what_was_completed_is_a_memo_and_what_failed_or_expired_is_not(attempt: MakeAttempt) -> None:
    failed = {"type": "body.failed", "attempt": 1, "error": {"name": "E", "message": ""}, "retry_at": AT}
    slept = [requested("z", 0, kind="sleep", until=AT), {"type": "completed", "key": "z"}]
    expired = [requested("w", 2, kind="signal", signal="w", until=AT), {"type": "completed", "key": "w", "expired": True}]
    last = {"type": "failed", "key": "f", "error": {}}
    made, front = attempt(requested("a", 0), completed("a", 7), *slept, *expired, requested("f", 3), last, failed)
    a, _ = ask(made, "a", "f")
    made.request(SleepCall("z", 60_000))
    made.request(SignalCall("w", "w", None))

    assert released(made) == ["a", "z"]
    assert (a.result(), front.started) == (7, [("f", 1, False)])
    found = [(record["key"], record.get("memo")) for record in made.journal.history().requests]
    assert found == [("a", True), ("f", None), ("z", True), ("w", None)]


def test_a_step_in_flight_does_not_start_while_an_instant_is_held_that_it_might_use(attempt: MakeAttempt) -> None:
    made, front = attempt(requested("a", 0), requested("b", 0))
    now = NowCall()
    ask(made, "a")
    made.request(now)
    ask(made, "b")

    assert front.started == [("a", 2, True), ("b", 2, True)]
    kinds = [record["kind"] for record in made.journal.history().requests]
    assert kinds == ["step", "step", "now"] and now.value > 0
    assert made.journal.durable >= made.given > 0


def test_what_was_given_out_at_once_is_recorded_also_where_the_body_ends_before_its_turn(attempt: MakeAttempt) -> None:
    made, _ = attempt(requested("a", 0), completed("a"))
    now = NowCall()
    ask(made, "a", "new")
    made.request(now)
    made.body_over(("returned", 1))

    assert made.outcome == ("returned", 1)
    requests = made.journal.history().requests
    assert [(record["key"], record.get("value")) for record in requests] == [("a", None), ("ty/now", now.value)]


def test_a_message_is_for_who_asked_first_however_the_replay_asks(attempt: MakeAttempt) -> None:
    waits = [{"type": "requested", "key": key, "kind": "signal", "signal": "go", "after": 0} for key in ("go", "other")]
    made, _ = attempt(*waits)
    made.port.inbox._kept["signal go"] = deque([(1, {"data": "first"}), (2, {"data": "second"})])
    first, other = SignalCall("go", "go", None), SignalCall("other", "go", None)
    made.request(first)
    assert released(made) == []

    made.request(other)
    assert released(made) == ["go", "other"]
    assert (first.result(), other.result()) == ("first", "second")


def test_limits_on_calls_are_told_to_the_code_and_on_the_journal_end_the_attempt(attempt: MakeAttempt) -> None:
    made, _ = attempt(calls=2)
    ask(made, "a", "b")
    with pytest.raises(LimitError, match=r"more than 2 calls in one run \(limits.calls\)"):
        ask(made, "c")

    made, _ = attempt(journal=10)
    with pytest.raises(ClosedError):
        ask(made, "a")
    assert made.outcome is not None and isinstance(made.outcome[1], LimitError)
