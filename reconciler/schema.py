"""JSON Schemas: the ones that the product ships, and checks against the ones that people write."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.digest import Json, canonical
from reconciler.errors import InvalidError, UsageError
from reconciler.suggest import did_you_mean

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

KINDS = ("manifest", "workflow", "run", "schedule", "project", "settings")
_DRAFTS = {
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


@lru_cache(maxsize=16)
def schema_of(kind: str) -> Mapping[str, Any]:
    """Return one of our schemas, with everything that it refers to written out. Raises UsageError."""
    if kind not in KINDS:
        message = f"there is no schema {kind!r} ({did_you_mean(kind, KINDS)})"
        raise UsageError(message)
    shipped = f"{kind}.schema.json"
    schema: Mapping[str, Any] = _written_out(_file(shipped), shipped)
    return schema


def schema_text(kind: str) -> str:
    """Return one of our schemas as text for editors; it needs no other file."""
    return json.dumps(schema_of(kind), indent=2, ensure_ascii=False) + "\n"


def modeline(path: str) -> str:
    """Return the line that tells an editor about the schema of a manifest."""
    return f"# yaml-language-server: $schema={path}"


def install(folder: Path) -> list[Path]:
    """Write every schema into `folder` and return the files; doing it again changes nothing. Raises InvalidError."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            path = folder / f"{kind}.schema.json"
            text = schema_text(kind)
            if not path.exists() or path.read_text("utf-8") != text:
                path.write_text(text, "utf-8")
            written.append(path)
    except (OSError, UnicodeDecodeError) as error:
        message = f"{folder}: the schemas cannot be written there ({error})"
        raise InvalidError(message) from error
    return written


def schema_faults(schema: Json) -> list[tuple[list[Any], str]]:
    """Return what is wrong with a schema that a person wrote, as paths and messages; nothing means that it can be used."""
    draft = schema.get("$schema", "") if isinstance(schema, dict) else ""
    if draft and (not isinstance(draft, str) or draft.removesuffix("#") not in _DRAFTS):
        return [(["$schema"], f"{draft!r} is not read here: use {' or '.join(_DRAFTS)}")]
    remote = list(_remote_references(schema, []))
    if remote:
        return remote
    from jsonschema.exceptions import SchemaError

    checker: Any = _checker(schema)
    try:
        checker.check_schema(schema, format_checker=checker.FORMAT_CHECKER)
    except SchemaError as error:
        return [(list(error.absolute_path), error.message[:300])]
    except RecursionError:
        return [([], "the schema is nested too deep")]
    return []


def value_faults(value: Json, schema: Json) -> list[tuple[list[Any], str]]:
    """Return what is wrong with a value by a schema that has no faults itself, as paths and messages."""
    from jsonschema.exceptions import ValidationError
    from referencing.exceptions import Unresolvable

    try:
        errors: list[ValidationError] = sorted(
            _kept_checker(canonical(schema)).iter_errors(value), key=lambda error: list(map(str, error.absolute_path))
        )
    except Unresolvable as error:
        return [([], f"the schema refers to {error.ref!r}, which it does not have")]
    except RecursionError:
        return [([], "the schema refers to itself without end")]
    except (ArithmeticError, re.error) as error:
        return [([], f"the schema cannot be applied: {error}")]
    return [(list(error.absolute_path), error.message if len(error.message) <= 300 else error.message[:297] + "...") for error in errors]


def _checker(schema: Json) -> "Validator":
    import jsonschema
    from referencing import Registry

    draft = schema.get("$schema", "") if isinstance(schema, dict) else ""
    name = _DRAFTS.get(draft.removesuffix("#"), "Draft202012Validator")
    checker: Validator = getattr(jsonschema, name)(schema, registry=Registry())
    return checker


@lru_cache(maxsize=128)
def _kept_checker(schema: bytes) -> "Validator":
    return _checker(json.loads(schema))


def _remote_references(node: Json, path: list[Any]) -> Iterator[tuple[list[Any], str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _REFERENCES and isinstance(value, str) and not value.startswith("#"):
                yield [*path, key], f"{value!r} is somewhere else: a schema may only refer to parts of itself, such as '#/$defs/item'"
            else:
                yield from _remote_references(value, [*path, key])
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _remote_references(value, [*path, index])


@lru_cache(maxsize=16)
def _file(name: str) -> Any:
    from reconciler.assets import asset

    return json.loads(asset("schemas", name).read_text("utf-8"))


def _written_out(node: Any, home: str) -> Any:
    """Replace references by what they refer to; a description beside a reference wins, which editors would ignore."""
    if isinstance(node, list):
        return [_written_out(item, home) for item in node]
    if not isinstance(node, dict):
        return node
    beside = {key: _written_out(value, home) for key, value in node.items() if key not in {"$ref", "definitions"}}
    if "$ref" not in node:
        return beside
    name, _, pointer = node["$ref"].partition("#")
    target = _file(name or home)
    for part in pointer.split("/")[1:]:
        target = target[part]
    meant = {key: value for key, value in _written_out(target, name or home).items() if key not in {"$schema", "$id"}}
    return {**meant, **beside}
