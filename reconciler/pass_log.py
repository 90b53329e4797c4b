"""What the log of a loop says of a pass: nothing of one without changes."""

from collections.abc import Collection, Iterable
from datetime import timedelta

from reconciler.actions import Notice, Plan
from reconciler.logs import Log
from reconciler.model import Place, Status
from reconciler.reasons import FOR_A_PERSON
from reconciler.reconcile import Report

_FEW = 3
_FLEETING = frozenset({"settling", "git-busy"})  # told when a second pass in a row finds it


class PassLog:
    """Writes passes into a log. What is refused or held is written when it begins and when it is over, not in every pass."""

    def __init__(self, log: Log) -> None:
        """Nothing has been told yet."""
        self._log = log
        self._told: dict[Place, Collection[Notice]] = {}
        self._fleeting: dict[Place, Collection[Notice]] = {}

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

    def left(self, place: Place) -> None:
        """Note that a place is not the folder's any more: what was told of it is over."""
        self._over(self._told.pop(place, ()), "")
        self._fleeting.pop(place, None)

    def _notices(self, place: Place, plan: Plan, revision: str) -> None:
        now = [*plan.rejected, *plan.held]
        fleeting = [notice for notice in now if notice.reason in _FLEETING]
        again = self._fleeting.get(place, ())
        now = [notice for notice in now if notice not in fleeting or notice in again]
        self._fleeting[place] = fleeting
        before = self._told.get(place, ())
        for notices in _grouped(notice for notice in now if notice not in before):
            first, more = notices[0], len(notices) - 1
            write = self._log.error if first.reason in FOR_A_PERSON else self._log.warning
            message = f"{first.message} (and so for {more} more)" if more else first.message
            write(message, object=first.object, reason=first.reason, revision=revision)
        self._over([notice for notice in before if notice not in now], revision)
        self._told[place] = now

    def _over(self, notices: Collection[Notice], revision: str) -> None:
        for group in _grouped(notices):
            message = f"resolved (and so for {len(group) - 1} more)" if len(group) > 1 else "resolved"
            self._log.info(message, object=group[0].object, reason=group[0].reason, revision=revision)


def _grouped(notices: Iterable[Notice]) -> list[list[Notice]]:
    """Return notices that say the same of many objects together."""
    groups: dict[tuple[str, str], list[Notice]] = {}
    for notice in notices:
        groups.setdefault((notice.reason, notice.message), []).append(notice)
    return [part for group in groups.values() for part in ([group] if len(group) > _FEW else [[one] for one in group])]
