"""A schedule has one card: quiet while all is well, blocked and pinned while it fails."""

import pytest

from tests.support.site import Site
from tests.support.taskyou.board import Board

CODE = """\
import os

def workflow(input, ctx):
    if not os.path.exists("{mended}"):
        ctx.step("charge", lambda: 1 / 0, retry={{"max_attempts": 1}})
"""


@pytest.fixture(autouse=True)
def _declared(site: Site, board: Board) -> None:
    site.workflow("night", "night.py", CODE.format(mended=site.home / "mended"))
    site.declare("Schedule", "nightly", {"cron": "0 3 1 1 *", "run": {"workflow": "night"}})


def night(site: Site, *, expect: int) -> None:
    site.cli.run("start", "schedule/nightly", "--wait", expect=expect)


def test_its_card_calls_for_a_person_once_while_it_fails_and_is_quiet_again_afterwards(site: Site, board: Board) -> None:
    site.pass_()
    quiet = board.task(1)
    assert (quiet.title, quiet.status, quiet.pinned) == ("Schedule nightly", "backlog", False)
    assert "All is well." in quiet.body

    night(site, expect=5)
    failing = board.task(1)
    assert (failing.status, failing.pinned) == ("blocked", True)
    assert "Error in step charge: ZeroDivisionError" in failing.body
    night(site, expect=5)
    moves = [call.argv for call in board.calls("status", "pin")]
    assert moves == [("pin", "1"), ("status", "1", "blocked")]

    (site.home / "mended").touch()
    night(site, expect=0)
    well = board.task(1)
    assert (well.status, well.pinned, well.body) == ("backlog", False, quiet.body)
    assert len(board.tasks()) == 1


def test_its_card_says_nothing_of_the_runs_that_do_well(site: Site, board: Board) -> None:
    (site.home / "mended").touch()
    site.pass_()
    written = len(board.calls("create", "update", "status", "pin", "close"))
    night(site, expect=0)
    night(site, expect=0)

    assert len(board.calls("create", "update", "status", "pin", "close")) == written == 1


def test_its_card_is_archived_when_it_is_removed(site: Site, board: Board) -> None:
    site.pass_()
    (site.folder / "schedule-nightly.yaml").unlink()
    site.pass_()

    assert board.task(1).status == "archived"
    assert "It is not declared any more." in board.task(1).body
    assert "No changes" in site.pass_().stdout


def test_its_card_that_a_person_removed_is_not_made_again(site: Site, board: Board) -> None:
    site.pass_()
    board.person("delete", "1", "--force")
    night(site, expect=5)
    night(site, expect=5)

    assert board.tasks() == []
    assert len(board.calls("create")) == 1
