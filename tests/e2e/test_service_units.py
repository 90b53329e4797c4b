"""Units for service managers: what they start, and what happens to runs when a service manager ends it."""

import configparser
import os
import plistlib
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.units import systemd
from tests.support.cli import clean_environment
from tests.support.loop import living
from tests.support.site import Site, eventually, kill

SLEEPER = """\
def workflow(input, ctx):
    ctx.step("first", lambda: 1)
    ctx.sleep("wait", 2)
    return ctx.step("last", lambda: 2)
"""
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def started_by(unit: Path) -> list[str]:
    """Return the command of a unit, as systemd would read it."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    assert parser["Service"]["KillMode"] == "process"
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(parser["Service"]["ExecStart"])]


def test_both_units_start_the_loop_over_the_folder(site: Site) -> None:
    odd = site.home / "a folder, 100% $HOME"
    odd.mkdir()

    said = site.cli.run("init", "--service", str(odd)).stdout

    unit, agent = site.data / "service" / "ty-openworkflow.service", site.data / "service" / "ty-openworkflow.plist"
    command = started_by(unit)
    document = plistlib.loads(agent.read_bytes())
    assert f"systemctl --user enable --now {unit}" in said
    assert command == document["ProgramArguments"]
    assert command[-2:] == ["serve", str(odd)]
    assert document["AbandonProcessGroup"] is True
    if shutil.which("systemd-analyze"):
        subprocess.run(["systemd-analyze", "verify", str(unit)], check=True, capture_output=True)
    process = subprocess.Popen(command, env=clean_environment(site.home), stderr=subprocess.PIPE, text=True, cwd="/")
    try:
        assert process.stderr is not None
        assert str(odd) in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


def test_words_are_quoted_for_systemd() -> None:
    unit = systemd(['/a b/"c"\\d', "50%", "$X", "plain"], {"PATH": "/x y"})

    assert 'ExecStart="/a b/\\"c\\"\\\\d" "50%%" "$$X" plain' in unit
    assert 'Environment="PATH=/x y"' in unit


@pytest.fixture
def sleeper(site: Site) -> Site:
    site.workflow("sleeper", "sleeper.py", SLEEPER)
    site.start("asleep", "sleeper")
    return site


def test_a_restart_of_the_service_leaves_workers_alone(sleeper: Site) -> None:
    with living(sleeper, command="serve") as loop:
        eventually(lambda: sleeper.reached("asleep", "requested", kind="sleep"))
        worker = set(sleeper.processes())
        loop.end()  # what KillMode=process does: SIGTERM to the loop's process alone
    with living(sleeper, command="serve"):
        eventually(lambda: sleeper.status("asleep")["status"] == "completed")

    assert len(worker) == 1
    assert sleeper.status("asleep")["claims"] == 1


@pytest.fixture
def cgroup() -> Iterator[Path | None]:
    """Make a control group, where this machine lets us: elsewhere processes are found by what they carry in their environment."""
    for root in CGROUPS:
        folder = root / f"tyow-{os.getpid()}"
        if (root / "cgroup.procs").exists():
            try:
                folder.mkdir()
            except OSError:
                continue
            yield folder
            folder.rmdir()
            return
    yield None


def test_runs_go_on_after_a_whole_control_group_was_killed(sleeper: Site, cgroup: Path | None) -> None:
    with living(sleeper, command="serve") as loop:
        if cgroup is not None:
            (cgroup / "cgroup.procs").write_text(str(loop.process.pid))
            sleeper.start("inside", "sleeper")  # its worker is a child of the loop, and so in the group
        else:
            sleeper.start("inside", "sleeper")
        eventually(lambda: sleeper.reached("inside", "requested", kind="sleep"))
        members = [int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()] if cgroup else [loop.process.pid, *sleeper.processes()]
        assert len(members) >= 2
        while members:
            for pid in members:
                kill(pid)
            members = [int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()] if cgroup else []
        loop.process.wait()
    with living(sleeper, command="serve"):
        eventually(lambda: set(sleeper.statuses().values()) == {"completed"})

    assert sleeper.status("inside")["claims"] == 2
    assert sum(record["type"] == "completed" for record in sleeper.journal("inside")) == 3
