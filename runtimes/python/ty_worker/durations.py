"""Durations as workflow code writes them: a number of seconds, or text such as "500ms", "30s", "1h30m", "7d"."""

from math import ceil, isfinite

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)"
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999  # the years 1 to 9999
_LONGEST = 36_500 * _UNITS["d"]


def milliseconds(value: object, what: str) -> int:
    """Return a duration in whole milliseconds, rounded up. Raises TypeError that begins with `what`."""
    length = -1.0
    if isinstance(value, str):
        length = _read(value)
    elif isinstance(value, float) and isfinite(value):
        length = round(value * 1000, 6)  # 0.07 s are 70 ms, not 71
    elif isinstance(value, int) and not isinstance(value, bool):
        length = value * 1000
    if length < 0:
        message = f'{what} must be seconds or text such as "500ms", "30s", "1h30m" or "7d", got {shown(value)}'
        raise TypeError(message)
    if length > _LONGEST:
        message = f"{what} is longer than a hundred years: {shown(value)}"
        raise TypeError(message)
    return ceil(length)


def _read(text: str) -> float:
    import re  # start-up is precious, and most workflows write numbers or settings

    if not re.fullmatch(f"(?:{_PART})+", text):
        return -1.0
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))


def instant(value: object, what: str) -> int:
    """Return an instant in whole milliseconds since 1970, rounded up. Raises TypeError that begins with `what`."""
    ms = None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
        ms = ceil(round(value * 1000, 6)) if abs(value) < _LATEST else None
    elif value is not None and not isinstance(value, (bool, int, float)):
        ms = _read_instant(value)
    if ms is None or not _EARLIEST <= ms <= _LATEST:
        message = f'{what} must be an aware datetime, seconds since 1970 or text with a zone such as "2026-11-22T14:37:00Z", got {shown(value)}'
        raise TypeError(message)
    return ms


def _read_instant(value: object) -> int | None:
    from datetime import datetime, timedelta, timezone

    moment = value
    if isinstance(value, str):
        import re

        # Python 3.10 knows neither the zone Z nor a fraction of any length.
        text = re.sub(r"\.([0-9]{1,6})[0-9]*", lambda found: "." + found[1].ljust(6, "0"), value.replace("Z", "+00:00"))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - Python 3.10
    return -(-since // timedelta(milliseconds=1))


def shown(value: object) -> str:
    """Describe a value in an error message: text in quotes, numbers as they are, else its type."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "...")
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 10**60):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def quoted(text: str) -> str:
    """Write a key or a name in a message: as JSON, cut after 60 characters."""
    from ty_worker.lines import encode_text

    return encode_text(text if len(text) <= 60 else text[:60] + "…")
