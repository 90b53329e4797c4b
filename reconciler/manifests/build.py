"""From specs without faults to the types of the product, with the defaults."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from reconciler.digest import Json, digest_of
from reconciler.duration import parse_duration
from reconciler.manifests.records import Doc
from reconciler.model import Code, EnvVar, Retry, Run, Schedule, Source, Workflow

_BODY_RETRY = Retry(1, timedelta(seconds=1), 2, timedelta(seconds=100))
_STEP_RETRY = Retry(10, timedelta(seconds=1), 2, timedelta(seconds=100))
_GRACE = timedelta(seconds=10)
_CLEANUP = timedelta(seconds=60)
_NO_LABELS: Mapping[str, str] = {}
_PINNED = ("runtime", "steps", "retry", "timeout", "cancel", "input", "signals", "version", "env")


def to_workflow(doc: Doc, spec: Mapping[str, Any], code: Code, runtime: str, adapter: str, source: Source) -> Workflow:
    """Return a workflow with its revision."""
    block = spec.get(adapter, {})
    steps = spec.get("steps", {})
    cancel = spec.get("cancel", {})
    return Workflow(
        name=doc.name,
        revision=_revision(spec, code, adapter, block),
        runtime=runtime,
        adapter=adapter,
        code=code,
        retry=_retry(spec.get("retry", {}), _BODY_RETRY),
        step_retry=_retry(steps.get("retry", {}), _STEP_RETRY),
        step_timeout=_duration(steps.get("timeout")),
        timeout=_duration(spec.get("timeout")),
        grace=_duration_or(cancel.get("grace"), _GRACE),
        cleanup=_duration_or(cancel.get("cleanup"), _CLEANUP),
        title=spec.get("title", ""),
        description=spec.get("description", ""),
        version=spec.get("version", ""),
        block=block,
        input_schema=spec.get("input", {}).get("schema"),
        env=tuple(_variable(name, value) for name, value in sorted(spec.get("env", {}).items())),
        signals=spec.get("signals", {}),
        concurrency=spec.get("concurrency", {}).get("limit", 0),
        keep=spec.get("keep", {}),
        prune=spec.get("prune", "enabled"),
        drift=spec.get("drift", "heal"),
        labels=_labels(doc),
        source=source,
    )


def to_run(doc: Doc, spec: Mapping[str, Any], value: Json, spec_hash: str, source: Source) -> Run:
    """Return a run; `value` is its input, wherever it came from."""
    workflow = spec["workflow"]
    labels = _labels(doc)
    if len(spec) <= 2 and "input" in spec:
        return Run(doc.name, workflow, spec_hash, value, labels=labels, source=source)
    after = spec.get("startAfter")
    return Run(
        name=doc.name,
        workflow=workflow,
        spec_hash=spec_hash,
        input=value,
        task=spec.get("task"),
        cancel=spec.get("cancel", False),
        suspend=spec.get("suspend", False),
        rerun=spec.get("rerun", ""),
        start_after=None if after is None else datetime.fromisoformat(after),
        start_deadline=_duration(spec.get("startDeadline")),
        depends_on=tuple(spec.get("dependsOn", ())),
        priority=spec.get("priority", 0),
        signals=spec.get("signals", {}),
        on_change=spec.get("onChange", "reject"),
        on_delete=spec.get("onDelete", "cancel"),
        prune=spec.get("prune", "enabled"),
        labels=labels,
        source=source,
    )


def to_schedule(doc: Doc, spec: Mapping[str, Any], source: Source) -> Schedule:
    """Return a schedule."""
    return Schedule(doc.name, spec, _labels(doc), source)


def spec_hash(workflow: Json, value: Json) -> str:
    """Return the digest of what a run was asked for, as written: what tells an edit of it from other changes."""
    return digest_of({"workflow": workflow, "input": value})


def _revision(spec: Mapping[str, Any], code: Code, adapter: str, block: Json) -> str:
    """Return the digest of what runs are pinned to: as written after variables, so that no default of ours is in it."""
    pinned = {key: spec[key] for key in _PINNED if key in spec}
    if "entry" in spec["code"]:
        pinned["entry"] = spec["code"]["entry"]
    return digest_of({**pinned, "code": sorted(code.files.items()), "adapter": adapter, "block": block})


def _retry(given: Mapping[str, Any], default: Retry) -> Retry:
    if not given:
        return default
    return Retry(
        given.get("maxAttempts", default.max_attempts),
        parse_duration(given["initialInterval"]) if "initialInterval" in given else default.initial_interval,
        given.get("factor", default.factor),
        parse_duration(given["maxInterval"]) if "maxInterval" in given else default.max_interval,
        given.get("jitter", default.jitter),
    )


def _duration(text: str | None) -> timedelta | None:
    return None if text is None else parse_duration(text)


def _duration_or(text: str | None, default: timedelta) -> timedelta:
    return default if text is None else parse_duration(text)


def _variable(name: str, given: Mapping[str, Any]) -> EnvVar:
    if "secret" in given:
        return EnvVar(name, secret=given["secret"])
    value = given["value"]
    return EnvVar(name, value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value))


def _labels(doc: Doc) -> Mapping[str, str]:
    labels: Mapping[str, str] = doc.metadata.get("labels", _NO_LABELS)
    return labels
