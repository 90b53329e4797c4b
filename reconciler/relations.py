"""What answers the requests of runs to each other: looked up in the state, and checked against what workflows declare."""

import re
from collections.abc import Mapping
from typing import Any

from reconciler.compute import Ask
from reconciler.digest import Json
from reconciler.model import Place
from reconciler.plan import Observed
from reconciler.plan.family import asks_of, child_name
from reconciler.recorded import ActiveRun, ChildRun, Family, KnownWorkflow, Recorded, Rerun, RunLine
from reconciler.state import Store, requests, runs, workflows
from reconciler.values import replace

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def answering(store: Store, recorded: Recorded, observed: Observed) -> Recorded:
    """Return what is remembered with everything that open requests of runs, and of people, are answered from."""
    asks = [(run, ask) for uid, run in recorded.active.items() for ask in asks_of(observed.runs.get(uid))]
    parents = _ended_parents(store, recorded)
    reruns = tuple(_rerun(store, *request) for request in requests.open_requests(store, "rerun"))
    if not (asks or parents or reruns):
        return recorded
    return replace(recorded, family=_family(store, asks, parents), reruns=reruns)


def _family(store: Store, asks: list[tuple[ActiveRun, Ask]], parents: Mapping[str, str]) -> Family:
    places = {run.place: workflows.known_workflows(store, run.place) for run, _ in asks}
    known = {(place, name): workflow for place, found in places.items() for name, workflow in found.items()}
    children: dict[tuple[str, str], ChildRun] = {}
    targets: dict[tuple[Place, str], ChildRun] = {}
    refusals: dict[tuple[str, str], str] = {}
    for run, ask in asks:
        if ask.kind == "child":
            child = runs.latest_facts(store, run.place, child_name(run.name, run.uid, ask.key))
            if child is not None:
                children[run.uid, ask.key] = child
            refusal = _no_name(ask.request["workflow"]) or input_fault(known.get((run.place, ask.request["workflow"])), ask.request.get("input"))
        else:
            name = str(ask.request["run"]).removeprefix("run/")
            target = runs.latest_facts(store, run.place, name)
            if target is not None:
                targets[run.place, name] = target
            refusal = _no_target(name, target) or signal_fault(
                None if target is None else known.get((run.place, target.workflow)), ask.request["signal"], ask.request.get("data")
            )
        if refusal is not None:
            refusals[run.uid, ask.key] = refusal
    return Family(children, targets, known, refusals, parents)


def _no_name(workflow: str) -> str | None:
    if _NAME.fullmatch(workflow):
        return None
    return f"no workflow can be named {workflow[:60]!r}: names are lower-case letters, digits and '-', at most 63"


def _no_target(name: str, target: ChildRun | None) -> str | None:
    if target is None:
        return f"there is no run {name!r} here"
    return f"run {name!r} has ended ({target.status})" if target.ended else None


def input_fault(workflow: KnownWorkflow | None, value: Json) -> str | None:
    """Say what keeps a value from being the input of a workflow."""
    schema = None if workflow is None else workflow.facts.get("input")
    return None if schema is None or workflow is None else _faults(value, schema, "input", f"the input does not fit workflow {workflow.name!r}")


def signal_fault(workflow: KnownWorkflow | None, signal: str, data: Json) -> str | None:
    """Say what keeps a value from being the data of a signal."""
    declared: Any = {} if workflow is None else workflow.facts.get("signals", {})
    schema = declared.get(signal, {}).get("schema")
    return None if schema is None or workflow is None else _faults(data, schema, "data", f"signal {signal!r} does not fit workflow {workflow.name!r}")


def _faults(value: Json, schema: Json, what: str, head: str) -> str | None:
    from reconciler.schema import value_faults

    faults = [f"{'.'.join(map(str, [what, *path]))}: {told}" for path, told in value_faults(value, schema)]
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return f"{head}: {'; '.join(faults[:3])}{more}" if faults else None


def _ended_parents(store: Store, recorded: Recorded) -> dict[str, str]:
    """Return the statuses of parents that have ended while their children have not."""
    found = {}
    for run in recorded.active.values():
        parent = run.origin.get("parent")
        if parent is not None and parent["uid"] not in recorded.active:
            found[parent["uid"]] = runs.status_by_uid(store, parent["uid"]) or ""
    return found


def _rerun(store: Store, number: int, place: Place, about: str, data: Mapping[str, Any]) -> Rerun:
    name = about.removeprefix("run/")
    line: RunLine = runs.latest_runs(store, place)[name]
    return Rerun(number, place, name, data, line, workflows.revision(store, data["revision"]))
