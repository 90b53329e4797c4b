"""Revisions on this machine: immutable, content-addressed snapshots of code, with what they depend on beside them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.dependencies import Needs, install, needs_of
from adapters.interpreters import Interpreter
from adapters.runfiles import sync_folder
from reconciler.compute import Progress, Revision, revision_facts, revision_from
from reconciler.digest import Json
from reconciler.errors import DamagedError
from reconciler.journal import decode_line, encode_line

_DESCRIPTION = "revision.json"


class Snapshots:
    """`revisions/<digest>/code` for each revision, and `deps/<digest>-<interpreter>` for what it needs."""

    def __init__(self, work_dir: Path) -> None:
        """Use two folders below `work_dir`."""
        self._revisions = work_dir / "revisions"
        self._deps = work_dir / "deps"

    def code(self, digest: str) -> str:
        """Return the folder of a revision's code."""
        return str(self._revisions / digest / "code")

    def paths(self, digest: str, interpreter: Interpreter) -> list[str]:
        """Return the folders with installed dependencies that go on the module path."""
        folder = self._deps / f"{digest}-{interpreter.tag}"
        return [str(folder)] if interpreter.runtime == "python" and folder.is_dir() else []

    def present(self, digests: Sequence[str]) -> frozenset[str]:
        """Return which revisions are there, whole."""
        return frozenset(digest for digest in digests if os.path.isdir(self._revisions / digest))

    def write(self, revision: Revision, code: Mapping[str, bytes], interpreter: Interpreter, progress: Progress) -> Json:
        """Write a snapshot and install what it needs; idempotent, whole or not at all. Returns what was resolved."""
        needs = needs_of(revision, code)
        resolved: Json = {}
        if needs is not None:
            resolved = self._install(revision.digest, needs, interpreter, progress)
        target = self._revisions / revision.digest
        if not target.is_dir():
            self._write(target, revision, code, needs, interpreter)
        self._link(target, revision.digest, interpreter)
        sync_folder(str(self._revisions))  # also where somebody else wrote it, who may have died before this
        return {"interpreter": interpreter.path, "version": interpreter.version, "dependencies": resolved}

    def _write(self, target: Path, revision: Revision, code: Mapping[str, bytes], needs: Needs | None, interpreter: Interpreter) -> None:
        import shutil

        self._revisions.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._revisions / f".{target.name}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        (temporary / "code").mkdir(parents=True, mode=0o700)
        for path, content in code.items():
            file = temporary / "code" / path
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_durably(file, content)
        if needs is not None:
            _write_durably(temporary / "needs", needs.what.encode())
        _write_durably(temporary / _DESCRIPTION, _description(revision))
        self._link(temporary, target.name, interpreter)
        for folder, _, _ in os.walk(temporary):
            sync_folder(folder)
        temporary.rename(target)

    def _link(self, snapshot: Path, digest: str, interpreter: Interpreter) -> None:
        """Put installed npm packages where Node looks for them: beside the folder of the code."""
        modules = self._deps / f"{digest}-{interpreter.tag}" / "node_modules"
        link = snapshot / "node_modules"
        if interpreter.runtime != "node" or not modules.is_dir():
            return
        target = os.path.relpath(modules, snapshot)  # so that the folder may be moved
        if not link.is_symlink() or os.readlink(link) != target:
            temporary = snapshot / f".node_modules.{os.getpid()}"
            temporary.symlink_to(target)
            temporary.rename(link)
        sync_folder(str(snapshot))

    def _install(self, digest: str, needs: Needs, interpreter: Interpreter, progress: Progress) -> Json:
        import shutil

        target = self._deps / f"{digest}-{interpreter.tag}"
        resolved = target / "resolved.json"
        if not target.is_dir():
            self._deps.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = self._deps / f".{target.name}.{os.getpid()}"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(mode=0o700)
            try:
                install(needs, interpreter, temporary, resolved.name, progress)
                os.sync()
                temporary.rename(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            sync_folder(str(self._deps))
        return needs.resolved(resolved.read_text())

    def describe(self, revision: Revision) -> None:
        """Write what a lost database would need of a revision that is here; what is written already stays."""
        target = self._revisions / revision.digest / _DESCRIPTION
        if target.exists() or not target.parent.is_dir():
            return
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        _write_durably(temporary, _description(revision))
        temporary.rename(target)
        sync_folder(str(target.parent))

    def described(self, digest: str) -> Revision | None:
        """Return what `describe` wrote, None if it is not there or damaged."""
        try:
            facts = decode_line((self._revisions / digest / _DESCRIPTION).read_bytes().rstrip(b"\n"))
            return revision_from({name: value for name, value in facts.items() if name != "type"})
        except (OSError, DamagedError, TypeError):
            return None

    def remove(self, digest: str) -> None:
        """Remove a revision and what was installed for it."""
        import shutil

        for folder in (self._revisions / digest, *self._deps.glob(f"{digest}-*")):
            shutil.rmtree(folder, ignore_errors=True)


def _description(revision: Revision) -> bytes:
    return encode_line({"type": "revision", **revision_facts(revision)})


def _write_durably(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=_read_only) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_CLOEXEC, 0o400)
