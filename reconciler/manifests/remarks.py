"""Schedules that mean something and may mean something else than what was meant: warnings of `validate`, not worth a look in every pass."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path

from reconciler.cron import read_cron
from reconciler.finding import Finding
from reconciler.manifests.documents import positions_in
from reconciler.model import Desired, Problem, Schedule
from reconciler.slots import zone_of

# Years whose changes of the clock stand for those of every year; a zone that has none in them has no summer time.
_FIRST, _LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=4)
_MINUTE = timedelta(minutes=1)
_LEFT = {"skip": "the oldest", "replace": "the newest", "queue": "the oldest and the newest"}


def schedule_remarks(desired: Desired) -> list[Problem]:
    """Return warnings about the schedules of a folder, with their places in its files."""
    return [_problem(desired, schedule, finding) for schedule in desired.schedules.values() for finding in _findings(schedule)]


def _findings(schedule: Schedule) -> Iterator[Finding]:
    spec = schedule.spec
    if "cron" in spec and spec.get("timeZone", "UTC") != "UTC":
        yield from _near_changes(str(spec["cron"]), str(spec["timeZone"]))
    if spec.get("catchUp") == "all" and spec.get("overlap", "skip") != "allow":
        policy = spec.get("overlap", "skip")
        yield Finding(
            "/spec/catchUp", f"of several missed slots, overlap: {policy} leaves out all but {_LEFT[policy]}", "overlap: allow starts them all"
        )


def _near_changes(text: str, zone: str) -> Iterator[Finding]:
    cron = read_cron(text)
    if cron.every_hour:
        return
    shifted: set[str] = set()
    repeated: set[str] = set()
    for before, after in _changes(zone):
        times, found = (_walls(before, after), shifted) if before < after else (_walls(after, before), repeated)
        found.update(f"{wall:%H:%M}" for wall in times if wall.hour in cron.hours and wall.minute in cron.minutes)
    hint = "another time of the day, or the zone UTC, is not affected"
    if shifted:
        yield Finding("/spec/cron", f"{_some(shifted)} does not exist when {zone} puts its clock forward: it fires later on that day", hint)
    if repeated:
        yield Finding("/spec/cron", f"{_some(repeated)} comes twice when {zone} puts its clock back: the first one fires", hint)


def _walls(first: datetime, end: datetime) -> Iterator[datetime]:
    while first < end:
        yield first
        first += _MINUTE


def _some(times: set[str]) -> str:
    first, *more = sorted(times)
    return f"{first}{f' (and {len(more)} more)' if more else ''}"


@lru_cache(maxsize=256)
def _changes(zone: str) -> tuple[tuple[datetime, datetime], ...]:
    """Return what the clock of a zone shows when it is put forward or back, and what it shows instead."""
    place = zone_of(zone)
    found = []
    instant = _FIRST
    while instant < _LAST:
        if _offset(place, instant) != _offset(place, instant + _STEP):
            at = _change(place, instant, instant + _STEP)
            found.append((_wall(at, _offset(place, at - _MINUTE)), _wall(at, _offset(place, at))))
        instant += _STEP
    return tuple(found)


def _change(place: tzinfo, first: datetime, last: datetime) -> datetime:
    """Return the minute at which the offset is another, between two instants at which it differs."""
    begin, low, high = _offset(place, first), 0, (last - first) // _MINUTE
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(place, first + middle * _MINUTE) == begin:
            low = middle
        else:
            high = middle
    return first + high * _MINUTE


def _offset(place: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(place).utcoffset() or timedelta(0)


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return (instant + offset).replace(tzinfo=None)


def _problem(desired: Desired, schedule: Schedule, finding: Finding) -> Problem:
    source = schedule.source
    line, column = source.line, 1
    try:
        positions = positions_in(Path(desired.folder, source.file).read_bytes(), source.line)
    except OSError:
        positions = None
    at = None if positions is None else positions.at(finding.pointer, key=False)
    if at is not None:
        line, column = at
    about = f"schedule/{schedule.name}"
    return Problem(source.file, line, column, finding.pointer, finding.message, finding.hint, about, "schedule", warning=True)
