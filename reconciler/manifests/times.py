"""Whether the times of a schedule mean anything; when exactly they come is for `slots`."""

from collections.abc import Iterator
from datetime import timedelta

from reconciler.cron import CronError, read_cron
from reconciler.duration import parse_duration
from reconciler.finding import Finding
from reconciler.slots import zone_of
from reconciler.suggest import did_you_mean, shown


def cron_findings(text: str, pointer: str) -> Iterator[Finding]:
    """Find what is wrong with a cron expression."""
    try:
        read_cron(text)
    except CronError as error:
        yield Finding(pointer, str(error), error.hint)


def every_findings(text: str, pointer: str) -> Iterator[Finding]:
    """Find out whether an interval, a valid duration, is one of whole seconds."""
    if parse_duration(text) % timedelta(seconds=1):
        yield Finding(pointer, f"{shown(text)} is not a whole number of seconds")


def zone_findings(name: str, pointer: str) -> Iterator[Finding]:
    """Find out whether there is such a time zone."""
    import zoneinfo

    try:
        zone_of(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        hint = "install the package tzdata, of the system or of Python; UTC works without it"
        if not known:
            yield Finding(
                pointer, f"the zone {shown(name)} cannot be looked up: this machine has no database of time zones", hint, code="no-time-zones"
            )
            return
        yield Finding(pointer, f"there is no time zone {shown(name)}", did_you_mean(name, known) or "write a name such as Europe/Berlin")
