"""Calls that return at once: the time, random values, and what to do when the run is canceled."""

from __future__ import annotations

from ty_worker.calls import Call
from ty_worker.clock import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import Record


class ImmediateCall(Call):
    """A call whose record waits for its turn, but whose value does not."""

    immediate = True
    __slots__ = ()

    def give(self, attempt: Attempt, recorded: Record | None) -> None:
        """Set the value; `recorded` is the request, if there is one."""
        raise NotImplementedError

    def start(self, attempt: Attempt) -> None:
        """Record the call."""
        attempt.record_request(self, "")

    def resume(self, attempt: Attempt, record: Record) -> None:
        """Do nothing: there is no result to wait for."""


class NowCall(ImmediateCall):
    """The time."""

    kind = "now"
    __slots__ = ("_memo",)

    def __init__(self) -> None:
        super().__init__("ty/now")
        self._memo = ""

    def give(self, attempt: Attempt, recorded: Record | None) -> None:
        """Take the recorded instant, that of an earlier attempt, or the present one."""
        if recorded is not None:
            self.value = recorded["value"]
        elif (self.key, self.kind) in attempt.past.memo:
            self.value, self._memo = attempt.past.memo[self.key, self.kind], ',"memo":true'
        else:
            self.value = now_ms()

    def start(self, attempt: Attempt) -> None:
        """Record the instant, to be durable before anything outside can learn of it."""
        attempt.given = attempt.record_request(self, f'{self._memo},"value":{self.value}')


class RandomCall(ImmediateCall):
    """A random number: derived, so that there is nothing to lose."""

    kind = "random"
    __slots__ = ()

    def give(self, attempt: Attempt, recorded: Record | None) -> None:  # noqa: ARG002
        """Take the first 53 bits."""
        self.value = (int.from_bytes(_derived(attempt.seed, self.key)[:7], "big") >> 3) * 2.0**-53


class UuidCall(ImmediateCall):
    """A random UUID: derived, so that there is nothing to lose."""

    kind = "uuid"
    __slots__ = ()

    def give(self, attempt: Attempt, recorded: Record | None) -> None:  # noqa: ARG002
        """Take the first 16 bytes, with the bits of version 4."""
        data = bytearray(_derived(attempt.seed, self.key)[:16])
        data[6], data[8] = data[6] & 0x0F | 0x40, data[8] & 0x3F | 0x80
        text = data.hex()
        self.value = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class OnCancelCall(ImmediateCall):
    """What to do when the run is canceled."""

    kind = "on-cancel"
    __slots__ = ("fn",)

    def __init__(self, fn: Callable[..., Any], context: Context) -> None:
        super().__init__("ty/on-cancel")
        self.fn, self.context = fn, context

    def give(self, attempt: Attempt, recorded: Record | None) -> None:
        """Let this function count, if it did in the claims before."""
        if recorded is not None:
            attempt.on_cancel = self

    def start(self, attempt: Attempt) -> None:
        """Record that there is such a function."""
        known = (self.key, self.kind) in attempt.past.memo
        attempt.record_request(self, ',"memo":true' if known else "")
        attempt.on_cancel = self


def _derived(seed: str, key: str) -> bytes:
    import hmac  # start-up is precious, and most workflows need none of this

    return hmac.digest(seed.encode(), key.encode(), "sha256")
