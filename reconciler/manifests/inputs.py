"""Inputs that are files of their own."""

import json
from typing import Any, NoReturn

from reconciler.digest import Json, canonical
from reconciler.manifests.files import RefusedError
from reconciler.yaml12 import YamlError, read_documents

_BIGGEST = 2**53
_DIGITS = 17


def parse_input(name: str, data: bytes) -> Json:
    """Return the value that an input file holds, by the ending of its name. Raises RefusedError."""
    if name.endswith(".json"):
        return _json(data)
    if name.endswith((".yaml", ".yml")):
        return _yaml(data)
    message = "must end in .json, .yaml or .yml"
    raise RefusedError(message)


def _yaml(data: bytes) -> Json:
    try:
        documents = read_documents(data)
    except YamlError as error:
        _refuse(error.line, error.column, error.message, error)
    if len(documents) != 1:
        message = f"holds {len(documents)} documents, not one"
        raise RefusedError(message)
    for remark in documents[0].remarks:
        _refuse(remark.line, remark.column, remark.message, None)
    return documents[0].value


def _json(data: bytes) -> Json:
    try:
        value: Json = json.loads(data, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
        canonical(value).decode("utf-8")
    except json.JSONDecodeError as error:
        _refuse(error.lineno, error.colno, f"not JSON: {error.msg}", error)
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text ({error.reason})"
        raise RefusedError(message) from error
    except RecursionError as error:
        message = "is nested too deep"
        raise RefusedError(message) from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        message = f"the key {twice!r} is there twice"
        raise RefusedError(message)
    return value


def _integer(text: str) -> int:
    number = int(text) if len(text) <= _DIGITS else _BIGGEST
    if -_BIGGEST < number < _BIGGEST:
        return number
    message = f"the number {text[:40]} does not fit in a JSON number; write it in quotes"
    raise RefusedError(message)


def _float(text: str) -> float:
    number = float(text) + 0.0
    if abs(number) != float("inf"):
        return number
    message = f"the number {text[:40]} does not fit in a JSON number; write it in quotes"
    raise RefusedError(message)


def _constant(text: str) -> NoReturn:
    message = f"{text} is not JSON"
    raise RefusedError(message)


def _refuse(line: int, column: int, message: str, cause: Exception | None) -> NoReturn:
    message = f"line {line}, column {column}: {message}"
    raise RefusedError(message) from cause
