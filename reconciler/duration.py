"""Durations as people write them: `500ms`, `30s`, `1h30m`, `7d`."""

import re
from datetime import timedelta

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
LONGEST = timedelta(days=36_500)


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `1h30m`. Raises ValueError with what was expected."""
    if not _WHOLE.fullmatch(text):
        message = f"{text!r} is not a duration: write a number and a unit, such as 500ms, 30s, 1h30m or 7d"
        raise ValueError(message)
    total = timedelta(milliseconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    if total > LONGEST:
        message = f"{text!r} is longer than a hundred years"
        raise ValueError(message)
    return total


def format_duration(duration: timedelta) -> str:
    """Write `duration` for people, with at most two units: `1h 5m`, `3.2s`, `250ms`."""
    ms = max(0, round(duration.total_seconds() * 1000))
    if ms < 1000:
        return f"{ms}ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f}s" if ms % 1000 and ms < 10_000 else f"{ms // 1000}s"
    seconds = ms // 1000
    for unit, size, below, smaller in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size}{unit} {rest}{below}" if rest else f"{seconds // size}{unit}"
    return f"{seconds}s"
