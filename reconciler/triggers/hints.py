"""What tells a pass that a look is worth while: markers that workers drop, the ends of workers, an instant, and calls from elsewhere."""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from reconciler.clock import Clock
from reconciler.compute import Adapter
from reconciler.triggers.wakeups import Wakeups

LONGEST = timedelta(seconds=30)


class Hints:
    """Waits for hints, and says which runs they are about: None stands for all of them, because a hint may have been lost."""

    def __init__(self, adapters: Iterable[Adapter], clock: Clock, longest: timedelta = LONGEST, *, alone: bool = False) -> None:
        """After `longest` everything is looked at, whatever was heard. `alone`: no other process takes markers away."""
        self._adapters, self._clock, self._longest, self._alone = list(adapters), clock, longest, alone
        self._wakeups = Wakeups()
        self._looked: float | None = None
        self.wake = self._wakeups.wake

    def __enter__(self) -> Self:
        """Use it in a `with` statement, which ends its thread."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop watching."""
        self._wakeups.__exit__(kind, error, trace)

    def watch(self, folder: str) -> None:
        """End the wait also when something is put into this folder, which tells nothing of any run."""
        self._wakeups.watch([folder], tells=False)

    def runs(self, due: datetime | None, patience: float, *, wait: bool = True) -> frozenset[str] | None:
        """Wait for a hint, until `due` or for `patience` seconds, and return the runs that it is about; without `wait` return what is known by now."""
        watched = [adapter.watched() for adapter in self._adapters]
        self._wakeups.watch(folder for one in watched for folder in one.folders)
        changed = self._drain()
        if self._looked is None:
            return self._everything()  # what happened before the watch began may have been told to somebody else
        if not changed and wait:
            woken = self._wakeups.wait((fd for one in watched for fd in one.descriptors), self._milliseconds(due, patience))
            changed = self._drain()
            if not changed and (woken.failed or (woken.heard and not self._alone)):
                return self._everything()  # a worker ended without a word, or somebody else took the hint, and may have died with it
        if time.monotonic() - self._looked >= self._longest.total_seconds():
            return self._everything()
        return changed

    def _everything(self) -> frozenset[str] | None:
        self._looked = time.monotonic()
        return None

    def _drain(self) -> frozenset[str]:
        return frozenset[str]().union(*(adapter.drain_changes() for adapter in self._adapters))

    def _milliseconds(self, due: datetime | None, patience: float) -> int:
        """Return how long to wait: to the next due instant, rounded up so that nothing is early."""
        seconds = min(patience, self._longest.total_seconds())
        if due is not None:
            seconds = min(seconds, (due - self._clock.now()).total_seconds())
        return max(1, int(seconds * 1000) + 1)
