"""Whether a folder still holds a run that was asked for, and as what."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.errors import InvalidError
from reconciler.model import Place, Run
from reconciler.service import Service

Row = Mapping[str, Any]


def declared_run(service: Service, row: Row) -> Run | None:
    """Return the manifest of a run as it is now, if a folder still holds it."""
    owner = row["owner"]
    if not os.path.isabs(owner) or not os.path.isdir(owner):
        return None
    for desired in service.desired(Path(owner), writing=False):
        if desired.place == Place(row["project"], row["environment"]):
            if f"run/{row['name']}" in desired.invalid:
                message = f"the manifest of run {row['name']!r} is not valid: `ty-openworkflow validate {owner}` shows what is wrong"
                raise InvalidError(message)
            return desired.runs.get(row["name"])
    return None


def is_declared(service: Service, row: Row) -> bool:
    """Say whether a folder still holds a run. What `start` wrote is gone once the run has ended."""
    folder = Path(row["owner"])
    if not folder.is_absolute():
        return False
    if folder == service.local and row["source"].startswith("runs/"):
        return False
    if not folder.is_dir():
        return True  # it is missed, and holds what it held until a person says otherwise
    found = [desired for desired in service.desired(folder, writing=False) if desired.place == Place(row["project"], row["environment"])]
    return any(not desired.complete or row["name"] in desired.runs or f"run/{row['name']}" in desired.invalid for desired in found)
