"""The command line itself: help, mistakes, and what a call costs."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, clean_environment
from tests.support.site import Site

ECHO = "def workflow(input, ctx):\n    return ctx.step('echo', lambda: input)\n"
COMMANDS = ("init", "doctor", "schema", "validate", "plan", "reconcile", "deploy", "start", "delete", "cancel", "list", "status", "logs", "wait")
HEAVY = {"docker", "httpx", "apscheduler", "watchdog", "jsonschema", "yaml", "typer", "rich", "starlette", "uvicorn"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An installation that all of these look at and none of these changes: two projects, in which one run has the same name."""
    site = Site(tmp_path_factory.mktemp("place"))
    for project in ("shop", "blog"):
        folder = site.folder / project
        site.write(f"{project}/ty-openworkflow.yaml", f"apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {{name: {project}}}\n")
        site.write(f"{project}/echo.py", ECHO)
        site.declare("Workflow", "echo", {"code": {"file": "echo.py"}, "input": {"schema": {"type": "object"}}}, f"{project}/echo.yaml")
        site.declare("Run", "same", {"workflow": "echo", "input": {}}, f"{project}/same.yaml")
        site.cli.run("reconcile", "--once", "--wait", str(folder))
    site.write("a-file", "text")
    site.write("empty.py", "")
    site.write("code.py", ECHO)
    site.write("binary.js", bytes(range(256)))
    site.write("bad.json", "{'a': 1}")
    site.write("latin.json", '"ü"'.encode("latin-1"))
    site.write("bad/run.yaml", "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: x}\nspec: {workflow: nowhere}\n")
    return site


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of(place: Site, command: str) -> None:
    done = place.cli.run(command, "--help")

    assert f"ty-openworkflow {command}" in done.stdout
    assert "--help" in done.stdout
    assert done.stderr == ""


def test_help_names_every_command_in_its_group(place: Site) -> None:
    shown = place.cli.run("--help").stdout

    assert [command for command in COMMANDS if not re.search(rf"^\W*{command}\s", shown, re.MULTILINE)] == []


def test_without_a_command_the_help_is_shown_and_the_exit_is_64(place: Site) -> None:
    done = subprocess.run(place.cli.command, env=clean_environment(place.home), cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert "Usage: ty-openworkflow" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 64


def test_version_is_one_line(place: Site) -> None:
    for words in (["--version"], ["--data-dir", "/nowhere", "--version"]):
        done = subprocess.run(
            [*place.cli.command, *words], env=clean_environment(place.home), cwd=CHECKOUT, capture_output=True, text=True, check=True
        )
        assert re.fullmatch(r"ty-openworkflow \d+\.\d+\.\d+\n", done.stdout)


# Mistakes


@dataclass(frozen=True)
class Mistake:
    """A call, what it ends with, and what its message must say."""

    words: tuple[str, ...]
    exit: int
    says: str
    input: str | None = None
    lines: int = 2


MISTAKES = [
    # words that are not known, with what is near
    Mistake(("plann",), 64, "plan"),
    Mistake(("reconcil", "--once"), 64, "reconcile"),
    Mistake(("plan", "--jsn"), 64, "--json"),
    Mistake(("plan", "a", "b"), 64, "plan --help"),
    Mistake(("start",), 64, "start --help"),
    Mistake(("--nope", "plan"), 64, "--nope"),
    Mistake(("--data-dir",), 64, "--data-dir"),
    Mistake(("list",), 64, "list --help"),
    Mistake(("list", "cats"), 64, "workflows, runs or schedules"),
    Mistake(("list", "runs", "-n", "many"), 64, "many"),
    Mistake(("list", "runs", "-n", "-3"), 64, "-3"),
    Mistake(("list", "runs", "-s", "done"), 64, "completed"),
    Mistake(("list", "runs", "-o", "nope"), 64, "-o nope: choose one of text, json"),
    Mistake(("status", "-o", "yaml"), 64, "-o yaml: choose one of text, json"),
    Mistake(("schema", "kitten"), 64, "kitten"),
    Mistake(("reconcile", "--until", "noon", "shop"), 64, "--until"),
    Mistake(("reconcile", "--once", "--wait", "--timeout", "5", "shop"), 64, "--timeout"),
    Mistake(("wait", "same", "--timeout", "soon"), 64, "--timeout"),
    # folders and files
    Mistake(("plan", "nowhere"), 64, "nowhere does not exist"),
    Mistake(("plan", "a-file"), 64, "a-file is not a folder"),
    Mistake(("validate", "nowhere"), 64, "nowhere does not exist"),
    Mistake(("reconcile", "--once", "shop", "nowhere"), 64, "nowhere does not exist"),
    Mistake(("--project", "other", "plan", "shop"), 64, "is project 'shop', not 'other'"),
    Mistake(("--config", "nowhere.yaml", "plan", "shop"), 3, "nowhere.yaml: there is no such settings file"),
    Mistake(("reconcile", "--once", "bad"), 3, "nowhere"),
    # deploy
    Mistake(("deploy", "x", "-f", "nowhere.js"), 64, "-f nowhere.js: No such file or directory"),
    Mistake(("deploy", "x", "-f", "."), 64, "-f .: Is a directory"),
    Mistake(("deploy", "x", "-f", "binary.js"), 64, "binary.js"),
    Mistake(("deploy", "x", "-f", "empty.py"), 64, "empty"),
    Mistake(("deploy", "x", "-f", "-"), 64, "-f -: there is no code, it is empty", input=""),
    Mistake(("deploy", "My_Workflow", "-f", "code.py"), 64, "My_Workflow"),
    Mistake(("deploy", "../x", "-f", "code.py"), 64, "../x"),
    Mistake(("deploy", "x", "-f", "code.py", "--runtime", "ruby"), 64, "choose node or python"),
    Mistake(("deploy", "x", "-f", "code.py", "-a", "moon"), 64, "moon"),
    Mistake(("deploy", "x", "-f", "code.py", "-a", "docker"), 3, "the adapter docker is disabled (add to the settings:)", lines=4),
    # start
    Mistake(("start", "nowhere"), 1, "there is no workflow 'nowhere' here"),
    Mistake(("start", "echo"), 1, "say which with --project and --env"),
    Mistake(("--project", "shop", "start", "echo", "-i", "{a: 1}"), 64, "not JSON"),
    Mistake(("--project", "shop", "start", "echo", "-i", "NaN"), 64, "NaN is not JSON"),
    Mistake(("--project", "shop", "start", "echo", "-i", "1", "--input-file", "bad.json"), 64, "not with both"),
    Mistake(("--project", "shop", "start", "echo", "--input-file", "nowhere.json"), 64, "--input-file nowhere.json: No such file or directory"),
    Mistake(("--project", "shop", "start", "echo", "--input-file", "bad.json"), 64, "not JSON"),
    Mistake(("--project", "shop", "start", "echo", "--input-file", "latin.json"), 64, "latin.json"),
    Mistake(("--project", "shop", "start", "echo", "--input-file", "-"), 64, "not JSON", input="{"),
    Mistake(("--project", "shop", "start", "echo", "-i", "{}", "--as", "No Name"), 64, "No Name"),
    Mistake(("--project", "shop", "start", "echo", "-i", "{}", "--as", "../../x"), 64, "../../x"),
    Mistake(("--project", "shop", "start", "echo", "-i", "5"), 3, "the input does not fit workflow 'echo': input: 5 is not of type 'object'"),
    # runs
    Mistake(("status", "nobody"), 1, "there is no run 'nobody' here"),
    Mistake(("logs", "run/nobody"), 1, "there is no run 'nobody' here"),
    Mistake(("wait", "nobody"), 1, "there is no run 'nobody' here"),
    Mistake(("cancel", "nobody"), 1, "there is no run 'nobody' here"),
    Mistake(("status", "workflow/nobody"), 1, "there is no workflow 'nobody' here"),
    Mistake(("status", "same"), 1, "run 'same' is in blog/default, shop/default: say which with --project and --env"),
    Mistake(("--project", "shop", "cancel", "same"), 1, "has ended already (completed)"),
    Mistake(("delete",), 64, "KIND/NAME, or --all"),
    Mistake(("delete", "same"), 64, "write workflow/NAME, schedule/NAME or run/NAME"),
    Mistake(("delete", "--all", "run/x"), 64, "KIND/NAME, or --all"),
    Mistake(("delete", "run/nobody"), 1, "there is no run 'nobody' here"),
    Mistake(("--project", "shop", "delete", "workflow/echo"), 1, "shop/echo.yaml:1: remove it there"),
    Mistake(("init", "a-file"), 64, "a-file"),
]


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: " ".join(mistake.words))
def test_a_mistake_is_told_in_a_line_or_two(place: Site, mistake: Mistake) -> None:
    before = files_below(place.data)

    done = place.cli.run(*mistake.words, input=mistake.input, expect=None)

    assert "Traceback" not in done.stderr, done.stderr
    assert mistake.says in done.stderr, done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) <= mistake.lines, done.stderr
    assert done.exit == mistake.exit
    assert files_below(place.data) - before == set()


def test_a_reader_that_goes_away_is_no_error_to_tell(place: Site) -> None:
    command = [*place.cli.command, "--data-dir", str(place.data), "schema"]

    done = subprocess.run(
        ["sh", "-c", '"$@" | head -c 1', "sh", *command],
        env=clean_environment(place.home),
        capture_output=True,
        text=True,
        check=False,
        cwd=place.folder,
    )

    assert done.stdout == "{"
    assert done.stderr == ""


# What a call costs


def loaded(site: Site, *words: str) -> set[str]:
    """Return the top-level modules that a call imports."""
    command = [sys.executable, "-X", "importtime", *site.cli.command[1:], *words]
    done = subprocess.run(command, env=clean_environment(site.home), cwd=site.folder, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("words", ["--version", "plan shop", "reconcile --once shop", "status", "status run/same", "list runs", "list workflows"])
def test_what_is_asked_often_imports_nothing_heavy(place: Site, words: str) -> None:
    options = [] if words == "--version" else ["--data-dir", str(place.data), "--project", "shop"]

    modules = loaded(place, *options, *words.split())

    assert "reconciler" in modules
    assert modules & HEAVY == set()


def test_help_imports_typer_so_that_the_test_above_can_fail(place: Site) -> None:
    assert "typer" in loaded(place, "plan", "--help")
