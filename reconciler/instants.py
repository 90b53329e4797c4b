"""Instants and durations as files and tables carry them."""

from datetime import UTC, datetime, timedelta


def stamp(instant: datetime) -> str:
    """Write `instant` as UTC text of fixed width, so that text order is time order: `2026-11-22T14:37:00.123Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def milliseconds(duration: timedelta) -> int:
    """Return `duration` in whole milliseconds."""
    return round(duration / timedelta(milliseconds=1))
