"""An installation that is broken in one way or another: `doctor` says how, and every other command says so in a line or two."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli import Cli, Result
from tests.support.site import Site, eventually

ECHO = """\
import os

def effect():
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"echo\\n")
    os.close(fd)

def workflow(input, ctx):
    ctx.step("echo", effect)
"""
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
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo")
    site.finish()
    site.start("two", "echo")
    return site


@pytest.fixture
def small(site: Site) -> Iterator[Site]:
    """An installation on a file system of its own, of one mebibyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file system that is full")
    site.data.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(site.data)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield site
    site.close()
    subprocess.run(["umount", str(site.data)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free on the file system of a folder; returns what fills it."""
    path = folder / "fill"
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return path


def failures(site: Site) -> dict[str, str]:
    """Return what `doctor` finds, by the name of what it looked at; every finding has its one line, and its advice."""
    done = site.cli.run("doctor", expect=None)
    checks = site.cli.run("doctor", "--json", expect=None).json["checks"]
    found = {check["check"]: f"{check['found']} {check['advice']}" for check in checks if not check["ok"]}
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split("  ")[1] for line in lines] == list(found), done.stdout
    assert "Traceback" not in done.stderr
    assert done.exit == (1 if found else 0)
    return found


def check_others(site: Site, *, broken: tuple[str, ...], says: str) -> None:
    """Check that `plan`, `status` and `reconcile` end with one clear error if they are among the `broken`, and work otherwise."""
    for command, words in (("plan", ["plan", str(site.folder)]), ("status", ["status"]), ("reconcile", ["reconcile", "--once", str(site.folder)])):
        done = site.cli.run(*words, expect=None)
        check_told(done, command, says) if command in broken else check_well(done, command)


def check_told(done: Result, command: str, says: str) -> None:
    assert done.exit not in (0, 2), f"{command} took no notice"
    assert says in done.stderr, f"{command}: {done.stderr}"
    assert len(done.stderr.strip().splitlines()) <= 2, f"{command}: {done.stderr}"


def check_well(done: Result, command: str) -> None:
    assert done.exit in (0, 1), f"{command}: {done.stderr}"
    assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"


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
    check_others(site, broken=("reconcile",), says="cannot be made")


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
        check_others(used, broken=("plan", "reconcile"), says=f"{used.folder}: the folder of manifests cannot be read: Permission denied")
    finally:
        for folder in (local, used.folder):
            folder.chmod(0o700)

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


# Room


def test_a_full_disk_starts_nothing_and_says_so(small: Site) -> None:
    small.workflow("echo", "echo.py", ECHO)
    small.start("one", "echo")
    filler = fill(small.data)

    found = failures(small)
    check_others(small, broken=("reconcile",), says="No space left on device")
    filler.unlink()
    small.finish()

    assert "0 MiB free" in found["disk"]
    assert "make room" in found["disk"]
    assert small.effects() == ["echo"]


def test_a_disk_that_fills_up_later_loses_nothing(small: Site) -> None:
    small.workflow("echo", "echo.py", ECHO)
    small.start("one", "echo")
    small.finish()
    small.start("two", "echo")
    filler = fill(small.data)

    done = small.pass_(expect=1)
    filler.unlink()
    small.finish()

    assert str(small.data / "state.db") in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert small.statuses() == {"one": "completed", "two": "completed"}
    assert small.effects() == ["echo", "echo"]


# The database


def overwrite_the_head(path: Path) -> None:
    path.write_bytes(b"nonsense" * 100 + path.read_bytes()[800:])


def overwrite_the_rest(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + bytes(value % 251 for value in range(path.stat().st_size - 4096)))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [overwrite_the_head, overwrite_the_rest, cut_in_half])
def test_a_damaged_database_is_named_and_once_it_is_moved_away_nothing_runs_again(used: Site, damage: Callable[[Path], None]) -> None:
    database = used.data / "state.db"
    damage(database)

    found = failures(used)
    check_others(used, broken=("plan", "status", "reconcile"), says=f"{database} is damaged")
    for path in used.data.glob("state.db*"):
        path.rename(used.home / path.name)
    used.finish()

    assert str(database) in found["database"]
    assert f"{database.name}* away" in found["database"]
    assert failures(used) == {}
    assert used.effects() == ["echo", "echo"]
    assert used.status("one")["claims"] == 1


def test_a_database_of_a_newer_program_is_left_alone(used: Site) -> None:
    database = used.data / "state.db"
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = database.read_bytes()

    found = failures(used)
    check_others(used, broken=("plan", "status", "reconcile"), says="written by a newer ty-openworkflow")

    assert "has schema 99" in found["database"]
    assert database.read_bytes() == before


# The lock


def test_the_lock_of_a_holder_that_was_killed_is_free(used: Site) -> None:
    waiting = used.home / "waiting"
    used.settings(f"secrets: {{slow: {{cmd: 'touch {waiting}; exec sleep 9'}}}}\n")
    used.workflow("slow", "slow.py", ECHO, env={"SLOW": {"secret": "slow"}})
    used.start("three", "slow")
    holder = used.spawn("reconcile", "--once", str(used.folder))
    eventually(waiting.exists)
    during = used.cli.run("doctor").stdout
    holder.kill()
    holder.communicate()

    assert f"held by process {holder.pid} reconcile --once" in during
    assert f"free (last held by process {holder.pid} reconcile --once, which is gone" in used.cli.run("doctor").stdout
    assert failures(used) == {}
    used.settings("secrets: {slow: {cmd: echo x}}\n")
    used.finish()
    assert used.status("three")["status"] == "completed"


def test_a_lock_that_outlives_its_holder_is_a_finding_and_looking_goes_on(used: Site) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with open(used.data / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{gone.pid} reconcile --once\n")
        lock.flush()

        found = failures(used)

        assert used.statuses() == {"one": "completed"}
        assert used.cli.run("plan", str(used.folder), "--json").json["summary"]["changes"] == 1
    assert f"held by process {gone.pid}" in found["lock"]
    assert "something inherited the lock" in found["lock"]


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
