"""When schedules are due: instants calculated from a manifest and a moment, the same on every machine.

APScheduler's CronTrigger calculates in the time that a clock on the wall shows. What such a time is in UTC is decided here: one that a zone
skips is shifted by the length of the gap; of one that comes twice the first counts, and both where the hours are `*`.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from heapq import heappop, heappush
from itertools import islice, takewhile
from typing import Any

from reconciler.cron import Cron, read_cron
from reconciler.digest import Json
from reconciler.duration import parse_duration
from reconciler.instants import stamp
from reconciler.values import frozen

SLOT_FIELDS = ("date", "time", "iso", "utc")
LONGEST_NAME = 46
"""How long the name of a schedule may be: `-20261122t013000z` comes after it, and names have 63 characters at most."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_AROUND = timedelta(hours=25)  # no zone has ever skipped or repeated more than a day
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WIDER = 4
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
_REFERENCE = re.compile(r"\$\$\{|\$\{slot\.([A-Za-z_]+)\}")


class ZoneError(LookupError):
    """There is no such time zone, or none can be looked up here."""


@frozen
class Timing:
    """What decides when a schedule is due: a cron expression in a zone, or an interval counted from 1970."""

    cron: str
    every: timedelta | None
    zone: str


def timing_of(spec: Mapping[str, Any]) -> Timing:
    """Return what decides when a schedule is due, from its valid spec."""
    every = parse_duration(spec["every"]) if "every" in spec else None
    return Timing(str(spec.get("cron", "")), every, str(spec.get("timeZone", "UTC")))


def zone_of(name: str) -> tzinfo:
    """Return a time zone. Raises ZoneError."""
    if name == "UTC":
        return UTC  # needs no database of zones
    import zoneinfo

    try:
        if name not in _NO_ZONES and not name.startswith(("posix/", "right/")):
            return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    if not zoneinfo.available_timezones():
        message = f"the time zone {name!r} cannot be looked up: this machine has no database of time zones"
    else:
        message = f"there is no time zone {name!r}"
    raise ZoneError(message)


def slots(timing: Timing, after: datetime) -> Iterator[datetime]:
    """Return the slots after an instant, one after another; they are UTC and strictly increasing."""
    if timing.every is not None:
        return _intervals(timing.every, after)
    return _of_cron(read_cron(timing.cron), zone_of(timing.zone), after)


def next_slot(timing: Timing, after: datetime) -> datetime | None:
    """Return the first slot after an instant."""
    return next(slots(timing, after), None)


def slots_between(timing: Timing, after: datetime, until: datetime) -> Iterator[datetime]:
    """Return the slots after one instant, up to and with another."""
    return takewhile(lambda slot: slot <= until, slots(timing, after))


def latest_slots(timing: Timing, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the newest of these slots, at most so many, oldest first. Years of slots that nobody asks for are not walked through."""
    if timing.every is not None:
        first = _EPOCH + (until - _EPOCH) // timing.every * timing.every - (most - 1) * timing.every
        return list(slots_between(timing, max(after, first - _SECOND), until))
    window = timedelta(hours=1)
    while True:
        begin = max(after, until - window) if until - _EPOCH > window else after
        found = deque(slots_between(timing, begin, until), maxlen=most)
        if len(found) == most or begin == after:
            return list(found)
        window *= _WIDER


def count_slots(timing: Timing, after: datetime, until: datetime, most: int) -> int:
    """Return how many slots there are, counted up to `most`."""
    if until <= after:
        return 0
    if timing.every is not None:
        return min(most, (until - _EPOCH) // timing.every - (after - _EPOCH) // timing.every)
    return sum(1 for _ in islice(slots_between(timing, after, until), most))


def _intervals(every: timedelta, after: datetime) -> Iterator[datetime]:
    number = (after - _EPOCH) // every
    while True:
        number += 1
        yield _EPOCH + number * every


def _of_cron(cron: Cron, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """Return slots in the order of UTC, which near a change of the clock is not the order of the wall's."""
    lowest = min(_offset(zone, instant) for instant in (after - _AROUND, after, after + _AROUND))
    waiting: list[datetime] = []
    last = after
    for wall in _walls(cron, after + lowest):
        local = wall.replace(tzinfo=zone)
        first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
        while waiting and waiting[0] <= min(first, second):
            slot = heappop(waiting)
            if slot > last:
                last = slot
                yield slot
        heappush(waiting, first)
        if cron.every_hour and second > first:
            heappush(waiting, second)


def _offset(zone: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _walls(cron: Cron, start: datetime) -> Iterator[datetime]:
    """Return times of a clock on the wall from `start`, for which UTC stands in."""
    calculate = _calculator(cron)
    wall = calculate(start)
    while wall is not None:
        yield wall
        wall = calculate(wall + _SECOND)


@lru_cache(maxsize=1024)
def _calculator(cron: Cron) -> Callable[[datetime], datetime | None]:
    """Return APScheduler's calculation for an expression; its dialect is not cron's, so it is given nothing but values and names of days."""
    from apscheduler.triggers.combining import OrTrigger
    from apscheduler.triggers.cron import CronTrigger

    def trigger(**days: str) -> Any:
        return CronTrigger(minute=_list(cron.minutes), hour=_list(cron.hours), month=_list(cron.months), timezone=UTC, **days)

    days, weekdays = _list(cron.days), ",".join(_WEEKDAYS[day] for day in cron.weekdays)
    chosen = OrTrigger([trigger(day=days), trigger(day_of_week=weekdays)]) if cron.either else trigger(day=days, day_of_week=weekdays)

    def calculate(start: datetime) -> datetime | None:
        found: datetime | None = chosen.get_next_fire_time(None, start)
        return found

    return calculate


def _list(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def slot_name(schedule: str, slot: datetime) -> str:
    """Return the name of the run of a slot: `nightly-20261122t0130z`, with seconds where there are any."""
    return f"{schedule}-{slot.astimezone(UTC):%Y%m%dt%H%M}{f'{slot.second:02d}' if slot.second else ''}z"


def slot_values(slot: datetime, zone: str) -> dict[str, str]:
    """Return what `${slot.NAME}` stands for, by the clock of the schedule's zone."""
    local = slot.astimezone(zone_of(zone)).replace(microsecond=0)
    return {"date": f"{local:%Y-%m-%d}", "time": f"{local:%H:%M:%S}", "iso": local.isoformat(), "utc": f"{stamp(slot)[:19]}Z"}


def fill_slot(value: Json, slot: Mapping[str, str]) -> Json:
    """Return what a schedule starts, for one slot: `${slot.NAME}` replaced, and `$${` written as `${`. Raises KeyError."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: "${" if found[1] is None else slot[found[1]], value)
    if isinstance(value, dict):
        return {key: fill_slot(item, slot) for key, item in value.items()}
    return [fill_slot(item, slot) for item in value] if isinstance(value, list) else value
