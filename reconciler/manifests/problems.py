"""Problems as people, programs and GitHub read them."""

import json
from collections.abc import Iterable, Sequence

from reconciler.model import Problem

FORMAT_VERSION = 1


def report(problems: Iterable[Problem], how: str, *, folder: str = "") -> list[str]:
    """Return the lines that show problems as `text`, `json` or `github`; `folder` goes in front of the files' names."""
    listed = list(problems)
    if how == "json":
        return [_json(listed, folder)]
    if how == "github":
        from reconciler.manifests.ci import github

        return list(github(listed, folder))
    return [line for problem in listed for line in text_lines(problem)]


def text_lines(problem: Problem) -> list[str]:
    """Return one problem as people read it: its place and what is wrong, and further lines of a hint."""
    place = f"{plain_text(problem.file)}:{problem.line}:{problem.column}"
    where = f" {plain_text(problem.pointer)}:" if problem.pointer else ""
    kind = " warning:" if problem.warning else ""
    first, *more = problem.hint.split("\n")
    hint = f" ({plain_text(first)})" if first else ""
    return [f"{place}:{kind}{where} {plain_text(problem.message)}{hint}", *(f"    {plain_text(line)}" for line in more)]


def _json(problems: Sequence[Problem], folder: str) -> str:
    rows = [
        {
            "severity": "warning" if problem.warning else "error",
            "code": problem.code,
            "object": problem.about or None,
            "file": plain_text(problem.file),
            "line": problem.line,
            "column": problem.column,
            "pointer": problem.pointer,
            "message": problem.message,
            "hint": problem.hint or None,
        }
        for problem in problems
    ]
    return json.dumps({"format_version": FORMAT_VERSION, "folder": plain_text(folder), "problems": rows}, indent=2)


def plain_text(text: str) -> str:
    """Return text without what could move a terminal's cursor or break a line, names that are not UTF-8 included."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
