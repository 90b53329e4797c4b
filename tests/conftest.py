"""What every folder of tests may ask for."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what it puts into the background; processes that tests start would ignore their Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return an installation of its own; whatever it still runs ends with the test."""
    made = Site(tmp_path)
    yield made
    made.close()
