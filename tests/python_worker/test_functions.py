"""What is seen of functions, names and options."""

import asyncio
import functools
from typing import Any

import pytest
from ty_worker.calls import check_name
from ty_worker.functions import check_function, is_async, required_parameters, takes_two
from ty_worker.policy import Policy, retry_policy


class Callable_:
    def __call__(self, step: Any) -> None: ...

    def method(self, step: Any) -> None: ...

    def bare(self) -> None: ...

    @staticmethod
    def static(step: Any) -> None: ...


class Bare:
    def __call__(self) -> None: ...


def passed_on(fn: Any) -> Any:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


def one(step: Any) -> None: ...


@pytest.mark.parametrize("fn", [lambda step: 0, one, lambda step, i=1: 0, Callable_(), Callable_().method, Callable_.static, passed_on(one)])
def test_a_required_positional_parameter_asks_for_the_context(fn: Any) -> None:
    assert required_parameters(fn) > 0


@pytest.mark.parametrize(
    "fn", [lambda: 0, lambda i=1: 0, lambda *a: 0, lambda **k: 0, lambda *, k=1: 0, functools.partial(one, 1), Callable_().bare, Bare(), dict, len, passed_on(Bare().__call__)]
)  # fmt: skip
def test_anything_else_gets_none(fn: Any) -> None:
    assert not (required_parameters(fn) > 0)


def test_async_functions_are_seen_through_partial_and_methods() -> None:
    async def step(x: int) -> None: ...

    class Async:
        async def __call__(self) -> None: ...

    assert all(is_async(fn) for fn in (step, functools.partial(step, 1), Async()))
    assert not any(is_async(fn) for fn in (one, lambda: step(1), len, Bare))


def test_a_workflow_takes_two_arguments() -> None:
    assert takes_two(lambda a, b: 0) and takes_two(lambda *a: 0) and takes_two(lambda a, *b: 0) and takes_two(lambda a, b, c=1: 0)
    assert not takes_two(lambda a: 0) and not takes_two(lambda a, b, c: 0) and not takes_two(lambda: 0)


def test_a_coroutine_in_place_of_a_function_is_told_how_to_write_it() -> None:
    with pytest.raises(TypeError, match="fn must be a function, got a value of type coroutine: write `lambda: f"):
        check_function(asyncio.sleep(0), "ctx.step(name, fn): fn")


@pytest.mark.parametrize("name", ["a", "fetch-data", "ä" * 100, "x#", "#1x", "a b", "ty", "2", "x#1y", "\u200b"])
def test_names_that_are_allowed(name: str) -> None:
    assert check_name(name, "x") == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "must have 1 to 200 bytes, got ''"), ("ä" * 101, "must have 1 to 200 bytes"), ("a~", 'must not contain "~"'), ("a#2", 'must not end in "#" and digits'),
        ("ty/x", 'must not begin with "ty/"'), ("a\n", "must be text without control characters"), ("\x85", "must be text without control"),
        ("\ud800", "must be text without control characters"), (5, "must be text, got 5"), (None, "must be text, got None"),
    ],
)  # fmt: skip
def test_names_that_are_not(name: Any, problem: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_name(name, "ctx.step(name, fn)")

    assert str(caught.value).startswith(f"ctx.step(name, fn): name {problem}")


_DEFAULT = Policy(10, 1000, 2, 100_000, jitter=True)


def test_a_retry_option_changes_what_it_names() -> None:
    policy = retry_policy({"max_attempts": 0, "initial_interval": "5ms", "jitter": False}, _DEFAULT, "x")

    assert policy.allows_more(10**9)
    assert [policy.pause_after(failures) for failures in (1, 2, 3, 99, 9999)] == [5, 10, 20, 100_000, 100_000]


def test_jitter_is_full() -> None:
    pauses = [_DEFAULT.pause_after(1) for _ in range(200)]

    assert 0 <= min(pauses) < 200 < 800 < max(pauses) <= 1000


@pytest.mark.parametrize(
    ("retry", "message"),
    [
        ([], "x must be a dictionary, got a value of type list"),
        ({"maxAttempts": 1}, "x has the unknown member 'maxAttempts'; known are max_attempts,"),
        ({"max_attempts": -1}, "x: max_attempts must be a whole number, 0 for no limit, got -1"),
        ({"max_attempts": 1.5}, "x: max_attempts must be a whole number"),
        ({"factor": 0.5}, "x: factor must be a number of at least 1, got 0.5"),
        ({"initial_interval": "soon"}, "x: initial_interval must be seconds or text"),
        ({"jitter": "yes"}, "x: jitter must be True or False, got 'yes'"),
    ],
)
def test_a_wrong_retry_option_is_a_type_error_that_names_it(retry: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        retry_policy(retry, _DEFAULT, "x")

    assert str(caught.value).startswith(message)
