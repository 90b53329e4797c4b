"""Makes the values that descriptions tell of, and texts by which values can be compared between the languages."""

import collections
import datetime
import decimal
import enum
import hashlib
import re
import struct
import typing
from typing import Any


class Instance:
    """Something that is no JSON."""

    def __init__(self, value: object) -> None:
        self.value = value


class Awaitable:
    """Something to be awaited first."""

    def __await__(self) -> Any:
        yield


class Number(int):
    """A number of a class of its own."""


class Float(float):
    """A number of a class of its own."""


class Text(str):
    """Text of a class of its own."""


class Colour(enum.IntEnum):
    """A number with a name."""

    RED = 7


def _float(bits: str) -> float:
    return float(struct.unpack(">d", bytes.fromhex(bits))[0])


def _nest(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 == 0 else {"a": value}
    return value


def _cycle(via: str) -> Any:
    value: Any = [] if via == "list" else {}
    if via == "list":
        value.append(value)
    else:
        value["self"] = value
    return value


def _boxed(value: Any) -> Any:
    if value == Colour.RED:
        return Colour.RED
    return {str: Text, int: Number, float: Float, bool: bool}[type(value)](value)


class Pair(typing.NamedTuple):
    """A tuple whose members have names."""

    a: object
    b: object


MAKERS: dict[str, typing.Callable[[typing.Any], typing.Any]] = {
    "float": lambda given: _float(given["bits"]),
    "int": lambda given: int(given["text"]),
    "bigint": lambda given: int(given["text"]),
    "decimal": lambda given: decimal.Decimal(given["text"]),
    "undefined": lambda given: None,
    "date": lambda given: datetime.datetime.fromtimestamp(given["ms"] / 1000, datetime.UTC),
    "bytes": lambda given: bytes.fromhex(given["hex"]),
    "buffer": lambda given: bytearray.fromhex(given["hex"]),
    "list": lambda given: [build(item) for item in given["items"]],
    "tuple": lambda given: Pair(*map(build, given["items"])) if len(given["items"]) == 2 else tuple(map(build, given["items"])),
    "set": lambda given: set(map(build, given["items"])),
    "map": lambda given: {(item,): build(item) for item in given["items"]},
    "dict": lambda given: {key: build(item) for key, item in given["items"]},
    "bare": lambda given: collections.OrderedDict((key, build(item)) for key, item in given["items"]),
    "instance": lambda given: Instance(build(given["value"])),
    "numbered": lambda given: {1: build(given["value"])},
    "boxed": lambda given: _boxed(given["value"]),
    "regexp": lambda given: re.compile("x"),
    "error": lambda given: ValueError("x"),
    "function": lambda given: lambda: 1,
    "class": lambda given: Instance,
    "symbol": lambda given: object(),
    "promise": lambda given: Awaitable(),
    "deep": lambda given: _nest(given["levels"]),
    "cycle": lambda given: _cycle(given["via"]),
}


def build(description: Any) -> Any:
    """Return the value of a description."""
    return MAKERS[description["$"]](description) if isinstance(description, dict) else description


def canonical(value: Any) -> str:
    """Return a text that is the same for equal JSON values, in whatever language and order of members."""
    if value is None:
        return "n"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, str):
        return f"s{_units(value)}"
    if isinstance(value, (int, float)):
        return f"d{struct.pack('>d', value).hex()}"
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    if type(value) is not dict:
        return "another class"
    return f"{{{','.join(sorted(f'{_units(key)}:{canonical(item)}' for key, item in value.items()))}}}"


def _units(text: str) -> str:
    return text.encode("utf-16-be", "surrogatepass").hex()


def digest(text: str) -> str:
    """Return a short text for a long one."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
