"""How often a platform may be called."""

from datetime import timedelta

import pytest

from adapters.bucket import TokenBucket, retry_after
from reconciler.errors import UnavailableError


class Watch:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    watch = Watch()
    bucket = TokenBucket("memory", rate=2, burst=3, now=watch)
    for _ in range(3):
        bucket.take()

    with pytest.raises(UnavailableError) as refused:
        bucket.take()
    assert refused.value.retry_after == timedelta(seconds=0.5)

    watch.at = 0.5
    bucket.take()
    with pytest.raises(UnavailableError):
        bucket.take()


def test_what_was_not_used_is_kept_up_to_the_burst() -> None:
    watch = Watch()
    bucket = TokenBucket("memory", rate=1, burst=2, now=watch)
    watch.at = 3600.0

    bucket.take(2)
    with pytest.raises(UnavailableError):
        bucket.take()


def test_a_platform_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    watch = Watch()
    bucket = TokenBucket("memory", rate=100, burst=100, now=watch)
    bucket.told(timedelta(seconds=30))

    with pytest.raises(UnavailableError) as refused:
        bucket.take()
    assert refused.value.retry_after == timedelta(seconds=30)
    watch.at = 30.0
    bucket.take()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 59),
        ("Fri, 31 Dec 1999 23:00:00 GMT", 0),
        ("soon", None),
        (None, None),
        ("-1", None),
    ],
)
def test_the_header_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    now = 946684800.0 - 60  # a minute before the year 2000

    found = retry_after(text, now=now)

    assert found == (None if seconds is None else timedelta(seconds=seconds))
