"""A pass that a living loop makes for another process: what is asked, and what is told of it, as JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.actions import Change, Notice, Plan
from reconciler.digest import Json
from reconciler.errors import TyOpenworkflowError
from reconciler.hands import Applied, Failure
from reconciler.model import Desired, Place, Problem, Source
from reconciler.reconcile import Report
from reconciler.recorded import Asked
from reconciler.values import frozen, made

Shown = tuple[Desired, Mapping[str, Any], Plan, float]
"""What a pass shows: whose manifests (only what is wrong with them), where they come from, the plan, and the seconds it took."""


@frozen
class Wish:
    """A pass over `folders` (none: over what is known), in a project and environment, for the objects in `only`; `approved` ones may go.

    `approach` is how the folders are to be taken, as `ground` writes it.
    """

    folders: tuple[str, ...]
    who: str
    only: tuple[str, ...] | None = None
    approved: tuple[str, ...] = ()
    project: str | None = None
    environment: str | None = None
    approach: Mapping[str, Json] = made(default_factory=dict)


@frozen
class Told:
    """What came of a wish."""

    shown: tuple[Shown, ...]
    reports: tuple[Report, ...]
    wanted: frozenset[str] = frozenset()
    started: frozenset[str] = made(default_factory=frozenset)


def encode(value: Any) -> dict[str, Json]:
    """Return a value of ours as JSON: its fields by name."""
    return {name: getattr(value, name) for name in value.__slots__}


def wish_from(facts: Mapping[str, Any]) -> Wish:
    """Read a wish."""
    lists = {name: None if facts[name] is None else tuple(facts[name]) for name in ("folders", "only", "approved")}
    return Wish(**{**facts, **lists})


def answer(shown: Sequence[Shown], reports: Sequence[Report], wanted: frozenset[str], started: frozenset[str]) -> Json:
    """Write down what came of a wish."""
    return {
        "shown": [
            {
                "folder": desired.folder,
                "place": encode(desired.place),
                "problems": [encode(problem) for problem in desired.problems],
                "source": dict(source),
                "plan": _plan(plan),
                "seconds": seconds,
            }
            for desired, source, plan, seconds in shown
        ],
        "reports": [{"plan": _plan(report.plan), "applied": _applied(report.applied)} for report in reports],
        "wanted": sorted(wanted),
        "started": sorted(started),
    }


def refusal(error: TyOpenworkflowError) -> Json:
    """Write down why a wish was not granted."""
    return {"error": str(error), "exit": error.exit_code}


def told(facts: Any) -> Told:
    """Read an answer. Raises TyOpenworkflowError if the wish was not granted."""
    if "error" in facts:
        error = TyOpenworkflowError(facts["error"])
        error.exit_code = facts["exit"]
        raise error
    shown = tuple(
        (
            Desired(one["folder"], Place(**one["place"]), problems=tuple(Problem(**problem) for problem in one["problems"])),
            one["source"],
            _plan_from(one["plan"]),
            one["seconds"],
        )
        for one in facts["shown"]
    )
    reports = tuple(Report(Place("", ""), _plan_from(one["plan"]), _applied_from(one["applied"])) for one in facts["reports"])
    return Told(shown, reports, frozenset(facts["wanted"]), frozenset(facts["started"]))


def _plan(plan: Plan) -> Json:
    told = {name: [_placed(one) for one in getattr(plan, name)] for name in ("changes", "rejected", "held", "drift")}
    asked = [{**_placed(one), "at": one.at.isoformat()} for one in plan.asked]
    return {**told, "unchanged": plan.unchanged, "asked": asked}


def _placed(one: Change | Notice | Asked) -> dict[str, Json]:
    """Return something of a plan, with where it is declared and belongs as JSON too."""
    return {name: encode(value) if isinstance(value, Place | Source) else value for name, value in encode(one).items()}


def _plan_from(facts: Mapping[str, Any]) -> Plan:
    changes = tuple(Change(**_unplaced(one)) for one in facts["changes"])
    rejected, held, drift = (tuple(Notice(**_unplaced(one)) for one in facts[name]) for name in ("rejected", "held", "drift"))
    asked = tuple(Asked(**{**_unplaced(one), "at": datetime.fromisoformat(one["at"])}) for one in facts["asked"])
    return Plan((), rejected, held, drift, facts["unchanged"], asked, changes)


def _unplaced(facts: Mapping[str, Any]) -> dict[str, Any]:
    kinds: dict[str, Any] = {"place": Place, "source": Source}
    return {name: kinds[name](**value) if name in kinds and value is not None else value for name, value in facts.items()}


def _applied(applied: Applied) -> Json:
    return {"failures": [encode(failure) for failure in applied.failures], "started": applied.started, "ended": applied.ended}


def _applied_from(facts: Mapping[str, Any]) -> Applied:
    return Applied([Failure(**failure) for failure in facts["failures"]], facts["started"], facts["ended"])
