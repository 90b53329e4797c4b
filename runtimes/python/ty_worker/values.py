"""Values that cross the journal: plain JSON, the same live and in every replay, the same in both languages."""

from __future__ import annotations

from math import isfinite

from ty_worker.errors import LimitError, NotSerializableError
from ty_worker.lines import encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIMIT = 2**53
_DEEPEST = 200
_REFUSED = {
    "bytes": "bytes: use text, for example base64",
    "bytearray": "bytes: use text, for example base64",
    "memoryview": "bytes: use text, for example base64",
    "set": "a set: use a list",
    "frozenset": "a set: use a list",
    "complex": "a complex number",
    "decimal.Decimal": "a Decimal: use text or a float",
    "datetime.datetime": "a datetime: use its isoformat()",
    "datetime.date": "a date: use its isoformat()",
    "datetime.time": "a time: use its isoformat()",
    "datetime.timedelta": "a timedelta: use its total_seconds()",
}


class _RefusedError(Exception):
    """Carries the reason, and the path to the value from the inside out."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str] = []


def plain(value: object) -> Any:
    """Return the copy of `value` that comes back from JSON. Raises NotSerializableError, which names the place."""
    try:
        return _copy(value, set())
    except _RefusedError as refused:
        message = f"${''.join(reversed(refused.path))} is {refused.reason}"
    raise NotSerializableError(message)


def returned(value: object) -> tuple[str, Any]:
    """Return the outcome of a body that has returned `value`: a copy, since what the body has left behind may go on to change it."""
    try:
        return "returned", plain(value)
    except Exception as error:  # noqa: BLE001 - values may have methods of the user
        return "unfit", error


def limited(text: str, limit: int, what: str) -> str:
    """Return JSON text that is not too large. Raises LimitError, which begins with `what`."""
    if len(text) * 3 > limit and len(text.encode()) > limit:
        message = f"{what} is larger than {limit} bytes (limits.value)"
        raise LimitError(message)
    return text


def _copy(value: Any, parents: set[int]) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _text(value)
    if value is None or kind is bool:
        return value
    if kind is int or kind is float:
        return _number(value)
    if kind is dict:
        return _members(value, parents)
    if kind is list or kind is tuple:
        return _items(value, parents)
    return _derived(value, parents)


def _derived(value: Any, parents: set[int]) -> Any:
    """Treat an instance of a class derived from a JSON type as what it derives from."""
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return _number(int(value))
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, dict):
        return _members(value, parents)
    if isinstance(value, (list, tuple)):
        return _items(value, parents)
    raise _RefusedError(_reason(value))


def _reason(value: object) -> str:
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if name in _REFUSED:
        return _REFUSED[name]
    if hasattr(kind, "__await__"):
        return "an awaitable: await it first (in an `async def workflow`)"
    if isinstance(value, BaseException):
        return "an error: use its message"
    if isinstance(value, type) or (callable(value) and hasattr(value, "__name__")):
        return "a function or a class"
    return f"of type {name}: use a dictionary"


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        reason = "text with a lone surrogate, which UTF-8 cannot hold"
        raise _RefusedError(reason) from None
    return value


def _name(name: str) -> None:
    try:
        _text(name)
    except _RefusedError as refused:
        refused.reason = "under a name with a lone surrogate"
        raise


def _number(value: float) -> float:
    if -_LIMIT < value < _LIMIT:
        return value if value else value + 0  # -0.0 becomes 0.0
    if isinstance(value, float) and not isfinite(value):
        reason = f"{'NaN' if value != value else 'Infinity' if value > 0 else '-Infinity'}, which JSON cannot hold"  # noqa: PLR0124
        raise _RefusedError(reason)
    if isinstance(value, int) or value.is_integer():
        shown = repr(value) if abs(value) < 1e300 else "a huge number"
        reason = f"{shown}: integers of 2^53 and beyond are not exact, use text"
        raise _RefusedError(reason)
    return value


def _items(value: list[Any] | tuple[Any, ...], parents: set[int]) -> list[Any]:
    place = _enter(value, parents)
    result: list[Any] = []
    append = result.append
    try:
        for item in value:
            append(_copy(item, parents))
    except _RefusedError as refused:
        refused.path.append(f"[{len(result)}]")
        raise
    parents.discard(place)
    return result


def _members(value: dict[Any, Any], parents: set[int]) -> dict[str, Any]:
    place = _enter(value, parents)
    result = {}
    for key, item in value.items():
        if not isinstance(key, str):
            reason = f"a dictionary with a key that is not text: {key!r:.60}"
            raise _RefusedError(reason)
        name = str.__str__(key)
        try:
            _name(name)  # first: what is wrong with the name is told before what is wrong with the value
            result[name] = _copy(item, parents)
        except _RefusedError as refused:
            refused.path.append(f".{name}" if name.isascii() and name.replace("$", "_").isidentifier() else f"[{encode_text(name)}]")
            raise
    parents.discard(place)
    return result


def _enter(value: object, parents: set[int]) -> int:
    place = id(value)
    if place in parents:
        reason = "part of itself (a cycle)"
        raise _RefusedError(reason)
    if len(parents) >= _DEEPEST:
        reason = f"nested deeper than {_DEEPEST} levels"
        raise _RefusedError(reason)
    parents.add(place)
    return place
