"""What the log of a loop says of a pass: nothing of one without changes."""

from collections.abc import Collection
from datetime import timedelta

from reconciler.actions import Notice, Plan
from reconciler.logs import Log
from reconciler.model import Status
from reconciler.reasons import FOR_A_PERSON
from reconciler.reconcile import Report


class PassLog:
    """Writes passes into a log. What is refused or held is written when it begins and when it is over, not in every pass."""

    def __init__(self, log: Log) -> None:
        """Nothing has been told yet."""
        self._log = log
        self._told: dict[object, Collection[Notice]] = {}

    def passed(self, report: Report, *, revision: str = "", took: timedelta | None = None) -> None:
        """Write what one pass has done and found."""
        plan, applied = report.plan, report.applied
        failed = {failure.object for failure in applied.failures}
        for change in plan.changes:
            about = f"{change.kind}/{change.name}"
            if about not in failed:
                self._log.info(change.action, object=about, action=change.action, reason=change.reason, revision=revision)
        for failure in applied.failures:
            write = self._log.warning if failure.again else self._log.error
            write(failure.message, object=failure.object, reason=failure.reason, revision=revision)
        for run in report.ended:
            write = self._log.error if run.status is Status.FAILED else self._log.info
            write(run.status.value, object=f"run/{run.name}", action="end", reason=run.reason, incarnation=run.incarnation)
        self._notices(report.place, plan, revision)
        if plan.changes or applied.failures or report.ended:
            counts = {"changes": len(plan.changes), "ended": len(report.ended), "failures": len(applied.failures)}
            milliseconds = None if took is None else round(took.total_seconds() * 1000)
            self._log.info("pass", action="pass", revision=revision, duration_ms=milliseconds, **counts)

    def _notices(self, place: object, plan: Plan, revision: str) -> None:
        now = (*plan.rejected, *plan.held)
        before = self._told.get(place, ())
        for notice in now:
            if notice not in before:
                write = self._log.error if notice.reason in FOR_A_PERSON else self._log.warning
                write(notice.message, object=notice.object, reason=notice.reason, revision=revision)
        for notice in before:
            if notice not in now:
                self._log.info("resolved", object=notice.object, reason=notice.reason, revision=revision)
        self._told[place] = now
