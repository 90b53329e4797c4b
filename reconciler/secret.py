"""Secrets: looked up when a worker starts, from where the settings say, and never written anywhere."""

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import RejectedError
from reconciler.values import frozen

_SECONDS = 10


@frozen
class SecretSource:
    """Where a secret comes from: exactly one of a variable, a file and a command."""

    env: str = ""
    file: str = ""
    cmd: str = ""


def resolve(name: str, sources: Mapping[str, SecretSource]) -> str:
    """Return a secret's value. Raises RejectedError, which names the secret and never shows what was found."""
    source = sources.get(name)
    if source is None:
        message = f"secret {name!r} is not in the settings: add it under secrets, with env, file or cmd"
        raise RejectedError(message)
    if source.env:
        value = os.environ.get(source.env)
        if value is None:
            message = f"secret {name!r}: the environment variable {source.env} is not set"
            raise RejectedError(message)
        return value
    return _read(name, source.file) if source.file else _run(name, source.cmd)


def _read(name: str, file: str) -> str:
    try:
        return Path(file).read_text().rstrip("\n")
    except (OSError, ValueError) as error:
        message = f"secret {name!r}: {file} cannot be read"
        raise RejectedError(message) from error


def _run(name: str, command: str) -> str:
    """Run a command of the settings through the shell, as their owner wrote it; its first line of output counts."""
    import subprocess

    try:
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        message = f"secret {name!r}: its command did not answer within {_SECONDS} s"
        raise RejectedError(message) from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        message = f"secret {name!r}: its command ended with status {done.returncode} {'and' if done.returncode else 'but'} gave no value"
        raise RejectedError(message)
    return lines[0]
