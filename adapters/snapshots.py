"""Revisions on this machine: immutable, content-addressed snapshots of code, with what they depend on beside them."""

import errno
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import get_ident

from adapters.dependencies import Installation, Needs, install, needs_of
from adapters.interpreters import Interpreter
from adapters.runfiles import sync_folder
from adapters.seals import Kept, difference, expected_of, touched, write
from adapters.swap import exchange
from reconciler.compute import Progress, Revision, revision_facts, revision_from
from reconciler.digest import Json
from reconciler.errors import DamagedError, RejectedError
from reconciler.journal import decode_line, encode_line

_DESCRIPTION = "revision.json"
_RESOLVED = "resolved.json"
_OLD = ".old"
_DIGEST = 32


class Snapshots:
    """`revisions/<digest>/code` for each revision, and `deps/<digest>-<interpreter>` for what it needs."""

    def __init__(self, work_dir: Path) -> None:
        """Use two folders below `work_dir`."""
        self._revisions = work_dir / "revisions"
        self._deps = work_dir / "deps"
        self._installing: dict[str, Installation] = {}
        self._trusted: dict[str, str] = {}

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

    def altered(self, digest: str, interpreter_of: Callable[[str], Interpreter], *, deep: bool) -> str | None:
        """Say how a revision that is there differs from what was deployed; None if it does not, as far as was looked (`deep`: at every byte)."""
        kept = self._kept(digest)
        stamp = touched(kept)
        if deep or (stamp is not None and self._trusted.get(digest) != stamp):
            if not kept.seal.exists():
                return None if (kept.folder / "code").is_dir() else "code is missing"
            what = difference(kept)
            if what is not None:
                return what
            if stamp is not None:
                self._trusted[digest] = stamp  # touched, and still the same: not looked at again by this process
        return self._lacks(digest, interpreter_of, deep=deep)

    def _lacks(self, digest: str, interpreter_of: Callable[[str], Interpreter], *, deep: bool) -> str | None:
        """Say what is wrong with what was installed for a revision."""
        try:
            what = (self._revisions / digest / "needs").read_text()
        except FileNotFoundError:
            return None
        try:
            interpreter = interpreter_of("node" if what == "npm" else "python")
        except RejectedError:
            return None  # told elsewhere
        kept = self._installed(digest, interpreter)
        if not (kept.folder / _RESOLVED).is_file():
            return f"its packages are not installed for {interpreter.tag}"
        modules, link = kept.folder / "node_modules", self._revisions / digest / "node_modules"
        if what == "npm" and modules.is_dir() and (not link.is_symlink() or os.path.realpath(link) != os.path.realpath(modules)):
            return "node_modules does not lead to its packages"
        stamp = touched(kept, shallow=not deep)
        name = f"{digest}-{interpreter.tag}"
        if stamp is None or self._trusted.get(name) == stamp:
            return None
        found = difference(kept)
        if found is None:
            self._trusted[name] = stamp
        return None if found is None else f"installed packages: {found}"

    def _kept(self, digest: str) -> Kept:
        return Kept(self._revisions / digest, self._revisions / digest)

    def _installed(self, digest: str, interpreter: Interpreter) -> Kept:
        folder = self._deps / f"{digest}-{interpreter.tag}"
        return Kept(folder, folder, ".")

    def write(self, revision: Revision, code: Mapping[str, bytes], interpreter: Interpreter, progress: Progress) -> Json:
        """Write a snapshot and install what it needs; idempotent, whole or not at all. Returns what was resolved.

        What is there and was altered changes places with what is right; the altered one stays aside for workers that live in it, until `sweep`.
        """
        needs = needs_of(revision, code)
        resolved: Json = {}
        if needs is not None:
            resolved = self._install(revision.digest, needs, interpreter, progress)
        target = self._revisions / revision.digest
        if not target.is_dir() or difference(self._kept(revision.digest), expected_of(code, "code")) is not None:
            self._write(target, revision, code, needs, interpreter)
        self._link(target, revision.digest, interpreter)
        sync_folder(str(self._revisions))  # also where somebody else wrote it, who may have died before this
        return {"interpreter": interpreter.path, "version": interpreter.version, "dependencies": resolved}

    def _write(self, target: Path, revision: Revision, code: Mapping[str, bytes], needs: Needs | None, interpreter: Interpreter) -> None:
        import shutil

        self._revisions.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = _beside(target)
        shutil.rmtree(temporary, ignore_errors=True)
        _make(temporary)
        _make(temporary / "code")
        for path, content in code.items():
            _make_folders(temporary / "code", path)
            _write_durably(temporary / "code" / path, content)
        if needs is not None:
            _write_durably(temporary / "needs", needs.what.encode())
        _write_durably(temporary / _DESCRIPTION, _description(revision))
        self._link(temporary, target.name, interpreter)
        write(Kept(temporary, temporary))
        for folder, _, _ in os.walk(temporary):
            sync_folder(folder)
        _put(temporary, target)

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

        kept = self._installed(digest, interpreter)
        target, resolved = kept.folder, kept.folder / _RESOLVED
        stamp = touched(kept) if resolved.is_file() else None
        if not resolved.is_file() or (stamp is not None and difference(kept) is not None):
            self._deps.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = _beside(target)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(mode=0o700)
            self._installing[digest] = under_way = Installation()
            try:
                install(needs, interpreter, temporary, resolved.name, progress, under_way)
                write(Kept(temporary, temporary, "."))
                os.sync()
                _put(temporary, target)
            finally:
                del self._installing[digest]
                shutil.rmtree(temporary, ignore_errors=True)
            sync_folder(str(self._deps))
        return needs.resolved(resolved.read_text())

    def sweep(self, in_use: Callable[[str], bool]) -> None:
        """Remove altered snapshots that were replaced and in which no worker lives."""
        import shutil

        for place in (self._revisions, self._deps):
            for name in os.listdir(place) if place.is_dir() else ():
                if name.startswith(".") and name.endswith(_OLD) and not in_use(name.removeprefix(".")[:_DIGEST]):
                    shutil.rmtree(place / name, ignore_errors=True)

    def abandon(self, digest: str) -> None:
        """End the installation that a `write` in another thread waits for."""
        under_way = self._installing.get(digest)
        if under_way is not None:
            under_way.abandon()

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

        old = [*self._revisions.glob(f".{digest}*{_OLD}"), *self._deps.glob(f".{digest}-*{_OLD}")]
        for folder in (self._revisions / digest, *self._deps.glob(f"{digest}-*"), *old):
            shutil.rmtree(folder, ignore_errors=True)


def _description(revision: Revision) -> bytes:
    return encode_line({"type": "revision", **revision_facts(revision)})


def _make_folders(root: Path, path: str) -> None:
    """Make the folders that a file below `root` is in."""
    for part in path.split("/")[:-1]:
        root = root / part
        if not root.is_dir():
            _make(root)


def _make(folder: Path) -> None:
    """Make a folder with the permissions that its seal expects, whatever the umask is."""
    folder.mkdir()
    folder.chmod(0o700)


def _beside(target: Path) -> Path:
    """Return a name for what is to become `target`, which no other process and no other thread uses."""
    return target.with_name(f".{target.name}.{os.getpid()}.{get_ident()}")


def _put(temporary: Path, target: Path) -> None:
    """Put a finished folder where it belongs; one that is there changes places with it, and stays aside under another name."""
    try:
        temporary.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        exchange(temporary, target)
        temporary.rename(temporary.with_name(f".{target.name}.{secrets.token_hex(4)}{_OLD}"))


def _write_durably(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=_read_only) as file:
        os.fchmod(file.fileno(), 0o400)  # whatever the umask is
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_CLOEXEC, 0o400)
