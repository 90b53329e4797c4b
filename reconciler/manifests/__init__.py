"""Manifests: what a folder of files declares, with everything that is wrong with it.

`load` reads a folder, `Manifests` reads it again and again, `read_code` gives the bytes of a workflow's code, `report` shows problems.
"""

from reconciler.manifests.code import read_code
from reconciler.manifests.load import Manifests, load, load_local
from reconciler.manifests.options import LoadOptions
from reconciler.manifests.report import report
from reconciler.manifests.schemas import install_schemas, schema_text
from reconciler.manifests.writing import write_object

__all__ = ["LoadOptions", "Manifests", "install_schemas", "load", "load_local", "read_code", "report", "schema_text", "write_object"]
