"""When schedules are due, case by case."""

import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from reconciler import slots as slots_module
from reconciler.cron import Cron
from reconciler.slots import Timing, ZoneError, count_slots, fill_slot, latest_slots, next_slot, slot_name, slot_values, slots, zone_of
from tests.support.cronoracle import expected_slots

CASES = Path(__file__).parent / "slots"


def cases(name: str) -> Iterator[tuple[str, str, datetime, list[datetime]]]:
    for line in (CASES / name).read_text().splitlines():
        if line and not line.startswith("#"):
            zone, cron, after, expected = (part.strip() for part in line.split("|"))
            year = after[:4]
            found = [datetime.fromisoformat(text if re.match(r"\d{4}", text) else f"{year}-{text}") for text in expected.split()]
            yield zone, cron, datetime.fromisoformat(after), found


TABLE = [*cases("by_hand.txt"), *cases("looked_up.txt")]


@pytest.mark.parametrize(("zone", "cron", "after", "expected"), TABLE, ids=[f"{cron} {zone} {after:%Y-%m-%dT%H%M}" for zone, cron, after, _ in TABLE])
def test_slots_are_those_of_the_table(zone: str, cron: str, after: datetime, expected: list[datetime]) -> None:
    found = list(islice(slots(Timing(cron, None, zone), after), len(expected)))

    assert [slot.astimezone(zone_of(zone)).isoformat() for slot in found] == [slot.isoformat() for slot in expected]
    assert all(slot.tzinfo is UTC for slot in found)


def test_the_table_has_two_hundred_cases_of_twelve_zones_with_their_days_of_change() -> None:
    zones = {zone for zone, _, _, expected in TABLE if len({slot.utcoffset() for slot in expected}) > 1}

    assert len(TABLE) >= 200
    assert len(zones) >= 12


@pytest.mark.parametrize(("zone", "cron", "after", "expected"), [case for case in TABLE if case[3][-1] - case[2] < timedelta(days=3)])
def test_the_table_is_what_looking_at_every_minute_finds(zone: str, cron: str, after: datetime, expected: list[datetime]) -> None:
    cron = {"@midnight": "@daily", "@annually": "@yearly"}.get(cron, cron)

    assert expected_slots(cron, zone, after, expected[-1]) == expected


def test_a_year_of_missed_minutes_is_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = []
    walls = slots_module._walls

    def counted(cron: Cron, start: datetime) -> Iterator[datetime]:
        for wall in walls(cron, start):
            walked.append(wall)
            yield wall

    monkeypatch.setattr(slots_module, "_walls", counted)
    year, now = datetime(2025, 11, 22, tzinfo=UTC), datetime(2026, 11, 22, 12, tzinfo=UTC)
    timing = Timing("* * * * *", None, "Europe/Berlin")

    assert latest_slots(timing, year, now, 1) == [now]
    assert count_slots(timing, year, now, 1000) == 1000
    assert len(latest_slots(timing, year, now, 1000)) == 1000
    assert next_slot(timing, now) == now + timedelta(minutes=1)
    assert len(walked) < 12_000  # of 525,600


def test_the_latest_slot_of_a_rare_schedule_is_found_years_back() -> None:
    timing = Timing("0 0 29 2 *", None, "UTC")

    assert latest_slots(timing, datetime(2000, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), 2) == [
        datetime(2020, 2, 29, tzinfo=UTC),
        datetime(2024, 2, 29, tzinfo=UTC),
    ]
    assert latest_slots(timing, datetime(2024, 2, 29, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), 2) == []


def test_an_interval_has_no_end_and_no_slot_before_its_first() -> None:
    timing = Timing("", timedelta(minutes=15), "Europe/Berlin")
    now = datetime(2026, 3, 29, 0, 50, tzinfo=UTC)

    assert [f"{slot:%H:%M}" for slot in islice(slots(timing, now), 4)] == ["01:00", "01:15", "01:30", "01:45"]
    assert count_slots(timing, now, now, 5) == count_slots(timing, now, now - timedelta(hours=1), 5) == 0


def test_a_slot_is_told_by_the_clock_of_its_zone() -> None:
    slot = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)

    assert slot_values(slot, "Europe/Berlin") == {
        "date": "2026-11-23",
        "time": "00:30:00",
        "iso": "2026-11-23T00:30:00+01:00",
        "utc": "2026-11-22T23:30:00Z",
    }
    assert set(slot_values(slot, "UTC")) == set(slots_module.SLOT_FIELDS)
    assert fill_slot({"a": ["${slot.date} $${slot.date} ${slot.utc}", 5, None]}, slot_values(slot, "UTC")) == {
        "a": ["2026-11-22 ${slot.date} 2026-11-22T23:30:00Z", 5, None]
    }


def test_the_name_of_a_slots_run_is_its_utc_and_stays_a_dns_label() -> None:
    slot = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)

    assert slot_name("nightly", slot) == "nightly-20261122t0130z"
    assert slot_name("nightly", slot + timedelta(seconds=5)) == "nightly-20261122t013005z"
    assert len(slot_name("x" * slots_module.LONGEST_NAME, slot + timedelta(seconds=5))) <= 63


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "+02:00", "localtime", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin", "../passwd", "", "CET "]
)
def test_only_zones_of_iana_are_zones(name: str) -> None:
    with pytest.raises(ZoneError, match="there is no time zone"):
        zone_of(name)


def test_without_a_database_of_zones_the_error_says_so_and_utc_works() -> None:
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=())
    try:
        assert zone_of("UTC") is UTC
        with pytest.raises(ZoneError, match="this machine has no database of time zones"):
            zone_of("Europe/Berlin")
    finally:
        zoneinfo.reset_tzpath()
