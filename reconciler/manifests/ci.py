"""Problems as CI systems take them in: annotations of GitHub, JUnit, SARIF."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from reconciler.digest import digest_of
from reconciler.manifests.problems import plain_text, text_lines
from reconciler.model import Desired, Problem

# What GitHub shows of one step, for each level.
_MOST_ANNOTATIONS = 10
_GITHUB_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_PROPERTY = {**_GITHUB_DATA, ":": "%3A", ",": "%2C"}
_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def github(problems: Iterable[Problem], folder: str) -> Iterator[str]:
    """Return annotations, errors first; GitHub shows ten of each level, so that the others are lines of the log."""
    listed = sorted(problems, key=lambda problem: problem.warning)
    for level, warning in (("error", False), ("warning", True)):
        found = [problem for problem in listed if problem.warning is warning]
        for problem in found[:_MOST_ANNOTATIONS]:
            place = f"file={_escaped(place_of(folder, problem.file), _GITHUB_PROPERTY)},line={problem.line},col={problem.column}"
            yield f"::{level} {place}::{_escaped(_sentence(problem), _GITHUB_DATA)}"
        rest = found[_MOST_ANNOTATIONS:]
        if rest:
            yield f"{len(rest)} more {level}{'s' if len(rest) > 1 else ''}, which are not annotations because GitHub shows {_MOST_ANNOTATIONS} of a step:"
            yield from (f"- {line}" for problem in rest for line in text_lines(problem))  # so that no line is a command to GitHub


def place_of(folder: str, file: str, root: str = "") -> str:
    """Return the path of a file as a repository's viewer knows it: from `root`, else from the present folder where it is below."""
    path = os.path.join(folder, plain_text(file))
    if os.path.isabs(path) and not (near := os.path.relpath(os.path.realpath(path), os.path.realpath(root or os.curdir))).startswith(".."):
        return near
    return path


def junit(found: Sequence[Desired]) -> str:
    """Return a report in the form of JUnit: a case for each object, failed where something is wrong with it, and one for each problem of no object."""
    from xml.etree import ElementTree as Xml

    root = Xml.Element("testsuites", {"name": "ty-openworkflow validate"})
    totals = [0, 0]
    for desired in found:
        cases = list(_cases(desired))
        failures = sum(any(not problem.warning for problem in problems) for _, _, problems in cases)
        name = f"{desired.place.project}/{desired.place.environment}"
        suite = Xml.SubElement(root, "testsuite", {"name": name, **_counts(len(cases), failures)})
        for about, file, problems in cases:
            case = Xml.SubElement(suite, "testcase", {"name": plain_text(about), "classname": name, "file": plain_text(file), "time": "0"})
            errors = [problem for problem in problems if not problem.warning]
            if errors:
                more = {"message": _line(errors[0]), "type": errors[0].code}
                Xml.SubElement(case, "failure", more).text = "\n".join(line for problem in errors for line in text_lines(problem))
            remarks = [line for problem in problems if problem.warning for line in text_lines(problem)]
            if remarks:
                Xml.SubElement(case, "system-out").text = "\n".join(remarks)
        totals = [totals[0] + len(cases), totals[1] + failures]
    root.attrib.update(_counts(*totals))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode")


def _counts(tests: int, failures: int) -> dict[str, str]:
    return {"tests": str(tests), "failures": str(failures), "errors": "0", "skipped": "0", "time": "0"}


def _cases(desired: Desired) -> Iterator[tuple[str, str, list[Problem]]]:
    """Return every object with its file and what is wrong with it; what belongs to no object goes by its file."""
    by_object: dict[str, list[Problem]] = {}
    for problem in desired.problems:
        by_object.setdefault(problem.about or problem.file, []).append(problem)
    declared = {f"workflow/{name}": item.source.file for name, item in desired.workflows.items()}
    declared |= {f"run/{name}": item.source.file for name, item in desired.runs.items()}
    declared |= {f"schedule/{name}": item.source.file for name, item in desired.schedules.items()}
    files = {about: problems[0].file for about, problems in by_object.items()} | declared
    for about in sorted(files.keys() | desired.invalid):
        yield about, files.get(about, ""), by_object.get(about, [])


def sarif(found: Sequence[Desired], *, version: str, root: str) -> str:
    """Return problems in SARIF 2.1.0, with paths from `root`, the root of the repository."""
    listed = [(desired.folder, problem) for desired in found for problem in desired.problems]
    codes = sorted({problem.code for _, problem in listed})
    driver = {
        "name": "ty-openworkflow",
        "version": version,
        "rules": [{"id": code, "shortDescription": {"text": f"A manifest must not have: {code.replace('-', ' ')}."}} for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(folder, problem, codes.index(problem.code), root) for folder, problem in listed],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(folder: str, problem: Problem, rule: int, root: str) -> dict[str, object]:
    uri = quote(Path(place_of(folder, problem.file, root)).as_posix())
    region = {"startLine": max(1, problem.line), "startColumn": max(1, problem.column)}
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": "warning" if problem.warning else "error",
        "message": {"text": _sentence(problem)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}],
        "partialFingerprints": {"problem/v1": digest_of([problem.file, problem.about, problem.pointer, problem.code, problem.message])[:32]},
    }


def _sentence(problem: Problem) -> str:
    where = f"{problem.pointer}: " if problem.pointer else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{where}{problem.message}{hint}"


def _line(problem: Problem) -> str:
    return plain_text(" ".join(_sentence(problem).split()))


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)
