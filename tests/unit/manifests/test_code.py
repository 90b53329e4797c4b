"""The code of workflows: found, digested, confined to the folder, and read again as it was."""

import os
import threading
from pathlib import Path

import pytest

from reconciler.errors import UnavailableError
from reconciler.manifests import LoadOptions, Manifests, load, read_code
from reconciler.manifests import attachments as attachments_module
from tests.unit.manifests.folders import LaterClock, a_run, a_workflow, lines, loaded, together, write


def test_a_file_is_beside_its_manifest_and_its_ending_says_the_runtime(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a/w.yaml": together(
                *(a_workflow(f"w{n}", f"{{code: {{file: {name}}}}}") for n, name in enumerate(["x.js", "x.mjs", "x.cjs", "./x.py", "../b/x"]))
            ),
            **{f"a/x.{ending}": ending for ending in ("js", "mjs", "cjs", "py")},
            "b/x": "plain",
        },
    )

    desired = loaded(tmp_path)

    assert not desired.problems
    assert [workflow.runtime for workflow in desired.workflows.values()] == ["node", "node", "node", "python", "node"]
    assert read_code(desired.workflows["w3"].code) == {"x.py": b"py"}
    assert read_code(desired.workflows["w4"].code) == {"x": b"plain"}


@pytest.mark.parametrize(("runtime", "entry"), [("node", "workflow.js"), ("python", "workflow.py")])
def test_inline_code_becomes_a_file(tmp_path: Path, runtime: str, entry: str) -> None:
    write(tmp_path, {"w.yaml": a_workflow("greet", f'{{code: {{inline: "${{not.a.variable}} é"}}, runtime: {runtime}}}')})

    code = loaded(tmp_path).workflows["greet"].code

    assert read_code(code) == {entry: "${not.a.variable} é".encode()}
    assert code.entry == entry


def test_a_folder_of_code_is_taken_whole_and_not_searched(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "w.yaml": a_workflow("etl", "{code: {dir: ./etl}}"),
            "etl/main.py": "m",
            "etl/lib/x.py": "x",
            "etl/config.yaml": "apiVersion: ty-openworkflow/v1\nkind: [\n",
            "etl/node_modules/a/index.js": "no",
            "etl/__pycache__/main.pyc": "no",
            "etl/.venv/bin/python": "no",
            "etl/.git/HEAD": "no",
        },
    )

    desired = loaded(tmp_path)

    assert not desired.problems
    assert desired.complete
    workflow = desired.workflows["etl"]
    assert read_code(workflow.code).keys() == {"main.py", "lib/x.py", "config.yaml"}
    assert (workflow.code.entry, workflow.runtime) == ("main.py", "python")


def test_manifests_inside_of_code_are_left_out_and_mentioned(tmp_path: Path) -> None:
    write(
        tmp_path, {"w.yaml": a_workflow("etl", "{code: {dir: etl}}"), "etl/main.py": "m", "etl/template.yaml": a_run("template", "{workflow: etl}")}
    )

    desired = loaded(tmp_path)

    assert not desired.runs
    assert [problem.warning for problem in desired.problems] == [True]
    assert "run/template" in desired.problems[0].message


def test_code_stays_code_while_its_manifest_is_broken(tmp_path: Path) -> None:
    write(
        tmp_path, {"w.yaml": a_workflow("etl", "{code: {dir: etl}}"), "etl/main.py": "m", "etl/template.yaml": a_run("template", "{workflow: other}")}
    )
    manifests = Manifests(tmp_path, LoadOptions(), LaterClock())
    manifests.load()

    for broken in (
        "apiVersion: ty-openworkflow/v1\nkind: [",
        a_workflow("etl", "{code: {dirr: etl}}"),
        a_workflow("etl", "{code: {dir: etl}, oops: 1}"),
    ):
        write(tmp_path, {"w.yaml": broken})
        desired = manifests.load()
        assert not desired.runs
        assert "run/template" not in desired.invalid


@pytest.mark.parametrize("entry", ["main.js", "main.mjs", "main.py", "index.js"])
def test_an_entry_that_is_the_only_candidate_needs_no_name(tmp_path: Path, entry: str) -> None:
    write(tmp_path, {"w.yaml": a_workflow("etl", "{code: {dir: etl}}"), f"etl/{entry}": "m", "etl/other.js": "o"})

    assert loaded(tmp_path).workflows["etl"].code.entry == entry


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{code: {dir: etl}}", "has main.js and main.py: name one as entry"),
        ("{code: {dir: lib}}", "has none of main.js, main.mjs, main.py, index.js"),
        ("{code: {dir: etl, entry: man.py}}", "there is no file 'man.py' in it"),
        ("{code: {dir: etl, entry: ../w.yaml}}", "there is no file '../w.yaml' in it"),
        ("{code: {dir: .}}", "this manifest is in it"),
        ("{code: {dir: ..}}", "leaves the folder of the manifests"),
        ("{code: {dir: nowhere}}", "does not exist"),
        ("{code: {dir: etl/main.py}}", "is not below a folder"),
        ("{code: {dir: linked}}", "symbolic link"),
        ("{code: {dir: withlink}}", "symbolic link"),
        ("{code: {dir: withfifo}}", "is not a regular file"),
        ("{code: {file: etl}}", "is not a regular file"),
        ("{code: {file: .}}", "names a folder"),
        ("{code: {file: nowhere.js}}", "does not exist"),
        ("{code: {file: link.js}}", "symbolic link"),
        ("{code: {file: linked/main.py}}", "symbolic link"),
        ("{code: {file: fifo.js}}", "is not a regular file"),
        ("{code: {file: ../outside.js}}", "leaves the folder of the manifests"),
        ("{code: {file: etl/../../outside.js}}", "leaves the folder of the manifests"),
        ("{code: {file: /etc/passwd}}", "is not a path below"),
        ("{code: {file: 'etl\\main.py'}}", "is not a path below"),
        ('{code: {file: "main.py\\0"}}', "is not a path below"),
        ("{code: {file: etl/main.py}, runtime: node}", "node does not run main.py"),
    ],
)
def test_code_that_cannot_be_had_is_told_and_nothing_leaves_the_folder(tmp_path: Path, spec: str, message: str) -> None:
    root = write(
        tmp_path / "m", {"w.yaml": a_workflow("etl", spec), "etl/main.py": "m", "etl/main.js": "m", "lib/x.py": "x", "withlink/main.py": "m"}
    )
    write(tmp_path, {"outside.js": "secret"})
    (root / "linked").symlink_to("etl")
    (root / "link.js").symlink_to("../outside.js")
    (root / "withlink/out.js").symlink_to("../../outside.js")
    os.mkfifo(root / "fifo.js")
    (root / "withfifo").mkdir()
    os.mkfifo(root / "withfifo/main.py")

    desired = loaded(root)

    assert any(message in line for line in lines(desired)), lines(desired)
    assert desired.invalid == {"workflow/etl"}


def test_the_caps_on_code_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments_module, "MOST_CODE_FILES", 3)
    write(tmp_path, {"w.yaml": a_workflow("etl", "{code: {dir: etl}}"), **{f"etl/{n}.py": "x" for n in range(4)}})

    assert "holds more than 3 files" in lines(loaded(tmp_path))[0]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": a_workflow("etl", "{code: {file: huge.js}}")})
    with open(tmp_path / "huge.js", "wb") as file:
        file.truncate(1 << 40)

    assert "is larger than 64 MiB" in lines(loaded(tmp_path))[0]


def test_code_that_is_being_written_makes_its_workflow_wait(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": a_workflow("etl", "{code: {file: etl.js}}"), "r.yaml": a_run("r", "{workflow: etl}")})

    with open(tmp_path / "etl.js", "wb", buffering=0) as writer:
        writer.write(b"half of")
        desired = load(tmp_path, LoadOptions())

    assert (set(desired.invalid), desired.unstable, desired.complete) == ({"workflow/etl"}, ("etl.js",), False)
    assert not desired.problems


def test_code_is_read_as_it_was_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": a_workflow("etl", "{code: {dir: etl}}"), "etl/main.py": "one"})
    code = loaded(tmp_path).workflows["etl"].code
    assert read_code(code) == {"main.py": b"one"}

    write(tmp_path, {"etl/main.py": "two"})
    with pytest.raises(UnavailableError, match=r"etl/main\.py changed"):
        read_code(code)
    (tmp_path / "etl/main.py").unlink()
    with pytest.raises(UnavailableError, match=r"etl/main\.py does not exist"):
        read_code(code)
    (tmp_path / "etl").rename(tmp_path / "moved")
    (tmp_path / "etl").symlink_to("moved")
    with pytest.raises(UnavailableError, match="symbolic link"):
        read_code(code)


def test_a_race_of_links_never_leads_outside(tmp_path: Path) -> None:
    root = write(tmp_path / "m", {"w.yaml": a_workflow("etl", "{code: {file: etl/main.py}}"), "etl/main.py": "inside", "spare/main.py": "inside"})
    write(tmp_path, {"outside/main.py": "secret"})
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            (root / "etl").rename(root / "away")
            (root / "etl").symlink_to("../outside")
            (root / "etl").unlink()
            (root / "away").rename(root / "etl")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            workflow = loaded(root).workflows.get("etl")
            if workflow is not None:
                try:
                    assert read_code(workflow.code) == {"main.py": b"inside"}
                except UnavailableError:
                    continue
    finally:
        done.set()
        thread.join()


def revision(folder: Path, spec: str, metadata: str = "", **options: object) -> str:
    write(folder, {"w.yaml": a_workflow("etl", spec, metadata), "main.py": "code"})
    return loaded(folder, **options).workflows["etl"].revision


BASE = "{code: {file: main.py}}"


@pytest.mark.parametrize(
    "spec",
    [
        "{code: {file: main.py}, title: T, description: D}",
        "{code: {file: ./main.py}, keep: {completed: 1d}}",
        "{code: {file: main.py}, concurrency: {limit: 4}, prune: disabled}",
        "{code: {file: main.py}, adapter: exec}",
        "{code: {file: main.py}, docker: {memory: 1GiB}}",
    ],
)
def test_these_belong_to_no_revision(tmp_path: Path, spec: str) -> None:
    assert revision(tmp_path, spec, "labels: {a: b}") == revision(tmp_path, BASE)


@pytest.mark.parametrize(
    "spec",
    [
        "{code: {inline: code}, runtime: python}",
        "{code: {file: main.py}, runtime: python}",
        "{code: {file: main.py}, version: 1.0.0}",
        "{code: {file: main.py}, timeout: 1h}",
        "{code: {file: main.py}, retry: {maxAttempts: 1}}",
        "{code: {file: main.py}, steps: {timeout: 1m}}",
        "{code: {file: main.py}, cancel: {grace: 10s}}",
        "{code: {file: main.py}, input: {schema: {}}}",
        "{code: {file: main.py}, signals: {ok: {}}}",
        "{code: {file: main.py}, env: {A: {value: b}}}",
        "{code: {file: main.py}, env: {A: {secret: b}}}",
        "{code: {file: main.py}, exec: {runsPerWorker: 2}}",
    ],
)
def test_these_make_a_revision_of_their_own(tmp_path: Path, spec: str) -> None:
    assert revision(tmp_path, spec) != revision(tmp_path, BASE)


def test_a_revision_is_the_same_on_every_machine_and_under_every_default_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.manifests import build

    before = revision(tmp_path / "one", BASE)
    monkeypatch.setattr(build, "_GRACE", build._CLEANUP)
    monkeypatch.setattr(build, "_BODY_RETRY", build._STEP_RETRY)

    assert revision(tmp_path / "two", BASE) == before == "d278994f80bed34d7fad6f5bea35057d"


def test_inputs_of_files_count_like_inputs_in_place(tmp_path: Path) -> None:
    runs = together(
        a_run("inline", "{workflow: greet, input: {name: World, n: [1, 2.5]}}"),
        a_run("json", "{workflow: greet, inputFile: in/a.json}"),
        a_run("yaml", "{workflow: greet, inputFile: ./in/a.yml}"),
    )
    write(
        tmp_path, {"w.yaml": a_workflow(), "r.yaml": runs, "in/a.json": '{"n": [1, 2.5], "name": "World"}', "in/a.yml": "name: World\nn: [1, 2.5]\n"}
    )

    desired = loaded(tmp_path)

    assert not desired.problems
    assert len({run.spec_hash for run in desired.runs.values()}) == 1
    assert all(run.input == {"name": "World", "n": [1, 2.5]} for run in desired.runs.values())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "line 1, column 2: not JSON"),
        ("a.json", "", "not JSON"),
        ("a.json", '{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ("a.json", "NaN", "NaN is not JSON"),
        ("a.json", "[Infinity]", "Infinity is not JSON"),
        ("a.json", "9007199254740992", "does not fit"),
        ("a.json", "1e999", "does not fit"),
        ("a.json", '"\\ud800"', "is not UTF-8 text"),
        ("a.json", b'"\xff"', "is not UTF-8 text"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.yaml", "a: [", "line 2, column 1: not YAML"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "holds 2 documents, not one"),
        ("a.yaml", "", "holds 0 documents, not one"),
        ("a.yaml", "a: 1\na: 2\n", "line 2, column 1: the key 'a' is there twice"),
        ("a.txt", "x", "must end in .json, .yaml or .yml"),
        ("../a.json", "x", "leaves the folder"),
        ("/etc/passwd", "", "is not a path below"),
        ("nowhere.json", None, "does not exist"),
    ],
)
def test_an_input_file_that_is_wrong_is_told(tmp_path: Path, name: str, content: str | bytes | None, message: str) -> None:
    root = write(tmp_path / "m", {"w.yaml": a_workflow(), "r.yaml": a_run("r", f"{{workflow: greet, inputFile: '{name}'}}")})
    if content is not None and not name.startswith(("/", "..")):
        write(root, {name: content})

    desired = loaded(root)

    assert any(message in line for line in lines(desired)), lines(desired)
    assert desired.invalid == {"run/r"}


def test_a_large_input_arrives(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": a_workflow(), "r.yaml": a_run("r", "{workflow: greet, inputFile: big.json}"), "big.json": '"' + "x" * (2 << 20) + '"'})

    for _ in range(2):
        assert len(loaded(tmp_path, cache_dir=tmp_path / "cache", write_cache=True).runs["r"].input) == 2 << 20
