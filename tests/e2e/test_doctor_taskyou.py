"""What `doctor` says of TaskYou."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.broken import failures
from tests.support.site import Site
from tests.support.taskyou import faults
from tests.support.taskyou.board import Board


@pytest.fixture
def board(site: Site, tmp_path: Path) -> Board:
    """A TaskYou that the commands of the site find, and no other one."""
    made = Board.install(tmp_path, home=site.home)
    folders = [folder for folder in made.env["PATH"].split(os.pathsep) if folder == str(made.bin) or not Path(folder, "ty").exists()]
    site.cli = replace(site.cli, env={**made.env, "PATH": os.pathsep.join(folders)})
    return made


def told(site: Site) -> dict[str, tuple[bool, str]]:
    """Return what is found of TaskYou."""
    checks = site.cli.run("doctor", "--json", expect=None).json["checks"]
    return {check["check"]: (check["ok"], check["found"]) for check in checks if check["check"].startswith("taskyou")}


def test_a_taskyou_that_was_never_used_is_named_and_its_database_is_not_made(site: Site, board: Board) -> None:
    assert told(site) == {
        "taskyou": (True, f"{board.program}, version 0.3.24"),
        "taskyou database": (True, f"{board.database} is not there yet"),
    }
    assert not board.database.exists()
    assert {call.argv for call in board.calls()} == {("--version",)}


def test_program_version_database_and_project_are_told(site: Site, board: Board) -> None:
    board.add_project("shop", worktrees=False)

    assert told(site) == {
        "taskyou": (True, f"{board.program}, version 0.3.24"),
        "taskyou database": (True, str(board.database)),
        "taskyou project": (True, "personal (taskyou.project is not set), with worktrees"),
    }
    site.settings("taskyou: {project: shop, auto_create_tasks: false}\n")
    assert told(site)["taskyou"] == (True, f"{board.program}, version 0.3.24, cards only where a run asks for one")
    assert told(site)["taskyou project"] == (True, "shop, without worktrees, so cards of failed runs are pinned in backlog and not blocked")
    assert {call.env["WORKTREE_DB_PATH"] for call in board.calls()} == {str(board.database)}


def test_without_a_program_one_line_says_so_and_nothing_is_wrong(site: Site, board: Board) -> None:
    board.remove()

    assert list(told(site)) == ["taskyou"]
    assert told(site)["taskyou"][0]
    assert told(site)["taskyou"][1].startswith("runs have no cards: there is no program 'ty' on PATH: install TaskYou, or name TaskYou's program")


def test_a_program_that_the_settings_name_has_to_be_there(site: Site, board: Board) -> None:
    site.settings("taskyou: {cli: ~/bin/taskyou}\n")

    assert f"{site.home}/bin/taskyou is not there" in failures(site)["taskyou"]


def test_another_program_of_that_name_is_told_and_only_wrong_where_it_was_named(site: Site, board: Board) -> None:
    board.set_fault(faults.wrong_program())

    assert failures(site) == {}
    assert f"runs have no cards: {board.program} is not TaskYou but Astral's type checker of the same name" in told(site)["taskyou"][1]
    site.settings(f"taskyou: {{cli: {board.program}}}\n")
    assert "Astral's type checker" in failures(site)["taskyou"]


def test_a_taskyou_that_is_too_old_lacks_something(site: Site, board: Board) -> None:
    board.person("list")
    board.set_fault(faults.old_version())

    assert "is too old: its list has no --tag" in failures(site)["taskyou"]


def test_a_project_that_is_not_there_is_told_with_those_that_are(site: Site, board: Board) -> None:
    board.add_project("shop")
    site.settings("taskyou: {project: shoop}\n")

    found = failures(site)["taskyou project"]

    assert "Project 'shoop' not found" in found
    assert "personal, shop" in found or "shop, personal" in found


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (faults.answers(err="Error: list tasks: database is locked (5) (SQLITE_BUSY)\n", exit=1), "`fuser "),
        (faults.killed("before"), "was killed by signal 9"),
        (faults.answers(err="Error: open database: file is not a database\n", exit=1), "(taskyou.database, WORKTREE_DB_PATH) can be opened"),
    ],
    ids=["locked", "killed", "damaged"],
)
def test_a_taskyou_in_trouble_is_told_with_what_to_look_at(site: Site, board: Board, fault: faults.Fault, says: str) -> None:
    board.person("list")
    board.set_fault(fault.on("list"))

    assert says in failures(site)["taskyou"]
