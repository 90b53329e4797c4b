"""The queue of slow calls: one in flight for each object, newest wanted state first, nothing in the way of anybody."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errands import Errand, Errands, gather
from reconciler.errors import UnavailableError


class Bench:
    """Errands whose calls a test ends by hand."""

    def __init__(self, size: int = 4) -> None:
        self.held: list[Callable[[], None]] = []
        self.ran: list[tuple[str, str]] = []
        self.gave_up: list[tuple[str, str]] = []
        self.errands = Errands(size=size, begin=self.held.append)

    def ask(self, key: str, token: str, lane: str = "", error: Exception | None = None) -> None:
        def work() -> str:
            self.ran.append((key, token))
            if error is not None:
                raise error
            return token

        self.errands.ask(Errand(key, token, lane or f"{key}/{token}", work, give_up=lambda: self.gave_up.append((key, token))))

    def end_one(self) -> None:
        self.held.pop(0)()

    def end_all(self) -> None:
        while self.held:
            self.end_one()


def test_one_call_of_an_object_is_in_flight_and_the_newest_goes_next() -> None:
    bench = Bench()
    for token in ("r1", "r2", "r3"):
        bench.ask("workflow/a", token)

    assert len(bench.held) == 1
    bench.end_all()
    assert bench.ran == [("workflow/a", "r1"), ("workflow/a", "r3")]
    assert bench.gave_up == [("workflow/a", "r1")]


def test_what_is_under_way_is_not_asked_for_twice() -> None:
    bench = Bench()
    bench.ask("workflow/a", "r1")
    bench.ask("workflow/a", "r1")
    bench.end_all()
    bench.ask("workflow/a", "r1")  # its outcome is there and was not looked at yet

    assert bench.ran == [("workflow/a", "r1")]
    assert [done.value for done in bench.errands.collect()] == ["r1"]
    assert bench.errands.under_way() == frozenset()


def test_going_back_to_what_is_in_flight_drops_what_waits() -> None:
    bench = Bench()
    bench.ask("workflow/a", "r1", lane="same")
    bench.ask("workflow/b", "r1", lane="same")
    bench.ask("workflow/a", "r2")
    bench.ask("workflow/a", "r1", lane="same")
    bench.end_all()

    assert bench.gave_up == []  # workflow/b wants the same
    assert bench.ran == [("workflow/a", "r1"), ("workflow/b", "r1")]


def test_two_objects_never_touch_the_same_revision_at_once() -> None:
    bench = Bench()
    bench.ask("workflow/a", "r1", lane="r1")
    bench.ask("workflow/b", "r1", lane="r1")

    assert len(bench.held) == 1
    bench.end_one()
    assert len(bench.held) == 1


def test_calls_that_hang_and_are_not_wanted_any_more_take_no_room() -> None:
    bench = Bench(size=1)
    for token in ("r1", "r2", "r3"):
        bench.errands.withdraw(lambda errand: True)
        bench.ask(f"workflow/{token}", token)

    assert len(bench.held) == 3


def test_a_failure_of_what_was_given_up_is_told_as_that() -> None:
    bench = Bench()
    bench.ask("workflow/a", "r1", error=UnavailableError("killed"))
    bench.ask("workflow/a", "r2")
    bench.end_all()

    first, second = bench.errands.collect()
    assert (first.given_up, str(first.error)) == (True, "killed")
    assert (second.given_up, second.value) == (False, "r2")


def test_an_error_without_a_name_is_raised_where_outcomes_are_collected() -> None:
    bench = Bench()
    bench.ask("workflow/a", "r1", error=ZeroDivisionError())
    bench.end_all()

    with pytest.raises(ZeroDivisionError):
        bench.errands.collect()


def test_closing_tells_what_is_in_flight_and_takes_nothing_more() -> None:
    bench = Bench(size=1)
    bench.ask("workflow/a", "r1")
    bench.ask("workflow/b", "r1")
    bench.errands.close()
    bench.ask("workflow/c", "r1")
    bench.end_all()

    assert bench.gave_up == [("workflow/a", "r1")]
    assert bench.ran == [("workflow/a", "r1")]


def test_an_outcome_wakes_the_thread_that_decides() -> None:
    woken, gate = Event(), Event()
    errands = Errands(woken.set)
    errands.ask(Errand("a", "r1", "a", lambda: gate.wait(20)))

    assert not errands.wait(0)
    gate.set()
    assert woken.wait(20)
    assert [done.value for done in errands.collect()] == [True]


def test_who_waits_for_all_gets_all_and_several_run_side_by_side() -> None:
    both = [Event(), Event()]

    def work(mine: int) -> bool:
        both[mine].set()
        return both[1 - mine].wait(20)  # each waits for the other to have begun

    found = gather([Errand(str(mine), "r", str(mine), lambda mine=mine: work(mine)) for mine in (0, 1)])  # type: ignore[misc]

    assert [done.value for done in found] == [True, True]


@given(asked=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123"), st.integers(0, 2)), max_size=40), size=st.integers(1, 3))
def test_whatever_is_asked_for_the_last_wish_of_each_object_is_carried_out_last(asked: list[tuple[str, str, int]], size: int) -> None:
    bench = Bench(size)
    flying: list[Any] = []
    for key, token, ends in asked:
        bench.ask(key, token)
        for _ in range(min(ends, len(bench.held))):
            bench.end_one()
            flying += bench.errands.collect()
    bench.end_all()
    flying += bench.errands.collect()

    last = {key: token for key, token, _ in asked}
    assert dict(bench.ran) == last
    assert len(flying) == len(bench.ran)
    assert bench.errands.under_way() == frozenset()


def test_asking_from_one_thread_while_calls_end_in_others_loses_nothing() -> None:
    errands = Errands(size=3)
    ended: list[str] = []

    def collect() -> None:
        while len(ended) < 200:
            if errands.wait(20):
                ended.extend(done.errand.token for done in errands.collect())

    thread = Thread(target=collect)
    for number in range(200):
        errands.ask(Errand(number, str(number), number, lambda: None))
    thread.start()
    thread.join(30)

    assert sorted(ended, key=int) == [str(number) for number in range(200)]
