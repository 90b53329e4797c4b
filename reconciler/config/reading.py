"""What a settings file says: checked, and with variables of the environment in their places."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.digest import Json
from reconciler.duration import parse_duration
from reconciler.errors import InvalidError
from reconciler.finding import Finding
from reconciler.schema import schema_of
from reconciler.shape import Schema, findings
from reconciler.yaml12 import Document, YamlError, read_documents

_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
_WORDS: Mapping[str, bool] = {"true": True, "false": False}
_REFUSED = "/adapters/cloudflare/api_token"
_COLUMNS = "/taskyou/status_map/"
_NO_COLUMN = {
    "queued": "there TaskYou starts an agent on the card",
    "processing": "there TaskYou expects an agent, and moves the card to blocked when none has worked on it for 90 s",
}
_DURATIONS = ("poll_interval", "park_after", "adapters/exec/linger")


def read_settings(file: Path, data: bytes, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what is set, as plain values; empty text is left out. Raises InvalidError with everything that is wrong."""
    try:
        documents = read_documents(data, positions=True)
    except YamlError as error:
        hint = f" ({error.hint})" if error.hint else ""
        message = f"{file}:{error.line}:{error.column}: {error.message}{hint}"
        raise InvalidError(message) from error
    if len(documents) > 1:
        message = f"{file}:{documents[1].line}:1: settings are one document, and here begins another"
        raise InvalidError(message)
    document = documents[0] if documents else Document(1, None, [])
    reader = _Expansion(environ)
    given = reader.mapping(document.value, schema_of("settings"), "") if isinstance(document.value, dict) else document.value or {}
    lines = [f"{file}:{remark.line}:{remark.column}: {remark.message}" for remark in document.remarks]
    lines += (_line(file, document, finding) for finding in (*reader.findings, *_faults(given)))
    if lines:
        raise InvalidError("\n".join(lines))
    result: dict[str, Any] = given
    return result


class _Expansion:
    """Replaces variables of the environment, but not in commands: these are for the shell."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.findings: list[Finding] = []

    def mapping(self, value: Mapping[str, Json], schema: Schema, pointer: str) -> dict[str, Json]:
        """Return a mapping without what is empty."""
        expanded: dict[str, Json] = {}
        for key, item in value.items():
            below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            given = self._value(key, item, below if isinstance(below, dict) else {}, f"{pointer}/{key}")
            if given is not None and given != "":
                expanded[key] = given
        return expanded

    def _value(self, key: str, value: Json, schema: Schema, pointer: str) -> Json:
        if isinstance(value, dict):
            return self.mapping(value, schema, pointer)
        if isinstance(value, list):
            return [self._value("", item, schema.get("items", {}), f"{pointer}/{index}") for index, item in enumerate(value)]
        if isinstance(value, str) and "$" in value and key != "cmd" and not key.endswith("_cmd"):
            return self._text(value, schema, pointer)
        return value

    def _text(self, text: str, schema: Schema, pointer: str) -> Json:
        whole = _VARIABLE.fullmatch(text)
        if whole is not None:
            return _typed(self._environ.get(whole[1] or whole[2], ""), schema)

        def lookup(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if not self._environ.get(name):
                self.findings.append(Finding(pointer, f"the environment variable {name} is not set"))
            return self._environ.get(name, "")

        return _VARIABLE.sub(lookup, text)


def _typed(text: str, schema: Schema) -> Json:
    """Return the value of a variable as what is asked for there."""
    wanted = schema.get("type")
    if wanted == "boolean" and text in _WORDS:
        return _WORDS[text]
    return int(text) if wanted == "integer" and _NUMBER.fullmatch(text) else text


def _faults(given: Json) -> Iterator[Finding]:
    for finding in findings(given, schema_of("settings")):
        if finding.pointer == _REFUSED:
            yield Finding(_REFUSED, "settings hold no secrets", "remove it, and let api_token_cmd print the token", at_key=True)
        elif finding.pointer.startswith(_COLUMNS) and not finding.at_key:
            column = given["taskyou"]["status_map"].get(finding.pointer.removeprefix(_COLUMNS))
            yield finding._replace(hint=_NO_COLUMN.get(column, finding.hint) if isinstance(column, str) else finding.hint)
        else:
            yield finding
    for path in _DURATIONS:
        value = given
        for part in path.split("/"):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str):
            yield from _too_long(value, f"/{path}")


def _too_long(text: str, pointer: str) -> Iterator[Finding]:
    try:
        parse_duration(text)
    except (ValueError, OverflowError) as error:
        if "hundred" in str(error) or isinstance(error, OverflowError):
            yield Finding(pointer, f"{text!r} is longer than a hundred years")


def _line(file: Path, document: Document, finding: Finding) -> str:
    at = document.positions.at(finding.pointer, key=finding.at_key) if document.positions is not None else None
    line, column = at or (document.line, 1)
    where = f" {finding.pointer.lstrip('/').replace('/', '.')}:" if finding.pointer else ""
    hint = f" ({finding.hint})" if finding.hint else ""
    return f"{file}:{line}:{column}:{where} {finding.message}{hint}"
