"""Instants as people give them for a backfill."""

from datetime import UTC, datetime

import pytest

from reconciler.errors import UsageError
from reconciler.schedules import instant_option

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-11-20", "2026-11-19T23:00:00+00:00", "2026-11-20T22:59:59.999000+00:00"),
        ("2026-10-25", "2026-10-24T22:00:00+00:00", "2026-10-25T22:59:59.999000+00:00"),  # a day of 25 hours
        ("2026-11-22", "2026-11-21T23:00:00+00:00", "2026-11-22T12:00:00+00:00"),  # a day that is not over
        ("2026-11-23", "2026-11-22T23:00:00+00:00", "2026-11-22T23:00:00+00:00"),
        ("2026-11-20T02:30", "2026-11-20T01:30:00+00:00", "2026-11-20T01:30:00+00:00"),
        ("2026-11-20T02:30Z", "2026-11-20T02:30:00+00:00", "2026-11-20T02:30:00+00:00"),
    ],
)
def test_a_day_is_a_whole_day_of_the_zone_and_an_instant_is_what_it_says(text: str, begin: str, end: str) -> None:
    assert instant_option("--from", text, "Europe/Berlin").isoformat() == begin
    assert instant_option("--to", text, "Europe/Berlin", end_by=NOW).isoformat() == end


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "12:00"])
def test_what_is_no_instant_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="write an instant such as"):
        instant_option("--from", text, "Europe/Berlin")
