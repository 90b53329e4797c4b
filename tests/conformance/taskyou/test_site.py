"""What the fixtures give: a site whose commands find the board."""

import subprocess

from tests.support.cli import clean_environment
from tests.support.site import Site
from tests.support.taskyou.board import Board


def test_a_site_finds_the_program_of_its_board(site: Site, board: Board) -> None:
    env = clean_environment(site.home, **site.cli.env)

    done = subprocess.run(["ty", "create", "--json", "--", "T"], env=env, cwd=site.folder, capture_output=True, text=True, check=True)

    (card,) = board.tasks()
    assert (card.id, card.title) == (1, "T")
    assert '"id":1,' in done.stdout
    assert board.calls()[0].env["HOME"] == str(site.home)
