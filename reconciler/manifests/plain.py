"""Schemas of the simplest kind, which are most of them: read without the library for the rest."""

from collections.abc import Callable, Mapping

from reconciler.digest import Json
from reconciler.shape import findings

_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})


def is_plain(schema: Json) -> bool:
    """Tell whether a schema has only keywords that we read just as the library does; such a schema has no faults."""
    return isinstance(schema, dict) and all(key in _KEYWORDS and _KEYWORDS[key](value) for key, value in schema.items())


def passes(value: Json, schema: Json) -> bool:
    """Tell whether a value is surely fine by a schema; if not, the library has the last word."""
    return is_plain(schema) and next(iter(findings(value, schema)), None) is None


def _is_type(value: Json) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names) and len(set(names)) == len(names)


def _are_names(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _are_plain(value: Json) -> bool:
    return isinstance(value, dict) and all(is_plain(item) for item in value.values())


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_size(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_KEYWORDS: Mapping[str, Callable[[Json], bool]] = {
    "type": _is_type,
    "properties": _are_plain,
    "required": _are_names,
    "additionalProperties": lambda value: isinstance(value, bool) or is_plain(value),
    "items": is_plain,
    "minItems": _is_size,
    "maxItems": _is_size,
    "minLength": _is_size,
    "maxLength": _is_size,
    "minProperties": _is_size,
    "maxProperties": _is_size,
    "minimum": _is_number,
    "maximum": _is_number,
    "exclusiveMinimum": _is_number,
    "title": _is_text,
    "description": _is_text,
    "default": lambda _: True,
}
