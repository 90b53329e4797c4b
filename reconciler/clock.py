"""The time, as everything else is given it."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

_WIDTH = len("2026-11-22T14:37:00.123Z")


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)


def stamp(instant: datetime) -> str:
    """Write `instant` as UTC text of fixed width, so that text order is time order."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def parse_stamp(text: str) -> datetime:
    """Read what `stamp` wrote. Raises ValueError."""
    if len(text) != _WIDTH or text[-1] != "Z":
        message = f"{text!r} is not an instant such as 2026-11-22T14:37:00.123Z"
        raise ValueError(message)
    return datetime.fromisoformat(text[:-1] + "+00:00")


def milliseconds(duration: timedelta) -> int:
    """Return `duration` in whole milliseconds."""
    return round(duration / timedelta(milliseconds=1))
