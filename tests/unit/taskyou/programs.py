"""Small programs in the place of `ty`: they keep what they are called with, and answer as a test says."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_PROGRAM = """\
#!{python} -IS
import json, os, sys
folder = {folder!r}
words = [os.fsencode(word).decode() for word in sys.argv[1:]]
with open(folder + "/calls", "a") as file:
    kept = {{name: value for name, value in os.environ.items() if name in ("WORKTREE_DB_PATH", "NO_COLOR", "TY_OPENWORKFLOW_SYNC", "HOOK")}}
    file.write(json.dumps([words, kept, os.getcwd()]) + "\\n")
with open(folder + "/answers") as file:
    answers = json.load(file)
status, stdout, stderr = next((answer for start, answer in answers.items() if " ".join(words).startswith(start)), [1, "", "Error: unknown command\\n"])
sys.stdout.write(stdout)
sys.stderr.write(stderr)
sys.exit(status)
"""


class Call(NamedTuple):
    """One call as it arrived."""

    words: list[str]
    environ: dict[str, str]
    folder: str


class Program:
    """A program that answers by the beginning of its words: exit status, standard output, standard error."""

    def __init__(self, folder: Path, answers: Mapping[str, tuple[int, str, str]]) -> None:
        self.folder = folder
        self.path = script(folder / "ty", _PROGRAM.format(python=sys.executable, folder=str(folder)))
        self.answers(answers)

    def answers(self, answers: Mapping[str, tuple[int, str, str]]) -> None:
        (self.folder / "answers").write_text(json.dumps(answers))

    def calls(self) -> list[Call]:
        file = self.folder / "calls"
        return [Call(*json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def words(self) -> list[list[str]]:
        return [call.words for call in self.calls()]


def script(path: Path, text: str) -> str:
    """Write a program and return its path."""
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def shell(path: Path, text: str) -> str:
    """Write a program for sh."""
    return script(path, f"#!/bin/sh\n{text}\n")


def python(path: Path, text: str) -> str:
    """Write a program in Python that starts fast."""
    return script(path, f"#!{sys.executable} -IS\n{text}\n")


def said(value: Any) -> tuple[int, str, str]:
    """Return the answer of a call that prints JSON."""
    return (0, json.dumps(value) + "\n", "")


def quoted(path: Path) -> str:
    """Return a path for a shell."""
    return shlex.quote(str(path))
