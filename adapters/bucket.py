"""How often a platform may be called: a token bucket, for adapters of platforms that limit their callers."""

import time
from collections.abc import Callable
from datetime import timedelta

from reconciler.errors import UnavailableError


class TokenBucket:
    """Lets through `rate` calls a second on average and `burst` at once; safe to share between threads."""

    def __init__(self, what: str, rate: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        """`what` is the name that an error shows; `now` counts seconds."""
        from threading import Lock

        self._what, self._rate, self._burst, self._now = what, rate, burst, now
        self._tokens, self._at = float(burst), now()
        self._shut_until = self._at
        self._lock = Lock()

    def take(self, calls: int = 1) -> None:
        """Take what some calls need, all or nothing. Raises UnavailableError, which says when to come back, if there is not enough."""
        with self._lock:
            now = self._now()
            self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
            self._at = now
            wait = max(self._shut_until - now, (min(calls, self._burst) - self._tokens) / self._rate)
            if wait <= 0:
                self._tokens -= calls
                return
        message = f"{self._what} may be called {self._rate:g} times a second"
        raise UnavailableError(message, retry_after=timedelta(seconds=wait))

    def told(self, retry_after: timedelta) -> None:
        """Let nothing through for as long as the platform said (`Retry-After`)."""
        with self._lock:
            self._shut_until = max(self._shut_until, self._now() + retry_after.total_seconds())


def retry_after(text: str | None, *, now: float) -> timedelta | None:
    """Read the value of a `Retry-After` header: seconds, or the date of an instant; None for none, or what is neither. `now` is in seconds since 1970."""
    from email.utils import parsedate_to_datetime

    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdecimal() else parsedate_to_datetime(text).timestamp() - now
    except ValueError:
        return None
    return timedelta(seconds=max(0.0, seconds))
