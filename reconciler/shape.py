"""Whether a value has the shape that one of our schemas asks for, said so that a person can mend it.

This reads the part of JSON Schema that the schemas of the product use. A schema that a person wrote is for `schema.py`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from reconciler.digest import Json
from reconciler.finding import Finding
from reconciler.suggest import did_you_mean, shown

Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "a mapping",
}
_TRUE = frozenset({"yes", "on", "y", "True", "TRUE", "Yes", "On", "YES", "ON"})
_FALSE = frozenset({"no", "off", "n", "False", "FALSE", "No", "Off", "NO", "OFF"})


def findings(value: Json, schema: Schema, pointer: str = "") -> Iterator[Finding]:
    """Find everything about `value` that `schema` does not allow."""
    if "anyOf" in schema:
        yield from _one_of(value, schema["anyOf"], pointer)
        return
    wanted = schema.get("type")
    if wanted is not None and not _is(value, wanted):
        yield _wrong_type(value, wanted, schema, pointer)
        return
    if isinstance(value, dict):
        yield from _object(value, schema, pointer)
    elif isinstance(value, list):
        yield from _list(value, schema, pointer)
    elif isinstance(value, str):
        yield from _text(value, schema, pointer)
    elif value is not None and not isinstance(value, bool):
        yield from _number(value, schema, pointer)
    if "const" in schema and value != schema["const"]:
        yield Finding(pointer, f"{shown(value)} is not {schema['const']!r}")


def _is(value: Json, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, _TYPES[name]) for name in names)


def _wrong_type(value: Json, wanted: str | list[str], schema: Schema, pointer: str) -> Finding:
    names = [wanted] if isinstance(wanted, str) else wanted
    words = " or ".join(_WORDS[name] for name in names if name != "null")
    found = {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), shown(value))
    hint = ""
    if "boolean" in names and isinstance(value, str):
        hint = "write true" if value in _TRUE else "write false" if value in _FALSE else ""
    elif "string" in names and isinstance(value, (bool, int, float)):
        hint = "a duration has a unit, such as 30s" if "duration" in schema.get("patternErrorMessage", "") else f'write "{shown(value)}" in quotes'
    return Finding(pointer, f"expected {words}, found {found}", hint)


def _one_of(value: Json, choices: list[Schema], pointer: str) -> Iterator[Finding]:
    """What the choice that is meant says: the one of the right type."""
    for choice in choices:
        if _is(value, choice["type"]):
            yield from findings(value, choice, pointer)
            return
    yield _wrong_type(value, [choice["type"] for choice in choices], {}, pointer)


def _object(value: dict[str, Json], schema: Schema, pointer: str) -> Iterator[Finding]:
    known: Mapping[str, Schema] = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    names = schema.get("propertyNames")
    for key, item in value.items():
        below = f"{pointer}/{key.replace('~', '~0').replace('/', '~1') if '~' in key or '/' in key else key}"
        if key in known:
            yield from findings(item, known[key], below)
        elif others is False:
            yield Finding(below, f"unknown field {shown(key)}", did_you_mean(key, known), at_key=True)
        elif others is not True:
            yield from findings(item, others, below)
        if names is not None:
            yield from (Finding(below, found.message, found.hint, at_key=True) for found in _text(key, names, below))
    for key in schema.get("required", ()):
        if key not in value:
            yield Finding(pointer, f"{key!r} is missing", at_key=True)
    if len(value) < schema.get("minProperties", 0):
        yield Finding(pointer, f"needs one of {', '.join(known)}" if known else "is empty", at_key=True)
    if len(value) > schema.get("maxProperties", len(value)):
        yield Finding(pointer, f"takes only one of {', '.join(known)}", at_key=True)


def _list(value: list[Json], schema: Schema, pointer: str) -> Iterator[Finding]:
    if len(value) < schema.get("minItems", 0):
        yield Finding(pointer, "is an empty list", at_key=True)
    if len(value) > schema.get("maxItems", len(value)):
        yield Finding(pointer, f"has {len(value)} entries, more than {schema['maxItems']}", at_key=True)
    items = schema.get("items")
    seen: list[Json] = []
    for index, item in enumerate(value):
        if items is not None:
            yield from findings(item, items, f"{pointer}/{index}")
        if schema.get("uniqueItems") and item in seen:
            yield Finding(f"{pointer}/{index}", f"{shown(item)} is there twice")
        seen.append(item)


def _text(value: str, schema: Schema, pointer: str) -> Iterator[Finding]:
    if "enum" in schema and value not in schema["enum"]:
        allowed = schema["enum"]
        yield Finding(pointer, f"{shown(value)} is not one of {', '.join(allowed)}", _meant(value, allowed))
    if len(value) < schema.get("minLength", 0):
        yield Finding(pointer, "is empty")
    if len(value) > schema.get("maxLength", len(value)):
        yield Finding(pointer, f"is {len(value)} characters long, more than {schema['maxLength']}")
    elif "pattern" in schema and not _matches(schema["pattern"], value):
        message = schema.get("patternErrorMessage", f"does not match {schema['pattern']}")
        yield Finding(pointer, f"{shown(value)} {message}", _respelt(value, schema["pattern"]))


def _number(value: float, schema: Schema, pointer: str) -> Iterator[Finding]:
    if value < schema.get("minimum", value):
        yield Finding(pointer, f"{value} is below {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield Finding(pointer, f"{value} is above {schema['maximum']}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield Finding(pointer, f"{value} is not above {schema['exclusiveMinimum']}")


def _meant(value: str, allowed: list[str]) -> str:
    hint = did_you_mean(value, allowed)
    return hint if hint.startswith("did") else ""


def _respelt(value: str, pattern: str) -> str:
    """Return the nearest spelling that the pattern takes, where lower case and hyphens are all that it needs."""
    spelt = re.sub(r"[^a-z0-9/]+", "-", value.lower()).strip("-")
    return f"did you mean {spelt!r}?" if spelt and spelt != value and _matches(pattern, spelt) else ""


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of ours; all of them stand for the whole text, from ^ to $."""
    return re.compile(pattern.removeprefix("^").removesuffix("$"), re.DOTALL)
