"""The time, moved by what a test asked for."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Clock:
    """Whole seconds in UTC, as the real program's database holds them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._now = settings.get("now", time.time()) + settings.get("clock", 0)

    def now(self) -> str:
        """Return this second as it is stored."""
        return self.ago(0)

    def ago(self, seconds: float) -> str:
        """Return the second that long before now."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._now - seconds))

    def age(self, stored: str) -> int:
        """Return how many seconds ago `stored` was."""
        return int(self._now) - _seconds(stored)


def rfc3339(stored: str) -> str:
    """Return a stored second as it is shown: with the offset of the local zone."""
    local = time.localtime(_seconds(stored))
    minutes = local.tm_gmtoff // 60
    zone = "Z" if minutes == 0 else f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + zone


def minute(stored: str) -> str:
    """Return a stored second as texts show it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_seconds(stored)))


def _seconds(stored: str) -> int:
    import calendar

    return calendar.timegm((int(stored[:4]), int(stored[5:7]), int(stored[8:10]), int(stored[11:13]), int(stored[14:16]), int(stored[17:19])))
