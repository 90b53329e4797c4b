"""The first minutes of a stranger: a fresh clone, an empty home, `make run`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what git would commit, with an empty home beside it."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "home").mkdir()
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True
    ).stdout
    checkout = folder / "ty-openworkflow"
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, checkout / name)
    return checkout


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with links to all programs on PATH but Node's."""
    folder = tmp_path_factory.mktemp("programs")
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            if not program.name.startswith(("node", "npm", "npx")) and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return folder


def make(clone: Path, *targets: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(clone.parent / "home", PYTHON=sys.executable) | env
    return subprocess.run(
        ["make", *targets], cwd=clone, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )


def test_make_run_without_node_carries_out_the_python_examples_and_names_the_others(clone: Path, without_node: Path) -> None:
    done = make(clone, "run", PATH=str(without_node))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Left out: coupons fan-out greet openworkflow." in done.stdout
    assert "run/report-2025" in done.stdout
    assert "run/greet-world" not in done.stdout


def test_make_run_carries_out_all_examples_also_after_one_without_node(clone: Path) -> None:
    done = make(clone, "run")

    assert done.returncode == 0, done.stdout + done.stderr
    for run in ("greet-world", "report-2025", "fan-out-teapot", "disk-usage-root", "coupons-spring"):
        assert f"run/{run}" in done.stdout
    assert "What to type next" in done.stdout


def test_make_run_a_second_time_does_nothing_until_clean_run(clone: Path) -> None:
    again = make(clone, "run")
    fresh = make(clone, "clean-run", "run")

    assert again.returncode == 0, again.stdout + again.stderr
    assert "No changes" in again.stdout
    assert fresh.returncode == 0, fresh.stdout + fresh.stderr
    assert "No changes" not in fresh.stdout


def test_a_checkout_that_was_moved_mends_its_virtual_environment(clone: Path) -> None:
    moved = clone.rename(clone.parent / "moved")

    done = make(moved, "run")

    assert done.returncode == 0, done.stdout + done.stderr
    assert subprocess.run([moved / ".venv" / "bin" / "ty-openworkflow", "--version"], capture_output=True, check=False).returncode == 0
