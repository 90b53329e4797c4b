"""An installation that is broken in one way or another: `doctor` says how, and every other command says so in a line or two."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broken import ECHO, check_others, check_told, failures, use
from tests.support.cli import Cli
from tests.support.site import Site

# Root is not bound by permissions, unless it gives up the two capabilities that say so.
BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def bind(site: Site, cwd: Path) -> None:
    """Let the commands of an installation be bound by permissions, also where the tests are run by root."""
    shut = site.home / "shut"
    shut.touch(0)
    try:
        probe = subprocess.run([*BOUND, "cat", str(shut)], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("root is not bound by permissions, and there is no setpriv here")
    if "denied" not in probe.stderr:
        pytest.skip("permissions do not bind here")
    site.cli = Cli(site.home, site.data, (*BOUND, sys.executable, "-m", "reconciler"), cwd)


@pytest.fixture
def used(site: Site) -> Site:
    """An installation that has carried out a run, and has a second one declared."""
    use(site)
    return site


def test_a_healthy_installation_has_nothing_to_complain_about(used: Site) -> None:
    assert failures(used) == {}


# Interpreters


def test_without_interpreters_on_path_both_are_missing(used: Site) -> None:
    (used.home / "empty").mkdir()
    used.cli = Cli(used.home, used.data, cwd=used.folder, env={"PATH": str(used.home / "empty")})

    found = failures(used)

    assert found.keys() == {"node", "python"}
    assert "is not installed here: install node 20.15" in found["node"]
    assert "adapters.exec.python of the settings" in found["python"]
    done = used.cli.run("reconcile", "--once", str(used.folder), expect=1)
    assert "runtime-missing" in done.stdout
    assert "Traceback" not in done.stderr


def test_settings_that_name_an_interpreter_that_is_not_there(used: Site) -> None:
    used.settings("adapters: {exec: {node: /nowhere/node, python: no-such-python}}\n")

    found = failures(used)

    assert "/nowhere/node" in found["node"]
    assert "no-such-python" in found["python"]


def test_settings_that_name_a_program_that_is_no_interpreter(used: Site) -> None:
    used.settings("adapters: {exec: {node: /bin/true}}\n")

    assert "/bin/true does not answer as node does" in failures(used)["node"]


# Permissions and folders


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o770])
def test_a_data_dir_that_others_can_get_into(used: Site, mode: int) -> None:
    used.data.chmod(mode)

    found = failures(used)

    assert f"has mode {mode:04o}" in found["data_dir"]
    assert f"chmod 700 {used.data}" in found["data_dir"]
    check_others(used, broken=(), says="")


def test_a_database_that_others_can_read(used: Site) -> None:
    (used.data / "state.db").chmod(0o644)

    assert f"chmod 600 {used.data / 'state.db'}" in failures(used)["data_dir"]


def test_a_data_dir_that_is_a_file(site: Site) -> None:
    site.data.write_text("not a folder")
    site.workflow("echo", "echo.py", ECHO)

    assert "is no folder" in failures(site)["data_dir"]
    check_others(site, broken=("plan", "status", "reconcile"), says="is not a folder")


CLOSED: dict[str, tuple[Callable[[Site], Path], int, str, tuple[str, ...]]] = {
    "data_dir": (lambda site: site.data, 0o500, "data_dir", ("reconcile",)),
    "data_dir altogether": (lambda site: site.data, 0, "database", ("plan", "status", "reconcile")),
    "database": (lambda site: site.data / "state.db", 0, "database", ("plan", "status", "reconcile")),
    "lock": (lambda site: site.data / "lock", 0, "lock", ("reconcile",)),
    "runs": (lambda site: site.data / "exec" / "runs", 0, "run folders", ("reconcile",)),
}


@pytest.mark.parametrize("what", CLOSED)
def test_what_cannot_be_opened(used: Site, what: str) -> None:
    path, mode, check, broken = CLOSED[what]
    bind(used, used.folder)
    place, before = path(used), path(used).stat().st_mode
    place.chmod(mode)

    try:
        found = failures(used)
        check_others(used, broken=broken, says=str(used.data) if what != "runs" else "Permission denied")
    finally:
        place.chmod(before)

    assert str(place) in found[check]


def test_a_local_folder_and_a_folder_of_manifests_that_cannot_be_read(used: Site) -> None:
    bind(used, used.home)
    local = used.data / "manifests"
    local.mkdir()
    for folder in (local, used.folder):
        folder.chmod(0)

    try:
        found = failures(used)
        says = f"{used.folder}: the folder of manifests cannot be read: Permission denied"
        check_told(used.cli.run("plan", str(used.folder), expect=None), "plan", says)
        held = used.pass_(expect=6)
    finally:
        for folder in (local, used.folder):
            folder.chmod(0o700)

    assert f"folder-unreadable  nothing is carried out: {says}" in held.stdout
    assert f"{local} cannot be read" in found["local folder"]
    assert f"chmod u+rx {local}" in found["local folder"]


def test_I13_a_journal_that_cannot_be_read_holds_its_own_run_and_no_other(site: Site) -> None:
    bind(site, site.folder)
    site.workflow("nap", "nap.py", 'def workflow(input, ctx):\n    ctx.sleep("nap", "30d")\n')
    site.start("shut", "nap")
    site.pass_("--until", "parked")
    journal = next((site.data / "exec" / "runs").glob("*.journal.jsonl"))
    site.workflow("echo", "echo.py", ECHO)
    site.start("other", "echo")
    journal.chmod(0)

    done = site.pass_(expect=None)
    site.cli.run("wait", "other")
    shut = site.status("shut")
    journal.chmod(0o600)

    assert "Traceback" not in done.stderr
    assert (shut["reason"], shut["status"]) == ("unknown", "sleeping")
    assert f"{journal} cannot be read: Permission denied" in shut["metadata"]["message"]
    assert site.effects() == ["echo"]


# Settings


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("data_dir: ~/x\npoll_intervall: 5s\n", ":2:1: "),
        ("adapters:\n  exec: {runs_per_worker: many}\n", ":2:27: "),
        ("poll_interval: 5\n", ":1:16: "),
        ("park_after: 2m\n  oops: [\n", ":2:"),
    ],
    ids=["unknown key", "wrong type", "number for a duration", "no YAML"],
)
def test_wrong_settings_are_told_with_file_line_and_column(used: Site, text: str, where: str) -> None:
    settings = used.settings(text)

    found = failures(used)

    assert found.keys() == {"settings"}
    assert f"{settings}{where}" in found["settings"]
    check_others(used, broken=("plan", "status", "reconcile"), says=f"{settings}{where}")
    assert used.cli.run("status", expect=3)


def test_a_settings_file_that_was_named_and_is_not_there(used: Site) -> None:
    used.cli = Cli(used.home, used.data, cwd=used.folder, env={"TY_OPENWORKFLOW_CONFIG": "/nowhere/settings.yaml"})

    assert "/nowhere/settings.yaml: there is no such settings file" in failures(used)["settings"]
    check_others(used, broken=("plan", "status", "reconcile"), says="there is no such settings file")
