"""An event loop that asks before it blocks, and that knows what it waits for."""

from __future__ import annotations

import asyncio
import selectors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ty_worker.loops import Loops

_OWN_DESCRIPTORS = 1  # the pipe by which other threads wake the loop


class Selector(selectors.DefaultSelector):
    """Asks before it blocks."""

    front: Loops

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; release a result in place of blocking, if there is one."""
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        events = super().select(0)
        if events or self.front.turn(foreign=timeout is not None or len(self.get_map()) > _OWN_DESCRIPTORS):
            return events
        events = super().select(timeout)
        self.front.stirred()
        return events


class Loop(asyncio.SelectorEventLoop):
    """Counts the functions that run in an executor: nothing else shows them."""

    executing = 0

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """Run `func` in a thread of the executor."""
        future = super().run_in_executor(executor, func, *args)
        self.executing += 1
        future.add_done_callback(self._executed)
        return future

    def _executed(self, _future: object) -> None:
        self.executing -= 1
