"""Runs git so that nothing which a repository holds, configuration included, can start a program; but for what a fetch needs to log in."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import UnavailableError

_SECONDS = 60
# What tells git of another repository than the one that is meant: a hook, for instance, has them set.
_FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_EXTERNAL_DIFF",
    "GIT_TRACE",
)
_QUIET = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "protocol.ext.allow=never",
    "core.pager=cat",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "log.showSignature=false",
)


def command(folder: Path, *words: str, config: Sequence[str] = ()) -> list[str]:
    """Return the command line of a call of git in `folder`."""
    return ["git", *(part for setting in (*_QUIET, *config) for part in ("-c", setting)), "-C", str(folder), *words]


def environment() -> dict[str, str]:
    """Return the variables for git: nothing of another repository, no questions, no locks, messages in English."""
    own = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**own, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


def run_git(folder: Path, *words: str, config: Sequence[str] = (), seconds: float = _SECONDS) -> bytes:
    """Return what git prints. Raises UnavailableError with what it says."""
    try:
        done = subprocess.run(
            command(folder, *words, config=config),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=seconds,
            start_new_session=True,  # no terminal: nothing below git can ask for a password
            check=False,
        )
    except FileNotFoundError as error:
        message = "git is not installed here, and is needed for this folder"
        raise UnavailableError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{folder}: git {words[0]} did not end within {seconds:g} s"
        raise UnavailableError(message) from error
    if done.returncode != 0:
        message = f"{folder}: git {words[0]}: {said(done.stderr)}"
        raise UnavailableError(message)
    return done.stdout


def said(text: bytes) -> str:
    """Return what git says was wrong, in one line."""
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    serious = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return serious[0].removeprefix("fatal: ").removeprefix("error: ") if serious else "it failed and did not say why"
