"""Commands that set up and look after the installation: init, doctor, schema."""

import os
import secrets
from pathlib import Path
from typing import Annotated

from reconciler import manifests
from reconciler.cli import doctor as checks
from reconciler.cli import units
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption
from reconciler.cli.options import Argument, option
from reconciler.config import settings_path
from reconciler.errors import RejectedError, UsageError
from reconciler.ground import PROJECT_FILE

_HELLO_CODE = """\
async function workflow(input, { step, sleep }) {
  const greeting = await step("greet", () => `Hello, ${input.name}!`);
  await sleep("wait", "2s");
  return await step("complete", () => ({ message: greeting }));
}
"""
_SETTINGS = """\
# Settings of ty-openworkflow; every key is optional, README has the list and `ty-openworkflow schema settings` explains it.
# data_dir: ~/.config/ty-openworkflow   # database, local manifests, run folders
# default_adapter: exec
# poll_interval: 30s
# park_after: 2m                        # a longer sleep holds no process
# adapters:
#   exec: {enabled: true, runs_per_worker: 1}
# secrets:
#   greet-token: {env: GREET_TOKEN}     # or file: PATH, or cmd: COMMAND
"""
_HELLO = """\
# A workflow is code and settings; a Run is one execution of it, carried out once.
apiVersion: ty-openworkflow/v1
kind: Workflow
metadata: {name: hello}
spec:
  code: {file: hello.js}
  input: {schema: {type: object, required: [name]}}
---
apiVersion: ty-openworkflow/v1
kind: Run
metadata: {name: hello-world}
spec:
  workflow: hello
  input: {name: World}
"""


def init(
    directory: Annotated[str | None, Argument("[DIR]", "Also make a project in this folder, with a lineage and a first workflow.")] = None,
    service_units: Annotated[
        bool, option("--service", help="Write units for systemd and launchd that reconcile DIR, which may be a project already.")
    ] = False,
    taskyou: Annotated[bool, option("--taskyou", help="Write a plugin for TaskYou, whose daemon then reconciles DIR.")] = False,
    taskyou_dir: Annotated[
        str | None, option("--taskyou-dir", help="The same into this folder of plugins; default: the one that TaskYou names.")
    ] = None,
) -> int:
    """Write the settings file and the local folder; with DIR also a project. What is there already is left alone."""
    folder = None if directory is None else Path(directory).expanduser().absolute()
    if taskyou or taskyou_dir is not None:
        return _plugin(folder, taskyou_dir, both=service_units)
    if service_units:
        return _units(folder)
    if folder is not None:
        _check(folder)
    settings = settings_path(CONTEXT.options.config)
    if settings.exists():
        CONTEXT.say(f"kept     {settings}")
    else:
        settings.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(settings, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(_SETTINGS)
        CONTEXT.say(f"wrote    {settings}")
    service = CONTEXT.service
    service.local.mkdir(parents=True, exist_ok=True, mode=0o700)
    CONTEXT.say(f"folder   {service.local} (what deploy and start write)")
    if folder is not None:
        _project(folder)
        CONTEXT.say(f"next: ty-openworkflow plan {directory} && ty-openworkflow reconcile --once --wait {directory}")
    else:
        CONTEXT.say("next: ty-openworkflow deploy hello -f hello.js && ty-openworkflow start hello --wait")
    return 0


def _units(folder: Path | None) -> int:
    """Write the units of a loop with the options of this call."""
    service = CONTEXT.service
    _need(folder)
    words = _options()
    CONTEXT.say(*units.write(service.data_dir / "service", [*words, "serve", str(folder or service.local)], service.data_dir / "loop.log"))
    return 0


def _plugin(folder: Path | None, place: str | None, *, both: bool) -> int:
    """Write TaskYou's plugin with the options of this call."""
    from reconciler.cli import plugin
    from reconciler.taskyou.where import database_of

    if both:
        message = "--service and --taskyou both have the loop started: choose one of them"
        raise UsageError(message)
    _need(folder)
    service = CONTEXT.service
    plugins, program = plugin.place_of(service.settings.taskyou, place)
    service.local.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "WORKTREE_DB_PATH": database_of(service.settings.taskyou.database)}
    CONTEXT.say(*plugin.write(plugins, program, _options(), folder or service.local, service.data_dir / "loop.log", environment))
    return 0


def _need(folder: Path | None) -> None:
    """Raise UsageError for a folder that is not there."""
    if folder is not None and not folder.is_dir():
        message = f"{folder} is not there: `ty-openworkflow init {folder}` makes a project of it"
        raise UsageError(message)


def _options() -> list[str]:
    """Return the options with which another process means the same installation as this call."""
    service = CONTEXT.service
    given = {"--config": service.settings.source, "--data-dir": service.data_dir, "--env": service.environment}
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]


def _check(folder: Path) -> None:
    """Check that a project can be made in a folder, before anything is written."""
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is not a folder"
        raise UsageError(message)
    if (folder / PROJECT_FILE).exists():
        message = f"{folder / PROJECT_FILE} is there already: this folder is a project"
        raise RejectedError(message)


def _project(folder: Path) -> None:
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in folder.name.lower()).strip("-")[:63] or "project"
    folder.mkdir(parents=True, exist_ok=True)
    lineage = secrets.token_hex(8)
    text = f'apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {{name: {name}}}\nspec:\n  lineage: "{lineage}"  # who this folder is, on every machine: keep it\n'
    _publish(folder / PROJECT_FILE, text)
    CONTEXT.say(f"wrote    {folder / PROJECT_FILE}")
    if not any(folder.glob("**/*.yaml")) or [path.name for path in folder.glob("**/*.yaml")] == [PROJECT_FILE]:
        _publish(folder / "hello.yaml", _HELLO)
        _publish(folder / "hello.js", _HELLO_CODE)
        CONTEXT.say(f"wrote    {folder / 'hello.yaml'}", f"wrote    {folder / 'hello.js'}")
    CONTEXT.service.register_new(folder, lineage)


def _publish(path: Path, text: str) -> None:
    """Write a file that is meant to be committed, so that others of its team can read it."""
    path.write_text(text)
    path.chmod(0o644)


def doctor(output: OutputOption = "text", as_json: JsonOption = False) -> int:
    """Look for what keeps this installation from working, and say what to do about it."""
    as_json = wants_json(output, as_json)
    found = checks.examine(CONTEXT.options)
    if as_json:
        CONTEXT.json(
            {"format_version": 1, "checks": [{"check": item.name, "ok": item.ok, "found": item.found, "advice": item.advice} for item in found]}
        )
    else:
        paint = CONTEXT.paint
        width = max(len(item.name) for item in found)
        for item in found:
            CONTEXT.say(f"{paint('ok  ', 'green') if item.ok else paint('FAIL', 'red')}  {item.name.ljust(width)}  {item.found}")
            if not item.ok and item.advice:
                CONTEXT.say(f"      {' ' * width}  {item.advice}")
    return 0 if all(item.ok for item in found) else 1


def schema(
    kind: Annotated[
        str | None, Argument("[KIND]", "workflow, run, schedule, project, settings, or an output's name; default: all manifests.")
    ] = None,
    install: Annotated[str | None, option("--install", help="Write the schemas into this folder, for editors.")] = None,
) -> int:
    """Print the JSON Schema of a kind."""
    if install is not None:
        for line in manifests.install_schemas(Path(install).expanduser()):
            CONTEXT.say(line)
        return 0
    CONTEXT.say(manifests.schema_text(kind or "manifest"))
    return 0
