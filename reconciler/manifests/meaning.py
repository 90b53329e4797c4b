"""What is wrong with a manifest although its shape is right, as far as the manifest alone can tell."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from reconciler.digest import Json
from reconciler.duration import parse_duration
from reconciler.finding import Finding
from reconciler.manifests.plain import is_plain
from reconciler.manifests.times import cron_findings, every_findings, zone_findings
from reconciler.schema import schema_faults
from reconciler.slots import LONGEST_NAME
from reconciler.suggest import pointer_of

_DURATIONS: Mapping[str, Sequence[str]] = {
    "Workflow": (
        "retry/initialInterval",
        "retry/maxInterval",
        "steps/retry/initialInterval",
        "steps/retry/maxInterval",
        "cancel/grace",
        "cancel/cleanup",
        "keep/completed",
        "keep/failed",
        "keep/canceled",
    ),
    "Run": ("startDeadline",),
    "Schedule": ("startDeadline", "jitter", "keep/completed", "keep/failed", "keep/canceled"),
}
_SPANS: Mapping[str, Sequence[str]] = {"Workflow": ("timeout", "steps/timeout"), "Schedule": ("every",)}


def spec_findings(kind: str, spec: Mapping[str, Json]) -> Iterator[Finding]:
    """Find what is wrong with a spec whose shape is right."""
    for path in _DURATIONS.get(kind, ()):
        yield from _duration(spec, path, timedelta(0))
    for path in _SPANS.get(kind, ()):
        found = list(_duration(spec, path, timedelta(milliseconds=1) if kind == "Workflow" else timedelta(seconds=1)))
        yield from found
        if kind == "Schedule" and "every" in spec and not found:
            yield from every_findings(spec["every"], "/spec/every")
    match kind:
        case "Workflow":
            yield from _workflow(spec)
        case "Run":
            yield from _run(spec)
        case "Schedule":
            yield from _schedule(spec)


def name_findings(kind: str, name: str) -> Iterator[Finding]:
    """Find out whether names can be made of this one."""
    if kind == "Schedule" and len(name) > LONGEST_NAME:
        message = f"is {len(name)} characters long; a schedule's name has at most {LONGEST_NAME}, since its runs add the time"
        yield Finding("/metadata/name", message)


def _duration(spec: Mapping[str, Json], path: str, least: timedelta) -> Iterator[Finding]:
    value: Json = spec
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
        return
    try:
        duration = parse_duration(value)
    except (ValueError, OverflowError) as error:
        message = str(error) if isinstance(error, ValueError) else f"{value!r} is longer than a hundred years"
        yield Finding(f"/spec/{path}", message)
        return
    if duration < least:
        yield Finding(f"/spec/{path}", f"{value!r} is too short", "leave it out for no limit" if path.endswith("timeout") else "")


def _workflow(spec: Mapping[str, Json]) -> Iterator[Finding]:
    code = spec["code"]
    ways = [way for way in ("file", "dir", "inline") if way in code]
    if len(ways) != 1:
        yield Finding("/spec/code", "needs one of file, dir and inline" if not ways else f"has {' and '.join(ways)}: only one can be", at_key=True)
    if "entry" in code and "dir" not in code:
        yield Finding("/spec/code/entry", "goes with dir only", at_key=True)
    if "schema" in spec.get("input", {}):
        yield from _schema(spec["input"]["schema"], ["spec", "input", "schema"])
    for name, signal in spec.get("signals", {}).items():
        if "schema" in signal:
            yield from _schema(signal["schema"], ["spec", "signals", name, "schema"])


def _schema(schema: Json, path: list[Any]) -> Iterator[Finding]:
    if is_plain(schema):
        return
    for below, message in schema_faults(schema):
        yield Finding(pointer_of([*path, *below]), f"not a JSON Schema: {message}", code="invalid-schema")


def _run(spec: Mapping[str, Json]) -> Iterator[Finding]:
    if "input" in spec and "inputFile" in spec:
        yield Finding("/spec/inputFile", "input is there too: only one can be", at_key=True)
    if "startAfter" in spec:
        try:
            datetime.fromisoformat(spec["startAfter"])
        except ValueError as error:
            yield Finding("/spec/startAfter", f"{spec['startAfter']!r} is not an instant: {error}")
    if "task" in spec:
        yield from _task(spec["task"], "/spec/task")


def _task(task: Json, pointer: str) -> Iterator[Finding]:
    if isinstance(task, dict) and "id" in task and len(task) > 1:
        yield Finding(f"{pointer}/id", "a task that exists is only linked: nothing else can be set", at_key=True)


def _schedule(spec: Mapping[str, Json]) -> Iterator[Finding]:
    if ("cron" in spec) == ("every" in spec):
        yield Finding("/spec", "has cron and every: only one can be" if "cron" in spec else "needs cron or every", at_key=True)
    if "cron" in spec:
        yield from cron_findings(spec["cron"], "/spec/cron")
    if "timeZone" in spec:
        yield from zone_findings(spec["timeZone"], "/spec/timeZone")
    if "task" in spec["run"]:
        yield from _task(spec["run"]["task"], "/spec/run/task")
