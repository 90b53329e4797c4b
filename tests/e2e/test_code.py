"""Workflow code in all its forms, and the world that it finds itself in."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.site import MARK, Site, eventually, need_node

JAVASCRIPT: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a plain function": ({"file": "plain.js"}, {"plain.js": 'async function workflow(input, { step }) {\n  return await step("a", () => "ok");\n}\n'}),
    "an arrow function": ({"file": "arrow.js"}, {"arrow.js": 'const workflow = async (input, { step }) => step("a", () => "ok");\n'}),
    "module.exports": ({"file": "common.js"}, {"common.js": 'const os = require("node:os");\nmodule.exports = async () => os.EOL && "ok";\n'}),
    "exports.workflow": ({"file": "named.cjs"}, {"named.cjs": 'exports.workflow = async (input, { step }) => step("a", () => "ok");\n'}),
    "export default": ({"file": "module.js"}, {"module.js": 'import os from "node:os";\nexport default async function () {\n  return os.EOL && "ok";\n}\n'}),
    "export function workflow": ({"file": "module.mjs"}, {"module.mjs": 'export async function workflow() {\n  return "ok";\n}\n'}),
    "a function in a module": ({"file": "local.mjs"}, {"local.mjs": 'import os from "node:os";\nasync function workflow() {\n  return os.EOL && "ok";\n}\n'}),
    "await at the top": ({"file": "top.mjs"}, {"top.mjs": 'const word = await Promise.resolve("ok");\nexport default async () => word;\n'}),
    "require of a neighbour": (
        {"dir": "required", "entry": "main.js"},
        {"required/main.js": 'const { word } = require("./lib/word");\nasync function workflow() {\n  return word();\n}\n', "required/lib/word.js": 'exports.word = () => "ok";\n'},
    ),
    "import of a neighbour": (
        {"dir": "./imported"},
        {"imported/index.js": 'import { word } from "./word.js";\nexport default async () => word;\n', "imported/word.js": 'export const word = "ok";\n', "imported/package.json": '{"type": "module"}'},
    ),
    "inline": ({"inline": 'async function workflow() {\n  return "ok";\n}\n'}, {}),
}  # fmt: skip
PYTHON: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a plain function": ({"file": "plain.py"}, {"plain.py": 'def workflow(input, ctx):\n    return ctx.step("a", lambda: "ok")\n'}),
    "async def": (
        {"file": "coroutine.py"},
        {"coroutine.py": 'import asyncio\n\nasync def word():\n    await asyncio.sleep(0)\n    return "ok"\n\nasync def workflow(input, ctx):\n    return await ctx.step("a", word)\n'},
    ),
    "import of a neighbour": (
        {"dir": "etl", "entry": "main.py"},
        {"etl/main.py": "from parts.word import word\n\ndef workflow(input, ctx):\n    return word()\n", "etl/parts/__init__.py": "", "etl/parts/word.py": 'def word():\n    return open("word.txt").read()\n', "etl/word.txt": "ok"},
    ),
    "inline": ({"inline": 'def workflow(input, ctx):\n    return "ok"\n'}, {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def every_form(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Carry out one workflow for each form of code."""
    need_node()
    site = Site(tmp_path_factory.mktemp("forms"))
    for runtime, forms in (("node", JAVASCRIPT), ("python", PYTHON)):
        for form, (code, files) in forms.items():
            folder = f"{runtime}/{slug(form)}"
            for path, text in files.items():
                site.write(f"{folder}/{path}", text)
            name = f"{runtime}-{slug(form)}"
            site.declare("Workflow", name, {"code": code, "runtime": runtime}, f"{folder}/workflow.yaml")
            site.start(name, name)
    site.finish(expect=None)
    yield site.cli
    site.close()


def slug(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower())


@pytest.mark.parametrize("form", JAVASCRIPT)
def test_javascript_runs_as(every_form: Cli, form: str) -> None:
    view = every_form.run("status", f"run/node-{slug(form)}", "--json").json

    assert (view["status"], view["output"], view["error"]) == ("completed", "ok", None)


@pytest.mark.parametrize("form", PYTHON)
def test_python_runs_as(every_form: Cli, form: str) -> None:
    view = every_form.run("status", f"run/python-{slug(form)}", "--json").json

    assert (view["status"], view["output"], view["error"]) == ("completed", "ok", None)


# Environment and secrets

ENVIRONMENT = {
    "python": ("env.py", "import os\ndef workflow(input, ctx):\n    return dict(os.environ)\n"),
    "node": ("env.js", "async function workflow() {\n  return { ...process.env };\n}\n"),
}
ALLOWED = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"}


@pytest.mark.parametrize("language", ENVIRONMENT)
def test_a_worker_has_the_allowed_variables_and_its_own_and_no_others(site: Site, language: str) -> None:
    cli = Cli(
        site.home, site.data, cwd=site.folder, env={"AWS_SECRET": "x", "PYTHONPATH": "/nowhere", "NODE_OPTIONS": "--trace-warnings", "TZ": "UTC"}
    )
    site.workflow("env", *ENVIRONMENT[language], env={"OWN": {"value": "5"}, "COLOUR": {"value": "a b"}})
    site.start("shows", "env")

    cli.run("reconcile", "--once", "--wait", str(site.folder))

    found = site.status("shows")["output"]
    assert {name for name in found if not name.startswith("LC_")} - ALLOWED == {"OWN", "COLOUR", "EFFECTS", MARK}
    assert (found["OWN"], found["COLOUR"], found["TZ"], found["HOME"]) == ("5", "a b", "UTC", str(site.home))


HASHES = """\
import hashlib, os
def workflow(input, ctx):
    return {name: hashlib.sha256(os.environ[name].encode()).hexdigest() for name in input}
"""


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_I20_secrets_come_from_variable_file_and_command_and_are_written_nowhere(site: Site) -> None:
    values = {"FROM_ENV": "hunter2-env", "FROM_FILE": "hunter2-file", "FROM_CMD": "hunter2-cmd"}
    (site.home / "token").write_text(values["FROM_FILE"] + "\n")
    (site.home / "half").write_text("hunter2")
    site.settings(f"secrets: {{a: {{env: GREET_TOKEN}}, b: {{file: {site.home}/token}}, c: {{cmd: 'printf %s-cmd \"$(cat {site.home}/half)\"'}}}}\n")
    cli = Cli(site.home, site.data, cwd=site.folder, env={"GREET_TOKEN": values["FROM_ENV"]})
    site.workflow("hash", "hash.py", HASHES, env={"FROM_ENV": {"secret": "a"}, "FROM_FILE": {"secret": "b"}, "FROM_CMD": {"secret": "c"}})
    site.start("hashes", "hash", input=list(values))

    done = cli.run("reconcile", "--once", "--wait", str(site.folder))

    assert site.status("hashes")["output"] == {name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}
    shown = done.stdout + done.stderr + site.cli.run("plan", str(site.folder), "--json").stdout
    assert "hunter2" not in shown
    assert b"hunter2" not in everything_below(site.data)


def test_I13_a_missing_secret_holds_its_run_until_it_is_there_and_the_others_go_on(site: Site) -> None:
    site.workflow("hash", "hash.py", HASHES, env={"TOKEN": {"secret": "not-there"}})
    site.workflow("echo", "echo.py", "def workflow(input, ctx):\n    return input\n")
    site.start("held", "hash", input=["TOKEN"])
    site.start("other", "echo", input=1)

    done = site.pass_(expect=1)
    site.cli.run("wait", "other", expect=None)
    held = site.status("held")
    site.settings("secrets: {not-there: {cmd: echo here}}\n")
    site.finish("--timeout", "30s")

    assert "secret 'not-there' is not in the settings" in done.stderr
    assert (held["status"], held["reason"]) == ("pending", "secret-missing")
    assert site.status("held")["output"] == {"TOKEN": hashlib.sha256(b"here").hexdigest()}
    assert site.status("other")["output"] == 1


# The run's own folder, and workers that host many runs

FOLDERS = {
    "python": ("files.py", 'def workflow(input, ctx):\n    with open(f"{ctx.run.folder}/note.txt", "w") as note:\n        note.write("kept")\n'),
    "node": (
        "files.js",
        'const fs = require("node:fs");\nasync function workflow(input, { run }) {\n  fs.writeFileSync(`${run.folder}/note.txt`, "kept");\n}\n',
    ),
}


@pytest.mark.parametrize("language", FOLDERS)
def test_what_a_run_puts_into_its_folder_is_kept_and_status_says_where(site: Site, language: str) -> None:
    site.workflow("files", *FOLDERS[language])
    site.start("writes", "files")

    site.finish()

    folder = Path(site.status("writes")["metadata"]["folder"])
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("note.txt", "kept")]
    assert f"folder      {folder}" in site.cli.run("status", "run/writes").stdout


HOSTED = {
    "python": (
        "hosted.py",
        """\
import os, time

def effect(run):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{run} {os.getpid()}\\n".encode())
    os.close(fd)

def die_once():
    try:
        os.close(os.open(os.environ["EFFECTS"] + ".died", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os._exit(9)

def workflow(input, ctx):
    ctx.step("before", lambda: effect(ctx.run.id))
    ctx.step("meanwhile", lambda: time.sleep(0.3))
    if input == "dies":
        ctx.step("die", die_once)
    return ctx.step("after", lambda: "done")
""",
    ),
    "node": (
        "hosted.js",
        """\
const fs = require("node:fs");
function dieOnce() {
  try {
    fs.closeSync(fs.openSync(process.env.EFFECTS + ".died", "wx"));
  } catch {
    return;
  }
  process.exit(9);
}
async function workflow(input, { step, run }) {
  await step("before", () => fs.appendFileSync(process.env.EFFECTS, `${run.id} ${process.pid}\\n`));
  await step("meanwhile", () => new Promise((done) => setTimeout(done, 300)));
  if (input === "dies") await step("die", dieOnce);
  return await step("after", () => "done");
}
""",
    ),
}


@pytest.mark.parametrize("language", HOSTED)
def test_I1_hosted_runs_lose_one_claim_and_no_step_when_one_of_them_kills_their_worker(site: Site, language: str) -> None:
    site.settings("adapters: {exec: {concurrency: 64, linger: 200ms}}\n")
    site.workflow("hosted", *HOSTED[language], exec={"runsPerWorker": 16})
    for number in range(40):
        site.start(f"run-{number:02}", "hosted", input="dies" if number == 7 else number)

    site.finish()

    runs, workers = zip(*(line.split() for line in site.effects()), strict=True)
    claims = {name: sum(record["type"] == "claim" for record in records) for name, records in site.journals().items()}
    assert Counter(runs) == Counter(f"run-{number:02}" for number in range(40))
    assert len(set(workers)) < 10
    assert max(claims.values()) == claims["run-07"] == 2
    assert sum(claims.values()) - 40 <= 16
    assert {records[-1].get("output") for records in site.journals().values()} == {"done"}
    eventually(lambda: not site.processes())


def test_a_worker_of_many_runs_keeps_what_they_print_apart(site: Site) -> None:
    site.settings("adapters: {exec: {linger: 100ms}}\n")
    site.workflow(
        "talks", "talks.py", "def workflow(input, ctx):\n    for n in range(50):\n        print(ctx.run.id, n)\n", exec={"runsPerWorker": 8}
    )
    for number in range(8):
        site.start(f"run-{number}", "talks")

    site.finish()

    for number in range(8):
        assert site.cli.run("logs", f"run-{number}").stdout == "".join(f"run-{number} {n}\n" for n in range(50))
