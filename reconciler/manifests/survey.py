"""Reads a folder: every file that may hold manifests, from the cache where it did not change."""

import hashlib
from collections.abc import Iterable

from reconciler.manifests.cache import Cache
from reconciler.manifests.code import code_folder
from reconciler.manifests.files import Contents, Key, Patience, RefusedError, UnstableError, read_settled
from reconciler.manifests.records import MARK, NO_KEY, Doc, FileRecord, problem_of
from reconciler.manifests.scan import Scan
from reconciler.model import Problem
from reconciler.values import made, mutable

LARGEST = 1 << 20
_BEGINNING = 1 << 10
_KEYS = (b"apiVersion:", b"kind:", b"metadata:", b"spec:")
_NOTHING = FileRecord(NO_KEY, "", [], racy=True)


@mutable
class Survey:
    """What the files of a folder hold, in the order of their paths: documents with their numbers in the files, and projects apart.

    `broken` names objects that cannot be read now but could before. `complete` is false when something may only seem to be absent.
    """

    files: dict[str, FileRecord] = made(default_factory=dict)
    problems: list[Problem] = made(default_factory=list)
    docs: list[tuple[str, int, Doc]] = made(default_factory=list)
    projects: list[tuple[str, Doc]] = made(default_factory=list)
    broken: set[str] = made(default_factory=set)
    unstable: list[str] = made(default_factory=list)
    foreign: int = 0
    complete: bool = True


def survey(root: int, scanned: Scan, cache: Cache, patience: Patience, *, local: bool) -> Survey:
    """Read what is not known yet, and bring the cache up to date."""
    result = Survey()
    reader = _Reader(root, cache, patience, result, local=local)
    for path in sorted(scanned.files):
        record = cache.files.get(path)
        if record is None or record.racy or record.key != scanned.files[path]:
            record = reader.read(path, record or _NOTHING)
        if record is not None:
            result.files[path] = record
    for path, why in sorted(scanned.odd.items()):
        reader.refuse(path, why, cache.files.get(path, _NOTHING))
    _closed(scanned, cache, result)
    if cache.files.keys() != result.files.keys():
        cache.files = dict(result.files)
        cache.changed = True
    _leave_out_code(result)
    for path, record in result.files.items():
        if record.problems or record.foreign or record.held:
            _take(result, path, record)
        for number, doc in enumerate(record.docs):
            if doc.kind == "Project":
                result.projects.append((path, doc))
            else:
                result.docs.append((path, number, doc))
    return result


def _may_be_ours(seen: Contents) -> bool:
    """Say whether what a writer still has open is a manifest of ours, or may be the beginning of one."""
    if seen.large or MARK in seen.data:
        return not seen.large
    lines = (line.strip() for line in seen.data[:_BEGINNING].splitlines())
    first = next((line for line in lines if line and not line.startswith((b"#", b"---"))), b"")
    return len(seen.data) < _BEGINNING and any(first.startswith(key) or key.startswith(first) for key in _KEYS)


class _Reader:
    def __init__(self, root: int, cache: Cache, patience: Patience, result: Survey, *, local: bool) -> None:
        self._root, self._cache, self._patience, self._result, self._local = root, cache, patience, result, local

    def read(self, path: str, before: FileRecord) -> FileRecord | None:
        """Read one file; what is being written keeps the form in which it was last whole."""
        known = next(before.objects(), None) is not None
        try:
            contents = read_settled(
                self._root, path.split("/"), LARGEST, self._patience, mark=MARK, unless=lambda seen: not (known or seen.marked or _may_be_ours(seen))
            )
        except UnstableError:
            self._result.unstable.append(path)
            self._result.complete = False
            return before if known else None
        except RefusedError as error:
            if str(error) == "does not exist":
                return None
            return self.refuse(path, str(error), before)
        record = self._record(path, contents, before, known=known)
        if record != before:
            self._cache.files[path] = record
            self._cache.changed = True
        return record

    def refuse(self, path: str, why: str, before: FileRecord) -> FileRecord:
        """Keep what the file held, so that nothing of it is taken for deleted; a file without a past is only mentioned."""
        known = _only_known(before)
        serious = bool(known.held) or why.startswith("cannot be read")
        record = known._replace(problems=[_row(1, 1, why, warning=not serious)])
        self._result.files[path] = record
        if record != before:
            self._cache.files[path] = record
            self._cache.changed = True
        return record

    def _record(self, path: str, contents: Contents, before: FileRecord, *, known: bool) -> FileRecord:
        from reconciler.manifests.documents import read_manifests
        from reconciler.yaml12 import YamlError

        racy = contents.held or self._patience.is_recent(contents.key)
        if contents.large:
            return _too_large(contents, before, racy=racy)
        sha = hashlib.sha256(contents.data).hexdigest()
        if sha == before.sha and before.key != NO_KEY:
            return before._replace(key=contents.key, racy=racy)
        try:
            reading = read_manifests(path, contents.data, local=self._local, known=known)
        except YamlError as error:
            row = _row(error.line, error.column, error.message, hint=error.hint, code="yaml")
            return _only_known(before)._replace(key=contents.key, sha=sha, racy=racy, problems=[row])
        folders = _code_folders(path, reading.docs)
        if any(doc.problems for doc in reading.docs):
            folders += (known for known in before.folders if known not in folders)
        return FileRecord(contents.key, sha, reading.docs, racy, reading.foreign, reading.remarks, [], folders)


def _row(line: int, column: int, message: str, *, hint: str = "", code: str = "file", warning: bool = False) -> list[object]:
    return [line, column, "", message, hint, "", code, warning]


def _only_known(record: FileRecord) -> FileRecord:
    """Return what is still known of a file that cannot be read."""
    return _NOTHING._replace(held=sorted(set(record.objects())), folders=record.folders)


def _code_folders(path: str, docs: Iterable[Doc]) -> list[list[str]]:
    below = path.rpartition("/")[0]
    named = [[code_folder(below, doc.spec), doc.name] for doc in docs if doc.kind == "Workflow"]
    return [[folder, name] for folder, name in named if folder is not None and name is not None]


def _too_large(contents: Contents, before: FileRecord, *, racy: bool) -> FileRecord:
    known = _only_known(before)._replace(key=contents.key, racy=racy)
    if not known.held and not contents.marked:
        return known._replace(foreign=1)
    return known._replace(problems=[_row(1, 1, f"is larger than {LARGEST >> 20} MiB", hint="put large inputs into files of their own: inputFile")])


def _closed(scanned: Scan, cache: Cache, result: Survey) -> None:
    """What was in a folder that cannot be entered any more is not gone."""
    shut = {**dict.fromkeys(scanned.links, "is a symbolic link, which is not followed"), **scanned.closed}
    if not shut:
        return
    known: dict[str, list[str]] = {}
    for name, record in cache.files.items():
        for folder in _above(name) if record.docs or record.held else ():
            known.setdefault(folder, []).append(name)
    for path, why in sorted(shut.items()):
        below = {name: _only_known(cache.files[name]) for name in known.get(path, ()) if name not in result.files}
        result.files.update(below)
        if path in scanned.closed or below:
            result.problems.append(Problem(path or ".", 1, 1, "", why, code="file"))
            result.complete = False


def _above(path: str) -> list[str]:
    """Return the folders that a file is in, the root included."""
    return ["", *(path[:index] for index, letter in enumerate(path) if letter == "/")]


def _leave_out_code(result: Survey) -> None:
    """Files in the folders that `code.dir` names are code; the manifests nearest to the root decide first."""
    naming = [path for path, record in result.files.items() if record.folders]
    if not naming:
        return
    folders: dict[str, str] = {}
    for path in sorted(naming, key=lambda path: (path.count("/"), path)):
        if not _inside(path, folders):
            folders.update((folder, workflow) for folder, workflow in result.files[path].folders)
    for path in [path for path in result.files if _inside(path, folders)]:
        record = result.files.pop(path)
        if record.docs:
            named = ", ".join(sorted(set(record.objects()))) or "a manifest"
            message = f"holds {named}, but lies in the code of workflow {_inside(path, folders)!r}: it is not read"
            result.problems.append(Problem(path, record.docs[0].line, 1, "", message, code="ignored", warning=True))


def _inside(path: str, folders: dict[str, str]) -> str:
    """Return the workflow whose code a path lies in, or nothing."""
    return next((folders[folder] for folder in _above(path) if folder in folders), "")


def _take(result: Survey, path: str, record: FileRecord) -> None:
    result.foreign += record.foreign
    result.problems += (problem_of(path, row) for row in record.problems)
    result.broken.update(record.held)
    if record.held or any(not row[7] for row in record.problems):
        result.complete = False


def stamps(scanned: Scan) -> dict[str, Key]:
    """Return what tells two scans of an unchanged folder apart from others."""
    return {**scanned.files, **{f"{path}\0{why}": NO_KEY for path, why in {**scanned.odd, **scanned.closed}.items()}}
