"""Manifests: what a folder of files declares, with everything that is wrong with it.

`load` reads a folder, `Manifests` reads it again and again, `read_code` gives the bytes of a workflow's code, `report` shows problems.
Each is imported when it is first needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.manifests.code import read_code
    from reconciler.manifests.files import RefusedError
    from reconciler.manifests.inputs import parse_input
    from reconciler.manifests.loading import Manifests, load, load_local
    from reconciler.manifests.options import LoadOptions
    from reconciler.manifests.problems import report
    from reconciler.manifests.remarks import schedule_remarks
    from reconciler.manifests.schemas import install_schemas, schema_text
    from reconciler.manifests.writing import write_object

_HOMES = {
    "LoadOptions": "options",
    "Manifests": "loading",
    "RefusedError": "files",
    "install_schemas": "schemas",
    "load": "loading",
    "load_local": "loading",
    "parse_input": "inputs",
    "read_code": "code",
    "report": "problems",
    "schedule_remarks": "remarks",
    "schema_text": "schemas",
    "write_object": "writing",
}

__all__ = [
    "LoadOptions",
    "Manifests",
    "RefusedError",
    "install_schemas",
    "load",
    "load_local",
    "parse_input",
    "read_code",
    "report",
    "schedule_remarks",
    "schema_text",
    "write_object",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
