"""What holds for every folder of manifests."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.manifests import LoadOptions, Manifests, report
from reconciler.manifests.plain import is_plain, passes
from reconciler.model import Desired
from reconciler.schema import schema_faults, value_faults
from reconciler.yaml12 import YamlError, read_documents, write_document
from tests.unit.manifests.folders import RUN, WORKFLOW, LaterClock, a_run, a_workflow, loaded, together, write

FEW = settings(max_examples=150, deadline=None)
MARK = b"apiVersion: ty-openworkflow/v1\n"
PIECES = st.sampled_from(
    [
        b"apiVersion: ty-openworkflow/v1\n", b"kind: Run\n", b"kind: Workflow\n", b"metadata: {name: a}\n", b"spec: {workflow: a}\n", b"spec:\n",
        b"---\n", b"  ", b"\n", b"- ", b": ", b"? ", b"&a ", b"*a ", b"!!str ", b"<<: ", b"{", b"}", b"[", b"]", b"'", b'"', b"|\n", b"#", b"%", b"\t", b"\0",
        b"${vars.x}", b"1e999", b"\xff", "é".encode(), b"  code: {file: ../x}\n", b"  code: {dir: .}\n", b"  inputFile: /etc/passwd\n", b"spec: {code: {inline: x}}\n",
    ]
)  # fmt: skip
FILES = st.one_of(
    st.binary(max_size=200), st.lists(PIECES, max_size=30).map(b"".join), st.lists(PIECES, max_size=12).map(lambda some: MARK + b"".join(some))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
SPECS = st.dictionaries(
    st.sampled_from(
        [
            "workflow",
            "input",
            "inputFile",
            "code",
            "dependsOn",
            "retry",
            "timeout",
            "cancel",
            "cron",
            "every",
            "run",
            "env",
            "signals",
            "task",
            "oops",
        ]
    ),
    JSON,
    max_size=5,
)
KINDS = st.sampled_from(["Run", "Workflow", "Schedule", "Project", "Rum"])


def no_directory() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory()


def summary(desired: Desired) -> tuple[Any, ...]:
    return (
        {name: workflow.revision for name, workflow in desired.workflows.items()},
        {name: (run.spec_hash, run.input) for name, run in desired.runs.items()},
        set(desired.schedules),
        desired.invalid,
        desired.complete,
        desired.foreign,
    )


@FEW
@given(FILES)
def test_no_bytes_bring_down_a_load_or_harm_a_neighbour(data: bytes) -> None:
    with no_directory() as name:
        folder = write(Path(name), {"a.yaml": data, "w.yaml": together(a_workflow("sound"), a_run("sound", "{workflow: sound}"))})

        desired = loaded(folder)

        assert "sound" in desired.workflows
        assert "sound" in desired.runs
        for problem in desired.problems:
            assert problem.line >= 1
            assert problem.column >= 1
            assert problem.message
        for how in ("text", "json", "github"):
            "\n".join(report(desired.problems, how)).encode()


@FEW
@given(KINDS, SPECS, JSON)
def test_no_values_bring_down_a_load(kind: str, spec: dict[str, Any], metadata: Any) -> None:
    document = {"apiVersion": "ty-openworkflow/v1", "kind": kind, "metadata": metadata if isinstance(metadata, dict) else {"name": "a"}, "spec": spec}
    with no_directory() as name:
        folder = write(Path(name), {"a.yaml": write_document(document), "w.yaml": WORKFLOW})

        desired = loaded(folder)

        assert "greet" in desired.workflows or kind == "Project"
        assert desired.problems or len(desired.workflows) + len(desired.runs) + len(desired.schedules) == 2


@FEW
@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=6), st.permutations(range(6)))
def test_what_is_desired_does_not_depend_on_the_order_of_files(names: list[str], order: list[int]) -> None:
    texts = [a_run(name, f"{{workflow: greet, input: {number % 2}}}") for number, name in enumerate(names)]
    with no_directory() as one, no_directory() as two:
        first = write(Path(one), {"w.yaml": WORKFLOW, **{f"{number}.yaml": text for number, text in enumerate(texts)}})
        second = write(Path(two), {"0.yaml": WORKFLOW, **{f"{order[number]}/x.yml": text for number, text in enumerate(texts)}})

        assert summary(loaded(first)) == summary(loaded(second))


@FEW
@given(
    st.lists(
        st.tuples(st.sampled_from(["a.yaml", "b.yaml", "d/c.yml"]), FILES | st.sampled_from([RUN.encode(), WORKFLOW.encode(), None])),
        min_size=1,
        max_size=6,
    )
)
def test_a_load_with_a_cache_equals_one_without(edits: list[tuple[str, bytes | None]]) -> None:
    with no_directory() as name, no_directory() as kept:
        folder = write(Path(name), {"w.yaml": a_workflow("other")})
        options = LoadOptions(cache_dir=Path(kept), write_cache=True)
        living = Manifests(folder, options, LaterClock())
        for path, data in edits:
            if data is None:
                (folder / path).unlink(missing_ok=True)
            else:
                write(folder, {path: data})
            with_memory, with_file, without = living.load(), Manifests(folder, options, LaterClock()).load(), loaded(folder)

            assert with_memory == with_file
            assert with_file.workflows == without.workflows
            remembered = with_file.invalid - without.invalid  # what a broken file held: runs of such a workflow are not refused
            assert with_file.runs == without.runs or any(f"workflow/{run.workflow}" in remembered for run in with_file.runs.values())


PLAIN = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object", ["string", "null"]]),
            "minimum": st.integers(-3, 3),
            "exclusiveMinimum": st.integers(-3, 3),
            "maxLength": st.integers(0, 3),
            "minItems": st.integers(0, 2),
            "required": st.lists(st.sampled_from("ab"), unique=True),
            "maxProperties": st.integers(0, 2),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"properties": st.dictionaries(st.sampled_from("ab"), inner), "items": inner, "additionalProperties": st.booleans() | inner}
    ),
)
SMALL = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 4) | st.sampled_from([0.0, 1.0, 1.5]) | st.text("ab", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@FEW
@given(SMALL, PLAIN)
def test_what_passes_a_plain_schema_passes_it_in_the_library_too(value: Any, schema: dict[str, Any]) -> None:
    assert is_plain(schema)
    assert not schema_faults(schema)
    if passes(value, schema):
        assert not value_faults(value, schema)


@FEW
@given(JSON)
def test_a_schema_that_is_called_plain_has_no_faults(schema: Any) -> None:
    if is_plain(schema):
        assert not schema_faults(schema)


@FEW
@given(JSON)
def test_every_value_that_we_write_is_read_back(value: Any) -> None:
    if value == {} or not isinstance(value, dict):
        value = {"x": value}

    documents = read_documents(write_document(value).encode())

    assert [document.value for document in documents] == [value]
    assert not documents[0].remarks


@FEW
@given(FILES)
def test_positions_do_not_change_what_is_read(data: bytes) -> None:
    try:
        plain = read_documents(data)
    except YamlError:
        return

    placed = read_documents(data, positions=True)

    assert [(document.line, document.value, document.remarks) for document in placed] == [
        (document.line, document.value, document.remarks) for document in plain
    ]
