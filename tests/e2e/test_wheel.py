"""The wheel, as a stranger gets it: built, installed with the pins, and used from somewhere else. Needs the registry."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, Cli, clean_environment

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder outside of the checkout, with an empty home in it."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "home").mkdir()
    return folder


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    """Build the wheel from the files that git would commit."""
    listed = call(place, "git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    source = place / "source"
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, source / name)
    call(place, sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place / "dist"), str(source))
    return next((place / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(place: Path, wheel: Path) -> Cli:
    """Install the wheel into an empty virtual environment, from the pins."""
    python = place / "venv" / "bin" / "python"
    call(place, sys.executable, "-m", "venv", str(place / "venv"))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    call(place, *pip, "--require-hashes", "-r", str(CHECKOUT / "requirements" / "run.txt"))
    call(place, *pip, "--no-deps", str(wheel))
    call(place, *pip[:3], "check")
    return Cli(place / "home", place / "data", command=(str(place / "venv" / "bin" / "ty-openworkflow"),), cwd=place / "home")


def test_the_wheel_holds_one_package_with_workers_and_schemas(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ty_openworkflow"}
    for needed in ("__init__.py", "__main__.py", "reconciler/cli/__init__.py", "adapters/exec.py", "schemas/workflow.schema.json"):
        assert f"ty_openworkflow/{needed}" in names
    assert any(name.startswith("ty_openworkflow/runtimes/javascript/") for name in names)
    assert any(name.startswith("ty_openworkflow/runtimes/python/") for name in names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_an_installed_wheel_says_its_version_and_explains_itself(installed: Cli, place: Path) -> None:
    program = installed.command[0]
    python = str(Path(program).with_name("python"))

    assert call(place, program, "--version") == call(place, python, "-m", "ty_openworkflow", "--version") == "ty-openworkflow 0.1.0\n"
    assert "reconcile" in call(place, program, "--help")


def test_an_installed_wheel_carries_out_an_example(installed: Cli, place: Path) -> None:
    shutil.copytree(CHECKOUT / "examples" / "workflows" / "report", place / "home" / "report")

    installed.run("reconcile", "--once", "--wait", "report")

    run = installed.run("status", "run/report-2025", "--json").json
    assert run["status"] == "completed"
    assert run["output"]["months"]["2025-01"] == "2775.70"


def call(place: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=place, env=clean_environment(place / "home"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
