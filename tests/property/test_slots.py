"""Laws of slots, over random expressions, zones and moments near changes of the clock."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.slots import Timing, count_slots, latest_slots, next_slot, slot_name, slots, slots_between
from tests.support.cronoracle import expected_slots

ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Santiago",
    "Asia/Tehran",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
    "America/Havana",
    "UTC",
]
# Days at which one of these zones puts its clock forward or back, or skips a whole day.
DAYS = [
    (2026, 3, 8),
    (2026, 11, 1),
    (2026, 3, 29),
    (2026, 10, 25),
    (2011, 12, 30),
    (2026, 4, 24),
    (2026, 10, 30),
    (2026, 9, 6),
    (2026, 4, 5),
    (2022, 3, 22),
    (2026, 2, 15),
    (2026, 3, 22),
    (2026, 9, 27),
    (2024, 2, 29),
    (2027, 1, 1),
]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.tuples(st.one_of(st.just("*"), span), st.integers(1, 12)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    parts = st.lists(st.one_of(number.map(str), span), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), parts, step)


crons = st.tuples(field(0, 59), st.one_of(field(0, 23), field(0, 3)), st.one_of(st.just("*"), field(1, 28)), st.just("*"), field(0, 7)).map(" ".join)
moments = st.tuples(st.sampled_from(DAYS), st.integers(-36 * 3600, 36 * 3600)).map(
    lambda parts: datetime(*parts[0], tzinfo=UTC) + timedelta(seconds=parts[1])
)
spans = st.integers(1, 30 * 60).map(lambda minutes: timedelta(minutes=minutes))


@settings(max_examples=250, deadline=None)
@given(cron=crons, zone=st.sampled_from(ZONES), after=moments, span=spans)
def test_slots_are_those_that_looking_at_every_minute_finds(cron: str, zone: str, after: datetime, span: timedelta) -> None:
    expected = expected_slots(cron, zone, after, after + span)

    timing = Timing(cron, None, zone)
    assert list(slots_between(timing, after, after + span)) == expected
    assert latest_slots(timing, after, after + span, 3) == expected[-3:]
    assert count_slots(timing, after, after + span, 20) == min(20, len(expected))


@settings(max_examples=250, deadline=None)
@given(cron=crons, zone=st.sampled_from(ZONES), after=moments)
def test_slots_are_strictly_increasing_and_each_has_a_name_of_its_own(cron: str, zone: str, after: datetime) -> None:
    found = list(islice(slots(Timing(cron, None, zone), after), 150))

    assert all(first < second for first, second in pairwise([after, *found]))
    assert len({slot_name("x", slot) for slot in found}) == len(found)


@settings(max_examples=50, deadline=None)
@given(cron=crons, zone=st.sampled_from(ZONES), after=moments, cuts=st.lists(st.integers(0, 40 * 3600), max_size=8))
def test_no_slot_comes_twice_and_none_is_lost_however_the_time_is_cut_up(cron: str, zone: str, after: datetime, cuts: list[int]) -> None:
    timing, until = Timing(cron, None, zone), after + timedelta(hours=40)
    ends = [*sorted(after + timedelta(seconds=cut) for cut in cuts), until]

    in_parts: list[datetime] = []
    for begin, end in pairwise([after, *ends]):
        in_parts += slots_between(timing, begin, end)

    assert in_parts == list(slots_between(timing, after, until))


@settings(max_examples=150, deadline=None)
@given(cron=crons, zone=st.sampled_from(ZONES), after=moments)
def test_one_step_after_another_is_the_same_as_walking(cron: str, zone: str, after: datetime) -> None:
    timing = Timing(cron, None, zone)
    stepped = []
    instant: datetime | None = after
    for _ in range(12):
        assert instant is not None
        instant = next_slot(timing, instant)
        stepped.append(instant)

    assert stepped == list(islice(slots(timing, after), 12))


@settings(max_examples=200, deadline=None)
@given(every=st.integers(1, 200_000), after=st.integers(0, 4_000_000_000), span=st.integers(0, 1_000_000), most=st.integers(1, 20))
def test_intervals_are_multiples_counted_from_1970(every: int, after: int, span: int, most: int) -> None:
    timing, begin = Timing("", timedelta(seconds=every), "UTC"), datetime.fromtimestamp(after, UTC)
    multiples = [number * every for number in range(after // every + 1, (after + span) // every + 1)]

    assert count_slots(timing, begin, begin + timedelta(seconds=span), most) == min(most, len(multiples))
    assert [slot.timestamp() for slot in latest_slots(timing, begin, begin + timedelta(seconds=span), most)] == multiples[-most:]
    assert [slot.timestamp() for slot in islice(slots_between(timing, begin, begin + timedelta(seconds=span)), most)] == multiples[:most]
