"""Problems as people, programs and GitHub read them."""

import json
import os
from collections.abc import Iterable, Sequence

from reconciler.model import Problem

FORMAT_VERSION = 1
_GITHUB_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_PROPERTY = {**_GITHUB_DATA, ":": "%3A", ",": "%2C"}


def report(problems: Iterable[Problem], how: str, *, folder: str = "") -> list[str]:
    """Return the lines that show problems as `text`, `json` or `github`; `folder` goes in front of the files' names."""
    listed = list(problems)
    if how == "json":
        return [_json(listed, folder)]
    if how == "github":
        return [_github(problem, folder) for problem in sorted(listed, key=lambda problem: problem.warning)]
    return [line for problem in listed for line in _text(problem)]


def _text(problem: Problem) -> list[str]:
    place = f"{_plain(problem.file)}:{problem.line}:{problem.column}"
    where = f" {_plain(problem.pointer)}:" if problem.pointer else ""
    kind = " warning:" if problem.warning else ""
    first, *more = problem.hint.split("\n")
    hint = f" ({_plain(first)})" if first else ""
    return [f"{place}:{kind}{where} {_plain(problem.message)}{hint}", *(f"    {_plain(line)}" for line in more)]


def _json(problems: Sequence[Problem], folder: str) -> str:
    rows = [
        {
            "severity": "warning" if problem.warning else "error",
            "code": problem.code,
            "object": problem.about or None,
            "file": _plain(problem.file),
            "line": problem.line,
            "column": problem.column,
            "pointer": problem.pointer,
            "message": problem.message,
            "hint": problem.hint or None,
        }
        for problem in problems
    ]
    return json.dumps({"format_version": FORMAT_VERSION, "folder": _plain(folder), "problems": rows}, indent=2)


def _github(problem: Problem, folder: str) -> str:
    level = "warning" if problem.warning else "error"
    file = os.path.join(folder, problem.file)
    if os.path.isabs(file) and not (near := os.path.relpath(file)).startswith(".."):
        file = near  # annotations are found by paths that start at the repository
    where = f"{problem.pointer}: " if problem.pointer else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    place = f"file={_escaped(_plain(file), _GITHUB_PROPERTY)},line={problem.line},col={problem.column}"
    return f"::{level} {place}::{_escaped(f'{where}{problem.message}{hint}', _GITHUB_DATA)}"


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)


def _plain(text: str) -> str:
    """Return text without what could move a terminal's cursor or break a line, names that are not UTF-8 included."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
