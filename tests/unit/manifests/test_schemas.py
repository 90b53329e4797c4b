"""The schemas that are shipped: for editors, and for our own checks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.errors import InvalidError, UsageError
from reconciler.manifests import install_schemas, schema_text
from reconciler.schema import KINDS, schema_of
from reconciler.shape import findings
from reconciler.yaml12 import read_documents
from tests.unit.manifests.folders import RUN, WORKFLOW
from tests.unit.manifests.test_projects import PROJECT

SCHEDULE = """\
apiVersion: ty-openworkflow/v1
kind: Schedule
metadata: {name: nightly}
spec: {cron: "30 2 * * 1-5", run: {workflow: greet, task: true}, keep: {completed: 10, failed: 30d}}
"""
GOOD = {"workflow": WORKFLOW, "run": RUN, "project": PROJECT, "schedule": SCHEDULE}


def fields(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}/{name}", field
        yield from fields(field, f"{path}/{name}")
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), dict):
            yield f"{path}/{key}", schema[key]
            yield from fields(schema[key], f"{path}/{key}")
    for number, choice in enumerate(schema.get("anyOf", ())):
        yield from fields(choice, f"{path}/{number}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_draft_07_and_explains_every_field(kind: str) -> None:
    schema = json.loads(schema_text(kind))

    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$ref" not in schema_text(kind)
    unexplained = [path for path, field in fields(schema) if not field.get("description")]
    assert unexplained == []


@pytest.mark.parametrize("kind", GOOD)
def test_the_bundle_knows_every_kind(kind: str) -> None:
    bundle = Draft7Validator(json.loads(schema_text("manifest")))
    value = read_documents(GOOD[kind].encode())[0].value

    assert not list(bundle.iter_errors(value))
    assert list(bundle.iter_errors({**value, "surplus": 1}))
    assert list(bundle.iter_errors({**value, "kind": "Other"}))


def altered(value: Any) -> Iterator[Any]:
    """Give the value with each part left out, replaced by each other type, or with something added."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: other} for other in altered(item))
        yield {**value, "surplus": 1}
    if isinstance(value, list):
        yield []
        yield from ([*value[:n], other, *value[n + 1 :]] for n, item in enumerate(value) for other in altered(item))
    yield from (None, True, 0, -1, 1.5, "", "x", "30s", "A B", "x" * 5000, [], {}, [1, 1])


@pytest.mark.parametrize("kind", GOOD)
def test_our_own_checks_find_what_the_library_finds(kind: str) -> None:
    schema = schema_of(kind)
    library = Draft7Validator(dict(schema))
    value = read_documents(GOOD[kind].encode())[0].value

    assert not list(findings(value, schema))
    for other in altered(value):
        assert bool(list(findings(other, schema))) == (not library.is_valid(other)), other


def test_a_schema_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'workflow'"):
        schema_text("workflw")


def test_schemas_are_installed_once(tmp_path: Path) -> None:
    told = install_schemas(tmp_path / "deep/schemas")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "deep/schemas").iterdir()}

    assert len(stamps) == len(KINDS)
    assert told[-1] == f"# yaml-language-server: $schema={tmp_path}/deep/schemas/manifest.schema.json"
    install_schemas(tmp_path / "deep/schemas")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "deep/schemas").iterdir()} == stamps


def test_schemas_that_cannot_be_written_are_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(InvalidError, match="cannot be written there"):
        install_schemas(tmp_path / "file")
