"""The next instant at which a look is worth while, and a look now and then."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any


class Timer:
    """Calls `wake` when an instant has come, and again and again after an interval.

    It only wakes: whoever is woken looks at the clock. APScheduler keeps the time; its jobs live in memory and are made anew by each process.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Begin with nothing to wake for."""
        from apscheduler.executors.debug import DebugExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        self._wake = wake
        self._at: datetime | None = None
        self._jobs: Any = BackgroundScheduler(
            timezone=UTC, executors={"default": DebugExecutor()}, job_defaults={"coalesce": True, "misfire_grace_time": None}
        )
        self._jobs.start()

    def every(self, interval: timedelta) -> None:
        """Wake after each interval."""
        self._jobs.add_job(self._wake, "interval", seconds=interval.total_seconds(), id="every", replace_existing=True)

    def at(self, due: datetime | None) -> None:
        """Wake at this instant, and no more at the one that was set before."""
        if due == self._at:
            return
        self._at = due
        if due is not None:
            self._jobs.add_job(self._wake, "date", run_date=due, id="due", replace_existing=True)
        elif self._jobs.get_job("due") is not None:
            self._jobs.remove_job("due")

    def close(self) -> None:
        """Wake nobody any more."""
        self._jobs.shutdown(wait=False)
