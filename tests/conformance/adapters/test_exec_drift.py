"""What a person may do to the folder of a revision, or of its packages, and how `exec` finds out and mends it."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.exec import ExecAdapter
from adapters.placing import ExecSettings
from reconciler.compute import Revision

CODE = {"main.py": b"def workflow(input, ctx): return 1\n", "lib/help.py": b"x = 1\n"}
REVISION = Revision("d" * 32, "greet", "python", "main.py")


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.revision = folder / "revisions" / REVISION.digest
        self.code = self.revision / "code"
        self.deploy()

    def open(self) -> ExecAdapter:
        return ExecAdapter(ExecSettings(str(self.folder)))

    def deploy(self) -> None:
        self.open().deploy(REVISION, CODE, lambda _: None)

    def altered(self, *, deep: bool = False) -> str | None:
        return self.open().altered([REVISION.digest], deep=deep).get(REVISION.digest)


@pytest.fixture(params=[0o022, 0o077, 0o000])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    before = os.umask(request.param)
    try:
        return Bench(tmp_path)
    finally:
        os.umask(before)


def write(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(0o400)


def same_size_and_time(bench: Bench) -> None:
    file = bench.code / "main.py"
    facts = file.stat()
    write(file, CODE["main.py"].replace(b"1", b"2"))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def link_instead(bench: Bench) -> None:
    (bench.code / "main.py").unlink()
    (bench.code / "main.py").symlink_to("lib/help.py")


DAMAGE: dict[str, tuple[Callable[[Bench], object], str]] = {
    "a file is changed": (lambda bench: write(bench.code / "lib/help.py", b"x = 2\n"), "code/lib/help.py was changed"),
    "to the same size and time": (same_size_and_time, "code/main.py was changed"),
    "a file is added": (lambda bench: (bench.code / "more.py").write_bytes(b""), "code/more.py was added"),
    "a file is removed": (lambda bench: (bench.code / "main.py").unlink(), "code/main.py is missing"),
    "a folder is removed": (lambda bench: shutil.rmtree(bench.code / "lib"), "code/lib is missing, code/lib/help.py is missing"),
    "everything is removed": (lambda bench: shutil.rmtree(bench.code), "code is missing"),
    "a file may be written": (lambda bench: (bench.code / "main.py").chmod(0o644), "code/main.py has permissions 0644, not 0400"),
    "a folder is for everybody": (lambda bench: (bench.code / "lib").chmod(0o755), "code/lib has permissions 0755, not 0700"),
    "a link takes its place": (link_instead, "code/main.py was changed"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_told_and_mended(bench: Bench, name: str) -> None:
    harm, told = DAMAGE[name]
    assert bench.altered() is None
    harm(bench)

    assert told in str(bench.altered())
    assert told in str(bench.altered(deep=True))
    bench.deploy()
    assert bench.altered(deep=True) is None
    assert {path.relative_to(bench.code).as_posix(): path.read_bytes() for path in bench.code.rglob("*") if path.is_file()} == CODE
    assert stat.S_IMODE((bench.code / "main.py").stat().st_mode) == 0o400


def test_what_was_only_touched_or_copied_back_is_no_drift(bench: Bench, tmp_path: Path) -> None:
    os.utime(bench.code / "main.py")
    assert bench.altered() is None
    shutil.copytree(bench.revision, tmp_path / "backup", copy_function=shutil.copy)
    shutil.rmtree(bench.revision)
    shutil.copytree(tmp_path / "backup", bench.revision, copy_function=shutil.copy)

    assert bench.altered() is None


def test_a_revision_of_an_earlier_version_without_a_seal_is_no_drift(bench: Bench) -> None:
    for name in ("stamp", "seal"):
        (bench.revision / name).unlink()

    assert bench.altered(deep=True) is None


def test_a_revision_without_its_stamp_is_looked_at_byte_by_byte(bench: Bench) -> None:
    (bench.revision / "stamp").unlink()
    assert bench.altered() is None
    write(bench.code / "main.py", b"")

    assert "code/main.py was changed" in str(bench.altered())


def test_bytecode_that_python_leaves_is_no_drift(bench: Bench) -> None:
    (bench.code / "__pycache__").mkdir()
    (bench.code / "__pycache__/main.cpython-311.pyc").write_bytes(b"x")

    assert bench.altered(deep=True) is None


def test_looking_writes_nothing(bench: Bench) -> None:
    def facts() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in bench.folder.rglob("*")}

    os.utime(bench.code / "main.py")
    before = facts()
    for deep in (False, True):
        bench.altered(deep=deep)

    assert facts() == before


def test_what_was_replaced_is_removed_once_nobody_lives_in_it(bench: Bench) -> None:
    write(bench.code / "main.py", b"")
    bench.deploy()
    beside = [path.name for path in bench.revision.parent.iterdir() if path != bench.revision]

    bench.open().start([], lambda _: None)

    assert len(beside) == 1
    assert [path.name for path in bench.revision.parent.iterdir()] == [REVISION.digest]


def test_two_processes_that_deploy_the_same_leave_one(bench: Bench) -> None:
    write(bench.code / "main.py", b"")
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: bench.deploy(), range(8)))
    bench.open().start([], lambda _: None)

    assert bench.altered(deep=True) is None
    assert [path.name for path in bench.revision.parent.iterdir()] == [REVISION.digest]


PIP = """#!/bin/sh
[ "$2" = -c ] && exit
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/tool/__pycache__" "$2/tool-1.0.dist-info" && echo "x = 1" > "$2/tool/main.py" && echo pyc > "$2/tool/__pycache__/main.pyc"
"""
NODE = """#!/bin/sh
printf '["%s", "22.9.0"]' "$0"
"""
NPM = """#!/bin/sh
mkdir -p node_modules/tool && echo "1" > node_modules/tool/index.js
"""
PYTHON_NEEDS = Revision("e" * 32, "etl", "python", "main.py"), {"main.py": CODE["main.py"], "requirements.txt": b"tool\n"}
NODE_NEEDS = Revision("f" * 32, "web", "node", "main.js"), {"main.js": b"", "package.json": b'{"dependencies": {"tool": "1"}}'}


class Packages:
    def __init__(self, folder: Path, runtime: str) -> None:
        self.folder = folder / "exec"
        for name, text in (("python3.11", PIP), ("node", NODE), ("npm", NPM)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.node, self.python = str(folder / "node"), str(folder / "python3.11")
        self.revision, self.code = NODE_NEEDS if runtime == "node" else PYTHON_NEEDS
        self.deploy()
        (self.deps,) = (self.folder / "deps").iterdir()
        self.file = self.deps / ("node_modules/tool/index.js" if runtime == "node" else "tool/main.py")

    def open(self) -> ExecAdapter:
        return ExecAdapter(ExecSettings(str(self.folder), self.node, self.python))

    def deploy(self) -> None:
        self.open().deploy(self.revision, self.code, lambda _: None)

    def altered(self, *, deep: bool = False) -> str | None:
        return self.open().altered([self.revision.digest], deep=deep).get(self.revision.digest)


@pytest.fixture(params=["python", "node"])
def packages(request: pytest.FixtureRequest, tmp_path: Path) -> Packages:
    return Packages(tmp_path, request.param)


def test_packages_that_are_gone_or_lack_one_are_found_in_every_pass(packages: Packages) -> None:
    assert packages.altered() is None
    shutil.rmtree(packages.file.parent)
    assert "is missing" in str(packages.altered())
    packages.deploy()
    assert packages.altered(deep=True) is None
    shutil.rmtree(packages.deps)
    assert "are not installed" in str(packages.altered())

    packages.deploy()
    assert packages.altered(deep=True) is None
    assert packages.file.is_file()


def test_a_package_that_was_changed_inside_is_found_by_a_deep_look(packages: Packages) -> None:
    packages.file.write_text("x = 2")
    assert packages.altered() is None

    assert f"{packages.file.name} was changed" in str(packages.altered(deep=True))
    packages.deploy()
    assert packages.altered(deep=True) is None


def test_bytecode_among_packages_is_no_drift(packages: Packages) -> None:
    (packages.file.parent / "__pycache__").mkdir(exist_ok=True)
    (packages.file.parent / "__pycache__/other.pyc").write_bytes(b"x")

    assert packages.altered(deep=True) is None


def test_a_link_to_packages_that_leads_elsewhere_is_found(tmp_path: Path) -> None:
    packages = Packages(tmp_path, "node")
    link = packages.folder / "revisions" / packages.revision.digest / "node_modules"
    link.unlink()
    link.symlink_to("/nowhere")

    assert packages.altered() == "node_modules does not lead to its packages"
    packages.deploy()
    assert packages.altered() is None
