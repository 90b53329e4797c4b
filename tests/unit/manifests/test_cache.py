"""What is remembered between loads: it makes them fast, and never wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests import LoadOptions, Manifests
from reconciler.manifests import survey as survey_module
from reconciler.model import Desired
from tests.unit.manifests.folders import RUN, WORKFLOW, LaterClock, a_manifest, a_run, a_workflow, loaded, together, write

SCHEMA = "{type: object, required: [name], properties: {name: {enum: [World, Moon]}}}"
FILES: dict[str, str | bytes] = {
    "w.yaml": a_workflow("greet", f"{{code: {{file: greet.js}}, input: {{schema: {SCHEMA}}}, signals: {{ok: {{schema: {{const: 5}}}}}}}}"),
    "greet.js": "x",
    "r.yaml": RUN,
    "f.yaml": a_run("from-file", "{workflow: greet, inputFile: in.yaml}"),
    "in.yaml": "name: World\n",
    "signal.yaml": a_run("signal", "{workflow: greet, input: {name: Moon}, signals: {ok: 5}}"),
    "nightly.yaml": a_manifest("Schedule", "nightly", "{every: 1h, run: {workflow: greet, input: {name: Moon}}}"),
    "theirs.yaml": "a: 1\n",
    "bad.yaml": a_run("bad", "{workflow: greet, inpt: 1}"),
    "broken.yaml": "apiVersion: ty-openworkflow/v1\nkind: [\n",
}


def cached(folder: Path, cache: Path, **options: Any) -> Desired:
    return loaded(folder, cache_dir=cache, write_cache=True, **options)


def content(cache: Path) -> bytes:
    return next(cache.glob("*.json")).read_bytes()


def test_a_load_from_the_cache_equals_one_without(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", FILES)

    first = cached(folder, tmp_path / "cache")

    assert first == loaded(folder)
    assert cached(folder, tmp_path / "cache") == first
    assert len(first.problems) == 2


def test_an_unchanged_folder_is_not_read_and_the_cache_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "m", FILES)
    first = cached(folder, tmp_path / "cache")
    before = os.stat(next((tmp_path / "cache").glob("*.json")))

    monkeypatch.setattr(survey_module, "read_settled", None)
    again = cached(folder, tmp_path / "cache")

    assert again == first
    assert os.stat(next((tmp_path / "cache").glob("*.json"))) == before


def test_a_warm_load_imports_neither_yaml_nor_jsonschema(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {key: value for key, value in FILES.items() if key not in {"bad.yaml", "broken.yaml"}})
    cached(folder, tmp_path / "cache")

    program = """
import sys
from pathlib import Path
from tests.unit.manifests.folders import loaded
loaded(Path(sys.argv[1]), cache_dir=Path(sys.argv[2]))
print(sorted({"yaml", "jsonschema", "difflib", "reconciler.schema", "reconciler.yaml12", "zoneinfo", "importlib.resources"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program, folder, tmp_path / "cache"], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_the_same_object_comes_back_while_nothing_changes(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", FILES)
    manifests = Manifests(folder, LoadOptions(), LaterClock())
    first = manifests.load()

    assert manifests.load() is first
    write(folder, {"greet.js": "y"})
    second = manifests.load()
    assert second.workflows["greet"].revision != first.workflows["greet"].revision
    write(folder, {"in.yaml": "name: Moon\n"})
    assert manifests.load().runs["from-file"].input == {"name": "Moon"}
    (folder / "greet.js").unlink()
    assert "workflow/greet" in manifests.load().invalid


def test_a_file_that_changed_within_its_stamps_is_seen_while_it_is_young(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"w.yaml": WORKFLOW, "r.yaml": a_run("one")})
    manifests = Manifests(folder, LoadOptions(cache_dir=tmp_path / "cache", write_cache=True))
    manifests.load()
    stamps = os.stat(folder / "r.yaml")

    write(folder, {"r.yaml": a_run("two")})
    os.utime(folder / "r.yaml", ns=(stamps.st_atime_ns, stamps.st_mtime_ns))

    assert set(manifests.load().runs) == {"two"}
    assert set(Manifests(folder, LoadOptions(cache_dir=tmp_path / "cache")).load().runs) == {"two"}


def test_young_entries_are_checked_by_content_and_then_trusted(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"w.yaml": WORKFLOW})
    options = LoadOptions(cache_dir=tmp_path / "cache", write_cache=True)
    Manifests(folder, options).load()
    young = content(tmp_path / "cache")

    Manifests(folder, options, LaterClock()).load()
    old = content(tmp_path / "cache")

    assert b"true" in young
    assert b"true" not in old


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b"\xff", b'{"format": 1}', b'{"format": 99, "program": "", "files": {}, "attachments": {}}']
)
def test_a_damaged_cache_is_none(tmp_path: Path, damage: bytes) -> None:
    folder = write(tmp_path / "m", FILES)
    first = cached(folder, tmp_path / "cache")

    next((tmp_path / "cache").glob("*.json")).write_bytes(damage)

    assert cached(folder, tmp_path / "cache") == first
    assert json.loads(content(tmp_path / "cache"))["files"]


def test_every_shortened_cache_is_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"w.yaml": WORKFLOW, "r.yaml": RUN})
    first = cached(folder, tmp_path / "cache")
    file = next((tmp_path / "cache").glob("*.json"))
    whole = file.read_bytes()

    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert loaded(folder, cache_dir=tmp_path / "cache") == first


def test_a_cache_of_another_version_still_knows_what_files_held(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"w.yaml": WORKFLOW, "r.yaml": RUN})
    cached(folder, tmp_path / "cache")
    file = next((tmp_path / "cache").glob("*.json"))
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "program": "older"}))

    write(folder, {"r.yaml": "no longer: ["})
    desired = cached(folder, tmp_path / "cache")

    assert desired.invalid == {"run/greet-world"}
    assert set(desired.workflows) == {"greet"}


def test_a_file_broken_over_many_loads_is_never_taken_for_empty(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"w.yaml": WORKFLOW, "r.yaml": RUN})
    cached(folder, tmp_path / "cache")

    for broken in ("a: [", "b: [", "c: ["):
        write(folder, {"r.yaml": broken})
        for _ in range(2):
            assert cached(folder, tmp_path / "cache").invalid == {"run/greet-world"}
    write(folder, {"r.yaml": "a: 1\n"})
    assert cached(folder, tmp_path / "cache").invalid == frozenset()


def test_nothing_is_written_without_leave(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", FILES)

    loaded(folder, cache_dir=tmp_path / "cache", write_cache=False)

    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", FILES)
    (tmp_path / "cache").write_text("a file")

    assert cached(folder, tmp_path / "cache") == loaded(folder)


def test_the_cache_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", FILES)
    cached(folder, tmp_path / "deep/cache")

    assert (tmp_path / "deep/cache").stat().st_mode & 0o777 == 0o700
    assert next((tmp_path / "deep/cache").glob("*.json")).stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "deep/cache").iterdir())) == 1


def test_two_folders_have_two_caches_and_the_environment_none(tmp_path: Path) -> None:
    project = (
        "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\nspec: {environments: {dev: {vars: {x: a}}, prod: {vars: {x: b}}}}\n"
    )
    folder = write(
        tmp_path / "m", {"ty-openworkflow.yaml": project, "w.yaml": WORKFLOW, "r.yaml": a_run("r", '{workflow: greet, input: "${vars.x}"}')}
    )

    for _ in range(2):
        for environment, value in (("dev", "a"), ("prod", "b")):
            assert cached(folder, tmp_path / "cache", environment=environment).runs["r"].input == value
    cached(write(tmp_path / "n", FILES), tmp_path / "cache")

    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_file_that_moved_is_the_same_object(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"a.yaml": together(WORKFLOW, RUN)})
    before = cached(folder, tmp_path / "cache")

    (folder / "b").mkdir()
    (folder / "a.yaml").rename(folder / "b/c.yaml")
    after = cached(folder, tmp_path / "cache")

    assert after.runs["greet-world"].spec_hash == before.runs["greet-world"].spec_hash
    assert after.runs["greet-world"].source.file == "b/c.yaml"
    assert after.complete
