"""A plan shows what a pass would do, does nothing itself, and is empty when everything is as declared."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import clean_environment
from tests.support.site import Site, eventually

ECHO = "def workflow(input, ctx):\n    return ctx.step('echo', lambda: input)\n"
WAIT = "def workflow(input, ctx):\n    ctx.step('wait', lambda step: step.signal.wait(60))\n"
NAP = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"


def listing(*folders: Path) -> dict[str, tuple[Any, ...]]:
    """Return everything that a write could change: names, inodes, modes, times and contents."""
    found = {}
    for folder in folders:
        for path in sorted([folder, *folder.rglob("*")]) if folder.exists() else ():
            facts = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
            found[str(path)] = (facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, content)
    return found


def declared(site: Site) -> None:
    """Declare a workflow of each kind, with runs of two of them."""
    site.workflow("echo", "echo.py", ECHO)
    site.workflow("wait", "wait.py", WAIT, cancel={"grace": "100ms", "cleanup": "100ms"})
    site.workflow("nap", "nap.py", NAP)
    site.start("echoes", "echo", input=1)
    site.start("naps", "nap")


def without_state(site: Site) -> None:
    pass


def with_state(site: Site) -> None:
    site.finish("--timeout", "300ms", expect=None)
    eventually(lambda: not site.processes())
    site.write("echo.py", ECHO + "\n")
    site.start("more", "echo", input=2)


def with_active_runs(site: Site) -> None:
    site.start("waits", "wait")
    site.pass_()
    eventually(lambda: site.reached("waits", "requested") and site.reached("naps", "parked"))
    eventually(lambda: len(site.processes()) == 1)
    (site.folder / "naps.yaml").unlink()


def with_a_worker_that_died_before_it_claimed_its_run(site: Site) -> None:
    """As a worker looks that was killed right after its start: a folder without a living process, an order without a claim."""
    site.settings(site.pretend_python("exec sleep 600"))
    site.pass_()
    eventually(lambda: len(site.processes()) == 2)
    site.close()


@pytest.mark.parametrize("state", [without_state, with_state, with_active_runs, with_a_worker_that_died_before_it_claimed_its_run])
def test_a_plan_writes_nothing_at_all(site: Site, state: Any) -> None:
    declared(site)
    state(site)
    before = listing(site.data, site.folder, site.home)

    shown = [site.cli.run("plan", str(site.folder)).stdout, site.cli.run("plan", "--json", str(site.folder)).stdout]
    site.cli.run("status")
    site.cli.run("list", "runs")
    site.cli.run("list", "workflows")
    site.cli.run("validate", str(site.folder))

    assert listing(site.data, site.folder, site.home) == before
    assert "echoes" in shown[0] or state is not without_state


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_plan_opens_nothing_for_writing(site: Site) -> None:
    declared(site)
    site.pass_()
    eventually(lambda: site.reached("naps", "parked"))
    trace = site.home / "trace"

    command = ["strace", "-f", "-qq", "-e", "trace=%file,openat,ftruncate,fchmod", "-o", str(trace), *site.cli.command, "--data-dir", str(site.data)]
    done = subprocess.run(
        [*command, "plan", str(site.folder)], env=clean_environment(site.home), cwd=site.folder, capture_output=True, text=True, check=False
    )
    if "ptrace" in done.stderr.lower() and done.returncode:
        pytest.skip("tracing is not permitted here")

    calls = trace.read_text().splitlines()
    changing = re.compile(
        r"\b(mkdir|mkdirat|mknod|mknodat|unlink|unlinkat|rename|renameat2?|rmdir|link|linkat|symlink|symlinkat|chmod|fchmodat?|chown|fchownat|truncate|ftruncate|utimensat)\(|O_CREAT|O_WRONLY|O_RDWR"
    )
    asking = re.compile(r'/workers/[^/"]+/lock", O_RDWR\|O_CLOEXEC\)')  # whether a worker lives is asked of its lock
    ours = [call for call in calls if changing.search(call) and " = -1 " not in call and "/dev/" not in call]
    assert done.returncode == 0, done.stderr
    assert any("echo.py" in call for call in calls)
    assert [call for call in ours if not asking.search(call)] == []


def test_I10_a_plan_that_was_carried_out_leaves_exactly_nothing_and_the_next_pass_writes_no_byte(site: Site) -> None:
    declared(site)
    promised = site.plan()
    site.finish("--timeout", "300ms", expect=5)
    eventually(lambda: not site.processes())
    site.pass_()
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in site.data.glob("state.db*")}

    again = site.pass_()

    assert sorted((change["kind"], change["name"], change["action"]) for change in promised["changes"]) == [
        ("run", "echoes", "start"), ("run", "naps", "start"), ("workflow", "echo", "deploy"), ("workflow", "nap", "deploy"), ("workflow", "wait", "deploy"),
    ]  # fmt: skip
    left = site.plan("--detailed-exitcode")
    assert (left["changes"], left["rejected"], left["held"], left["drift"]) == ([], [], [], [])
    assert "No changes, 5 unchanged" in again.stdout
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in site.data.glob("state.db*")} == before


def test_a_plan_as_json_has_the_keys_that_programs_rely_on(site: Site) -> None:
    declared(site)
    git = ["git", "-C", str(site.folder), "-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)

    document = site.plan()
    site.write("echo.py", ECHO + "#\n")
    dirty = site.plan()

    assert {"format_version", "digest", "source", "changes", "rejected", "drift", "summary"} <= document.keys()
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    source = document["source"]
    assert {**source, "folder": os.path.abspath(site.folder / source["folder"])} == {
        "folder": str(site.folder), "project": "default", "environment": "default", "branch": "main", "commit": head, "dirty": False,
    }  # fmt: skip
    for change in document["changes"]:
        assert change.keys() == {"kind", "name", "action", "reason", "before", "after", "source"}
        assert (site.folder / change["source"]["file"]).exists()
        assert change["source"]["line"] >= 1
    assert dirty["source"]["dirty"] is True
    assert dirty["digest"] != document["digest"]
    assert site.plan()["digest"] == dirty["digest"]


def test_of_a_repository_with_much_else_in_it_exactly_the_manifests_are_planned(site: Site) -> None:
    site.write(".github/workflows/ci.yaml", "name: CI\non: [push]\njobs: {test: {runs-on: ubuntu-latest, steps: [{run: make test}]}}\n")
    site.write("compose.yaml", "services:\n  web:\n    image: nginx\n    ports: ['80:80']\n")
    site.write("deploy/cluster.yml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\napiVersion: v1\nkind: Service\n")
    site.write(
        "pnpm-lock.yaml",
        "lockfileVersion: '9.0'\npackages:\n"
        + "".join(f"  /package-{n}@1.0.0:\n    resolution: {{integrity: sha512-{n:064}}}\n" for n in range(50_000)),
    )
    site.write("broken.yaml", "a: [1, 2\nb: }\n")
    site.write("templated.yaml", "{{- if .Values.enabled }}\nkind: Run\n{{- end }}\n")
    site.write("etl/main.py", ECHO)
    site.write("etl/config.yaml", "retries: 3\nkind: Run\n")
    site.write(
        "etl/node_modules/x/manifest.yaml", json.dumps({"apiVersion": "ty-openworkflow/v1", "kind": "Run", "metadata": {"name": "stray"}, "spec": {}})
    )
    site.write("docs/notes.txt", "apiVersion: ty-openworkflow/v1\n")
    site.declare("Workflow", "etl", {"code": {"dir": "./etl", "entry": "main.py"}})
    site.start("first", "etl", input=1)
    site.start("second", "etl", input=2)

    document = site.plan()

    assert (site.folder / "pnpm-lock.yaml").stat().st_size > 5_000_000
    assert sorted((change["kind"], change["name"]) for change in document["changes"]) == [("run", "first"), ("run", "second"), ("workflow", "etl")]
    assert site.cli.run("validate", str(site.folder)).stdout.startswith("3 objects, 0 errors")


def test_moving_and_renaming_every_file_changes_nothing(site: Site) -> None:
    declared(site)
    site.pass_("--until", "parked")
    before = site.journals()

    for number, path in enumerate(sorted(path for path in site.folder.iterdir() if path.suffix == ".yaml")):
        document = json.loads(path.read_text())
        if "code" in document["spec"]:
            document["spec"]["code"]["file"] = f"../../{document['spec']['code']['file']}"
        target = site.write(f"moved/to-{number}/other-{number}.yml", json.dumps(document))
        path.unlink()
        assert target.exists()

    left = site.plan("--detailed-exitcode")
    assert (left["changes"], left["rejected"], left["held"]) == ([], [], [])
    assert "No changes, 5 unchanged" in site.pass_().stdout
    assert site.journals() == before


def test_a_whole_project_that_was_moved_to_another_place_stays_the_same_project(site: Site) -> None:
    declared(site)
    site.finish("--timeout", "300ms", expect=None)
    site.folder = site.folder.rename(site.folder.with_name("elsewhere"))

    site.cli = type(site.cli)(site.home, site.data, cwd=site.folder)
    site.finish("--timeout", "300ms", expect=None)
    left = site.plan("--detailed-exitcode")

    assert left["changes"] == []
    assert site.status("echoes")["claims"] == 1
    assert site.status("naps")["status"] == "sleeping"
