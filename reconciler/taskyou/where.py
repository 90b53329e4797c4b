"""Where a program and TaskYou's database are. Nothing is called."""

import os
from collections.abc import Mapping

from reconciler.taskyou.errors import MissingError

OTHERWISE = "name TaskYou's program in the settings (taskyou.cli; its installer also calls it `taskyou`)"


def database_of(configured: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return TaskYou's database as an absolute path: what is configured, else WORKTREE_DB_PATH, else TaskYou's own."""
    named = configured or environ.get("WORKTREE_DB_PATH") or "~/.local/share/task/tasks.db"
    return os.path.abspath(_expanded(named, environ))


def find_program(cli: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the absolute path of a program: a bare name is looked for on PATH. Raises MissingError."""
    if "/" in cli:
        path = os.path.abspath(_expanded(cli, environ))
        if _is_program(path):
            return path
        message = f"{path} is {'no program that can be started' if os.path.exists(path) else 'not there'}: {OTHERWISE}"
        raise MissingError(message)
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.abspath(os.path.join(folder, cli))
        if folder and _is_program(path):
            return path
    message = f"there is no program {cli!r} on PATH: install TaskYou, or {OTHERWISE}"
    raise MissingError(message)


def fingerprint(program: str) -> str:
    """Return what changes when a program is replaced: one look at its file. Empty when it is not there."""
    try:
        facts = os.stat(program)
    except OSError:
        return ""
    return f"{program}:{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _expanded(path: str, environ: Mapping[str, str]) -> str:
    if path == "~" or path.startswith("~/"):
        return (environ.get("HOME") or os.path.expanduser("~")) + path[1:]
    return path
