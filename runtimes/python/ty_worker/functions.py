"""What can be seen of the functions that user code hands over, without calling them."""

from __future__ import annotations

from ty_worker.durations import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_VARARGS, _COROUTINE = 0x04, 0x80


def check_function(fn: object, what: str) -> Callable[..., Any]:
    """Return `fn` if it can be called. Raises TypeError that begins with `what`."""
    if callable(fn):
        return fn
    message = f"{what} must be a function, got {shown(fn)}"
    if hasattr(fn, "__await__"):
        message += ": write `lambda: f(x)` in place of `f(x)`"
        if hasattr(fn, "close"):
            fn.close()  # else Python complains that nobody awaited it
    raise TypeError(message)


def required_parameters(fn: Any) -> int:
    """Return how many positional parameters a function requires, as far as that can be seen."""
    code = _code(fn)
    if code is None:
        return 0
    own = 0 if hasattr(fn, "__code__") and not hasattr(fn, "__self__") else 1
    required = int(code.co_argcount) - own - len(_defaults(fn))
    if required <= 0 and code.co_flags & _VARARGS and hasattr(fn, "__wrapped__"):
        return required_parameters(fn.__wrapped__)  # a decorator that passes on what it gets
    return max(0, required)


def takes_none(fn: Any) -> bool:
    """Say whether a function takes no positional arguments at all, as far as that can be seen."""
    code = _code(fn)
    own = 0 if hasattr(fn, "__code__") and not hasattr(fn, "__self__") else 1
    return code is not None and code.co_argcount == own and not code.co_flags & _VARARGS


def is_async(fn: Any) -> bool:
    """Say whether calling `fn` gives a coroutine, as far as that can be seen."""
    while type(fn).__module__ == "functools" and hasattr(fn, "func"):
        fn = fn.func
    code = _code(fn)
    return code is not None and bool(code.co_flags & _COROUTINE)


def takes_two(fn: Any) -> bool:
    """Say whether `fn` can be called with two positional arguments, as far as that can be seen."""
    code = _code(fn)
    if code is None:
        return True
    own = 0 if hasattr(fn, "__code__") and not hasattr(fn, "__self__") else 1
    most = int(code.co_argcount) - own
    return most - len(_defaults(fn)) <= 2 and (most >= 2 or bool(code.co_flags & _VARARGS))


def _code(fn: Any) -> Any:
    """Return the code of a Python function, method or object with `__call__`; None for what is written in C and for classes."""
    code = getattr(fn, "__code__", None)
    if code is not None:
        return code
    return None if isinstance(fn, type) else getattr(getattr(type(fn), "__call__", None), "__code__", None)  # noqa: B004


def _defaults(fn: Any) -> tuple[object, ...]:
    holder = fn if hasattr(fn, "__code__") else type(fn).__call__
    return getattr(holder, "__defaults__", None) or ()
