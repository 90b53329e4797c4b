"""Commands that show what is: list, status, logs, wait."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

from reconciler import views
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption, TimeoutOption, duration_option
from reconciler.cli.options import Argument, option
from reconciler.cli.outcome import LiveLines, exit_code, unfinished
from reconciler.cli.status import detailed, refused, show_overview, show_run, show_workflow, views_of
from reconciler.errors import RejectedError, UsageError
from reconciler.model import TERMINAL, Status
from reconciler.passed import Passed
from reconciler.render import end_lines, lasted, numbered, one_line, plural, run_lines, since, table
from reconciler.standing import Standing, standing
from reconciler.state import queries, schedules

RunArgument = Annotated[str, Argument("RUN", "Name of a run, with or without run/ in front; or task/N, the number of its task in TaskYou.")]


def find_run(name: str) -> dict[str, Any]:
    """Return the latest incarnation of a run. Raises RejectedError if there is none, or more than one."""
    service = CONTEXT.service
    plain_name = run_of_task(name) if name.startswith("task/") else name.removeprefix("run/")
    with service.reading() as store:
        rows = [] if store is None else queries.runs_named(store, plain_name, service.project, service.environment)
        why = "" if rows else refused(standing(store), f"run/{plain_name}")
    if not rows:
        message = f"there is no run {plain_name!r} here{why or ': `ty-openworkflow list runs` shows the names'}"
        raise RejectedError(message)
    if len(rows) > 1:
        places = ", ".join(f"{row['project']}/{row['environment']}" for row in rows)
        message = f"run {plain_name!r} is in {places}: say which with --project and --env"
        raise RejectedError(message)
    return rows[0]


def run_of_task(name: str) -> str:
    """Return the uid of the run that a task in TaskYou (`task/N`) is about. Raises RejectedError."""
    about = object_of_task(name)
    if about.startswith("run/"):
        return about.removeprefix("run/")
    message = f"{name}: it is the card of {about}"
    raise RejectedError(message)


def object_of_task(name: str) -> str:
    """Return what a task in TaskYou (`task/N`) is about: a run by its uid, or a schedule. Raises RejectedError."""
    from reconciler.state import cards

    service, digits = CONTEXT.service, name.removeprefix("task/").removeprefix("#")
    if not (digits.isascii() and digits.isdigit()):
        message = f"{name}: task/N is meant, N the number of a task in TaskYou"
        raise UsageError(message)
    with service.reading() as store:
        found = [] if store is None else cards.of_number(store, int(digits))
    found = [one for one in found if service.means(one["place"])]
    if len(found) > 1:
        found = [one for one in found if one["database"] == service.clerk.board.database]
    if found and all(one["kind"] == "link" for one in found):
        found = found[:1]  # an agent may have started several: the newest is meant
    if len(found) == 1:
        return str(found[0]["object"]) if found[0]["kind"] == "schedule" else f"run/{found[0]['uid']}"
    what = f"it is the card of {found[0]['object']}" if found else "no run here is linked to it"
    message = f"task {digits}: {what}"
    raise RejectedError(message)


def view_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run as it is now."""
    with CONTEXT.service.reading() as store:
        assert store is not None  # it has that row
        return detailed(store, [dict(row)])[0]


def list_objects(
    kind: Annotated[str, Argument("KIND", "workflows, runs or schedules")],
    workflow: Annotated[str | None, option("-w", "--workflow", help="Only runs of this workflow.")] = None,
    status: Annotated[list[str], option("-s", "--status", help="Only runs with this status; may be given more than once.")] = [],  # noqa: B006
    number: Annotated[int, option("-n", "--limit", help="How many runs at the most, newest first.")] = 20,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """List workflows, runs or schedules."""
    as_json = wants_json(output, as_json)
    if kind not in ("workflows", "runs", "schedules"):
        message = f"list {kind}: choose workflows, runs or schedules"
        raise UsageError(message)
    if number < 1:
        message = f"-n {number}: at least 1"
        raise UsageError(message)
    unknown = [word for word in status if word not in {known.value for known in Status}]
    if unknown:
        message = f"-s {unknown[0]}: choose one of {', '.join(known.value for known in Status)}"
        raise UsageError(message)
    if kind == "schedules":
        from reconciler.cli.schedules import list_schedules

        return list_schedules(as_json=as_json)
    return _list_workflows(as_json=as_json) if kind == "workflows" else _list_runs(workflow, status, number, as_json=as_json)


def _list_workflows(*, as_json: bool) -> int:
    service = CONTEXT.service
    with service.reading() as store:
        rows = [] if store is None else queries.list_workflows(store, project=service.project, environment=service.environment)
        shown = [views.workflow_view(row, known) for known in [standing(store)] for row in rows]
    if as_json:
        CONTEXT.json(shown)
        return 0
    if not shown:
        CONTEXT.say("No workflows yet: `ty-openworkflow deploy ID -f FILE`, or `ty-openworkflow reconcile --once DIR`.")
        return 0
    header = ("workflow", "status", "reason", "runtime", "adapter", "version", "revision", "runs", "place", "declared in")
    cells = [
        (
            view["id"],
            view["status"],
            view["reason"],
            view["runtime"],
            view["adapter"],
            view["version"],
            view["revision"][:12],
            f"{view['runs']} ({view['active_runs']} active)" if view["active_runs"] else str(view["runs"]),
            f"{view['metadata']['project']}/{view['metadata']['environment']}",
            view["metadata"]["source"],
        )
        for view in shown
    ]
    CONTEXT.say(*table(header, cells, CONTEXT.paint))
    return 0


def _list_runs(workflow: str | None, statuses: list[str], number: int, *, as_json: bool) -> int:
    service = CONTEXT.service
    with service.reading() as store:
        found: tuple[list[dict[str, Any]], int] = ([], 0)
        if store is not None:
            found = queries.list_runs(
                store, workflow=workflow, statuses=statuses, project=service.project, environment=service.environment, limit=number
            )
        known = standing(store)
        documents = detailed(store, found[0]) if as_json and store is not None else []
    rows, total = found
    if as_json:
        CONTEXT.json(documents)
        return 0
    if not rows:
        CONTEXT.say("No runs fit." if workflow or statuses else "No runs yet: `ty-openworkflow start WORKFLOW` starts one.")
        return 0
    CONTEXT.say(*table(("run", "status", "reason", "workflow", "age", "took", "result"), [_cells(row, known) for row in rows], CONTEXT.paint, 1))
    if total > len(rows):
        CONTEXT.say(numbered(len(rows), total, "run"))
    return 0


def _cells(row: dict[str, Any], known: Standing) -> tuple[str, ...]:
    now = CONTEXT.clock.now()
    reason = row["reason"]
    status = row["status"]
    if row["completed_at"] is None:
        view = views_of([row], known)[0]
        status, reason = view["status"], view["reason"]
    error = views.loads(row["error"])
    result = row["output"] if status == "completed" and row["output"] else error.get("message", "") if isinstance(error, dict) else ""
    return (
        row["name"] if row["incarnation"] == 1 else f"{row['name']} (incarnation {row['incarnation']})",
        status,
        reason,
        row["workflow"],
        since(row["created_at"], now),
        lasted(row["started_at"], row["completed_at"]),
        one_line(result or "", 50),
    )


def status(
    what: Annotated[str | None, Argument("[KIND/NAME]", "A run, workflow/NAME or schedule/NAME; without it: the whole installation.")] = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Show one object with everything about it, or what needs attention."""
    as_json = wants_json(output, as_json)
    if what is None:
        return show_overview(as_json=as_json)
    if what.startswith("task/"):
        what = object_of_task(what)
    kind, sep, name = what.partition("/")
    if not sep:
        kind, name = _kind_of(what), what
    if kind == "workflow":
        return show_workflow(name, as_json=as_json)
    if kind == "schedule":
        from reconciler.cli.schedules import schedule_status

        return schedule_status(name, as_json=as_json)
    return show_run(find_run(what), as_json=as_json)


def _kind_of(name: str) -> str:
    """Say what a bare name is of: a run if it may be one, else what else has it."""
    service = CONTEXT.service
    where = {"project": service.project, "environment": service.environment}
    with service.reading() as store:
        if store is None or queries.runs_named(store, name, service.project, service.environment):
            return "run"
        if any(row["name"] == name for row in queries.list_workflows(store, **where)):
            return "workflow"
        return "schedule" if any(row["name"] == name for row in schedules.list_schedules(store, **where)) else "run"


def logs(
    run: RunArgument,
    follow: Annotated[bool, option("-f", "--follow", help="Go on until the run has ended.")] = False,
) -> int:
    """Print what a run's code has printed."""
    row = find_run(run)
    adapter = CONTEXT.service.adapters.get(row["adapter"])
    if adapter is None:
        message = f"adapter {row['adapter']} is not enabled in the settings"
        raise RejectedError(message)
    offset = _print_from(adapter.output(row["uid"]), 0)
    if not follow:
        return 0
    from reconciler.triggers.wakeups import Wakeups

    with Wakeups() as wakeups:
        while view_of(find_run(run))["status"] not in TERMINAL:
            wakeups.wait((), 200)
            offset = _print_from(adapter.output(row["uid"], offset), offset)
    _print_from(adapter.output(row["uid"], offset), offset)
    return 0


def _print_from(pieces: Any, offset: int) -> int:
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        offset += len(piece)
    sys.stdout.buffer.flush()
    return offset


def wait(run: RunArgument, timeout: TimeoutOption = None, output: OutputOption = "text", as_json: JsonOption = False) -> int:
    """Carry a run on until it has ended; exit 5 if it failed or the time was over."""
    as_json = wants_json(output, as_json)
    patience = duration_option("--timeout", timeout)
    row = find_run(run)
    passed = Passed()
    if row["completed_at"] is None:
        passed = CONTEXT.service.reconcile([], "wait", lambda *_: None)
        passed.wanted, passed.about = frozenset({row["uid"]}), f"run/{row['name']}"
        CONTEXT.service.follow(passed, passed.wanted, "wait", parked=False, timeout=patience, seen=LiveLines(passed, quiet=as_json).seen)
    return ended(run, passed, as_json=as_json)


def ended(run: str, passed: Passed, *, as_json: bool) -> int:
    """Print a run that was waited for, and return the exit code."""
    row = find_run(run)
    view = view_of(row)
    if as_json:
        CONTEXT.json(view)
    else:
        CONTEXT.say(*run_lines(views.for_text(view), CONTEXT.paint, CONTEXT.clock.now()), *end_lines(views.for_text(view), CONTEXT.paint))
    left = [other for other in passed.active.values() if other.uid == row["uid"]]
    if left and not as_json:
        CONTEXT.tell(f"{plural(1, 'run')} has not ended in time.")
        unfinished(left, waited=True)
    return exit_code(passed, [row] if row["completed_at"] else [])
