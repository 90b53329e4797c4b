"""What is remembered of each file between loads, in the form that the cache keeps."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from reconciler.digest import Json
from reconciler.manifests.files import Key
from reconciler.model import Problem

PROJECT_FILE = "ty-openworkflow.yaml"
MARK = b"ty-openworkflow/"
NO_KEY: Key = (0, 0, 0, 0)
"""The key of a file that has to be read the next time in any case."""


class Doc(NamedTuple):
    """One document of ours, as written; `metadata` without the name.

    `spec` is before variables; where it has any, `resolved` and `late` (problems) are what came of them under the variables whose digest is
    `under`. `checked` is the digest of the input schema that the input has passed. `problems` hold wherever the document is used.
    """

    line: int
    kind: str
    name: str
    metadata: dict[str, Json]
    spec: Json
    spec_hash: str = ""
    checked: str = ""
    problems: Sequence[list[Any]] = ()
    variables: bool = False
    under: str = ""
    resolved: Json = None
    late: Sequence[list[Any]] = ()

    @property
    def about(self) -> str:
        """Return `kind/name` where both could be read."""
        return f"{self.kind.lower()}/{self.name}" if self.kind and self.name else ""


_SHORT = 7
_REST = list(Doc(0, "", "", {}, None)[_SHORT:])


class FileRecord(NamedTuple):
    """What one file holds.

    `sha` is the digest of its bytes, `racy` is true while they may change without another key. `held` names the objects that it held
    before it became unreadable. `folders` are the folders of code that its workflows name, each with the workflow.
    """

    key: Key
    sha: str
    docs: list[Doc]
    racy: bool = False
    foreign: int = 0
    problems: Sequence[list[Any]] = ()
    held: Sequence[str] = ()
    folders: Sequence[list[str]] = ()

    def objects(self) -> Iterator[str]:
        """Name the objects that the file holds, or held when it could last be read."""
        yield from self.held
        yield from (doc.about for doc in self.docs if doc.about)

    def to_row(self) -> list[Any]:
        """Return the form that the cache keeps; what is empty at the end of a document is left out."""
        plain = [self.key, self.sha, [_trimmed(doc) for doc in self.docs]]
        more = (self.racy, self.foreign, self.problems, self.held, self.folders)
        return [*plain, *more] if any(more) else plain

    @staticmethod
    def from_row(row: list[Any]) -> "FileRecord":
        """Read what `to_row` wrote."""
        key, sha, docs = row[:3]
        return FileRecord(tuple(key), sha, [_full(doc) for doc in docs], *row[3:])


class Attachment(NamedTuple):
    """A file that a manifest names: its digest, and its text where that is small and an input."""

    key: Key
    sha: str
    racy: bool
    text: str | None = None


def problem_row(problem: Problem) -> list[Any]:
    """Return a problem without its file, which the record has."""
    return [problem.line, problem.column, problem.pointer, problem.message, problem.hint, problem.about, problem.code, problem.warning]


def problem_of(path: str, row: list[Any]) -> Problem:
    """Read what `problem_row` wrote."""
    return Problem(path, *row)


def _full(row: list[Any]) -> Doc:
    return Doc._make(row + _REST if len(row) == _SHORT else row)


def _trimmed(doc: Doc) -> list[Any]:
    if not (doc.problems or doc.variables):
        return list(doc[:_SHORT])
    return list(doc)
