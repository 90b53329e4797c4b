"""What is wrong between manifests that are each right by themselves."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from reconciler.digest import Json, digest_of
from reconciler.finding import Finding
from reconciler.manifests.project import Scope
from reconciler.manifests.records import Doc
from reconciler.model import Run, Workflow
from reconciler.slots import fill_slot, slot_values
from reconciler.suggest import did_you_mean, pointer_of

_SAMPLES = (datetime(2026, 1, 5, 1, 30, tzinfo=UTC), datetime(2031, 12, 28, 23, 59, 45, tzinfo=UTC))
AVAILABLE_ADAPTERS = frozenset({"exec"})


class Entry(NamedTuple):
    """A document in the place at hand: its file, its index there, and its spec after variables."""

    path: str
    number: int
    doc: Doc
    spec: Mapping[str, Json]


Known = Mapping[str, object]


def duplicate(entry: Entry, others: Sequence[Entry]) -> Finding:
    """Say where else an object is declared."""
    places = ", ".join(f"{other.path}:{other.doc.line}" for other in others if other is not entry)
    return Finding("/metadata/name", f"{entry.doc.kind} {entry.doc.name!r} is declared more than once: also in {places}", code="duplicate")


def environment_findings(doc: Doc, scope: Scope) -> Iterator[Finding]:
    """Find environments that the project does not have."""
    named: list[str] = doc.metadata.get("environments", [])
    for index, name in enumerate(named):
        if not scope.environments:
            yield Finding(f"/metadata/environments/{index}", "the project declares no environments", "declare them in ty-openworkflow.yaml")
        elif name not in scope.environments:
            yield Finding(f"/metadata/environments/{index}", f"there is no environment {name!r}", did_you_mean(name, scope.environments))


def adapter_finding(spec: Mapping[str, Json], adapter: str, scope: Scope, enabled: frozenset[str]) -> Finding | None:
    """Say why a workflow cannot be run by the adapter that is meant."""
    pointer = "/spec/adapter" if "adapter" in spec else "/spec"
    chosen = "" if "adapter" in spec else f" (from {scope.adapter_from})"
    if adapter not in enabled:
        lines = f"add to the settings:\nadapters:\n  {adapter}:\n    enabled: true"
        return Finding(pointer, f"the adapter {adapter}{chosen} is disabled", lines, at_key="adapter" not in spec, code="adapter-disabled")
    if adapter not in AVAILABLE_ADAPTERS:
        message = f"the adapter {adapter}{chosen} is not available yet in this version"
        return Finding(
            pointer, message, f"available: {', '.join(sorted(AVAILABLE_ADAPTERS))}", at_key="adapter" not in spec, code="adapter-unavailable"
        )
    return None


class Links(NamedTuple):
    """What objects of a place may refer to: what is there (usable or not), what is only in other environments, and schemas of inputs."""

    workflows: Known
    runs: Known
    elsewhere: Mapping[str, Collection[str]]
    digests: Mapping[str, str]
    scope: Scope

    def workflow(self, name: str, pointer: str) -> Iterator[Finding]:
        """Find out that there is no such workflow; one of a run in the local folder may be declared elsewhere."""
        if name not in self.workflows and not self.scope.local:
            yield self._missing("Workflow", name, self.workflows, pointer)

    def dependencies(self, run: Run) -> Iterator[Finding]:
        """Find runs to wait for that there are not."""
        for number, dependency in enumerate(run.depends_on):
            name = dependency.removeprefix("run/")
            if name not in self.runs and not self.scope.local:
                yield self._missing("Run", name, self.runs, f"/spec/dependsOn/{number}")

    def _missing(self, kind: str, name: str, known: Known, pointer: str) -> Finding:
        word, code = kind.lower(), f"unknown-{kind.lower()}"
        if name in self.elsewhere[kind]:
            return Finding(pointer, f"{word} {name!r} is not for environment {self.scope.place.environment!r}", code=code)
        return Finding(pointer, f"there is no {word} {name!r} in this folder", did_you_mean(name, known), code=code)


def input_findings(spec: Mapping[str, Json], value: Json, schema: Json, pointer: str) -> Iterator[Finding]:
    """Check an input against the schema of its workflow."""
    for path, message in _faults(value, schema):
        if "inputFile" in spec:
            where = f" at {pointer_of(path)}" if path else ""
            yield Finding("/spec/inputFile", f"{spec['inputFile']}{where}: {message}", code="input")
        elif "input" not in spec:
            yield Finding(
                pointer.removesuffix("/input"), f"'input' is missing, and the workflow has a schema for it: {message}", at_key=True, code="input"
            )
        else:
            yield Finding(pointer + pointer_of(path), message, code="input")


def slot_input_findings(given: Mapping[str, Json], schema: Json, pointer: str) -> Iterator[Finding]:
    """Check what a schedule gives its workflow: what is wrong with the input of one slot and of quite another one is wrong with every one."""
    found = [list(input_findings(given, fill_slot(given.get("input"), slot_values(slot, "UTC")), schema, pointer)) for slot in _SAMPLES]
    others = {finding.pointer for finding in found[1]}
    return (finding for finding in found[0] if finding.pointer in others)


def signal_findings(run: Run, workflow: Workflow) -> Iterator[Finding]:
    """Check the signals that a run is sent against their schemas."""
    for name, value in run.signals.items():
        schema = workflow.signals.get(name, {}).get("schema")
        for path, message in _faults(value, schema) if schema is not None else ():
            yield Finding(pointer_of(["spec", "signals", name, *path]), message, code="signal")


def _faults(value: Json, schema: Json) -> list[tuple[list[Any], str]]:
    """Check a value against a schema; the library for that is only loaded where the schema or a fault needs it."""
    from reconciler.manifests.plain import passes

    if passes(value, schema):
        return []
    from reconciler.schema import value_faults

    return value_faults(value, schema)


def schema_digests(workflows: Mapping[str, Workflow]) -> dict[str, str]:
    """Return the digest of the input schema of each workflow that has one."""
    return {name: digest_of(workflow.input_schema) for name, workflow in workflows.items() if workflow.input_schema is not None}


def cycles(runs: Mapping[str, Run]) -> Iterator[list[str]]:
    """Find runs that wait for themselves, each circle once, from the first name in it back to that name."""
    done: dict[str, bool] = {}
    for start in sorted(name for name, run in runs.items() if run.depends_on):
        path: list[str] = []
        waiting: list[tuple[str, int, bool]] = [(start, 0, True)]
        while waiting:
            name, depth, entering = waiting.pop()
            del path[depth:]
            if not entering:
                done[name] = True
            elif name not in done and name in runs:
                done[name] = False
                path.append(name)
                waiting.append((name, depth + 1, False))
                waiting += [(dependency.removeprefix("run/"), depth + 1, True) for dependency in runs[name].depends_on]
            elif done.get(name) is False:
                circle = path[path.index(name) :]
                first = circle.index(min(circle))
                yield [*circle[first:], *circle[: first + 1]]
