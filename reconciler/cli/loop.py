"""The loop as a person or a service manager starts it: what it tells, and how it ends."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from types import FrameType
from typing import Annotated

from reconciler import loop
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption
from reconciler.cli.options import Argument
from reconciler.ground import Approach
from reconciler.handover import Shown
from reconciler.logs import Log
from reconciler.loop import Loop
from reconciler.model import Desired, Place, Problem, Status
from reconciler.pass_log import PassLog
from reconciler.reconcile import Report
from reconciler.render import listing, plural

_INTERRUPTED, _RUN_FAILED = 130, 5
DirsArgument = Annotated[list[str], Argument("[DIR]...", "Folders of manifests; default as for plan. The local folder is always among them.")]


def serve(directories: DirsArgument = [], output: OutputOption = "text", as_json: JsonOption = False) -> int:  # noqa: B006
    """Reconcile for ever, as `reconcile` does without --once. Its log goes to standard error, one line for each thing that happened."""
    return run_loop(directories, as_json=wants_json(output, as_json))


def run_loop(
    directories: Sequence[str],
    approach: Approach = Approach(),  # noqa: B008
    *,
    parked: bool = False,
    gives_way: bool = False,
    as_json: bool = False,
) -> int:
    """Run the loop until it is told to end, or until no run is active (`parked`). Returns the exit code."""
    service = CONTEXT.service
    committed = bool(approach.ref)
    folders = [service.folder(directory, committed=committed) for directory in directories] or [service.folder(None, committed=committed)]
    service.local.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = Log(sys.stderr, CONTEXT.clock, "json" if as_json else "text")
    told = Told(log)
    signals: list[int] = []

    def begin(made: Loop) -> None:
        def stop(number: int, _: FrameType | None) -> None:
            signals.append(number)
            made.stop()

        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, stop)
        what = listing(str(folder) for folder in made.folders)
        log.info(f"reconciling {what}; {'' if gives_way else 'Ctrl-C ends it, and '}runs go on in their workers", process=os.getpid())

    everything = [*folders, service.local]
    if gives_way:
        loop.follow(service, everything, told, begin)
    else:
        ended = loop.run(service, everything, told, begin, loop.all_parked if parked else None, approach)
        if signals:
            left = f"{plural(len(ended.active), 'run')} not ended, which the next loop or pass carries on" if ended.active else "every run has ended"
            log.info(f"ended by {signal.Signals(signals[0]).name}; {left}")
    return _INTERRUPTED if signal.SIGINT in signals else _RUN_FAILED if parked and told.failed else 0


class Told:
    """Writes what a loop does as a log: plans that change something, what became of runs, and what is wrong, when it begins and when it is over."""

    def __init__(self, log: Log) -> None:
        """Nothing was told yet."""
        self._log, self._passes = log, PassLog(log)
        self._problems: dict[str, tuple[Problem, ...]] = {}
        self._faults: dict[str, str] = {}
        self._places: dict[str, Place] = {}
        self._revision = ""
        self._began: float | None = None
        self.failed = False

    def show(self, shown: Shown) -> None:
        """Write what is wrong with manifests, when that is new."""
        desired, source, _, seconds = shown
        self._revision = f"{source.get('branch') or 'detached'}@{source['commit'][:12]}" if source.get("commit") else ""
        self._began = time.monotonic() - seconds
        if not desired.local:
            before_that = self._places.get(desired.folder, desired.place)
            self._places[desired.folder] = desired.place
            if before_that != desired.place:
                self._passes.left(before_that)
        about = f"{desired.folder} {desired.place.project}/{desired.place.environment}"
        before = self._problems.get(about, ())
        self._problems[about] = desired.problems
        for problem in desired.problems:
            if problem not in before:
                write = self._log.warning if problem.warning else self._log.error
                write(f"{_where(desired, problem)}: {problem.message}", object=problem.about, reason=problem.code, hint=problem.hint)
        for problem in before:
            if problem not in desired.problems:
                self._log.info(f"{_where(desired, problem)}: mended", object=problem.about, reason=problem.code)

    def seen(self, report: Report) -> None:
        """Write what a pass has done."""
        took = None if self._began is None else timedelta(seconds=time.monotonic() - self._began)
        self._began = None
        self._passes.passed(report, revision=self._revision, took=took)
        self.failed |= any(run.status is not Status.COMPLETED for run in report.ended) or bool(report.applied.ended)

    def fault(self, about: str, message: str) -> None:
        """Write what keeps something from being reconciled, once, and once that it is over."""
        before = self._faults.get(about, "")
        if message != before:
            self._faults[about] = message
            if message:
                self._log.error(message, about=about)
            else:
                self._log.info(f"that is over: {before}", about=about)


def _where(desired: Desired, problem: Problem) -> str:
    return f"{os.path.join(desired.folder, problem.file)}:{problem.line}:{problem.column}"
