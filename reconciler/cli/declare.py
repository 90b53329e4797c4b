"""Commands about folders of manifests: validate, plan, reconcile."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from reconciler import manifests, views
from reconciler.actions import Plan
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.options import Argument, option
from reconciler.cli.outcome import LiveLines, close
from reconciler.duration import parse_duration
from reconciler.errors import UsageError
from reconciler.ground import Approach
from reconciler.model import Desired, Problem
from reconciler.passed import View
from reconciler.plan.approval import SHORT, digest_of_plan, held_objects
from reconciler.render import head_line, plan_footer, plan_lines, plural

DirArgument = Annotated[str | None, Argument("[DIR]", "Folder of manifests; default: the project around here, else the local folder.")]
OutputOption = Annotated[str, option("-o", "--output", help="text or json")]
JsonOption = Annotated[bool, option("--json", help="The same as -o json.")]
GitOption = Annotated[str | None, option("--git", help="Read this branch, tag or commit instead of the work tree.")]
PullOption = Annotated[str | None, option("--pull", help="With --git: fetch it first, at most this often, such as 1m.")]
TimeoutOption = Annotated[str | None, option("--timeout", help="Give up waiting after this long, such as 90s or 10m (exit 5).")]


def validate(
    directory: DirArgument = None,
    output: Annotated[str, option("-o", "--output", help="text, json, github, junit or sarif")] = "text",
    as_json: JsonOption = False,
) -> int:
    """Check every manifest of a folder, and show all problems at once."""
    wants_json(output, as_json, ("text", "json", "github", "junit", "sarif"))
    service = CONTEXT.service
    found = service.desired(service.folder(directory), writing=False)
    problems = [problem for desired in found for problem in (*desired.problems, *_remarks(desired))]
    folder = found[0].folder if found else str(service.local)
    if output in ("junit", "sarif") and not as_json:
        CONTEXT.say(_for_ci(found, output, folder))
    else:
        CONTEXT.say(*manifests.report(problems, "json" if as_json else output, folder=folder))
    objects = sum(len(desired.workflows) + len(desired.runs) + len(desired.schedules) for desired in found)
    errors = [problem for problem in problems if not problem.warning]
    if output == "text" and not as_json:
        foreign = sum(desired.foreign for desired in found)
        remarks = len(problems) - len(errors)
        counts = (plural(objects, "object"), plural(len(errors), "error"), plural(remarks, "warning"), f"{plural(foreign, 'document')} of others")
        CONTEXT.say(", ".join(counts))
    return 3 if errors else 0


def _for_ci(found: list[Desired], output: str, folder: str) -> str:
    from reconciler.cli import VERSION
    from reconciler.git.heads import repository_of
    from reconciler.manifests.ci import junit, sarif

    if output == "junit":
        return junit(found)
    repository = repository_of(Path(folder))
    return sarif(found, version=VERSION, root=str(repository.root) if repository is not None else "")


def _remarks(desired: Desired) -> list[Problem]:
    return manifests.schedule_remarks(desired) if desired.schedules else []


def plan(
    directory: DirArgument = None,
    detailed: Annotated[bool, option("--detailed-exitcode", help="Exit 2 if there are changes.")] = False,
    git: GitOption = None,
    pull: PullOption = None,
    output: Annotated[str, option("-o", "--output", help="text, json, or markdown for a comment on a pull request")] = "text",
    as_json: JsonOption = False,
) -> int:
    """Show what a pass would do. Nothing is written, also no state."""
    as_json = wants_json(output, as_json, ("text", "json", "markdown"))
    service = CONTEXT.service
    folder = service.folder(directory, committed=git is not None)
    shown = service.plan(folder, approach_of(git, pull))
    if output == "markdown" and not as_json:
        from reconciler.markdown import plan_markdown

        CONTEXT.say(*(line for view in shown for line in plan_markdown(view.desired, view.plan, view.source)))
    elif as_json:
        documents = [views.plan_view(view.plan, view.source) for view in shown]
        CONTEXT.json(documents[0] if len(documents) == 1 else documents)
    elif not shown:
        CONTEXT.say(f"Plan: {folder}  nothing is declared here yet: `ty-openworkflow deploy` or `init DIR` begins")
    for view in shown:
        if not as_json and output == "text":
            _show_plan(view)
    if any(_has_errors(view.desired) for view in shown):
        return 3
    if detailed and any(view.plan.changes for view in shown):
        return 2
    return 0


def _show_plan(view: View) -> None:
    CONTEXT.say(head_line("Plan", view.source), *plan_lines(view.plan, CONTEXT.paint, CONTEXT.clock.now()), plan_footer(view.plan, view.seconds))
    CONTEXT.say(*approval_lines(view.plan, {**view.source, "digest": digest_of_plan(view.desired.place, view.plan)}))
    show_problems(view.desired)


def approval_lines(plan: Plan, source: Mapping[str, Any]) -> list[str]:
    """Say how what is held goes through, where a person may say so."""
    if not held_objects(plan):
        return []
    from shlex import quote

    command = f"ty-openworkflow reconcile --once --approve {source['digest'][:SHORT]} {quote(str(source['folder']))}"
    return [f"To prune what is held: `{command}`, for this plan only"]


def approach_of(git: str | None, pull: str | None, *, accept_branch: bool = False, approve: str | None = None, assume: str | None = None) -> Approach:
    """Read how the folders of a command are to be taken. Raises UsageError."""
    patience = duration_option("--pull", pull)
    if patience is not None and git is None:
        message = "--pull fetches what --git names: say which branch, such as --git main --pull 1m"
        raise UsageError(message)
    return Approach(git or "", patience, accept_branch, approve or "", assume or "")


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
    assume: Annotated[
        str | None, option("--assume", help="start or done: what to think of runs that this machine has no memory of (held as state-unknown).")
    ] = None,
    git: GitOption = None,
    pull: PullOption = None,
    accept_branch: Annotated[
        bool, option("--accept-branch", help="Go on although the work tree is on another branch, and remember that one.")
    ] = False,
    approve: Annotated[str | None, option("--approve", help="Prune what is held, if the plan still has this digest.")] = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Make the world match the manifests: deploy, start, wake, cancel and remove; whenever something changes, or --once."""
    as_json = wants_json(output, as_json)
    if until not in (None, "parked"):
        message = f"--until {until}: only `--until parked` is known"
        raise UsageError(message)
    if assume not in (None, "start", "done"):
        message = f"--assume {assume}: say `start` (they never ran anywhere) or `done` (they have run)"
        raise UsageError(message)
    patience = duration_option("--timeout", timeout)
    if patience is not None and not (wait or until):
        message = "--timeout limits --wait and --until parked: say which"
        raise UsageError(message)
    service = CONTEXT.service
    approach = approach_of(git, pull, accept_branch=accept_branch, approve=approve, assume=assume)
    if not (once or wait):
        from reconciler.cli.loop import run_loop

        return run_loop(directories, approach, parked=until is not None, gives_way=gives_way, as_json=as_json)
    committed = git is not None
    folders = [service.folder(directory, committed=committed) for directory in directories] or [service.folder(None, committed=committed)]
    documents: list[dict[str, Any]] = []

    def show(desired: Desired, source: Mapping[str, Any], plan: Plan, seconds: float) -> None:
        if as_json:
            documents.append(views.plan_view(plan, source))
            return
        CONTEXT.say(head_line("Pass", source), *plan_lines(plan, CONTEXT.paint, CONTEXT.clock.now()), plan_footer(plan, seconds))
        CONTEXT.say(*approval_lines(plan, source))
        show_problems(desired)

    who = "reconcile --once"
    passed = service.reconcile(folders, who, show, approach=approach)
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
