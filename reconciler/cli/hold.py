"""Commands that hold an object or let it go on: suspend, resume."""

from pathlib import Path
from typing import Annotated

from reconciler import suspending
from reconciler.cli.context import CONTEXT
from reconciler.cli.options import Argument, option
from reconciler.cli.outcome import failures
from reconciler.passed import Passed
from reconciler.render import plain, plural
from reconciler.schedules import find_schedule
from reconciler.suspending import Held

ObjectArgument = Annotated[str, Argument("KIND/NAME", "run/NAME, workflow/NAME or schedule/NAME.")]
WhyOption = Annotated[str, option("--why", "--reason", help="Why; kept with the request and shown wherever it has an effect.")]


def suspend(what: ObjectArgument, why: WhyOption = "") -> int:
    """Hold an object: no start and no further claim until it is resumed; what a worker is doing now goes on."""
    return _tell(suspending.suspend(CONTEXT.service, what, why), "suspend")


def resume(what: ObjectArgument, why: WhyOption = "") -> int:
    """Let an object go on that was suspended, by command or by its manifest."""
    return _tell(suspending.resume(CONTEXT.service, what, why), "resume")


def _pass(held: Held, verb: str) -> Passed:
    """Run the pass that makes a request count: of a schedule over the folder that declares it, since slots are decided there."""
    service = CONTEXT.service
    kind, _, name = held.about.partition("/")
    if kind == "schedule":
        row = find_schedule(service.of(held.place.project, held.place.environment), name)
        folder = Path(row["owner"])
        if folder.is_dir():
            return service.of(None, held.place.environment).reconcile([folder], verb, lambda *_: None)
    return service.reconcile([], verb, lambda *_: None)


def _tell(held: Held, verb: str) -> int:
    """Run a pass where something was asked for, since it takes effect at once, and tell what came of it."""
    if not held.changed:
        CONTEXT.say(f"{held.about} {plain(held.told)}")
        return 0
    passed = _pass(held, verb)
    failures(passed)
    kind, _, name = held.about.partition("/")
    runs = [run for run in passed.active.values() if run.place == held.place and (run.name if kind == "run" else run.workflow) == name]
    held_now = [run for run in runs if run.reason == "suspended"]
    busy = [run for run in runs if run.status.value in ("running", "canceling") or run.reason == ""] if kind != "schedule" else []
    rest = ""
    if verb == "suspend" and kind == "run":
        rest = ": it goes on in its worker, and gets no further claim" if not held_now and busy and busy[0].claim else ""
    elif verb == "suspend" and kind == "workflow":
        going = [run for run in busy if run.claim and run not in held_now]
        rest = f": {plural(len(held_now), 'run')} held{f', {len(going)} under way in a worker' if going else ''}"
    CONTEXT.say(f"{held.about} {plain(held.told)}{rest}")
    own = {f"run/{run.name}" for run in runs}
    return 1 if any(failure.object in own for report in passed.reports for failure in report.applied.failures) else 0
