"""Manifests that commands write: whole or not at all, and readable for a person."""

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler.digest import Json
from reconciler.errors import UnavailableError


def write_object(folder: Path, name: str, document: Mapping[str, Json], files: Mapping[str, bytes]) -> None:
    """Write one manifest and the files that it names, these first; a file that is already so stays untouched."""
    from reconciler.yaml12 import write_document

    text = write_document(dict(document))
    try:
        for path, content in (*files.items(), (name, text.encode())):
            _write(folder / path, content)
    except OSError as error:
        message = f"{error.filename or folder}: the manifest cannot be written: {error.strerror}"
        raise UnavailableError(message) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.read_bytes() == content:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
