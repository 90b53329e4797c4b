"""Revisions on this machine: immutable, content-addressed snapshots of code, with what they depend on beside them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.dependencies import Installation, Needs, install, needs_of
from adapters.interpreters import Interpreter
from adapters.runfiles import sync_folder
from reconciler.compute import Progress, Revision
from reconciler.digest import Json


class Snapshots:
    """`revisions/<digest>/code` for each revision, and `deps/<digest>-<interpreter>` for what it needs."""

    def __init__(self, work_dir: Path) -> None:
        """Use two folders below `work_dir`."""
        self._revisions = work_dir / "revisions"
        self._deps = work_dir / "deps"
        self._installing: dict[str, Installation] = {}

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
            self._write(target, code, needs, interpreter)
        self._link(target, revision.digest, interpreter)
        sync_folder(str(self._revisions))  # also where somebody else wrote it, who may have died before this
        return {"interpreter": interpreter.path, "version": interpreter.version, "dependencies": resolved}

    def _write(self, target: Path, code: Mapping[str, bytes], needs: Needs | None, interpreter: Interpreter) -> None:
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
        if not link.is_symlink() or os.readlink(link) != str(modules):
            temporary = snapshot / f".node_modules.{os.getpid()}"
            temporary.symlink_to(modules)
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
            self._installing[digest] = under_way = Installation()
            try:
                install(needs, interpreter, temporary, resolved.name, progress, under_way)
                os.sync()
                temporary.rename(target)
            finally:
                del self._installing[digest]
                shutil.rmtree(temporary, ignore_errors=True)
            sync_folder(str(self._deps))
        return needs.resolved(resolved.read_text())

    def abandon(self, digest: str) -> None:
        """End the installation that a `write` in another thread waits for."""
        under_way = self._installing.get(digest)
        if under_way is not None:
            under_way.abandon()

    def remove(self, digest: str) -> None:
        """Remove a revision and what was installed for it."""
        import shutil

        for folder in (self._revisions / digest, *self._deps.glob(f"{digest}-*")):
            shutil.rmtree(folder, ignore_errors=True)


def _write_durably(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=_read_only) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_CLOEXEC, 0o400)
