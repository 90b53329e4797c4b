"""The code of a workflow: what belongs to it, and its bytes when it is deployed."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from reconciler.digest import Json
from reconciler.errors import UnavailableError
from reconciler.finding import Finding
from reconciler.manifests.attachments import MOST_CODE_BYTES, Attachments, inside
from reconciler.manifests.files import RefusedError, open_inside
from reconciler.model import Code
from reconciler.suggest import did_you_mean

_RUNTIMES = {".js": "node", ".mjs": "node", ".cjs": "node", ".py": "python"}
_ENTRIES = ("main.js", "main.mjs", "main.py", "index.js")
_INLINE = {"node": "workflow.js", "python": "workflow.py"}


def find_code(folder: Path, below: str, spec: Mapping[str, Json], attachments: Attachments) -> tuple[Code, str] | Finding:
    """Return the code that a spec names and its runtime; `below` is the manifest's folder. Raises UnstableError."""
    code: Mapping[str, str] = spec["code"]
    if "inline" in code:
        runtime = spec.get("runtime", "node")
        entry = _INLINE[runtime]
        digest = hashlib.sha256(code["inline"].encode("utf-8", "surrogatepass")).hexdigest()
        return Code({entry: digest}, entry, text=code["inline"]), runtime
    way = "dir" if "dir" in code else "file"
    try:
        parts = inside(below, code[way])
        found = _folder(folder, below, code, parts, attachments) if way == "dir" else _file(folder, parts, attachments)
    except RefusedError as error:
        return Finding(f"/spec/code/{way}", f"{code[way]}: {error}", code="code")
    if isinstance(found, Finding):
        return found
    return _with_runtime(found, spec)


def read_code(code: Code) -> dict[str, bytes]:
    """Return the bytes of every file of the code, as they were when it was loaded. Raises UnavailableError if they are not any more."""
    if code.text is not None:
        return {code.entry: code.text.encode("utf-8", "surrogatepass")}
    try:
        root = os.open(code.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        message = f"{code.folder}: {error.strerror}"
        raise UnavailableError(message) from error
    try:
        return {path: _bytes(root, code, path, digest) for path, digest in code.files.items()}
    finally:
        os.close(root)


def code_folder(below: str, spec: Json) -> str | None:
    """Return the folder that a spec names as its code, which is not searched for manifests; None if it names none."""
    path = spec.get("code", {}).get("dir") if isinstance(spec, dict) and isinstance(spec.get("code"), dict) else None
    if not isinstance(path, str):
        return None
    try:
        folder = "/".join(inside(below, path))
    except RefusedError:
        return None
    return None if _holds(folder, below) else folder


def _holds(folder: str, below: str) -> bool:
    return folder in ("", below) or below.startswith(f"{folder}/")


def _file(folder: Path, parts: tuple[str, ...], attachments: Attachments) -> Code | Finding:
    if not parts:
        return Finding("/spec/code/file", "names a folder and not a file", "use code.dir for a folder", code="code")
    return Code({parts[-1]: attachments.digest(parts)}, parts[-1], "/".join(parts[:-1]), folder=str(folder))


def _folder(folder: Path, below: str, code: Mapping[str, str], parts: tuple[str, ...], attachments: Attachments) -> Code | Finding:
    root = "/".join(parts)
    if _holds(root, below):
        hint = "move the code into a folder of its own beside the manifest"
        return Finding("/spec/code/dir", f"{code['dir']}: this manifest is in it", hint, code="code")
    listed = attachments.listing(parts)
    entry = code.get("entry")
    if entry is None:
        candidates = [name for name in _ENTRIES if name in listed]
        if len(candidates) != 1:
            found = f"has {' and '.join(candidates)}" if candidates else f"has none of {', '.join(_ENTRIES)}"
            return Finding("/spec/code", f"{code['dir']}: {found}: name one as entry", at_key=True, code="code")
        entry = candidates[0]
    entry = str(PurePosixPath(entry))
    if entry not in listed:
        return Finding("/spec/code/entry", f"{code['dir']}: there is no file {entry!r} in it", did_you_mean(entry, listed), code="code")
    return Code({path: attachments.digest(place) for path, place in sorted(listed.items())}, entry, root, folder=str(folder))


def _with_runtime(code: Code, spec: Mapping[str, Json]) -> tuple[Code, str] | Finding:
    natural = _RUNTIMES.get(PurePosixPath(code.entry).suffix)
    runtime = spec.get("runtime", natural or "node")
    if natural is not None and natural != runtime:
        return Finding("/spec/runtime", f"{runtime} does not run {code.entry}", f"did you mean {natural!r}?", code="code")
    return code, runtime


def _bytes(root: int, code: Code, path: str, digest: str) -> bytes:
    parts = [part for part in (*code.root.split("/"), *path.split("/")) if part]
    where = "/".join(parts)
    try:
        handle = open_inside(root, parts)
    except RefusedError as error:
        message = f"{where} {error}; it was there a moment ago"
        raise UnavailableError(message) from error
    with os.fdopen(handle, "rb") as file:
        data = file.read(MOST_CODE_BYTES + 1)
    if hashlib.sha256(data).hexdigest() != digest:
        message = f"{where} changed while it was deployed; the next pass takes it as it is then"
        raise UnavailableError(message)
    return data
