"""Cron expressions as cron(5) means them: five fields, or a word such as @daily."""

import re

from reconciler.suggest import did_you_mean, shown
from reconciler.values import frozen

WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = {name: number for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(?:\*|([0-9]{1,2}|[A-Za-z]{3})(?:-([0-9]{1,2}|[A-Za-z]{3}))?)(?:/([0-9]{1,2}))?")
_OTHERS = re.compile(r"[LW#?]")


class CronError(ValueError):
    """A text that is no cron expression; `hint` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@frozen
class Cron:
    """When to run, by the clock on the wall. Days of the week count from Sunday, 0 to 6.

    `either` is the rule of cron(5) that one of the two days is enough where both are restricted; `every_hour` says that the hours are `*` or
    a step of it.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool
    every_hour: bool


def read_cron(text: str) -> Cron:
    """Read a cron expression. Raises CronError, also for one that never comes."""
    words = _fields(text)
    minutes, hours, days, months, weekdays = (_values(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    weekdays = tuple(sorted({day % 7 for day in weekdays}))
    both = not words[2].startswith("*") and not words[4].startswith("*")
    if not both and not any(min(days) <= _LENGTHS[month - 1] for month in months):
        message = f"{shown(text)} never comes: none of its months has {min(days)} days"
        raise CronError(message)
    return Cron(minutes, hours, days, months, weekdays, either=both, every_hour=words[1].startswith("*"))


def _fields(text: str) -> list[str]:
    """Return the five fields of an expression."""
    if text.startswith("@"):
        if text not in WORDS:
            message = f"{shown(text)} is not a time"
            raise CronError(message, _word_hint(text))
        text = WORDS[text]
    fields = text.split()
    if fields and fields[0].startswith(("TZ=", "CRON_TZ=")):
        message = f"{shown(fields[0])} does not belong into the expression"
        raise CronError(message, "write the zone into spec.timeZone")
    if len(fields) != len(_FIELDS):
        names = ", ".join(field[0] for field in _FIELDS)
        seconds = "; for seconds there is `every`, such as every: 30s" if len(fields) == len(_FIELDS) + 1 else ""
        message = f"{shown(text)} has {len(fields)} fields and not five"
        raise CronError(message, f"the fields are {names}{seconds}")
    return fields


def _word_hint(text: str) -> str:
    if text == "@reboot":
        return "a schedule runs at times; what is to run once is a Run"
    if text.startswith("@every"):
        return f"write every: {text.removeprefix('@every').strip() or '15m'} instead of cron"
    return did_you_mean(text, WORDS)


def _values(field: str, name: str, low: int, high: int, words: dict[str, int]) -> tuple[int, ...]:
    """Return the values that a field stands for."""
    found: set[int] = set()
    for part in field.split(","):
        try:
            found.update(_part(part, low, high, words))
        except CronError as error:
            message = f"{shown(field)} is no {name}: {error}"
            raise CronError(message, error.hint) from error
    return tuple(sorted(found))


def _part(part: str, low: int, high: int, words: dict[str, int]) -> range:
    """Return the values of one part of a field, such as `1-5` or `*/15`."""
    found = _PART.fullmatch(part)
    fault, hint = "", ""
    if found is None:
        fault = f"{shown(part)} is not understood (numbers, names, '*', '-', ',' and '/' are)"
        hint = "L, W, # and ? are of other schedulers, not of cron" if _OTHERS.search(part) else ""
    elif found[3] is not None and int(found[3]) == 0:
        fault = "a step of 0 goes nowhere"
    elif found[1] is not None and found[2] is None and found[3] is not None:
        fault = f"{shown(part)}: a step goes with '*' or a range"
        hint = f"write {found[1]}-{min(high, 6) if words is _DAYS else high}/{found[3]}"
    if found is None or fault:
        raise CronError(fault, hint)
    step = int(found[3] or 1)
    if found[1] is None:
        return range(low, high + (0 if words is _DAYS else 1), step)
    first, last = (_number(word, low, high, words) for word in (found[1], found[2] or found[1]))
    if words is _DAYS and found[2] is not None and last == 0:
        last = 7  # a week may end with Sunday
    if first > last:
        fault = f"{part} goes backwards"
        raise CronError(fault)
    return range(first, last + 1, step)


def _number(word: str, low: int, high: int, words: dict[str, int]) -> int:
    number = int(word) if word.isdigit() else words.get(word.lower(), -1)
    if not low <= number <= high:
        fault = f"{word} is not between {low} and {high}"
        raise CronError(fault)
    return number
