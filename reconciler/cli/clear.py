"""`delete --all`: what goes is told before, and what is left after."""

import sys
from datetime import timedelta
from pathlib import Path

from reconciler.clearing import Inventory, Scope, end_all, inventory, remove_all, remove_cards, scope_of, why_left
from reconciler.cli.context import CONTEXT
from reconciler.cli.outcome import LiveLines
from reconciler.cli.write import remove_manifest
from reconciler.errors import InvalidError, RejectedError, TyOpenworkflowError, UsageError
from reconciler.passed import Passed
from reconciler.render import plain, plural
from reconciler.service import Service


def delete_all(*, keep_history: bool, yes: bool, timeout: timedelta | None) -> int:
    """Delete everything of the place at hand, or of the local folder, and say what is left."""
    service = CONTEXT.service
    scope = scope_of(service)
    files = _local_files(service, scope)
    found = inventory(service, scope)
    if not (files or found.workflows or found.runs or found.schedules):
        CONTEXT.say(f"nothing of {scope.text} is here: nothing is left to delete")
        return 0
    _confirm(_what_goes(scope, found, files, keep_history=keep_history), yes=yes)
    for file in files:
        remove_manifest(service.local / file)
    live = LiveLines(Passed(wanted=frozenset(run.uid for run in found.active)), quiet=False)
    passed = end_all(service, scope, timeout=timeout, seen=live.seen)
    tasks = [] if keep_history else remove_cards(service, found)
    left = remove_all(service, scope, keep_history=keep_history)
    for task, why in tasks:
        CONTEXT.tell(f"{CONTEXT.paint('left', 'red')} {task} in TaskYou: {plain(why)}")
    CONTEXT.say(f"deleted from {scope.text}: {_declared(found)}, {plural(len(found.runs) - len(left.runs), 'run')}")
    _tell_rest(service, scope, found, left, keep_history=keep_history)
    if not left.runs:
        return 1 if tasks else 0
    return 5 if not passed.in_time else 1


def _local_files(service: Service, scope: Scope) -> list[str]:
    """Return the manifests of the local folder that go: all of it, or what it declares for the place. Raises RejectedError for one that is shared."""
    files: set[str] = set()
    others: dict[str, str] = {}
    for desired in service.desired(service.local, writing=False):
        sources = [item.source for kind in (desired.workflows, desired.runs, desired.schedules) for item in kind.values()]
        mine = {source.file for source in sources} | {problem.file for problem in desired.problems if problem.about}
        if scope.owner is not None or desired.place in scope.places:
            files |= mine
        else:
            others |= dict.fromkeys(mine, f"{desired.place.project}/{desired.place.environment}")
    shared = sorted(files & others.keys())
    if shared:
        message = f"{service.local / shared[0]} also declares objects of {others[shared[0]]}: take them out there first"
        raise RejectedError(message)
    return sorted(files)


def _what_goes(scope: Scope, found: Inventory, files: list[str], *, keep_history: bool) -> str:
    active = f" ({len(found.active)} of them active: canceled first)" if found.active else ""
    manifests = f", {plural(len(files), 'manifest')} in {CONTEXT.service.local}" if files else ""
    history = "their history stays" if keep_history else "with journals, outputs and history"
    return f"This deletes {_declared(found)} and {plural(len(found.runs), 'run')}{active} of {scope.text}, {history}{manifests}."


def _declared(found: Inventory) -> str:
    schedules = f", {plural(len(found.schedules), 'schedule')}" if found.schedules else ""
    return f"{plural(len(found.workflows), 'workflow')}{schedules}"


def _confirm(what: str, *, yes: bool) -> None:
    """Let a person say yes. Raises UsageError where there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        message = f"{what} Say --yes if that is meant"
        raise UsageError(message)
    CONTEXT.tell(what)
    sys.stderr.write("Type `yes` to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        message = "nothing was deleted"
        raise TyOpenworkflowError(message)


def _tell_rest(service: Service, scope: Scope, found: Inventory, left: Inventory, *, keep_history: bool) -> None:
    for run, why in why_left(service, left.runs):
        CONTEXT.tell(f"{CONTEXT.paint('left', 'red')} run/{run.name} ({run.place.project}/{run.place.environment}): {plain(why)}")
    if left.workflows:
        names = ", ".join(f"workflow/{name}" for _, name in left.workflows)
        CONTEXT.tell(f"{CONTEXT.paint('again', 'red')} {names}: a loop lives and has deployed again what is still declared")
    elif not left.runs:
        CONTEXT.say("nothing is left" + (" but the history" if keep_history else ""))
    ended = len({(run.place, run.name) for run in found.runs}) - len(left.runs)
    if ended > 0 and not keep_history:
        CONTEXT.say(
            f"That {plural(ended, 'run')} {'has' if ended == 1 else 'have'} ended stays remembered for ever, so that none is run twice; another name is another run."
        )
    if scope.folder is not None:
        _tell_declared(service, scope.folder)


def _tell_declared(service: Service, folder: Path) -> None:
    """Say what a person's folder still declares, and what the next pass makes of it."""
    try:
        declared = service.desired(folder, writing=False)
    except InvalidError:  # it is of several environments, and which one was not said
        CONTEXT.say(f"What {folder} still declares is deployed again by the next pass over it.")
        return
    for desired in declared:
        if desired.workflows or desired.runs or desired.schedules:
            CONTEXT.say(
                f"{folder} still declares {plural(len(desired.workflows), 'workflow')}, {plural(len(desired.runs), 'run')} and"
                f" {plural(len(desired.schedules), 'schedule')}: the next pass over it deploys them again, and starts no run"
                " that was known here. Remove the manifests if that is not meant."
            )
