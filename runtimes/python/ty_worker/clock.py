"""The clocks, and instants as records carry them."""

from time import gmtime, monotonic, time_ns

__all__ = ["NEVER", "monotonic", "now_ms", "parse_stamp", "stamp", "stamp_now"]

NEVER = float("inf")

_WIDTH = len("2026-11-22T14:37:00.123Z")
_latest = (0, "")


def now_ms() -> int:
    """Return the machine's time in whole milliseconds since 1970, rounded down."""
    return time_ns() // 1_000_000


def stamp(ms: int) -> str:
    """Write milliseconds since 1970 as UTC text of fixed width. Raises OverflowError beyond the year 9999."""
    global _latest
    second, milli = divmod(ms, 1000)
    known, text = _latest
    if known != second:
        utc = gmtime(second)
        if utc.tm_year > 9999:
            message = "an instant after the year 9999 cannot be recorded"
            raise OverflowError(message)
        text = f"{utc[0]:04d}-{utc[1]:02d}-{utc[2]:02d}T{utc[3]:02d}:{utc[4]:02d}:{utc[5]:02d}."
        _latest = (second, text)
    return f"{text}{milli:03d}Z"


def stamp_now() -> str:
    """Return the present instant as records carry it."""
    return stamp(now_ms())


def parse_stamp(text: str) -> int:
    """Read what `stamp` wrote. Raises ValueError."""
    if len(text) != _WIDTH or text[-1] != "Z":
        message = f"{text!r} is not an instant such as 2026-11-22T14:37:00.123Z"
        raise ValueError(message)
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second, milli = int(text[11:13]), int(text[14:16]), int(text[17:19]), int(text[20:23])
    return (((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli


def _days(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01, counting years from March, so that a leap day ends its year."""
    year -= month < 3
    era, place = divmod(year, 400)
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + place * 365 + place // 4 - place // 100 + in_year - 719_468
