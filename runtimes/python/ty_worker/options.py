"""Settings of a run, options of a call, and what may be a name."""

from __future__ import annotations

import os
import re

from ty_worker.durations import milliseconds, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_BAD_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f~]|#[0-9]+\Z|\Aty/")
_VARARGS, _COROUTINE = 0x04, 0x80
_RETRY = ("max_attempts", "initial_interval", "factor", "max_interval", "jitter")


class Policy:
    """How often something is tried again, and after which pause."""

    __slots__ = ("factor", "initial_ms", "jitter", "max_attempts", "max_ms")

    def __init__(self, max_attempts: int, initial_ms: float, factor: float, max_ms: float, *, jitter: bool) -> None:
        self.max_attempts, self.initial_ms, self.factor, self.max_ms, self.jitter = max_attempts, initial_ms, factor, max_ms, jitter

    def allows(self, failures: int) -> bool:
        """Say whether there is another try after so many failures."""
        return self.max_attempts == 0 or failures < self.max_attempts

    def pause_ms(self, failures: int) -> int:
        """Return the pause before the next try."""
        try:
            pause = min(self.initial_ms * self.factor ** (failures - 1), self.max_ms)
        except OverflowError:
            pause = self.max_ms
        if self.jitter:
            pause *= int.from_bytes(os.urandom(4), "big") / 2**32
        return int(pause)


class Settings:
    """What the manifest says about a run, as its first record carries it."""

    __slots__ = ("body", "calls", "grace_ms", "journal", "step", "timeout_ms", "value")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        step, limits = settings.get("step", {}), settings.get("limits", {})
        self.body = _recorded_policy(settings.get("retry", {}), 1)
        self.step = _recorded_policy(step.get("retry", {}), 10)
        self.timeout_ms: int = step.get("timeout_ms", 600_000)
        self.grace_ms: int = settings.get("cancel", {}).get("grace_ms", 10_000)
        self.value: int = limits.get("value", 1 << 20)
        self.calls: int = limits.get("calls", 25_000)
        self.journal: int = limits.get("journal", 64 << 20)


def _recorded_policy(retry: Mapping[str, Any], max_attempts: int) -> Policy:
    return Policy(
        retry.get("max_attempts", max_attempts),
        retry.get("initial_interval_ms", 1000),
        retry.get("factor", 2),
        retry.get("max_interval_ms", 100_000),
        jitter=retry.get("jitter", True),
    )


def check_name(name: object, call: str) -> str:
    """Return `name` if it may name a call. Raises TypeError."""
    if not isinstance(name, str):
        message = f"{call}(name, ...): name must be text, not {type(name).__name__}"
        raise TypeError(message)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= 200 or _BAD_NAME.search(name):
        message = (
            f"{call}(name, ...): name {name!r} must be 1 to 200 bytes of UTF-8, without control characters, "
            "without ~, without # before digits at the end, and not begin with ty/"
        )
        raise TypeError(message)
    return str.__str__(name)


def check_retry(retry: object, call: str, default: Policy) -> Policy:
    """Return the policy that `retry` makes of the default one. Raises TypeError that names the member."""
    if not isinstance(retry, dict):
        message = f"{call}: retry must be a dictionary, not {type(retry).__name__}"
        raise TypeError(message)
    if unknown := [key for key in retry if key not in _RETRY]:
        message = f"{call}: retry has no member {unknown[0]!r}; it knows {', '.join(_RETRY)}"
        raise TypeError(message)
    attempts, factor, jitter = retry.get("max_attempts", default.max_attempts), retry.get("factor", default.factor), retry.get("jitter", default.jitter)
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 0:
        message = f"{call}: retry max_attempts must be a whole number from 0 (no limit), not {attempts!r}"
        raise TypeError(message)
    if not isinstance(factor, (int, float)) or isinstance(factor, bool) or not 1 <= factor <= 1e6:
        message = f"{call}: retry factor must be a number from 1, not {factor!r}"
        raise TypeError(message)
    if not isinstance(jitter, bool):
        message = f"{call}: retry jitter must be True or False, not {jitter!r}"
        raise TypeError(message)
    initial = milliseconds(retry["initial_interval"], f"{call}: retry initial_interval") if "initial_interval" in retry else default.initial_ms
    longest = milliseconds(retry["max_interval"], f"{call}: retry max_interval") if "max_interval" in retry else default.max_ms
    return Policy(attempts, initial, factor, longest, jitter=jitter)


def check_function(fn: object, call: str) -> Callable[..., Any]:
    """Return `fn` if it can be called. Raises TypeError."""
    if callable(fn):
        return fn
    close = getattr(fn, "close", None)
    if hasattr(fn, "__await__") and callable(close):
        close()
        message = f"{call}: fn must be a function, not what it returned: write `lambda: f(x)` in place of `f(x)`"
    else:
        message = f"{call}: fn must be a function, not {type(fn).__name__}"
    raise TypeError(message)


def wants_context(fn: Any) -> bool:
    """Say whether a step function has a required positional parameter."""
    code = getattr(fn, "__code__", None)
    if code is not None:
        return int(code.co_argcount) > len(getattr(fn, "__defaults__", None) or ()) + (getattr(fn, "__self__", None) is not None)
    call = getattr(type(fn), "__call__", None)
    if isinstance(fn, type) or getattr(call, "__code__", None) is None:
        return False  # a class, functools.partial, or something written in C
    return int(call.__code__.co_argcount) > len(call.__defaults__ or ()) + 1


def is_async(fn: Any) -> bool:
    """Say whether calling `fn` gives a coroutine, as far as it can be seen."""
    while type(fn).__module__ == "functools" and hasattr(fn, "func"):
        fn = fn.func
    code = getattr(fn, "__code__", None) or getattr(getattr(type(fn), "__call__", None), "__code__", None)
    return bool(code is not None and code.co_flags & _COROUTINE)


def takes_two(fn: Any) -> bool:
    """Say whether `fn` can be called with two positional arguments, as far as it can be seen."""
    code = getattr(fn, "__code__", None)
    if code is None or code.co_flags & _VARARGS:
        return True
    required = int(code.co_argcount) - len(fn.__defaults__ or ())
    return required <= 2 <= code.co_argcount
