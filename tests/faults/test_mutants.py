"""Promises are broken on purpose, in a copy of the tree, and the test that guards each of them must notice."""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.counts import note
from tests.support import strace
from tests.support.workers import NODE, ROOT

FULL = os.environ.get("TYOW_FULL") == "1"
TREE = ("adapters", "reconciler", "runtimes", "schemas", "tests", "pyproject.toml")
# So that what is sampled at random is the same in both runs of a test.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("TYOW_FULL", "TYOW_SEED")} | {"TYOW_SEED": "1"}
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Mutant:
    """One change of the product that must not pass."""

    name: str
    changes: list[dict[str, str]]
    test: str
    always: bool = False

    def apply(self, folder: Path) -> None:
        """Change a copy of the tree. Raises AssertionError where the text is not there, or more than once."""
        for change in self.changes:
            path = folder / change["file"]
            text = path.read_text()
            count = text.count(change["text"])
            assert count == 1, f"{self.name}: {change['file']} holds {count} times, where once is expected: {change['text']!r}; write the mutant anew"
            path.write_text(text.replace(change["text"], change["instead"]))

    def command(self) -> list[str]:
        """Return what runs its test."""
        if self.test.endswith(".mjs"):
            assert NODE is not None
            return [NODE, "--test", self.test]
        return ["venv/bin/python", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", self.test]

    def run(self, folder: Path) -> tuple[bool, str]:
        """Say whether its test passes in a copy of the tree, and what it printed."""
        done = subprocess.run(self.command(), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode in (0, 1), f"{self.test} could not be run:\n{done.stdout}{done.stderr}"
        return done.returncode == 0, done.stdout + done.stderr


def mutants() -> list[Any]:
    listed: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/faults/mutants.yaml").read_text())
    made = [Mutant(**entry) for entry in listed]
    return [pytest.param(one, marks=[] if one.always else [pytest.mark.slow], id=one.name.replace(" ", "-")) for one in made]


@pytest.fixture(scope="module")
def unchanged() -> dict[str, bool]:
    """Which tests are known to pass in a copy that is not changed."""
    return {}


def copy_tree(folder: Path) -> Path:
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    _environment(folder / "venv", folder)
    return folder


def _environment(venv: Path, tree: Path) -> None:
    """Make an interpreter that finds what is installed here, but the product in `tree`, wherever it is started."""
    executable = Path(sys.executable).resolve()
    packages = venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "tree.pth").write_text(f"{tree}\n{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    (venv / "bin").mkdir()
    for name in ("python", "python3"):
        (venv / "bin" / name).symlink_to(executable)
    (venv / "pyvenv.cfg").write_text(f"home = {executable.parent}\ninclude-system-site-packages = false\n")


@pytest.mark.parametrize("mutant", mutants())
def test_a_promise_that_is_broken_is_noticed(tmp_path: Path, mutant: Mutant, unchanged: dict[str, bool]) -> None:
    strace.strace()
    changed = copy_tree(tmp_path / "changed")
    mutant.apply(changed)

    if mutant.test not in unchanged:
        passes, said = mutant.run(copy_tree(tmp_path / "unchanged"))
        unchanged[mutant.test] = passes
        assert passes, f"{mutant.test} fails without the mutant:\n{said}"
    assert unchanged[mutant.test], mutant.test
    passes, said = mutant.run(changed)

    assert not passes, f"{mutant.name}: {mutant.test} did not notice:\n{said}"
    note("mutants noticed", 1)


def test_every_mutant_has_a_name_of_its_own_and_its_text_is_in_the_tree(tmp_path: Path) -> None:
    made = [parameter.values[0] for parameter in mutants()]
    for mutant in made:
        for change in mutant.changes:
            assert (ROOT / change["file"]).read_text().count(change["text"]) == 1, f"{mutant.name}: write it anew"
    assert len({mutant.name for mutant in made}) == len(made) >= 13
