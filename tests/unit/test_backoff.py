"""When something that failed is tried again."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.backoff import Tried, ceiling, holds, next_try
from tests.support.builders import NOON, SECOND


def test_the_ceiling_doubles_from_one_second_to_five_minutes() -> None:
    assert [ceiling(failures) / SECOND for failures in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]


@given(seed=st.text(), failures=st.integers(1, 60))
def test_a_try_is_anywhere_up_to_the_ceiling_and_the_same_for_the_same_seed(seed: str, failures: int) -> None:
    at = next_try(seed, failures, now=NOON)

    assert NOON <= at <= NOON + ceiling(failures)
    assert at == next_try(seed, failures, now=NOON)


def test_many_objects_that_fail_together_do_not_come_back_together() -> None:
    waits = [next_try(f"workflow/{number}", 10, now=NOON) - NOON for number in range(200)]

    tenths = {int(wait / timedelta(seconds=30)) for wait in waits}
    assert tenths == set(range(10))


def test_another_token_is_tried_at_once_and_one_without_an_instant_never_by_itself() -> None:
    tried = Tried("r1", 1, "x", "y", NOON, NOON + SECOND)
    stalled = Tried("r1", 1, "x", "y", NOON, None)

    assert holds(tried, "r1", now=NOON)
    assert not holds(tried, "r1", now=NOON + SECOND)
    assert not holds(tried, "r2", now=NOON)
    assert holds(stalled, "r1", now=NOON + timedelta(days=900))
    assert not holds(None, "r1", now=NOON)
