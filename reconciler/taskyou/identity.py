"""Which program is TaskYou here. It is recognised, not assumed: PyPI's `ty` is a type checker."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from reconciler.taskyou import tasks
from reconciler.taskyou.call import Answer
from reconciler.taskyou.client import SECONDS, TaskYou
from reconciler.taskyou.errors import BusyError, ForeignError, OldError, TaskYouError, failure
from reconciler.taskyou.text import shown
from reconciler.taskyou.where import OTHERWISE, find_program, fingerprint
from reconciler.values import frozen

_VERSION = r"[0-9A-Za-z][0-9A-Za-z.+_~-]*"
_UNKNOWN_FLAG = r"unknown (?:shorthand )?flag: (?:'.' in )?(-+[\w-]+)"


@frozen
class Identity:
    """A TaskYou that was recognised. `fingerprint` stands for the program's file: as long as it is the same, so is the rest."""

    program: str
    version: str
    database: str
    fingerprint: str


def version_of(cli: str, database: str, *, environ: Mapping[str, str] | None = None, timeout: float = SECONDS) -> tuple[str, str]:
    """Return the program and its version, after a call that opens no database. Raises MissingError or ForeignError."""
    program = find_program(cli, os.environ if environ is None else environ)
    return program, _version(program, TaskYou(program, database, timeout, environ).ask("--version"))


def recognise(cli: str, database: str, *, environ: Mapping[str, str] | None = None, timeout: float = SECONDS) -> Identity:
    """Return who `cli` is, after two calls of it. Raises MissingError, ForeignError, or what a call of TaskYou raises.

    The second call opens the database, and makes it when it is not there, as every call of TaskYou does.
    """
    seen = fingerprint(find_program(cli, os.environ if environ is None else environ))
    program, version = version_of(cli, database, environ=environ, timeout=timeout)
    answer = TaskYou(program, database, timeout, environ).ask("list", "--all", "--json", "-n", "1", "--tag", "owf")
    _check(program, version, answer)
    return Identity(program, version, database, seen)


def is_version(answer: Answer) -> bool:
    """Say whether an answer to `--version` looks like TaskYou's: one word in a line of its own."""
    lines = answer.stdout.splitlines()
    return answer.status == 0 and len(lines) == 1 and re.fullmatch(_VERSION, lines[0].strip()) is not None


def _version(program: str, answer: Answer) -> str:
    if is_version(answer):
        return answer.stdout.strip()
    raise _foreign(program, answer.stdout or answer.stderr)


def _check(program: str, version: str, answer: Answer) -> None:
    if answer.status == 0:
        try:
            tasks.items_of(tasks.value_of(answer.stdout))
        except tasks.ShapeError:
            raise _foreign(program, f"version {version}, whose list is no JSON") from None
        return
    lacks = re.search(_UNKNOWN_FLAG, answer.stderr)
    if lacks is not None and answer.status == 1:
        message = f"{program} ({version}) is too old: its list has no {lacks[1]}. Update TaskYou, or {OTHERWISE}"
        raise OldError(message)
    trouble = failure(f"{Path(program).name} list", answer.status, answer.stderr)
    if answer.status == 1 and (isinstance(trouble, BusyError) or (type(trouble) is TaskYouError and answer.stderr.startswith("Error: "))):
        raise trouble
    raise _foreign(program, answer.stderr or answer.stdout or f"version {version}")


def _foreign(program: str, told: str) -> ForeignError:
    """Say what a program looks like that is not TaskYou."""
    told = told.strip()
    if re.match(r"(?:ty|ruff|uv) \d", told) or "unrecognized subcommand" in told or "type checker" in told:
        looks = f"Astral's type checker of the same name ({shown(told.splitlines()[0], 80)})"
    else:
        looks = f"something else ({shown(told.splitlines()[0], 80)})" if told else "something else, which prints nothing"
    return ForeignError(f"{program} is not TaskYou but {looks}: {OTHERWISE}")
