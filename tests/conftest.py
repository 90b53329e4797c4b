"""What every folder of tests may ask for."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.site import Site
from tests.support.taskyou.board import Board

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what it puts into the background; processes that tests start would ignore their Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return an installation of its own; whatever it still runs ends with the test."""
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def board(site: Site, tmp_path: Path) -> Iterator[Board]:
    """Return a TaskYou board whose program `site` finds on PATH; whatever it still runs ends with the test."""
    made = Board.install(tmp_path, home=site.home)
    site.cli = replace(site.cli, env={**site.cli.env, **made.env})
    yield made
    made.close()
