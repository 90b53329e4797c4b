"""What JSON keeps of a value, and what it cannot keep."""

import datetime
import decimal
import enum
import json
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ty_worker.errors import NotSerializableError
from ty_worker.lines import copy_json, encode_json
from ty_worker.values import plain

_scalars = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15) | st.text(st.characters(exclude_categories=["Cs"]))
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner), max_leaves=20
)


class _Color(enum.IntEnum):
    RED = 1


class _Name(enum.StrEnum):
    ANA = "ana"


class _Point(NamedTuple):
    x: int
    y: int


@given(_values)
def test_a_value_equals_what_every_replay_reads(value: Any) -> None:
    copy = plain(value)

    assert copy == value
    assert json.loads(encode_json(copy)) == copy == copy_json(copy)
    assert "\n" not in encode_json(copy)


def test_a_value_is_a_copy_that_the_code_may_change() -> None:
    inner = [1]
    copy = plain({"a": inner, "b": inner})
    inner.append(2)

    assert copy == {"a": [1], "b": [1]}
    assert copy["a"] is not copy["b"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ((1, (2,)), [1, [2]]),
        (-0.0, 0.0),
        (None, None),
        (_Color.RED, 1),
        (_Name.ANA, "ana"),
        (OrderedDict(a=1), {"a": 1}),
        (_Point(1, 2), [1, 2]),
        ({"ä\u2028": "😀"}, {"ä\u2028": "😀"}),
        (2**53 - 1, 2**53 - 1),
        (0.1 + 0.2, 0.1 + 0.2),
    ],
)
def test_relatives_of_json_types_become_json_types(value: Any, kept: Any) -> None:
    copy = plain(value)

    assert copy == kept
    assert repr(copy) == repr(kept)


def _cycle() -> Any:
    value: list[Any] = []
    value.append({"again": value})
    return {"items": value}


def _deep() -> Any:
    value: list[Any] = []
    for _ in range(300):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"items": [1, 2, {"price": float("nan")}]}, "$.items[2].price is NaN, which JSON cannot hold"),
        ([float("-inf")], "$[0] is -Infinity, which JSON cannot hold"),
        (2**53, "$ is 9007199254740992: integers of 2^53 and beyond are not exact, use text"),
        (-(2**70), "$ is -1180591620717411303424: integers of 2^53 and beyond are not exact, use text"),
        ([10**5000], "$[0] is a huge number: integers of 2^53 and beyond are not exact, use text"),
        (1e300, "$ is a huge number: integers of 2^53 and beyond are not exact, use text"),
        ({"a b": "\ud800"}, '$["a b"] is text with a lone surrogate, which UTF-8 cannot hold'),
        ({"\ud800": 1}, "a lone surrogate"),
        ({1: 2}, "$ is a dictionary with a key that is not text: 1"),
        (b"x", "$ is bytes: use text, for example base64"),
        (bytearray(b"x"), "$ is bytes"),
        ({1, 2}, "$ is a set: use a list"),
        (decimal.Decimal(1), "$ is a Decimal: use text or a float"),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "$ is a datetime: use its isoformat()"),
        ({"f": print}, "$.f is a function or a class"),
        ({"e": ValueError("x")}, "$.e is an error: use its message"),
        (object(), "$ is of type object: use a dictionary"),
        (_cycle(), "$.items[0].again is part of itself (a cycle)"),
        (_deep(), "is nested deeper than 200 levels"),
    ],
)
def test_what_json_cannot_keep_is_an_error_that_names_the_place(value: Any, message: str) -> None:
    with pytest.raises(NotSerializableError) as caught:
        plain(value)

    assert message in str(caught.value)
