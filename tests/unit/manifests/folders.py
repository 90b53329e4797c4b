"""Folders of manifests for tests, and clocks by which their files are new or old."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.manifests.loading import Manifests
from reconciler.manifests.options import LoadOptions
from reconciler.model import Desired

WORKFLOW = """\
apiVersion: ty-openworkflow/v1
kind: Workflow
metadata: {name: greet}
spec:
  code: {inline: "async function workflow() {}"}
"""
RUN = """\
apiVersion: ty-openworkflow/v1
kind: Run
metadata: {name: greet-world}
spec:
  workflow: greet
  input: {name: World}
"""


class LaterClock:
    """A clock that goes ahead, by which every file is old."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=10)


def a_manifest(kind: str, name: str, spec: str = "", metadata: str = "") -> str:
    more = f", {metadata}" if metadata else ""
    body = f"spec: {spec}\n" if spec else ""
    return f"apiVersion: ty-openworkflow/v1\nkind: {kind}\nmetadata: {{name: {name}{more}}}\n{body}"


def a_run(name: str = "greet-world", spec: str = "{workflow: greet}", metadata: str = "") -> str:
    return a_manifest("Run", name, spec, metadata)


def a_workflow(name: str = "greet", spec: str = "{code: {inline: x}}", metadata: str = "") -> str:
    return a_manifest("Workflow", name, spec, metadata)


def together(*documents: str) -> str:
    return "---\n".join(documents)


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def loaded(folder: Path, **options: Any) -> Desired:
    """Load a folder of files that are all old."""
    return Manifests(folder, LoadOptions(**options), LaterClock()).load()


def lines(desired: Desired) -> list[str]:
    return [f"{problem.file}:{problem.line}:{problem.column}: {problem.pointer}: {problem.message}" for problem in desired.problems]
