"""How a command that waited, or could have waited, tells what became of its runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler import views
from reconciler.cli.context import CONTEXT
from reconciler.duration import format_duration
from reconciler.follow import is_parked
from reconciler.model import Status
from reconciler.passed import Passed
from reconciler.reasons import FOR_A_PERSON
from reconciler.reconcile import Report
from reconciler.recorded import ActiveRun
from reconciler.render import lasted, one_line, plain, plural, table
from reconciler.state import queries

_ENDED_BADLY = {Status.FAILED.value, Status.CANCELED.value, Status.SKIPPED.value}


class LiveLines:
    """Prints a line whenever a run that is waited for changes its status."""

    def __init__(self, passed: Passed, *, quiet: bool) -> None:
        """Begin with what the first pass left."""
        self._wanted, self._quiet = passed.wanted, quiet
        self._told = {notice for report in passed.reports for notice in report.plan.rejected} if passed.about is None else set()
        self._known = {uid: run.status for uid, run in passed.active.items()}

    def seen(self, report: Report) -> None:
        """Look at a pass."""
        for run in report.ended:
            self._known.pop(run.uid, None)
        for uid, run in report.active.items():
            if self._known.get(uid) is not run.status:
                self._known[uid] = run.status
                self._line(run)
        for failure in report.applied.failures:
            CONTEXT.tell(f"  {failure.object}: {plain(failure.message)}")
        wanted = {f"run/{run.name}" for uid, run in report.active.items() if uid in self._wanted}
        for notice in report.plan.rejected:
            if notice.object in wanted and notice not in self._told:
                self._told.add(notice)
                CONTEXT.tell(f"  {notice.object}: {plain(notice.message)}")
        if report.ended and not self._quiet:
            with CONTEXT.service.reading() as store:
                for run in report.ended:
                    if run.uid in self._wanted and store is not None:
                        self._end(queries.runs_named(store, run.uid, None, None)[0])

    def _line(self, run: ActiveRun) -> None:
        if run.uid in self._wanted and not self._quiet:
            due = "" if run.due_at is None else f" until {run.due_at:%H:%M:%S}"
            CONTEXT.say(f"  run/{run.name}  {CONTEXT.paint.status(run.status.value)}{due if run.status is Status.SLEEPING else ''}")

    def _end(self, row: Mapping[str, Any]) -> None:
        took = lasted(row["started_at"], row["completed_at"])
        CONTEXT.say(f"  run/{row['name']}  {CONTEXT.paint.status(row['status'])}{f' after {took}' if took else ''}")


def close(passed: Passed, documents: list[dict[str, Any]] | None, *, waited: bool) -> int:
    """Print failures, results and what goes on, and return the exit code."""
    rows = ended_rows(passed)
    if documents is not None:
        for document in documents:
            document["runs"] = [_short(row) for row in rows]
        CONTEXT.json(documents[0] if len(documents) == 1 else documents)
    else:
        failures(passed)
        if rows:
            CONTEXT.say("", *results(rows))
    left = [run for run in passed.active.values() if documents is None]
    if left:
        unfinished(left, waited=waited)
    return exit_code(passed, rows)


def ended_rows(passed: Passed) -> list[Mapping[str, Any]]:
    """Return the rows of the runs of this command that have ended."""
    with CONTEXT.service.reading() as store:
        if store is None:
            return []
        rows = [row for uid in sorted(passed.started - passed.active.keys()) for row in queries.runs_named(store, uid, None, None)]
    return sorted((row for row in rows if row["completed_at"]), key=lambda row: (row["created_at"], row["name"]))


def failures(passed: Passed) -> None:
    """Tell which actions did not work."""
    for report in passed.reports:
        for failure in report.applied.failures:
            again = "; the next pass tries again" if failure.again else ""
            CONTEXT.tell(f"{CONTEXT.paint('failed', 'red')} {failure.object}: {plain(failure.message)}{again}")


def results(rows: list[Mapping[str, Any]]) -> list[str]:
    """Return the table of results."""
    cells = [(f"run/{row['name']}", row["status"], lasted(row["started_at"], row["completed_at"]), _result(row)) for row in rows]
    return table(("run", "status", "took", "result"), cells, CONTEXT.paint, 1)


def _result(row: Mapping[str, Any]) -> str:
    if row["status"] == Status.COMPLETED.value:
        return one_line(row["output"] or "null")
    error = views.loads(row["error"])
    return one_line(f"{error.get('name')}: {error.get('message')}") if isinstance(error, dict) else one_line(row["message"] or row["reason"])


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["name"],
        "status": row["status"],
        "reason": row["reason"],
        "output": views.loads(row["output"]),
        "error": views.loads(row["error"]),
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
    }


def unfinished(left: list[ActiveRun], *, waited: bool) -> None:
    """Say what goes on without us, what waits for a loop, and what to type."""
    now = CONTEXT.clock.now()
    suspended = [run for run in left if run.reason == "suspended"]
    if suspended:
        own = next((f"run/{run.name}" for run in suspended if not run.message.startswith("workflow/")), f"workflow/{suspended[0].workflow}")
        CONTEXT.tell(
            f"{plural(len(suspended), 'run')} {'is' if len(suspended) == 1 else 'are'} suspended: `ty-openworkflow resume {own}` lets go of it."
        )
    left = [run for run in left if run.reason not in FOR_A_PERSON and run not in suspended]  # the plan tells of these
    held = [run for run in left if run.status in (Status.RUNNING, Status.CANCELING) or (run.status is Status.SLEEPING and not is_parked(run))]
    asking = [run for run in left if run not in held and run.status is Status.WAITING and run.due_at is None]
    waiting = [run for run in left if run not in held and run not in asking]
    if held:
        CONTEXT.tell(f"{plural(len(held), 'run')} go{'es' if len(held) == 1 else ''} on in {'its worker' if len(held) == 1 else 'their workers'}.")
    if waiting:
        dues = [run.due_at for run in waiting if run.due_at is not None]
        due = f", the first due {_in(min(dues), now)}" if dues else ""
        CONTEXT.tell(
            f"{plural(len(waiting), 'run')} wait{'s' if len(waiting) == 1 else ''} for the next pass{due}:"
            " `ty-openworkflow reconcile --once --wait` sees to it, `ty-openworkflow status` shows it."
        )
    if asking:
        names = f"run/{asking[0].name}" if len(asking) == 1 else f"run/{asking[0].name} and others"
        what = "waits" if len(asking) == 1 else "wait"
        CONTEXT.tell(
            f"{plural(len(asking), 'run')} {what} for a signal, a child or a person: `ty-openworkflow status {names.split(maxsplit=1)[0]}` says for what."
        )
    elif held and not waited and not waiting:
        CONTEXT.tell("`ty-openworkflow status` shows them.")


def _in(due: datetime, now: datetime) -> str:
    left = due - now
    return f"in {format_duration(left)} ({due:%Y-%m-%dT%H:%M:%SZ})" if left.total_seconds() > 0 else "now"


def exit_code(passed: Passed, rows: list[Mapping[str, Any]]) -> int:
    """Return the exit code: if several apply, 6 goes before 3, 1 and 5."""
    if passed.held:
        return 6
    if any(not problem.warning for desired in passed.desired for problem in desired.problems):
        return 3
    if passed.failed:
        return 1
    if not passed.in_time or any(row["status"] in _ENDED_BADLY for row in rows):
        return 5
    return 0
