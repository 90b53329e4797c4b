"""An installation of its own with a folder of manifests, and what its runs leave behind: effects, journals, processes."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reconciler.errors import DamagedError
from reconciler.journal import decode_lines
from tests.support.cli import Cli, Result, clean_environment
from tests.support.workers import NODE

T = TypeVar("T")
MARK = "TY_OPENWORKFLOW_WORKER"
_GATE = """\
import os, time

def pass_gate():
    print("waiting", flush=True)
    while not os.path.exists("{gate}"):
        time.sleep(0.005)

def workflow(input, ctx):
    ctx.step("gate", pass_gate)
    return "{version} " + str(input)
"""


class Site:
    """A home, a data folder and a project folder below `root`, and the command line over them."""

    def __init__(self, root: Path) -> None:
        """Make the home and the folder of manifests; the data folder is left to the program."""
        self.home, self.data, self.folder = root / "home", root / "data", root / "project"
        self.effects_file = root / "effects"
        self.home.mkdir()
        self.folder.mkdir()
        self.cli = Cli(self.home, self.data, cwd=self.folder)

    # What people write

    def write(self, path: str, content: str | bytes) -> Path:
        """Write a file of the project, whole or not at all, and return its path."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.new")
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
        return temporary.rename(target)

    def settings(self, text: str) -> Path:
        """Write the settings file."""
        path = self.home / ".config" / "ty-openworkflow" / "config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def pretend_python(self, does: str) -> str:
        """Write a program that says of itself that it is Python, and as a worker does something else; returns the settings that name it."""
        program = self.home / "python"
        program.write_text(f"""#!/bin/sh\n[ "$1" = -I ] && [ "$2" = -c ] && printf '["%s", "3.11.0"]' "$0" && exit\n{does}\n""")
        program.chmod(0o755)
        return f"adapters: {{exec: {{python: {program}}}}}\n"

    def workflow(self, name: str, file: str, code: str, **spec: Any) -> None:
        """Declare a workflow with its code in a file beside it; its steps find the file for effects in EFFECTS."""
        if file.endswith(".js"):
            need_node()
        self.write(file, code)
        env = {"EFFECTS": {"value": str(self.effects_file)}, **spec.pop("env", {})}
        self.declare("Workflow", name, {"code": {"file": file}, "env": env, **spec})

    def gated(self, version: str = "v1") -> None:
        """Declare the workflow `gated`, whose runs print a line and go on once the gate is open; another version is another revision."""
        self.workflow("gated", "gated.py", _GATE.format(gate=self.home / "gate", version=version))

    def open_gate(self) -> None:
        """Let the runs of `gated` go on."""
        (self.home / "gate").touch()

    def start(self, name: str, workflow: str, **spec: Any) -> None:
        """Declare a run in a file of its own."""
        self.declare("Run", name, {"workflow": workflow, **spec}, f"{name}.yaml")

    def declare(self, kind: str, name: str, spec: Mapping[str, Any], file: str = "") -> None:
        """Write one manifest; JSON is YAML."""
        document = {"apiVersion": "ty-openworkflow/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.write(file or f"{kind.lower()}-{name}.yaml", json.dumps(document, indent=1))

    # Commands

    def pass_(self, *args: str, expect: int | None = 0) -> Result:
        """Run one pass over the project and exit."""
        return self.cli.run("reconcile", "--once", *args, str(self.folder), expect=expect)

    def finish(self, *args: str, expect: int | None = 0) -> Result:
        """Run passes over the project until its runs have ended."""
        return self.pass_("--wait", *args, expect=expect)

    def plan(self, *args: str, expect: int = 0) -> dict[str, Any]:
        """Return the plan of the project, as `plan --json` shows it."""
        document: dict[str, Any] = self.cli.run("plan", "--json", *args, str(self.folder), expect=expect).json
        return document

    def status(self, run: str) -> dict[str, Any]:
        """Return a run as `status --json` shows it."""
        view: dict[str, Any] = self.cli.run("status", f"run/{run}", "--json").json
        return view

    def statuses(self) -> dict[str, str]:
        """Return the status of every run by its name."""
        return {run["id"]: run["status"] for run in self.cli.run("list", "runs", "-n", "1000", "--json").json}

    def spawn(self, *args: str, **more: Any) -> subprocess.Popen[str]:
        """Start a command and go on."""
        command = [*self.cli.command, "--data-dir", str(self.data), *args]
        environment = clean_environment(self.home, **self.cli.env)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
        return subprocess.Popen(command, cwd=self.folder, env=environment, text=True, **pipes)

    # What runs leave

    def effects(self) -> list[str]:
        """Return the lines that steps have appended."""
        return self.effects_file.read_text().splitlines() if self.effects_file.exists() else []

    def journals(self) -> dict[str, list[dict[str, Any]]]:
        """Return the whole lines of all journals, by the runs' names and incarnations, those that do not count too."""
        found = {}
        for path in sorted((self.data / "exec" / "runs").glob("*.journal.jsonl")):
            records = decode_lines(path.read_bytes())
            if records:
                first = records[0]
                found[first["run"] if first["incarnation"] == 1 else f"{first['run']}~{first['incarnation']}"] = records
        return found

    def journal(self, run: str) -> list[dict[str, Any]]:
        """Return the whole lines of one journal, none while there is no journal."""
        try:
            return self.journals().get(run, [])
        except DamagedError:
            return []

    def reached(self, run: str, of_type: str, /, **facts: Any) -> bool:
        """Say whether a journal has a record of this type, with these fields."""
        return any(record["type"] == of_type and facts.items() <= record.items() for record in self.journal(run))

    # Processes

    def processes(self, *, workers_only: bool = True) -> dict[int, str]:
        """Return the living processes of this home with their marks: workers and all that they have started."""
        home = f"HOME={self.home}".encode()
        found = {}
        for pid, entries in environments():
            mark = next((entry.partition(b"=")[2].decode() for entry in entries if entry.startswith(MARK.encode() + b"=")), "")
            if home in entries and (mark or not workers_only):
                found[pid] = mark
        return found

    def close(self) -> None:
        """End whatever this installation still has running, and wait for its end."""
        for _ in range(50):
            pids = self.processes(workers_only=False)
            if not pids:
                return
            for pid in pids:
                kill(pid)


def need_node() -> None:
    """Skip a test where there is no Node; CI has one."""
    if NODE is None and os.environ.get("CI") != "true":
        pytest.skip("node is not installed here")


def environments() -> Iterator[tuple[int, list[bytes]]]:
    """Return the processes that can be looked at, with their environments; zombies have none."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                entries = Path("/proc", name, "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            yield int(name), entries


def kill(pid: int) -> bool:
    """Kill a process and wait for its end; say whether it lived."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return bool(select.select([pidfd], [], [], 10)[0])
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)


def eventually(question: Callable[[], T], timeout: float = 20) -> T:
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + timeout
    while not (answer := question()):
        assert time.monotonic() < end, "it did not come true in time"
        select.select([], [], [], 0.005)
    return answer
