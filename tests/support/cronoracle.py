"""What cron means, found out the slow way: every minute that elapses is looked at, and nothing is shared with the code under test."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
_WORDS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *"}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class Expression:
    """An expression whose fields are asked about one wall clock time."""

    def __init__(self, text: str) -> None:
        minute, hour, day, month, weekday = _WORDS.get(text, text).lower().split()
        self.minute, self.hour = _numbers(minute, 0, 59, []), _numbers(hour, 0, 23, [])
        self.day, self.month = _numbers(day, 1, 31, []), _numbers(month, 1, 12, ["", *_MONTHS])
        self.weekday = {number % 7 for number in _numbers(weekday, 0, 7, _DAYS)}
        self.one_day_is_enough = day[0] != "*" and weekday[0] != "*"
        self.every_hour = hour[0] == "*"

    def fits(self, wall: datetime) -> bool:
        """Say whether a clock on the wall shows a time of this expression."""
        if wall.minute not in self.minute or wall.hour not in self.hour or wall.month not in self.month:
            return False
        days = (wall.day in self.day, wall.isoweekday() % 7 in self.weekday)
        return any(days) if self.one_day_is_enough else all(days)


def _numbers(field: str, low: int, high: int, names: list[str]) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin = low if span == "*" else _number(first, names)
        end = high if span == "*" else _number(last, names) if dash else begin
        if dash and names == _DAYS and end == 0:
            end = 7
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


def _number(text: str, names: list[str]) -> int:
    return names.index(text) if text in names else int(text)


def expected_slots(text: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Return the slots after an instant, up to and with another."""
    expression, place = Expression(text), ZoneInfo(zone)
    begin = after.astimezone(UTC).replace(second=0, microsecond=0) - timedelta(hours=26)  # a gap before it may shift a slot into the time asked about
    return sorted({slot for slot in _elapsed(expression, place, begin, until) if after < slot <= until})


def _elapsed(expression: Expression, zone: tzinfo, begin: datetime, until: datetime) -> Iterator[datetime]:
    before = begin.astimezone(zone)
    instant = begin
    while instant <= until:
        instant += MINUTE
        wall = instant.astimezone(zone)
        shown, expected = wall.replace(tzinfo=None), before.replace(tzinfo=None) + MINUTE
        late = instant
        while expected < shown:  # the clock is put forward: what it does not show comes as much later
            if expression.fits(expected):
                yield late
            expected, late = expected + MINUTE, late + MINUTE
        if expression.fits(shown) and (expression.every_hour or wall.fold == 0):
            yield instant
        before = wall
