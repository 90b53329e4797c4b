"""TaskYou is recognised, not assumed."""

import os
from pathlib import Path

import pytest

from reconciler.taskyou.errors import BusyError, ForeignError, MissingError, OldError, TaskYouError, UnclearError
from reconciler.taskyou.identity import recognise, version_of
from reconciler.taskyou.where import database_of, find_program, fingerprint
from tests.unit.taskyou.programs import Program, said, shell

EMPTY = (0, "null\n", "")
ASTRAL = "error: unrecognized subcommand 'list'\n\nUsage: ty <COMMAND>\n"


def environ(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}


@pytest.mark.parametrize("version", ["0.3.24", "v0.3.24-3-ge75b454", "dev", "e75b454", "0.3.24-dirty"])
@pytest.mark.parametrize("printed", [EMPTY, said([{"id": 1}])])
def test_a_bare_version_and_a_list_are_taskyou(tmp_path: Path, version: str, printed: tuple[int, str, str]) -> None:
    program = Program(tmp_path, {"--version": (0, f"{version}\n", ""), "list": printed})

    found = recognise("ty", "/db", environ=environ(tmp_path))

    assert (found.program, found.version, found.database) == (program.path, version, "/db")
    assert found.fingerprint == fingerprint(program.path)
    assert program.words() == [["--version"], ["list", "--all", "--json", "-n", "1", "--tag", "owf"]]
    assert {call.environ["WORKTREE_DB_PATH"] for call in program.calls()} == {"/db"}


def test_a_version_can_be_asked_for_without_opening_a_database(tmp_path: Path) -> None:
    program = Program(tmp_path, {"--version": (0, "0.3.24\n", "")})

    assert version_of("ty", "/db", environ=environ(tmp_path)) == (program.path, "0.3.24")
    assert program.words() == [["--version"]]


@pytest.mark.parametrize(
    ("answers", "looks"),
    [
        ({"--version": (0, "ty 0.0.105 (abc 2026-11-01)\n", ""), "list": (2, "", ASTRAL)}, "Astral's type checker of the same name (ty 0.0.105"),
        ({"--version": (0, "0.0.105\n", ""), "list": (2, "", ASTRAL)}, "Astral's type checker of the same name (error: unrecognized subcommand"),
        ({"--version": (0, "GNU ty 1.0\nCopyright\n", "")}, "something else (GNU ty 1.0)"),
        ({"--version": (2, "", "usage: ty FILE\n")}, "something else (usage: ty FILE)"),
        ({"--version": (0, "", "")}, "something else, which prints nothing"),
        ({"--version": (0, "1.0\n", ""), "list": (0, "a file\n", "")}, "something else (version 1.0, whose list is no JSON)"),
        ({"--version": (0, "1.0\n", ""), "list": (0, '{"a": 1}\n', "")}, "something else (version 1.0, whose list is no JSON)"),
        ({"--version": (0, "1.0\n", ""), "list": (1, "", 'Error: unknown command "list" for "x"\n')}, "something else (Error: unknown command"),
        ({"--version": (0, "1.0\n", ""), "list": (127, "", "")}, "something else (version 1.0)"),
    ],
)
def test_another_program_of_that_name_is_told_by_what_it_looks_like(tmp_path: Path, answers: dict[str, tuple[int, str, str]], looks: str) -> None:
    program = Program(tmp_path, answers)

    with pytest.raises(ForeignError) as raised:
        recognise("ty", "/db", environ=environ(tmp_path))

    assert f"{program.path} is not TaskYou but {looks}" in str(raised.value)
    assert "(taskyou.cli; its installer also calls it `taskyou`)" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_version_that_is_too_old_is_told_by_what_it_lacks(tmp_path: Path) -> None:
    Program(tmp_path, {"--version": (0, "0.2.1\n", ""), "list": (1, "", "Error: unknown flag: --tag\nUsage:\n  ty list\n")})

    with pytest.raises(OldError, match=r"ty \(0.2.1\) is too old: its list has no --tag\. Update TaskYou"):
        recognise("ty", "/db", environ=environ(tmp_path))


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("Error: database is locked (5) (SQLITE_BUSY)\n", BusyError),
        ("Error: create db directory: mkdir /nope: no such file or directory\n", TaskYouError),
    ],
)
def test_trouble_of_taskyou_is_no_other_program(tmp_path: Path, told: str, kind: type[TaskYouError]) -> None:
    Program(tmp_path, {"--version": (0, "0.3.24\n", ""), "list": (1, "", told)})

    with pytest.raises(kind) as raised:
        recognise("ty", "/db", environ=environ(tmp_path))
    assert type(raised.value) is kind


def test_a_program_that_does_not_answer_is_unclear(tmp_path: Path) -> None:
    shell(tmp_path / "ty", "sleep 1000")

    with pytest.raises(UnclearError, match=r"did not end within 0\.2 s"):
        recognise("ty", "/db", environ=environ(tmp_path), timeout=0.2)


def test_a_program_is_found_by_its_name_or_path(tmp_path: Path) -> None:
    path = shell(tmp_path / "ty", "exit 0")

    assert find_program("ty", environ(tmp_path)) == path
    assert find_program("~/ty", environ(tmp_path)) == path
    assert find_program(path, {}) == path


def test_the_present_folder_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell(tmp_path / "ty", "exit 0")
    monkeypatch.chdir(tmp_path)

    for path in ("", "/nowhere:", ":/nowhere"):
        with pytest.raises(MissingError, match="there is no program 'ty' on PATH"):
            find_program("ty", {"PATH": path})


@pytest.mark.parametrize(
    ("cli", "says"),
    [
        ("ty-nowhere", "there is no program 'ty-nowhere' on PATH"),
        ("/nowhere/ty", "/nowhere/ty is not there"),
        ("~/file", "no program that can be started"),
    ],
)
def test_a_program_that_is_not_there_is_missing(tmp_path: Path, cli: str, says: str) -> None:
    (tmp_path / "file").touch(0o600)

    with pytest.raises(MissingError, match=says):
        recognise(cli, "/db", environ=environ(tmp_path))


def test_a_fingerprint_is_another_one_when_the_program_is(tmp_path: Path) -> None:
    path = shell(tmp_path / "ty", "exit 0")
    first = fingerprint(path)

    assert fingerprint(path) == first
    shell(tmp_path / "new", "exit 10")
    os.replace(tmp_path / "new", path)
    assert fingerprint(path) not in (first, "")
    os.unlink(path)
    assert fingerprint(path) == ""


def test_the_database_is_what_is_configured_or_named_by_the_environment_or_its_own() -> None:
    environ = {"HOME": "/home/ana", "WORKTREE_DB_PATH": "/w.db"}

    assert database_of("/c.db", environ) == "/c.db"
    assert database_of("~/c.db", environ) == "/home/ana/c.db"
    assert database_of("", environ) == "/w.db"
    assert database_of("", {"HOME": "/home/ana", "WORKTREE_DB_PATH": ""}) == "/home/ana/.local/share/task/tasks.db"
    assert database_of("here.db", environ) == os.path.abspath("here.db")
