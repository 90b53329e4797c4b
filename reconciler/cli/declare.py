"""Commands about folders of manifests: validate, plan, reconcile."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from reconciler import manifests, views
from reconciler.actions import Plan
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.options import Argument, option
from reconciler.cli.outcome import LiveLines, close
from reconciler.duration import parse_duration
from reconciler.errors import UsageError
from reconciler.model import Desired, Problem
from reconciler.render import head_line, plan_footer, plan_lines, plural
from reconciler.service import View

DirArgument = Annotated[str | None, Argument("[DIR]", "Folder of manifests; default: the project around here, else the local folder.")]
OutputOption = Annotated[str, option("-o", "--output", help="text or json")]
JsonOption = Annotated[bool, option("--json", help="The same as -o json.")]
TimeoutOption = Annotated[str | None, option("--timeout", help="Give up waiting after this long, such as 90s or 10m (exit 5).")]


def validate(
    directory: DirArgument = None,
    output: Annotated[str, option("-o", "--output", help="text, json or github")] = "text",
    as_json: JsonOption = False,
) -> int:
    """Check every manifest of a folder, and show all problems at once."""
    wants_json(output, as_json, ("text", "json", "github"))
    service = CONTEXT.service
    found = service.desired(service.folder(directory), writing=False)
    problems = [problem for desired in found for problem in (*desired.problems, *_remarks(desired))]
    folder = found[0].folder if found else str(service.local)
    for line in manifests.report(problems, "json" if as_json else output, folder=folder):
        CONTEXT.say(line)
    objects = sum(len(desired.workflows) + len(desired.runs) + len(desired.schedules) for desired in found)
    errors = [problem for problem in problems if not problem.warning]
    if output == "text" and not as_json:
        foreign = sum(desired.foreign for desired in found)
        remarks = len(problems) - len(errors)
        counts = (plural(objects, "object"), plural(len(errors), "error"), plural(remarks, "warning"), f"{plural(foreign, 'document')} of others")
        CONTEXT.say(", ".join(counts))
    return 3 if errors else 0


def _remarks(desired: Desired) -> list[Problem]:
    return manifests.schedule_remarks(desired) if desired.schedules else []


def plan(
    directory: DirArgument = None,
    detailed: Annotated[bool, option("--detailed-exitcode", help="Exit 2 if there are changes.")] = False,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Show what a pass would do. Nothing is written, also no state."""
    as_json = wants_json(output, as_json)
    service = CONTEXT.service
    folder = service.folder(directory)
    shown = service.plan(folder)
    if as_json:
        documents = [views.plan_view(view.plan, view.source) for view in shown]
        CONTEXT.json(documents[0] if len(documents) == 1 else documents)
    elif not shown:
        CONTEXT.say(f"Plan: {folder}  nothing is declared here yet: `ty-openworkflow deploy` or `init DIR` begins")
    for view in shown:
        if not as_json:
            _show_plan(view)
    if any(_has_errors(view.desired) for view in shown):
        return 3
    if detailed and any(view.plan.changes for view in shown):
        return 2
    return 0


def _show_plan(view: View) -> None:
    CONTEXT.say(head_line("Plan", view.source), *plan_lines(view.plan, CONTEXT.paint, CONTEXT.clock.now()), plan_footer(view.plan, view.seconds))
    show_problems(view.desired)


def show_problems(desired: Desired) -> None:
    """Tell what is wrong with manifests, beside a plan or a pass."""
    if desired.problems:
        CONTEXT.tell(*manifests.report(desired.problems, "text", folder=desired.folder))


def _has_errors(desired: Desired) -> bool:
    return any(not problem.warning for problem in desired.problems)


def reconcile(
    directories: Annotated[list[str], Argument("[DIR]...", "Folders of manifests; default as for plan.")] = [],  # noqa: B006
    once: Annotated[bool, option("--once", help="Run one pass and exit.")] = False,
    wait: Annotated[bool, option("--wait", help="Go on until the declared runs have ended.")] = False,
    until: Annotated[str | None, option("--until", help="parked: go on until no run is active.")] = None,
    gives_way: Annotated[bool, option("--give-way", help="With --until parked: end as soon as a loop begins. What `start` leaves behind.")] = False,
    timeout: TimeoutOption = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Make the world match the manifests: deploy, start, wake, cancel and remove; whenever something changes, or --once."""
    as_json = wants_json(output, as_json)
    if until not in (None, "parked"):
        message = f"--until {until}: only `--until parked` is known"
        raise UsageError(message)
    patience = duration_option("--timeout", timeout)
    service = CONTEXT.service
    if not (once or wait):
        from reconciler.cli.loop import run_loop

        return run_loop(directories, parked=until is not None, gives_way=gives_way, as_json=as_json)
    folders = [service.folder(directory) for directory in directories] or [service.folder(None)]
    documents: list[dict[str, Any]] = []

    def show(desired: Desired, source: Mapping[str, Any], plan: Plan, seconds: float) -> None:
        if as_json:
            documents.append(views.plan_view(plan, source))
            return
        CONTEXT.say(head_line("Pass", source), *plan_lines(plan, CONTEXT.paint, CONTEXT.clock.now()), plan_footer(plan, seconds))
        show_problems(desired)

    who = "reconcile --once"
    passed = service.reconcile(folders, who, show)
    if not passed.desired and not as_json:
        CONTEXT.say(f"Pass: {folders[0]}  nothing is declared here yet: `ty-openworkflow deploy` or `init DIR` begins")
    live = LiveLines(passed, quiet=as_json)
    if wait or until:
        service.follow(passed, passed.wanted, who, parked=until is not None, timeout=patience, seen=live.seen)
    code = close(passed, documents if as_json else None, waited=wait or until is not None)
    if not as_json and any(desired.schedules for desired in passed.desired):
        from reconciler.cli.schedules import tell_next

        tell_next(passed.desired)
    return code


def duration_option(name: str, text: str | None) -> timedelta | None:
    """Read a duration given as an option. Raises UsageError."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        message = f"{name}: {error}"
        raise UsageError(message) from error
