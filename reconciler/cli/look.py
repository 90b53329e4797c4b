"""Commands that show what is: list, status, logs, wait."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

from reconciler import views
from reconciler.cli import trouble
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption, TimeoutOption, duration_option
from reconciler.cli.options import Argument, option
from reconciler.cli.outcome import LiveLines, exit_code, unfinished
from reconciler.errors import RejectedError, UnavailableError, UsageError
from reconciler.model import TERMINAL, Status
from reconciler.render import lasted, numbered, one_line, plural, run_lines, since, table
from reconciler.service import Passed
from reconciler.state import events, queries, runs, schedules

RunArgument = Annotated[str, Argument("RUN", "Name of a run, with or without run/ in front.")]


def find_run(name: str) -> dict[str, Any]:
    """Return the latest incarnation of a run. Raises RejectedError if there is none, or more than one."""
    service = CONTEXT.service
    plain_name = name.removeprefix("run/")
    with service.reading() as store:
        rows = [] if store is None else queries.runs_named(store, plain_name, service.project, service.environment)
    if not rows:
        message = f"there is no run {plain_name!r} here: `ty-openworkflow list runs` shows the names"
        raise RejectedError(message)
    if len(rows) > 1:
        places = ", ".join(f"{row['project']}/{row['environment']}" for row in rows)
        message = f"run {plain_name!r} is in {places}: say which with --project and --env"
        raise RejectedError(message)
    return rows[0]


def view_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run as it is now."""
    return views.run_view(row, CONTEXT.service.adapters.get(row["adapter"]), CONTEXT.clock.now())


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
        message = f"-n {number}: at least one"
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
    shown = [views.workflow_view(row) for row in rows]
    if as_json:
        CONTEXT.json(shown)
        return 0
    if not shown:
        CONTEXT.say("No workflows yet: `ty-openworkflow deploy ID -f FILE`, or `ty-openworkflow reconcile --once DIR`.")
        return 0
    header = ("workflow", "runtime", "adapter", "version", "revision", "runs", "place", "declared in")
    cells = [
        (
            view["id"],
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
    rows, total = found
    if as_json:
        CONTEXT.json([view_of(row) for row in rows])
        return 0
    if not rows:
        CONTEXT.say("No runs fit." if workflow or statuses else "No runs yet: `ty-openworkflow start WORKFLOW` starts one.")
        return 0
    CONTEXT.say(*table(("run", "status", "reason", "workflow", "age", "took", "result"), [_cells(row) for row in rows], CONTEXT.paint, 1))
    if total > len(rows):
        CONTEXT.say(numbered(len(rows), total, "run"))
    return 0


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    now = CONTEXT.clock.now()
    reason = row["reason"]
    status = row["status"]
    if row["completed_at"] is None:
        view = view_of(row)
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
        return _overview(as_json=as_json)
    kind, sep, name = what.partition("/")
    if not sep:
        kind, name = _kind_of(what), what
    if kind == "workflow":
        return _workflow(name, as_json=as_json)
    if kind == "schedule":
        from reconciler.cli.schedules import schedule_status

        return schedule_status(name, as_json=as_json)
    view = view_of(find_run(what))
    if as_json:
        CONTEXT.json(view)
        return 0
    CONTEXT.say(*run_lines(views.for_text(view), CONTEXT.paint, CONTEXT.clock.now()))
    return 0


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


def _workflow(name: str, *, as_json: bool) -> int:
    service = CONTEXT.service
    with service.reading() as store:
        rows = [] if store is None else queries.list_workflows(store, project=service.project, environment=service.environment)
    found = [views.workflow_view(row) for row in rows if row["name"] == name]
    if not found:
        message = f"there is no workflow {name!r} here: `ty-openworkflow list workflows` shows the names"
        raise RejectedError(message)
    for view in found:
        view["metadata"]["drift"] = _drift(view)
    if as_json:
        CONTEXT.json(found[0] if len(found) == 1 else found)
        return 0
    for view in found:
        meta = view["metadata"]
        CONTEXT.say(f"workflow/{view['id']}  {view['status']}")
        facts = [("title", view["title"]), ("description", view["description"]), ("version", view["version"])]
        facts += [("runs with", f"{view['runtime']} on {view['adapter']}"), ("revision", view["revision"]), ("declared", meta["source"])]
        facts += [
            ("place", f"project {meta['project']}  environment {meta['environment']}"),
            ("runs", f"{view['runs']}, {view['active_runs']} active"),
        ]
        resolved = (meta["resolved"] or {}).get("dependencies") or {}
        facts.append(("drift", meta["drift"] or ""))
        facts.append(("installed", ", ".join(f"{package} {version}" for package, version in resolved.items())))
        CONTEXT.say(*[f"  {label:<12}{one_line(value, 200)}" for label, value in facts if value])
    return 0


def _drift(view: Mapping[str, Any]) -> str | None:
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


def _overview(*, as_json: bool) -> int:
    service = CONTEXT.service
    with service.reading() as store:
        counts = {} if store is None else queries.count_by_status(store)
        last = None if store is None else events.last_pass(store)
        active = [] if store is None else list(runs.active_runs(store).values())
        waiting = trouble.waiting(store)
    rows = [view_of(find) for run in active for find in [_row(run.uid)] if find is not None]
    attention = [
        view for view in rows if view["metadata"]["overdue"] or view["reason"] in ("state-unknown", "quarantined", "worker-gone", "secret-missing")
    ]
    dues = sorted((view["metadata"]["due_at"], view["id"]) for view in rows if view["metadata"]["due_at"] and view["reason"] in ("parked", "overdue"))
    for run, view in zip(active, rows, strict=True):
        counts[run.status.value] -= 1
        counts[view["status"]] = counts.get(view["status"], 0) + 1
    counts = {word: number for word, number in counts.items() if number}
    if as_json:
        CONTEXT.json({"format_version": views.FORMAT, "counts": counts, "last_pass": last, "loop": None, "active": rows, "retries": waiting})
        return 0
    CONTEXT.say(f"data in {service.data_dir}; no loop is alive")
    if last is not None:
        CONTEXT.say(
            f"last pass that did something: {since(last['at'], CONTEXT.clock.now())} ago over {last['folder']} ({last['project']}/{last['environment']})"
        )
    CONTEXT.say(", ".join(f"{number} {word}" for word, number in sorted(counts.items())) or "no runs yet")
    CONTEXT.say(*trouble.lines(waiting))
    for view in attention:
        CONTEXT.say(f"  {CONTEXT.paint('!', 'red')} run/{view['id']}  {view['status']}  {view['reason']}  {one_line(view['metadata']['message'])}")
    for view in rows:
        if view not in attention:
            CONTEXT.say(f"    run/{view['id']}  {CONTEXT.paint.status(view['status'])}  {view['reason']}".rstrip())
    if dues:
        CONTEXT.say(f"next due: run/{dues[0][1]} at {dues[0][0]}; a pass wakes it: `ty-openworkflow reconcile --once --wait`")
    return 0


def _row(uid: str) -> dict[str, Any] | None:
    with CONTEXT.service.reading() as store:
        found = [] if store is None else queries.runs_named(store, uid, None, None)
    return found[0] if found else None


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
        CONTEXT.say(*run_lines(views.for_text(view), CONTEXT.paint, CONTEXT.clock.now()))
    left = [other for other in passed.active.values() if other.uid == row["uid"]]
    if left and not as_json:
        CONTEXT.tell(f"{plural(1, 'run')} has not ended in time.")
        unfinished(left, waited=True)
    return exit_code(passed, [row] if row["completed_at"] else [])
