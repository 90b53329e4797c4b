"""What every folder of tests may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return an installation of its own; whatever it still runs ends with the test."""
    made = Site(tmp_path)
    yield made
    made.close()
