"""Benches for the Python worker."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.workers import Bench

MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> MakeBench:
    """Return what makes a bench for the text of `main.py`, and of further files by name."""

    def make(text: str, entry: str = "main.py", **files: str) -> Bench:
        code = {entry: text, **{name.replace("__", "/") + ".py": content for name, content in files.items()}}
        return Bench(tmp_path, code, runtime="python")

    return make
