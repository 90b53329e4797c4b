"""How often, after which pause and for how long: from the settings of a run, and from the options of a step."""

from __future__ import annotations

import os
from math import isfinite

from ty_worker.durations import milliseconds, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MEMBERS = ("max_attempts", "initial_interval", "factor", "max_interval", "jitter")
_urandom = os.urandom


class Policy:
    """How often something is tried again, and after which pause."""

    __slots__ = ("factor", "initial_ms", "jitter", "max_attempts", "max_ms")

    def __init__(self, max_attempts: int, initial_ms: float, factor: float, max_ms: float, *, jitter: bool) -> None:
        self.max_attempts, self.initial_ms, self.factor, self.max_ms, self.jitter = max_attempts, initial_ms, factor, max_ms, jitter

    def allows_more(self, failures: int) -> bool:
        """Say whether another try is allowed after that many failures."""
        return self.max_attempts == 0 or failures < self.max_attempts

    def pause_after(self, failures: int) -> int:
        """Return the pause after that many failures, in milliseconds."""
        try:
            pause = min(self.initial_ms * self.factor ** (failures - 1), self.max_ms)
        except OverflowError:
            pause = self.max_ms
        if self.jitter:
            pause *= int.from_bytes(_urandom(4), "big") / 2**32
        return round(pause)


NO_RETRY = Policy(1, 0, 1, 0, jitter=False)


class Settings:
    """What the manifest says about a run, as its first record carries it."""

    __slots__ = ("calls", "cleanup_ms", "grace_ms", "journal", "retry", "run_timeout_ms", "step_retry", "timeout_ms", "value")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        step, limits = settings.get("step", {}), settings.get("limits", {})
        self.retry = _recorded(settings.get("retry", {}), 1)
        self.step_retry = _recorded(step.get("retry", {}), 10)
        self.timeout_ms: int = step.get("timeout_ms", 600_000)
        cancel = settings.get("cancel", {})
        self.grace_ms: int = cancel.get("grace_ms", 10_000)
        self.cleanup_ms: int = cancel.get("cleanup_ms", 60_000)
        self.run_timeout_ms: int = settings.get("timeout_ms", 0)  # of the whole run, 0 for none
        self.value: int = limits.get("value", 1 << 20)
        self.calls: int = limits.get("calls", 25_000)
        self.journal: int = limits.get("journal", 64 << 20)


def _recorded(retry: Mapping[str, Any], max_attempts: int) -> Policy:
    return Policy(
        retry.get("max_attempts", max_attempts),
        retry.get("initial_interval_ms", 1000),
        retry.get("factor", 2),
        retry.get("max_interval_ms", 100_000),
        jitter=retry.get("jitter", True),
    )


def retry_policy(retry: object, default: Policy, what: str) -> Policy:
    """Return what the option `retry` of a step makes of the default. Raises TypeError that begins with `what`."""
    if not isinstance(retry, dict):
        message = f"{what} must be a dictionary, got {shown(retry)}"
        raise TypeError(message)
    for member in retry:
        if member not in _MEMBERS:
            message = f"{what} has the unknown member {shown(member)}; known are {', '.join(_MEMBERS)}"
            raise TypeError(message)
    return Policy(
        _count(retry["max_attempts"], f"{what}: max_attempts") if "max_attempts" in retry else default.max_attempts,
        milliseconds(retry["initial_interval"], f"{what}: initial_interval") if "initial_interval" in retry else default.initial_ms,
        _at_least_one(retry["factor"], f"{what}: factor") if "factor" in retry else default.factor,
        milliseconds(retry["max_interval"], f"{what}: max_interval") if "max_interval" in retry else default.max_ms,
        jitter=_flag(retry["jitter"], f"{what}: jitter") if "jitter" in retry else default.jitter,
    )


def _count(value: object, what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    message = f"{what} must be a whole number, 0 for no limit, got {shown(value)}"
    raise TypeError(message)


def _at_least_one(value: object, what: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 1 and isfinite(value):
        return value
    message = f"{what} must be a number of at least 1, got {shown(value)}"
    raise TypeError(message)


def _flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    message = f"{what} must be True or False, got {shown(value)}"
    raise TypeError(message)
