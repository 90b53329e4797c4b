"""Commands that write manifests into the local folder, and requests: deploy, start, delete, cancel."""

import json
import os
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from reconciler import follower, manifests
from reconciler.actions import Plan
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption, TimeoutOption, duration_option, show_problems
from reconciler.cli.look import ended, find_run, view_of
from reconciler.cli.options import Argument, option
from reconciler.cli.outcome import LiveLines, close, exit_code, failures, unfinished
from reconciler.digest import Json
from reconciler.errors import InvalidError, RejectedError, UsageError
from reconciler.manifests import write_object
from reconciler.model import TERMINAL, Desired, Place
from reconciler.passed import Passed
from reconciler.render import aligned, one_line, plan_lines
from reconciler.state import queries

_RUNTIMES = {".py": "python", ".js": "node", ".mjs": "node", ".cjs": "node"}
_FILES = {"python": "workflow.py", "node": "workflow.js"}
_ADAPTERS = ("exec", "docker", "cloudflare")
_INVALID = InvalidError.exit_code
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
IdArgument = Annotated[str, Argument("ID", "Name of the workflow: a lower-case DNS label, such as my-workflow.")]
StartArgument = Annotated[str, Argument("ID", "Name of the workflow, or schedule/NAME.")]


def deploy(
    name: IdArgument,
    file: Annotated[str | None, option("-f", "--file", help="File with the code; - reads standard input.")] = None,
    adapter: Annotated[str | None, option("-a", "--adapter", help="exec, docker or cloudflare; default: the settings'.")] = None,
    title: Annotated[str | None, option("--name", help="Title of the workflow.")] = None,
    description: Annotated[str | None, option("--description", help="What it does.")] = None,
    version: Annotated[str | None, option("--version", help="Label of the version, such as 1.0.0.")] = None,
    runtime: Annotated[str | None, option("--runtime", help="node or python; default: by the file's ending, else by its text.")] = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Write a workflow into the local folder and deploy it."""
    as_json = wants_json(output, as_json)
    check_name("workflow", name)
    if adapter is not None and adapter not in _ADAPTERS:
        message = f"-a {adapter}: choose one of {', '.join(_ADAPTERS)}"
        raise UsageError(message)
    code, ending = _code(file)
    chosen = runtime or _RUNTIMES.get(ending) or ("python" if _looks_like_python(code) else "node")
    if chosen not in _FILES:
        message = f"--runtime {chosen}: choose node or python"
        raise UsageError(message)
    code_file = f"workflow{ending}" if ending in _RUNTIMES and _RUNTIMES[ending] == chosen else _FILES[chosen]
    spec: dict[str, Json] = {"title": title, "description": description, "version": version, "runtime": chosen, "adapter": adapter}
    document = _document("Workflow", name, {**{key: value for key, value in spec.items() if value is not None}, "code": {"file": code_file}})
    before = _kept(f"{name}/workflow.yaml", f"{name}/{code_file}")
    write_object(CONTEXT.service.local, f"{name}/workflow.yaml", document, {f"{name}/{code_file}": code})
    passed = _local_pass("deploy", f"workflow/{name}", None)
    if _refused(passed, f"workflow/{name}") == _INVALID:
        _put_back(before)
        return _INVALID
    if as_json:
        return close(passed, [], waited=False)
    failures(passed)
    code_ = _exit(passed, f"workflow/{name}")
    if code_ == 0:
        CONTEXT.say(f"workflow/{name} is deployed ({chosen} on {adapter or CONTEXT.service.settings.default_adapter})")
    return code_


def check_name(what: str, name: str) -> None:
    """Check a name before files are called by it. Raises UsageError."""
    if not _NAME.fullmatch(name):
        hint = "use lower-case letters, digits and '-', at most 63, with a letter or a digit first and last"
        message = f"{name!r} is no name of a {what}: {hint}"
        raise UsageError(message)


def _kept(*paths: str) -> dict[Path, bytes | None]:
    """Return what files of the local folder hold, None for those that are not there."""
    files = [CONTEXT.service.local / path for path in paths]
    return {file: file.read_bytes() if file.exists() else None for file in files}


def _put_back(before: Mapping[Path, bytes | None]) -> None:
    """Put back what was there before an object that turned out to be invalid: it would be in everybody's way."""
    for path, content in before.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content)
    for folder in {path.parent for path in before}:
        with suppress(OSError):
            folder.rmdir()  # unless there is something else in it


def _code(file: str | None) -> tuple[bytes, str]:
    """Read the code that is to be deployed, and the ending of its name. Raises UsageError."""
    if file is None and sys.stdin.isatty():
        message = "no code: name a file with -f FILE, or pipe the code in"
        raise UsageError(message)
    path = Path(str(file)).expanduser()
    try:
        code, ending = (sys.stdin.buffer.read(), "") if file in (None, "-") else (path.read_bytes(), path.suffix)
        empty = not code.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"-f {file}: {error.strerror if isinstance(error, OSError) else 'it is no text in UTF-8'}"
        raise UsageError(message) from error
    if empty:
        message = f"-f {file or '-'}: there is no code, it is empty"
        raise UsageError(message)
    return code, ending


def _looks_like_python(code: bytes) -> bool:
    return any(line.startswith((b"def workflow(", b"async def workflow(", b"# /// script")) for line in code.splitlines())


def _document(kind: str, name: str, spec: Mapping[str, Json], place: Place | None = None) -> dict[str, Json]:
    metadata: dict[str, Json] = {"name": name}
    if place is not None and place != Place("local", "local"):
        metadata |= {"project": place.project, "environment": place.environment}
    return {"apiVersion": "ty-openworkflow/v1", "kind": kind, "metadata": metadata, "spec": dict(spec)}


def start(
    name: StartArgument,
    value: Annotated[str | None, option("-i", "--input", help="Input as JSON.")] = None,
    input_file: Annotated[str | None, option("--input-file", help="File with the input as JSON; - reads standard input.")] = None,
    title: Annotated[str | None, option("-t", "--title", help="Title of the TaskYou task.")] = None,
    create_task: Annotated[bool, option("--create-task", help="Make a TaskYou task for this run.")] = False,
    no_task: Annotated[bool, option("--no-task", help="Make no TaskYou task.")] = False,
    blocks: Annotated[list[str], option("--blocks", help="A TaskYou task that never started and waits for this run; may be repeated.")] = [],  # noqa: B006
    run_name: Annotated[str | None, option("--as", help="Name of the run; default: made from the workflow's and the time.")] = None,
    wait: Annotated[bool, option("--wait", help="Wait for the end; exit 5 if it failed.")] = False,
    no_follow: Annotated[bool, option("--no-follow", help="Leave no process behind that carries the run on while no loop lives.")] = False,
    begin: Annotated[str | None, option("--from", help="Of a schedule: start every slot since then that has no run.")] = None,
    end: Annotated[str | None, option("--to", help="Of a schedule: the end of --from; default: now.")] = None,
    dry_run: Annotated[bool, option("--dry-run", help="Of a schedule: only show what --from would start.")] = False,
    timeout: TimeoutOption = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Start a run of a workflow, or of a schedule, and print its id."""
    as_json = wants_json(output, as_json)
    if name.startswith("schedule/"):
        _check_of_schedule(
            {"-i": value, "--input-file": input_file, "-t": title, "--create-task": create_task, "--blocks": blocks or None, "--no-task": no_task}
        )
        from reconciler.cli import schedules

        if run_name is not None:
            check_name("run", run_name)
        if begin is not None or end is not None or dry_run:
            return schedules.backfill(name, begin, end, dry=dry_run, run=run_name, wait=wait, timeout=timeout, as_json=as_json)
        return schedules.start_schedule(name, run_name, wait=wait, timeout=timeout, as_json=as_json)
    if begin is not None or end is not None or dry_run:
        message = "--from, --to and --dry-run are for schedules: `ty-openworkflow start schedule/NAME --from INSTANT`"
        raise UsageError(message)
    patience = duration_option("--timeout", timeout)
    service = CONTEXT.service
    task = _task(title, blocks, wanted=create_task, unwanted=no_task)
    workflow = name.removeprefix("workflow/")
    place = service.workflow_place(workflow)
    moment = service.now_text()
    run = run_name or f"{workflow[:40].rstrip('-')}-{moment[:19].replace('-', '').replace(':', '').lower()}z-{secrets.token_hex(2)}"
    check_name("run", run)
    spec: dict[str, Json] = {"workflow": workflow, "input": _input(value, input_file)}
    service.check_input(place, workflow, spec["input"])
    if task is not None:
        spec["task"] = task
    before = _kept(f"runs/{run}.yaml", f"runs/{run}.input.json")
    _write_run(run, spec, place)
    passed = _local_pass("start", f"run/{run}", frozenset({run}))
    refused = _refused(passed, f"run/{run}")
    if refused:
        _put_back(before)
        return refused
    if not as_json:
        CONTEXT.say(run)
    failures(passed)
    row = find_run(run)
    passed.about = f"run/{run}"
    if wait and row["completed_at"] is None:
        passed.wanted = frozenset({row["uid"]})
        service.follow(passed, passed.wanted, "start --wait", parked=False, timeout=patience, seen=LiveLines(passed, quiet=True).seen)
    if wait:
        return ended(run, passed, as_json=as_json)
    if as_json:
        CONTEXT.json(view_of(row))
        follow_on(wanted=not no_follow and row["completed_at"] is None)
    elif row["status"] not in TERMINAL:
        follow_on(wanted=not no_follow)
        CONTEXT.tell(f"`ty-openworkflow status {run}` shows it, `ty-openworkflow logs -f {run}` follows it")
    return _exit(passed, f"run/{run}")


def _task(title: str | None, blocks: list[str], *, wanted: bool, unwanted: bool) -> Json:
    """Return `spec.task` of a run that is started by command. A call from inside of a TaskYou task links the run to that task. Raises UsageError."""
    if unwanted and (wanted or title is not None or blocks):
        message = "--no-task goes with none of -t, --create-task and --blocks"
        raise UsageError(message)
    if unwanted:
        return False
    numbers = [_number(task) for task in blocks]
    given: dict[str, Json] = {**({} if title is None else {"title": title}), **({"blocks": numbers} if numbers else {})}
    if given or wanted:
        return given or True
    inside = os.environ.get("WORKTREE_TASK_ID", "")
    return {"id": int(inside)} if inside.isascii() and inside.isdigit() and int(inside) else None


def _number(task: str) -> int:
    digits = task.removeprefix("#")
    if digits.isascii() and digits.isdigit() and 0 < int(digits) < 1 << 53:
        return int(digits)
    message = f"--blocks {task}: the number of a TaskYou task is meant"
    raise UsageError(message)


def follow_on(*, wanted: bool = True) -> None:
    """Leave a follower behind where nobody else carries on what was started: no loop, no other follower, no CI job."""
    data_dir = CONTEXT.service.data_dir
    if not wanted or os.environ.get("CI", "").lower() == "true" or follower.is_followed(data_dir):
        return
    options = ["--data-dir", str(data_dir)]
    if CONTEXT.options.config:
        options += ["--config", os.path.abspath(CONTEXT.options.config)]
    pid = follower.leave(data_dir, options, CONTEXT.service.local)
    CONTEXT.tell(f"No loop lives, so a follower (process {pid}) carries it on; it writes {follower.log_of(data_dir)}")


def _check_of_schedule(given: Mapping[str, Any]) -> None:
    """Refuse what the manifest of a schedule says already. Raises UsageError."""
    for name, value in given.items():
        if value not in (None, False):
            message = f"{name} is not for schedules: the runs of one get what its manifest says"
            raise UsageError(message)


def _input(value: str | None, input_file: str | None) -> Json:
    if value is not None and input_file is not None:
        message = "give the input with -i or with --input-file, not with both"
        raise UsageError(message)
    if input_file is not None:
        try:
            data = sys.stdin.buffer.read() if input_file == "-" else Path(input_file).expanduser().read_bytes()
        except OSError as error:
            message = f"--input-file {input_file}: {error.strerror}"
            raise UsageError(message) from error
    elif value is not None:
        data = value.encode(errors="surrogateescape")
    else:
        return None
    try:
        return manifests.parse_input(".json", data)
    except manifests.RefusedError as error:
        message = f"{f'--input-file {input_file}' if input_file else '-i'}: {error}: {one_line(data.decode(errors='replace'), 60)}"
        raise UsageError(message) from error


def _write_run(run: str, spec: Mapping[str, Json], place: Place) -> None:
    """Write the manifest of a run; a large input goes beside it. A name that is taken by another run is refused."""
    files: dict[str, bytes] = {}
    text = json.dumps(spec["input"], ensure_ascii=False)
    if len(text) > 100_000:
        files[f"runs/{run}.input.json"] = text.encode()
        spec = {**{key: value for key, value in spec.items() if key != "input"}, "inputFile": f"{run}.input.json"}
    if (CONTEXT.service.local / "runs" / f"{run}.yaml").exists():
        message = f"run {run!r} is declared already: choose another name with --as"
        raise RejectedError(message)
    write_object(CONTEXT.service.local, f"runs/{run}.yaml", _document("Run", run, spec, place), files)


def _local_pass(who: str, about: str, only: frozenset[str] | None) -> Passed:
    """Run a pass over the local folder; of its plan only what concerns others is kept silent."""

    def show(desired: Desired, _: Mapping[str, Any], plan: Plan, __: float) -> None:
        mine = [problem for problem in desired.problems if problem.about == about]
        if mine:
            show_problems(desired)
        for notice in plan.rejected:
            if notice.object == about:
                CONTEXT.tell(f"{about}: {notice.reason}: {notice.message}")
        for action in plan.held:
            CONTEXT.tell(*aligned([("!", action.object, action.reason, action.message)], CONTEXT.paint))

    return CONTEXT.service.reconcile([CONTEXT.service.local], who, show, only=only)


def _refused(passed: Passed, about: str) -> int:
    """Return the exit code if an object was not taken as it is, else 0: others' problems are not its own."""
    if any(problem.about == about and not problem.warning for desired in passed.desired for problem in desired.problems):
        return _INVALID
    return 1 if any(notice.object == about for report in passed.reports for notice in report.plan.rejected) else 0


def _exit(passed: Passed, about: str) -> int:
    """Return the exit code of a command about one object."""
    failed = any(failure.object == about for report in passed.reports for failure in report.applied.failures)
    return _refused(passed, about) or (1 if failed else 0)


def delete(
    what: Annotated[str | None, Argument("[KIND/NAME]", "workflow/NAME, schedule/NAME or run/NAME in the local folder.")] = None,
    everything: Annotated[bool, option("--all", help="Everything that was made for the project at hand, else by the local folder.")] = False,
    keep_history: Annotated[bool, option("--keep-history", help="With --all: keep journals, outputs and events.")] = False,
    yes: Annotated[bool, option("--yes", help="With --all: do not ask.")] = False,
    timeout: TimeoutOption = None,
) -> int:
    """Remove objects from the local folder: runs are canceled, workflows and schedules forgotten, history kept. With --all: all that was made."""
    service = CONTEXT.service
    if everything == (what is not None):
        message = "say what to delete: KIND/NAME, or --all"
        raise UsageError(message)
    if what is None:
        from reconciler.cli.clear import delete_all

        return delete_all(keep_history=keep_history, yes=yes, timeout=duration_option("--timeout", timeout))
    if keep_history or yes or timeout is not None:
        message = "--keep-history, --yes and --timeout go with --all"
        raise UsageError(message)
    declared = _declared_in(service.desired(service.local, writing=False))
    chosen = [what]
    for about in chosen:
        if about not in declared:
            _not_local(about)
        file = declared[about]
        others = sorted(other for other, where in declared.items() if where == file and other not in chosen)
        if others:
            message = f"{about} shares {service.local / file} with {', '.join(others)}: take it out there"
            raise RejectedError(message)
        remove_manifest(service.local / file)
    passed = service.reconcile([service.local], "delete", _show_plan, approved=frozenset(chosen))
    failures(passed)
    CONTEXT.say(f"deleted {', '.join(chosen)}")
    if passed.active:
        unfinished(list(passed.active.values()), waited=False)
    return exit_code(passed, [])  # that its runs end is what was asked for


def _declared_in(found: Sequence[Desired]) -> dict[str, str]:
    """Return the file of every object of the local folder, of the invalid ones too: they are to be got rid of as well."""
    files = {problem.about: problem.file for desired in found for problem in desired.problems if problem.about}
    return files | {f"{kind}/{name}": item.source.file for desired in found for kind, name, item in _objects(desired)}


def remove_manifest(path: Path) -> None:
    """Remove a manifest, and what `deploy` and `start` wrote beside it."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.stem}.input.json").unlink(missing_ok=True)
    if path.name == "workflow.yaml":
        for name in ("workflow.js", "workflow.mjs", "workflow.cjs", "workflow.py"):
            path.with_name(name).unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # a person's own files keep it


def _show_plan(_: Desired, __: Mapping[str, Any], plan: Plan, ___: float) -> None:
    CONTEXT.say(*plan_lines(plan, CONTEXT.paint, CONTEXT.clock.now()))


def _objects(desired: Desired) -> list[tuple[str, str, Any]]:
    found: list[tuple[str, str, Any]] = [("workflow", name, item) for name, item in desired.workflows.items()]
    found += [("schedule", name, item) for name, item in desired.schedules.items()]
    return found + [("run", name, item) for name, item in desired.runs.items()]


def _not_local(about: str) -> None:
    """Say where an object is declared that is not in the local folder. Always raises."""
    kind, _, name = about.partition("/")
    if kind not in ("workflow", "run", "schedule") or not name:
        message = f"{about}: write workflow/NAME, schedule/NAME or run/NAME"
        raise UsageError(message)
    if kind == "schedule":
        from reconciler.schedules import find_schedule

        row = find_schedule(CONTEXT.service, name)
        message = f"{about} is declared in {os.path.join(row['owner'], row['source'])}: remove it there"
        raise RejectedError(message)
    if kind == "run":
        row = find_run(name)
        if row["completed_at"] is not None:
            message = f"run {name!r} has ended: its record stays, so that it is never run twice"
            raise RejectedError(message)
        if row["owner"].startswith("schedule/"):
            message = f"{about} is of {row['owner']}: `ty-openworkflow cancel {name}` ends it"
            raise RejectedError(message)
        if not row["owner"]:
            message = f"{about} is in no folder: `ty-openworkflow cancel {name}` ends it"
            raise RejectedError(message)
        message = f"{about} is declared in {os.path.join(row['owner'], row['source'])}: remove it there"
        raise RejectedError(message)
    place = CONTEXT.service.workflow_place(name)
    with CONTEXT.service.reading() as store:
        rows = [] if store is None else queries.list_workflows(store, project=place.project, environment=place.environment)
    row = next(row for row in rows if row["name"] == name)
    message = f"{about} is declared in {os.path.join(row['owner'], row['source'])}: remove it there"
    raise RejectedError(message)
