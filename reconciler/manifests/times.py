"""Whether the times of a schedule mean anything; when exactly they come is for `slots`."""

import re
from collections.abc import Iterator

from reconciler.finding import Finding
from reconciler.suggest import did_you_mean, shown

_NAMED = frozenset({"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"})
_MONTHS = {name: number for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|([0-9]{1,2}|[A-Za-z]{3})(?:-([0-9]{1,2}|[A-Za-z]{3}))?)(?:/([0-9]{1,2}))?")


def cron_findings(text: str, pointer: str) -> Iterator[Finding]:
    """Find what is wrong with a cron expression."""
    if text.startswith("@"):
        if text not in _NAMED:
            yield Finding(pointer, f"{shown(text)} is not a time", did_you_mean(text, _NAMED))
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        names = ", ".join(field[0] for field in _FIELDS)
        yield Finding(pointer, f"{shown(text)} has {len(fields)} fields and not five", f"the fields are {names}")
        return
    for value, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        fault = next(filter(None, (_part_fault(part, low, high, words) for part in value.split(","))), "")
        if fault:
            yield Finding(pointer, f"{shown(value)} is not a {name}: {fault}")


def zone_findings(name: str, pointer: str) -> Iterator[Finding]:
    """Find out whether there is such a time zone."""
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield Finding(
            pointer,
            f"there is no time zone {shown(name)}",
            did_you_mean(name, zoneinfo.available_timezones()) or "write a name such as Europe/Berlin",
        )


def _part_fault(part: str, low: int, high: int, words: dict[str, int]) -> str:
    """Say what is wrong with one part of a field, such as `1-5` or `*/15`; nothing if it is fine."""
    found = _PART.fullmatch(part)
    if found is None:
        return f"{shown(part)} is not understood (numbers, names, '*', '-', ',' and '/' are)"
    ends = [_number(word, words) for word in found.group(1, 2) if word is not None]
    if words is _DAYS and len(ends) == 2 and ends[1] == 0:
        ends[1] = 7  # a week may end with Sunday
    for word, number in zip(found.group(1, 2), ends, strict=False):
        if number is None or not low <= number <= high:
            return f"{word} is not between {low} and {high}"
    if len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
        return f"{part} goes backwards"
    if found[3] is not None and int(found[3]) == 0:
        return "a step of 0 goes nowhere"
    return ""


def _number(word: str, words: dict[str, int]) -> int | None:
    return int(word) if word.isdigit() else words.get(word.lower())
