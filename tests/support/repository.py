"""A real git repository in a folder, as people and CI systems make them."""

import os
import subprocess
from pathlib import Path

_SETTINGS = {
    "user.name": "t",
    "user.email": "t@example.test",
    "init.defaultBranch": "main",
    "commit.gpgsign": "false",
    "protocol.file.allow": "always",
    "advice.detachedHead": "false",
    "maintenance.auto": "false",
    "gc.auto": "0",
}


def git(folder: Path, *words: str, check: bool = True) -> str:
    """Run git in a folder, with settings of the tests alone, and return what it prints."""
    numbered = enumerate(_SETTINGS.items())
    variables = {f"GIT_CONFIG_{part}_{number}": pair[part == "VALUE"] for number, pair in numbered for part in ("KEY", "VALUE")}
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_COUNT": str(len(_SETTINGS)), "GIT_EDITOR": "true"}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, env={**os.environ, **variables, **nobody}, check=False, timeout=60
    )
    if check and done.returncode != 0:
        raise AssertionError(f"git {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def init(folder: Path) -> Path:
    """Make a repository in a folder and commit what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    commit(folder, "first")
    return folder


def commit(folder: Path, subject: str) -> str:
    """Commit everything, and return the commit."""
    git(folder, "add", "-A", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")
