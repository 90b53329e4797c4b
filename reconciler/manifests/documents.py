"""From the bytes of a file to what it declares, with everything that is wrong with it."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.digest import Json
from reconciler.finding import Finding
from reconciler.manifests.build import spec_hash
from reconciler.manifests.meaning import name_findings, spec_findings
from reconciler.manifests.records import MARK, PROJECT_FILE, Doc
from reconciler.manifests.variables import spec_uses_variables
from reconciler.schema import schema_of
from reconciler.shape import Schema, findings
from reconciler.suggest import did_you_mean, shown
from reconciler.values import frozen
from reconciler.yaml12 import Document, Positions, Remark, YamlError, read_documents

PREFIX = MARK.decode()
KINDS = ("Workflow", "Run", "Schedule", "Project")
_NEAR = 0.75
_API_VERSION = "ty-openworkflow/v1"
_WORTH_READING = b"openworkflow"
_SEPARATOR = re.compile(rb"(?m)^---(?=\s|$)")


@frozen
class Reading:
    """What a file holds: documents of ours, how many others, and remarks on what may be meant to be ours."""

    docs: list[Doc]
    foreign: int
    remarks: list[list[Any]]


def read_manifests(path: str, data: bytes, *, local: bool, known: bool) -> Reading:
    """Read a file; `known` when objects of ours were in it before. Raises YamlError if that may still be so."""
    if _WORTH_READING not in data and not known and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Reading([], _count(data), [])
    try:
        documents = read_documents(data)
    except YamlError:
        if known or MARK in data or PREFIX.encode("utf-16-le") in data or PREFIX.encode("utf-16-be") in data:
            raise
        return Reading([], _count(data), [])
    docs: list[Doc] = []
    remarks: list[list[Any]] = []
    foreign, places = 0, _Places(data)
    for number, document in enumerate(documents):
        value = document.value
        if isinstance(value, dict) and str(value.get("apiVersion", "")).startswith(PREFIX):
            docs.append(_checked(path, places, number, document, local=local))
        elif value is not None:
            foreign += 1
            remarks += _looks_like_ours(document)
    return Reading(docs, foreign, remarks)


def to_rows(found: Iterable[Finding], positions: Positions | None, line: int, about: str) -> list[list[Any]]:
    """Return findings with their lines and columns, as rows of problems."""
    rows: list[list[Any]] = []
    for finding in found:
        at = positions.at(finding.pointer, key=finding.at_key) if positions is not None else None
        place = at if at is not None else (line, 1)
        rows.append([*place, finding.pointer, finding.message, finding.hint, about, finding.code, False])
    return rows


def positions_in(data: bytes, line: int) -> Positions | None:
    """Return where things are in the document that begins at `line`, if it is still there."""
    try:
        documents = read_documents(data, positions=True)
    except YamlError:
        return None
    return next((document.positions for document in documents if document.line == line), None)


def spec_faults(kind: str, name: str, spec: Json) -> list[Finding]:
    """Find everything that is wrong with a spec after variables."""
    shape = list(findings(spec, _schema(kind)["properties"]["spec"], "/spec"))
    return shape or [*name_findings(kind, name), *(spec_findings(kind, spec) if isinstance(spec, dict) else ())]


class _Places:
    """Where things are in the documents of a file, found out when first asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._documents: list[Document] | None = None

    def of(self, number: int) -> Positions | None:
        if self._documents is None:
            self._documents = read_documents(self._data, positions=True)
        return self._documents[number].positions


def _checked(path: str, places: _Places, number: int, document: Document, *, local: bool) -> Doc:
    value: dict[str, Json] = document.value
    kind = value.get("kind")
    kind = kind if kind in KINDS else ""
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name = metadata.get("name")
    name = name if isinstance(name, str) else ""
    spec = value.get("spec")
    variables = kind != "Project" and spec_uses_variables(kind, spec)
    found = list(_envelope(path, value, kind, local=local))
    if not found and kind and not variables and (spec is not None or kind != "Project"):
        found = spec_faults(kind, name, spec)
    elif kind and not variables and spec is not None:
        found += findings(spec, _schema(kind)["properties"]["spec"], "/spec")
    doc = Doc(document.line, kind, name, {key: item for key, item in metadata.items() if key != "name"}, spec, variables=variables)
    if not found and not document.remarks:
        return doc._replace(spec_hash=_spec_hash(kind, spec))
    positions = places.of(number) if found else None
    rows = to_rows(found, positions, document.line, doc.about)
    rows += [_remark_row(remark, doc.about) for remark in document.remarks]
    return doc._replace(problems=sorted(rows, key=lambda row: (row[0], row[1])))


def _envelope(path: str, value: dict[str, Json], kind: str, *, local: bool) -> Iterator[Finding]:
    if value["apiVersion"] != _API_VERSION:
        yield Finding("/apiVersion", f"this version of the program reads {_API_VERSION}, not {shown(value['apiVersion'])}")
    if not kind:
        given = value.get("kind")
        message = "'kind' is missing" if "kind" not in value else f"unknown kind {shown(given)}"
        yield Finding("/kind" if "kind" in value else "", message, did_you_mean(given if isinstance(given, str) else "", KINDS))
        return
    schema = _schema(kind)
    around = {**schema["properties"], "spec": {}, "apiVersion": {}}
    yield from findings(value, {**schema, "properties": around})
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return
    if kind == "Project" and (local or path != PROJECT_FILE):
        hint = "the local folder belongs to no project" if local else ""
        yield Finding("/kind", f"a Project belongs into {PROJECT_FILE} at the root of the folder", hint)
    for field in ("environments",) if local else ("project", "environment"):
        if kind != "Project" and field in metadata:
            where = "outside of" if local else "in"
            yield Finding(f"/metadata/{field}", f"{field!r} is only allowed {where} the local folder that commands write into", at_key=True)


def _schema(kind: str) -> Schema:
    return schema_of(kind.lower())


def _spec_hash(kind: str, spec: Json) -> str:
    """Return what tells an edit of a run from other changes; the content of an input file is added when it is read."""
    return spec_hash(spec["workflow"], spec.get("input")) if kind == "Run" and isinstance(spec, dict) and "workflow" in spec else ""


def _remark_row(remark: Remark, about: str) -> list[Any]:
    return [remark.line, remark.column, remark.pointer, remark.message, remark.hint, about, "invalid", False]


def _looks_like_ours(document: Document) -> Iterator[list[Any]]:
    value = document.value
    if not isinstance(value, dict) or value.get("kind") not in KINDS or "metadata" not in value:
        return
    version = value.get("apiVersion")
    if version is None or (isinstance(version, str) and "." not in version and _is_near(version)):
        message = f"looks like a {value['kind']} of ours, but is ignored: its apiVersion is {'missing' if version is None else shown(version)}"
        yield [document.line, 1, "/apiVersion", message, f"write apiVersion: {_API_VERSION}", "", "ignored", True]


def _is_near(version: str) -> bool:
    """Say whether an apiVersion may be ours with a slip of the finger in it."""
    from difflib import SequenceMatcher

    return "openworkflow" in version.lower() or SequenceMatcher(None, version.lower(), _API_VERSION).ratio() > _NEAR


def _count(data: bytes) -> int:
    """Return about how many documents a file has that is not ours to read."""
    return sum(1 for text in _SEPARATOR.split(data) if text.strip())
