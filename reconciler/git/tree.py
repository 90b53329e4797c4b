"""The files of a commit, laid out in a folder of ours: every one as it was committed, none half-written, no filter run."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Self

from reconciler.errors import UnavailableError, UnreadableError
from reconciler.git.call import command, environment, run_git, said
from reconciler.git.heads import Repository
from reconciler.values import frozen, made, mutable

_LARGEST = 64 << 20  # larger files are refused whoever reads them: only their size is laid out
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LONGEST_POINTER = 1024
_ENCRYPTED = b"\0GITCRYPT\0"
_YAML = (".yaml", ".yml")
_LINK, _FILE, _MODULE = "120000", "100", "160000"
_FILES, _NOTE = "files", "note.json"


@frozen
class Entry:
    """One line of a tree: `path` below the folder that is laid out."""

    mode: str
    kind: str
    oid: str
    size: int
    path: str


@mutable
class Laid:
    """A commit's folder on disk: `unread` are paths whose content is not in the repository (submodules, Git LFS), with the reason."""

    folder: Path
    unread: dict[str, str] = made(default_factory=dict)


def lay_out(repository: Repository, commit: str, below: str, target: Path, before: Path | None = None) -> Laid:
    """Write the files of a commit's folder into `target`, which must be new; what `before`, made by an earlier call, holds of them is linked.

    Raises UnreadableError if the commit has no such folder, and UnavailableError if its content is not here.
    """
    entries = list(_entries(repository, commit, below))
    laid = Laid(target / _FILES)
    laid.folder.mkdir(parents=True, mode=0o700)
    known = {} if before is None else _noted(before)[0]
    links = []
    with _Blobs(repository) as blobs:
        for entry in entries:
            path = laid.folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if entry.mode == _MODULE or entry.kind == "commit":
                laid.unread[entry.path] = "is a submodule, which --git does not read"
            elif entry.mode == _LINK:
                links.append((path, os.fsdecode(blobs.read(entry))))
            elif before is None or not _link(before, known.get(entry.path), entry, path):
                _write(repository, entry, path, blobs, laid)
    for path, meaning in links:  # last: nothing is ever written through one of them
        path.symlink_to(meaning)
    _note(target, entries, laid)
    return laid


def _entries(repository: Repository, commit: str, below: str) -> Iterator[Entry]:
    where = f"{commit}:{below}" if below else f"{commit}^{{tree}}"
    try:
        listed = run_git(repository.root, "ls-tree", "-r", "-z", "--long", "--full-tree", "--end-of-options", where)
    except UnavailableError as error:
        message = f"commit {commit[:12]} of {repository.root} has no folder {below or '.'!r} ({error})"
        raise UnreadableError(message) from error
    for line in listed.split(b"\0")[:-1]:
        facts, _, name = line.partition(b"\t")
        mode, kind, oid, size = facts.decode().split()
        path = os.fsdecode(name)
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")):
            message = f"commit {commit[:12]} of {repository.root} holds a file named {path!r}, which no folder can have"
            raise UnavailableError(message)
        yield Entry(mode, kind, oid, int(size) if size.isdigit() else 0, path)


def _write(repository: Repository, entry: Entry, path: Path, blobs: "_Blobs", laid: Laid) -> None:
    mode = 0o700 if entry.mode == "100755" else 0o600
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, mode)) as file:
        if entry.size > _LARGEST:
            file.truncate(entry.size)
            return
        data = blobs.read(entry)
        why = ""
        if len(data) <= _LONGEST_POINTER and data.startswith(_POINTER):
            found = _large(repository, data)
            data, why = (
                (data, "is kept in Git LFS, and its content is not in this repository: `git lfs fetch` gets it") if found is None else (found, "")
            )
        elif data.startswith(_ENCRYPTED):
            why = "is encrypted in the repository"
        file.write(data)
    if why:
        laid.unread[entry.path] = why
        if not entry.path.endswith(_YAML):  # code must not take a pointer for content: a link is refused where it is named
            path.unlink()
            path.symlink_to("content-is-not-here")


def _large(repository: Repository, pointer: bytes) -> bytes | None:
    """Return the content that a pointer of Git LFS stands for, None if it is not here."""
    oid = next((line.partition(b":")[2].decode("ascii", "replace") for line in pointer.splitlines() if line.startswith(b"oid sha256:")), "")
    if len(oid) != 64 or not oid.isalnum():
        return None
    try:
        data = (repository.common / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == oid else None


def laid_out(target: Path) -> Laid | None:
    """Return what an earlier call wrote into `target`, None if there is nothing."""
    if not (target / _NOTE).is_file():
        return None
    return Laid(target / _FILES, _noted(target)[1])


def _note(target: Path, entries: Iterable[Entry], laid: Laid) -> None:
    """Remember which content each file has, for the next commit, and what could not be had."""
    files = {entry.path: f"{entry.oid} {entry.mode}" for entry in entries if entry.mode.startswith(_FILE) and entry.path not in laid.unread}
    (target / _NOTE).write_text(json.dumps([files, laid.unread]))


def _noted(target: Path) -> tuple[dict[str, str], dict[str, str]]:
    try:
        files, unread = json.loads((target / _NOTE).read_text())
    except (OSError, ValueError):
        return {}, {}
    return files, unread


def _link(before: Path, known: str | None, entry: Entry, path: Path) -> bool:
    """Take a file of the commit before that has the very same content; say whether that worked."""
    if known != f"{entry.oid} {entry.mode}":
        return False
    try:
        os.link(before / _FILES / entry.path, path, follow_symlinks=False)
    except OSError:
        return False
    return True


class _Blobs:
    """Contents by their names, asked of one process."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()

    def read(self, entry: Entry) -> bytes:
        """Return one content. Raises UnavailableError if the repository does not have it."""
        words, answers = self._pipes()
        try:
            words.write(f"{entry.oid}\n".encode())
            words.flush()
            head = answers.readline().split()
        except BrokenPipeError:
            head = []
        if len(head) != 3 or head[1] != b"blob":
            message = f"{self._repository.root}: {entry.path} of this commit is not in the repository ({said(b' '.join(head))})"
            raise UnavailableError(message)
        data = answers.read(int(head[2]))
        answers.read(1)
        return data

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None:
            call: Sequence[str] = command(self._repository.root, "cat-file", "--batch")
            self._process = subprocess.Popen(
                call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(), start_new_session=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout
