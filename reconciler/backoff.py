"""When something that failed is tried again: each object by itself, later every time, and not at the same instant as the others."""

import hashlib
from datetime import datetime, timedelta

from reconciler.values import frozen

FIRST = timedelta(seconds=1)
LONGEST = timedelta(minutes=5)
_DOUBLINGS = 9  # by then the longest is reached


@frozen
class Tried:
    """What was tried for an object and did not work. `token` is the state that it was to bring about (a revision, an incarnation of a run).

    `failures` counts tries in a row. It is tried again at `next_at`; None: not before something about it changes.
    """

    token: str
    failures: int
    reason: str
    message: str
    last_at: datetime
    next_at: datetime | None


@frozen
class Pause:
    """What a platform asked for: to be left alone until then."""

    until: datetime
    message: str


def ceiling(failures: int) -> timedelta:
    """Return the longest that the next try may be away after so many failures in a row: 1 s, 2 s, 4 s, ... 5 min."""
    doubled = FIRST * float(2 ** min(failures - 1, _DOUBLINGS))
    return min(LONGEST, doubled)


def next_try(seed: str, failures: int, *, now: datetime) -> datetime:
    """Return when to try again after `failures` in a row: anywhere up to the ceiling, the same for the same seed (full jitter)."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{failures}".encode()).digest()[:8]) / 2**64
    return now + ceiling(failures) * drawn


def holds(tried: Tried | None, token: str, *, now: datetime) -> bool:
    """Say whether what failed before keeps `token` from being tried now; another token is always tried at once."""
    return tried is not None and tried.token == token and (tried.next_at is None or now < tried.next_at)
