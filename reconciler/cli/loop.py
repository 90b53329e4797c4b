"""The loop as a person or a service manager starts it: what it tells, and how it ends."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

from reconciler import loop, manifests
from reconciler.actions import Notice
from reconciler.cli.context import CONTEXT
from reconciler.cli.options import Argument
from reconciler.handover import Shown
from reconciler.loop import Loop
from reconciler.model import Problem, Status
from reconciler.reconcile import Report
from reconciler.render import head_line, lasted, listing, plain, plan_footer, plan_lines, plural
from reconciler.state import queries

_INTERRUPTED, _RUN_FAILED = 130, 5
DirsArgument = Annotated[list[str], Argument("[DIR]...", "Folders of manifests; default as for plan. The local folder is always among them.")]


def serve(directories: DirsArgument = []) -> int:  # noqa: B006
    """Reconcile for ever, as `reconcile` does without --once."""
    return run_loop(directories)


def run_loop(directories: Sequence[str], *, parked: bool = False, gives_way: bool = False) -> int:
    """Run the loop until it is told to end, or until no run is active (`parked`). Returns the exit code."""
    service = CONTEXT.service
    folders = [service.folder(directory) for directory in directories] or [service.folder(None)]
    service.local.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = Told()
    signals: list[int] = []

    def begin(made: Loop) -> None:
        def stop(number: int, _: FrameType | None) -> None:
            signals.append(number)
            made.stop()

        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, stop)
        what = listing(str(folder) for folder in made.folders)
        CONTEXT.tell(f"reconciling {what} (process {os.getpid()}); {'' if gives_way else 'Ctrl-C ends it, and '}runs go on in their workers")

    everything = [*folders, service.local]
    if gives_way:
        loop.follow(service, everything, told, begin)
    else:
        ended = loop.run(service, everything, told, begin, loop.all_parked if parked else None)
        if signals:
            left = f"{plural(len(ended.active), 'run')} not ended, which the next loop or pass carries on" if ended.active else "every run has ended"
            CONTEXT.tell(f"ended by {signal.Signals(signals[0]).name}; {left}")
    return _INTERRUPTED if signal.SIGINT in signals else _RUN_FAILED if parked and told.failed else 0


class Told:
    """Prints what a loop does: plans that change something, what became of runs, and what is wrong, once."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self._wrong: dict[str, tuple[tuple[Problem, ...], tuple[Notice, ...]]] = {}
        self._faults: dict[str, str] = {}
        self.failed = False

    def show(self, shown: Shown) -> None:
        """Print a plan that changes something, and what is rejected, held or invalid when that is new."""
        desired, source, plan, seconds = shown
        about = f"{desired.folder} {desired.place.project}/{desired.place.environment}"
        wrong = (desired.problems, (*plan.rejected, *plan.held, *plan.drift))
        if not plan.changes and self._wrong.get(about, ((), ())) == wrong:
            return
        if self._wrong.get(about) != wrong and desired.problems:
            CONTEXT.tell(*manifests.report(desired.problems, "text", folder=desired.folder))
        self._wrong[about] = wrong
        CONTEXT.say(head_line("Pass", source), *plan_lines(plan, CONTEXT.paint), plan_footer(plan, seconds))

    def seen(self, report: Report) -> None:
        """Print which runs have ended, and what did not work."""
        for failure in report.applied.failures:
            again = "; it is tried again" if failure.again else ""
            CONTEXT.tell(f"{CONTEXT.paint('failed', 'red')} {failure.object}: {plain(failure.message)}{again}")
        ended = [*(run.uid for run in report.ended), *report.applied.ended]
        if ended:
            with CONTEXT.service.reading() as store:
                rows = [] if store is None else [row for uid in ended for row in queries.runs_named(store, uid, None, None)]
            for row in rows:
                self.failed |= row["status"] != Status.COMPLETED.value
                took = lasted(row["started_at"], row["completed_at"])
                CONTEXT.say(f"run/{row['name']}  {CONTEXT.paint.status(row['status'])}{f' after {took}' if took else ''}")
        sys.stdout.flush()

    def fault(self, about: str, message: str) -> None:
        """Print what keeps something from being reconciled, once, and once that it is over."""
        before = self._faults.get(about, "")
        if message == before:
            return
        self._faults[about] = message
        CONTEXT.tell(f"{CONTEXT.paint('error', 'red')}: {plain(message)}" if message else f"{about}: that is over: {plain(before)}")
