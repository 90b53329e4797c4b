"""Descriptions of values that mean the same in both languages, and what the protocol says that becomes of each (section 10)."""

import json
import math
import random
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

Description = Any
LIMIT = 2**53
DEEPEST = 200
KEYS = [
    "a",
    "b",
    "items",
    "__proto__",
    "constructor",
    "toString",
    "then",
    "length",
    "1",
    "0",
    "10",
    "01",
    "",
    "a b",
    "ü",
    "$x",
    "\u2028",
    "x-y",
    "toJSON_",
    "😀",
    '"',
    "\\",
]
TEXTS = [
    "",
    "a",
    "ü€",
    "😀",
    "\u0000",
    "\u001f",
    "\u2028\u2029",
    "\ufeff",
    '"\\/',
    "\ud83d\ude00",
    "__proto__",
    "null",
    "NaN",
    "x" * 300,
    "\uffff",
    "\u007f",
]
NUMBERS = [0, 1, -1, 2**31, -(2**31), 2**32, LIMIT - 1, 1 - LIMIT, LIMIT, -LIMIT, LIMIT + 1, -LIMIT - 1, 2**63, 2**64, 10**21, 10**30]
FLOATS = [0.0, -0.0, 0.1, -0.1, 1.0, 1.5, 1e21, 1e-7, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 9007199254740991.0, 9007199254740992.0,
          9007199254740993.0, 4503599627370495.5, 1e15, 1e16, 123456789012345680.0, 1e-5, 0.00001234, math.pi, math.inf, -math.inf, math.nan]  # fmt: skip
PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
REFUSED_BY_BOTH = {"bigint", "bytes", "buffer", "set", "map", "regexp", "error", "function", "class", "symbol", "promise"}
REFUSED_BY_PYTHON = {"decimal", "date", "instance", "numbered"}


def descriptions(seed: int, count: int) -> list[Description]:
    """Return `count` descriptions; every tag and every special number is among the first."""
    chance = random.Random(seed)
    special = list(_specials(chance))
    found = (special + [_value(chance, chance.randint(0, 4)) for _ in range(count - len(special))])[:count]
    return list(json.loads(json.dumps(found)))  # as the workers read them


def _specials(chance: random.Random) -> Iterator[Description]:
    leaves = [
        *map(_int, NUMBERS),
        *map(_float, FLOATS),
        *TEXTS,
        None,
        True,
        False,
        "\ud800",
        "a\udc00b",
        *(_tagged(chance, tag) for tag in sorted(MAKERS)),
    ]
    for leaf in leaves:
        yield leaf
        yield {"$": "list", "items": [1, leaf]}
        yield {"$": "dict", "items": [["items", {"$": "list", "items": [leaf]}], ["1", 2]]}
    for key in [*KEYS, "\udfff"]:
        yield {"$": "dict", "items": [[key, 1]]}
        yield {"$": "dict", "items": [["z", 0], [key, {"$": "float", "bits": "7ff8000000000000"}]]}
    for levels in range(DEEPEST - 2, DEEPEST + 3):
        yield {"$": "deep", "levels": levels}


def _int(number: int) -> Description:
    return {"$": "int", "text": str(number)}


def _float(number: float) -> Description:
    return {"$": "float", "bits": struct.pack(">d", number).hex()}


MAKERS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "bigint": lambda chance: {"text": str(LIMIT + chance.randrange(10**20))},
    "decimal": lambda chance: {"text": f"{chance.randrange(10**6)}.{chance.randrange(100)}"},
    "undefined": lambda chance: {},
    "date": lambda chance: {"ms": chance.randrange(10**12)},
    "bytes": lambda chance: {"hex": chance.randbytes(chance.randrange(5)).hex()},
    "buffer": lambda chance: {"hex": chance.randbytes(3).hex()},
    "set": lambda chance: {"items": list(range(chance.randrange(3)))},
    "map": lambda chance: {"items": list(range(1 + chance.randrange(3)))},
    "instance": lambda chance: {"value": chance.randrange(9)},
    "numbered": lambda chance: {"value": chance.randrange(9)},
    "boxed": lambda chance: {"value": chance.choice([7, 8, 1.5, "text", True, ""])},
    "regexp": lambda chance: {},
    "error": lambda chance: {},
    "function": lambda chance: {},
    "class": lambda chance: {},
    "symbol": lambda chance: {},
    "promise": lambda chance: {},
    "cycle": lambda chance: {"via": chance.choice(["list", "dict"])},
}


def _tagged(chance: random.Random, tag: str) -> Description:
    return {"$": tag, **MAKERS[tag](chance)}


def _value(chance: random.Random, depth: int) -> Description:
    if depth == 0 or chance.random() < 0.2:
        return _leaf(chance)
    size = chance.randrange(5)
    match chance.choice(["list", "list", "dict", "dict", "dict", "bare", "tuple"]):
        case "list" | "tuple" as kind:
            return {"$": kind, "items": [_value(chance, depth - 1) for _ in range(size)]}
        case kind:
            return {"$": kind, "items": [[key, _value(chance, depth - 1)] for key in chance.sample(KEYS, size)]}


def _leaf(chance: random.Random) -> Description:
    kind = chance.random()
    if kind < 0.05:
        return _tagged(chance, chance.choice(sorted(MAKERS)))
    if kind < 0.3:
        return chance.choice(
            [_float(chance.choice(FLOATS[:-3])), _float(struct.unpack(">d", chance.randbytes(8))[0]), _float(chance.uniform(-1e6, 1e6))]
        )
    if kind < 0.5:
        return _int(chance.choice([chance.randrange(-1000, 1000), chance.randrange(-LIMIT + 1, LIMIT), chance.choice(NUMBERS)]))
    if kind < 0.8:
        return chance.choice([chance.choice(TEXTS), "".join(map(chr, chance.choices([65, 0x20AC, 0x1F600, 10, 34, 0xE000], k=chance.randrange(8))))])
    return chance.choice([None, True, False])


class RefusedError(Exception):
    """The value is refused; carries the path to the place."""


DROPPED = object()


def outcome(description: Description, language: str) -> Any:
    """Return the JSON value that a description becomes in `node` or `python`. Raises RefusedError with the path."""
    result = _outcome(description, language, ())
    return None if result is DROPPED else result


def _outcome(given: Description, language: str, path: tuple[str | int, ...]) -> Any:
    if isinstance(given, str):
        return _text(given, path)
    if not isinstance(given, dict):
        return given
    tag = given["$"]
    if tag == "promise" and language == "node" and not path:
        return 1  # a step waits for it
    if tag in REFUSED_BY_BOTH or (language == "python" and tag in REFUSED_BY_PYTHON):
        raise RefusedError(shown(path))
    match tag:
        case "float":
            return _number(struct.unpack(">d", bytes.fromhex(given["bits"]))[0], path)
        case "int":
            return _number(int(given["text"]), path)
        case "undefined":
            return DROPPED if language == "node" else None
        case "decimal":
            return given["text"]
        case "date":
            return f"{_iso(given['ms'])}"
        case "instance":
            return {"value": given["value"]}
        case "numbered":
            return {"1": given["value"]}
        case "boxed":
            return given["value"]
        case "cycle":
            raise RefusedError(shown((*path, 0 if given["via"] == "list" else "self")))
        case "deep":
            return _deep(given["levels"], path)
        case "list" | "tuple":
            return _items(given["items"], language, path)
        case _:
            return _members(given["items"], language, path)


def _items(items: list[Description], language: str, path: tuple[str | int, ...]) -> list[Any]:
    found = [_outcome(item, language, (*path, number)) for number, item in enumerate(items)]
    return [None if item is DROPPED else item for item in found]


def _members(items: list[list[Any]], language: str, path: tuple[str | int, ...]) -> dict[str, Any]:
    if language == "node":  # numbers come first in an object of JavaScript
        items = sorted(items, key=lambda item: (0, int(item[0])) if INDEX.fullmatch(item[0]) else (1, 0))
    found = {}
    for key, item in items:
        _text(key, (*path, key))
        value = _outcome(item, language, (*path, key))
        if value is not DROPPED:
            found[key] = value
    return found


def _text(text: str, path: tuple[str | int, ...]) -> str:
    if any("\ud800" <= unit <= "\udfff" for unit in text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")):
        raise RefusedError(shown(path))
    return text


def _number(number: float, path: tuple[str | int, ...]) -> float:
    if not math.isfinite(number) or (float(number).is_integer() and abs(number) >= LIMIT):
        raise RefusedError(shown(path))
    return number + 0


def _iso(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def _deep(levels: int, path: tuple[str | int, ...]) -> Any:
    if len(path) + levels > DEEPEST:
        steps: list[str | int] = [0 if (levels - 1 - level) % 2 == 0 else "a" for level in range(DEEPEST - len(path))]
        raise RefusedError(shown((*path, *steps)))
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 == 0 else {"a": value}
    return value


def shown(path: tuple[str | int, ...]) -> str:
    """Return a path as messages have it."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" if PLAIN_NAME.fullmatch(step) else f"[{quoted(step)}]" for step in path)


def quoted(text: str) -> str:
    """Return text as JavaScript's JSON has it: lone surrogates are escaped."""
    return re.sub("[\ud800-\udfff]", lambda unit: f"\\u{ord(unit[0]):04x}", json.dumps(text, ensure_ascii=False))
