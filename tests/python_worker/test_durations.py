"""Durations in workflow code, and instants in records."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ty_worker.clock import parse_stamp, stamp
from ty_worker.durations import milliseconds


@pytest.mark.parametrize(
    ("value", "ms"),
    [(60, 60_000), (0, 0), (0.07, 70), (0.0001, 1), ("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1.5s", 1500)],
)
def test_a_duration_is_seconds_or_text_with_units(value: Any, ms: int) -> None:
    assert milliseconds(value, "x") == ms


@pytest.mark.parametrize("value", ["", "5", "5 s", "s", "1h 30m", "-5s", "1w", "٣s", -1, float("nan"), float("inf"), True, None, []])
def test_anything_else_is_a_type_error_that_names_the_argument(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^ctx.sleep\(name, duration\): duration (must be seconds or text|is longer)"):
        milliseconds(value, "ctx.sleep(name, duration): duration")


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(9999, 12, 31), timezones=st.just(datetime.UTC)))
def test_an_instant_is_text_of_fixed_width(instant: datetime.datetime) -> None:
    text = instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
    ms = (instant - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(milliseconds=1)

    assert stamp(ms) == text
    assert parse_stamp(text) == ms
