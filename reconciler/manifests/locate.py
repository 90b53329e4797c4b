"""Lines and columns for problems that are only seen when all files are known."""

from collections.abc import Iterable

from reconciler.finding import Finding
from reconciler.manifests.files import Patience, RefusedError, UnstableError, read_settled
from reconciler.manifests.records import Doc, problem_of
from reconciler.manifests.survey import LARGEST
from reconciler.model import Problem


class Locator:
    """Reads a file once more when one of its documents has a problem, and only then."""

    def __init__(self, root: int, patience: Patience) -> None:
        self._root = root
        self._patience = patience
        self._texts: dict[str, bytes] = {}

    def rows(self, path: str, doc: Doc, found: Iterable[Finding]) -> list[list[object]]:
        """Return findings about a document with their places in its file, as rows of problems."""
        listed = list(found)
        if not listed:
            return []
        from reconciler.manifests.documents import positions_in, to_rows

        positions = positions_in(self._text(path), doc.line)
        return to_rows(listed, positions, doc.line, doc.about)

    def problem(self, path: str, doc: Doc, finding: Finding) -> Problem:
        """Return one finding about a document with its place."""
        return problem_of(path, self.rows(path, doc, [finding])[0])

    def _text(self, path: str) -> bytes:
        if path not in self._texts:
            try:
                self._texts[path] = read_settled(self._root, path.split("/"), LARGEST, self._patience).data
            except (RefusedError, UnstableError):
                self._texts[path] = b""
        return self._texts[path]
