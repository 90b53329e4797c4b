"""TaskYou's plugin of this installation: its daemon runs the loop, and cards of runs can be asked, retried, canceled and approved on the board."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import join, quote

from reconciler.cli import units
from reconciler.config import TaskyouSettings
from reconciler.errors import RejectedError
from reconciler.taskyou.client import TaskYou
from reconciler.taskyou.errors import MissingError, TaskYouError
from reconciler.taskyou.identity import recognise
from reconciler.taskyou.where import database_of, find_program

NAME = "ty-openworkflow"
_MARK = "# made by `ty-openworkflow init --taskyou`, which replaces this file as long as nobody changes it: "
_FINAL = "0 | 3 | 4 | 64"  # ended as asked; settings or manifests are wrong; another loop lives; called wrongly

_MANIFEST = """\
name: {name}
version: "{version}"
description: Durable workflows. Runs the loop, and adds actions to the cards of runs.
actions:
  - {{id: status, label: "Workflow run: show", command: status}}
  - {{id: retry, label: "Workflow run: retry what failed", command: retry}}
  - {{id: cancel, label: "Workflow run: cancel", command: cancel}}
  - {{id: approve, label: "Workflow run: approve", command: approve}}
services:
  - name: loop
    command: {command}
    cwd: /
    env: [{environment}]
"""
_ACTION = """\
PATH={path}
export PATH
[ -n "${{TASK_ID:-}}" ] || {{ echo "choose a card first: this asks about its run" >&2; exit 64; }}
exec {program} {words}
"""
# `done` on an approval's card approves. On any other card it would release what waits for that, so it is made sure that a run waits for this one.
_APPROVE = """\
PATH={path}
export PATH
[ -n "${{TASK_ID:-}}" ] || {{ echo "choose the card of an approval first" >&2; exit 64; }}
run=$({program} status "task/$TASK_ID" --json) || exit
printf '%s' "$run" | {python} -c '
import json, os, sys
run = json.load(sys.stdin)
sys.exit(run["status"] != "waiting" or run["reason"] != "approval" or str(run["task_id"]) == os.environ["TASK_ID"])
' || {{ echo "task #$TASK_ID is no approval that a run waits for" >&2; exit 1; }}
exec {taskyou} close "$TASK_ID"
"""
# TaskYou starts a service once and keeps nothing of what it prints: both are seen to here.
_SERVICE = """\
loop=
pause=
trap '[ -z "$pause" ] || kill "$pause" 2>/dev/null; [ -z "$loop" ] || {{ kill "$loop" 2>/dev/null; wait "$loop"; }}; exit 0' TERM INT
delay=1
while :; do
    {program} >>{log} 2>&1 &
    loop=$!
    wait "$loop"
    code=$?
    loop=
    case $code in {final}) exit "$code" ;; esac
    sleep "$delay" &
    pause=$!
    wait "$pause"
    pause=
    delay=$((delay < 256 ? delay * 2 : 256))
done
"""


def place_of(settings: TaskyouSettings, folder: str | None) -> tuple[Path, str]:
    """Return the folder of TaskYou's plugins and its program; where a folder is given, the program may be missing. Raises TaskYouError."""
    database = database_of(settings.database)
    if folder is not None:
        program = settings.cli
        with suppress(MissingError):
            program = find_program(settings.cli)
        return Path(os.path.abspath(os.path.expanduser(folder))), program
    try:
        program = recognise(settings.cli, database).program
        return TaskYou(program, database).plugins_folder(), program
    except TaskYouError as error:
        message = f"{error}\nOr say where its plugins are: --taskyou-dir DIR"
        raise RejectedError(message) from error


def write(place: Path, taskyou: str, options: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]) -> list[str]:
    """Write the plugin, but for files that a person changed, and return what was done. `options` are those of every call, `folder` is reconciled."""
    from reconciler.cli import VERSION

    target = place / NAME
    try:
        target.mkdir(parents=True, exist_ok=True)
        said = [_put(target / file, text) for file, text in _files(target, taskyou, options, folder, log, environment, VERSION).items()]
    except OSError as error:
        message = f"{error.filename}: the plugin cannot be written: {error.strerror}"
        raise RejectedError(message) from error
    return [
        *said,
        f"next: restart TaskYou's daemon, so that it runs the loop (its log: {log}); `{quote(taskyou)} plugins list` shows the plugin",
        "      on the board, A on a card shows what can be done with its run",
    ]


def _files(
    target: Path, taskyou: str, options: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str], version: str
) -> dict[str, str]:
    """Return the text of every file."""
    program = [*units.program(), *options]
    path = quote(environment["PATH"])
    card = '"task/$TASK_ID"'
    asked = {"status": f"status {card}", "retry": f"rerun --failed {card}", "cancel": f"cancel {card} --reason 'canceled on the board'"}
    scripts = {name: _ACTION.format(path=path, program=join(program), words=words) for name, words in asked.items()}
    scripts["approve"] = _APPROVE.format(path=path, program=join(program), python=quote(sys.executable), taskyou=quote(taskyou))
    scripts["service"] = _SERVICE.format(program=join([*program, "serve", str(folder)]), log=quote(str(log)), final=_FINAL)
    manifest = _MANIFEST.format(
        name=NAME,
        version=version,
        command=_yaml(f"exec {quote(str(target / 'service'))}"),
        environment=", ".join(_yaml(f"{name}={value}") for name, value in environment.items()),
    )
    return {"plugin.yaml": _marked(manifest), **{name: "#!/bin/sh\n" + _marked(text) for name, text in scripts.items()}}


def _put(path: Path, text: str) -> str:
    """Write a file whole or not at all; one that a person changed stays."""
    before = path.read_bytes().decode(errors="surrogateescape") if path.exists() else None
    mode = 0o644 if path.suffix else 0o755
    if before == text:
        path.chmod(mode)
        return f"kept     {path}"
    if before is not None and not _is_ours(before):
        return f"kept     {path} (somebody changed it: remove it to have a new one)"
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)
    return f"{'wrote   ' if before is None else 'replaced'} {path}"


def _marked(text: str) -> str:
    return f"{_MARK}{_digest(text)}\n{text}"


def _is_ours(text: str) -> bool:
    """Say whether a file is as this program once wrote it."""
    first, _, rest = text.removeprefix("#!/bin/sh\n").partition("\n")
    return first.startswith(_MARK) and first.removeprefix(_MARK) == _digest(rest)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
