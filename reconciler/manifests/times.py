"""Whether the times of a schedule mean anything; when exactly they come is for `slots`."""

from collections.abc import Iterator
from datetime import timedelta

from reconciler.cron import CronError, read_cron
from reconciler.duration import parse_duration
from reconciler.finding import Finding
from reconciler.slots import ZoneError, zone_of
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
    try:
        zone_of(name)
    except ZoneError as error:
        import zoneinfo

        known = zoneinfo.available_timezones()
        near = did_you_mean(name, known) or "write a name such as Europe/Berlin"
        yield Finding(pointer, str(error), near if known else "install the package tzdata, of the system or of Python; UTC works without it")
