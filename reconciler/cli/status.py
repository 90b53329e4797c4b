"""What `status` shows: a run with all that is behind it, a workflow, the whole installation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from reconciler import overview, views
from reconciler.cli import trouble
from reconciler.cli.context import CONTEXT
from reconciler.detail import Details
from reconciler.errors import RejectedError, UnavailableError
from reconciler.locks import follower_lock, loop_lock
from reconciler.model import Place
from reconciler.reasons import REASONS
from reconciler.render import run_lines
from reconciler.render_status import condition_lines, detail_lines, overview_lines, workflow_lines
from reconciler.standing import Standing, standing
from reconciler.state import Store, queries


def show_run(row: dict[str, Any], *, as_json: bool) -> int:
    """Show one run with everything about it."""
    service, now = CONTEXT.service, CONTEXT.clock.now()
    with service.reading() as store:
        assert store is not None
        [view] = detailed(store, [row])
    if as_json:
        CONTEXT.json(view)
        return 0
    CONTEXT.say(*_run_lines(view, detail_lines(view, now), now))
    return 0


def detailed(store: Store, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return runs as they are now, with what is behind each."""
    details = Details(store, CONTEXT.service.adapters, CONTEXT.service.limits, now=CONTEXT.clock.now())
    return [{**view, **details.of(row, view)} for row, view in zip(rows, views_of(rows, standing(store)), strict=True)]


def _run_lines(view: dict[str, Any], detail: list[str], now: datetime) -> list[str]:
    """Return the lines of a run: what is not as it should be first, then the run, then what is behind it, then its steps."""
    message, reason = view["metadata"]["message"], view["reason"]
    head, *facts = run_lines(views.for_text(view), CONTEXT.paint, now)
    end = facts.index("") if "" in facts else len(facts)
    facts, steps = facts[:end], facts[end:]
    if message and any(one["message"] == message for one in view["conditions"] if one["type"] != "Succeeded"):
        facts = facts[1:]  # the condition says it
    elif not message and reason in REASONS:
        facts = [f"  {REASONS[reason]}", *facts]
    return [head, *condition_lines(view["conditions"], CONTEXT.paint, now), *facts, *detail, *steps]


def show_workflow(name: str, *, as_json: bool) -> int:
    """Show one workflow."""
    service = CONTEXT.service
    with service.reading() as store:
        known = standing(store)
        rows = [] if store is None else queries.list_workflows(store, project=service.project, environment=service.environment)
        found = [] if store is None else [_workflow(store, row, known) for row in rows if row["name"] == name]
    if not found:
        message = f"there is no workflow {name!r} here{refused(known, f'workflow/{name}') or ': `ty-openworkflow list workflows` shows the names'}"
        raise RejectedError(message)
    for view in found:
        view["metadata"]["drift"] = _drift(view)
    if as_json:
        CONTEXT.json(found[0] if len(found) == 1 else found)
        return 0
    for view in found:
        CONTEXT.say(*workflow_lines(view, CONTEXT.paint, CONTEXT.clock.now()))
    return 0


def _drift(view: dict[str, Any]) -> str | None:
    """Say how the deployed revision of a workflow differs from what was deployed, looking at all of it; None if it does not, or cannot be asked."""
    adapter = CONTEXT.service.adapters.get(view["adapter"])
    if adapter is None:
        return None
    try:
        if not adapter.deployed([view["revision"]]):
            return f"revision {view['revision'][:12]} is not on {view['adapter']}"
        return adapter.altered([view["revision"]], deep=True).get(view["revision"])
    except UnavailableError:
        return None


def _workflow(store: Store, row: dict[str, Any], known: Standing) -> dict[str, Any]:
    active = [one for one in queries.unfinished_runs(store) if one["workflow"] == row["name"] and _place(one) == _place(row)]
    return overview.workflow_status(store, row, views_of(active, known), known)


def views_of(rows: Sequence[dict[str, Any]], known: Standing) -> list[dict[str, Any]]:
    """Return runs as they are now."""
    now, adapters = CONTEXT.clock.now(), CONTEXT.service.adapters
    return [views.run_view(row, adapters.get(row["adapter"]), now, known) for row in rows]


def refused(known: Standing, about: str) -> str:
    """Say why an object that is declared is not there, if that is remembered."""
    service = CONTEXT.service
    for (place, other, _), one in known.remembered.items():
        if other == about and one.status == "False" and service.means(place):
            return f": it is declared and refused ({one.reason}): {one.message}"
    return ""


def _place(row: dict[str, Any]) -> Place:
    return Place(row["project"], row["environment"])


def show_overview(*, as_json: bool) -> int:
    """Show what needs attention in the whole installation."""
    with CONTEXT.service.reading() as store:
        known = standing(store)
        rows = [] if store is None else queries.unfinished_runs(store)
        view = overview.overview(store, views_of(rows, known), known)
        waiting = trouble.waiting(store)
    alive = who_lives()
    if as_json:
        CONTEXT.json({**view, "loop": alive, "retries": waiting})
        return 0
    who = "no loop is alive" if alive is None else f"a {alive['kind']} is alive (process {alive['process']})"
    CONTEXT.say(f"data in {CONTEXT.service.data_dir}; {who}", *overview_lines(view, CONTEXT.paint, CONTEXT.clock.now()))
    CONTEXT.say(*trouble.lines(waiting))
    if view["next_due"] and alive is None:
        CONTEXT.say("a pass wakes what is due: `ty-openworkflow reconcile --once --wait`")
    return 0


def who_lives() -> dict[str, Any] | None:
    """Say whether a loop is alive, or a follower, and which process that is."""
    data_dir = CONTEXT.service.data_dir
    for kind, lock in (("loop", loop_lock(data_dir)), ("follower", follower_lock(data_dir))):
        if lock.busy():
            process = lock.holder().partition(" ")[0]
            return {"kind": kind, "process": int(process) if process.isdigit() else 0}
    return None
