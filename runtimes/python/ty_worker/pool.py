"""Threads of ours that run functions which may block; kept for the next function when they are done."""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread

from ty_worker.mishaps import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

_MOST_IDLE = 32


class Pool:
    """As many threads as there are functions at a time: a limit would let a step wait for one that waits for it."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._idle: list[_Thread] = []

    def run(self, function: Callable[[], object]) -> None:
        """Call `function` in a thread. It must not raise."""
        with self._lock:
            thread = self._idle.pop() if self._idle else None
        if thread is None:
            start_new_thread(self._serve, (function,))
        else:
            thread.function = function
            thread.turn.release()

    def _serve(self, function: Callable[[], object]) -> None:
        thread = _Thread(function)
        while True:
            guarded(thread.function)
            thread.function = _nothing  # what it holds is not needed any more
            with self._lock:
                if len(self._idle) >= _MOST_IDLE:
                    return
                self._idle.append(thread)
            thread.turn.acquire()


class _Thread:
    __slots__ = ("function", "turn")

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function
        self.turn: LockType = allocate_lock()
        self.turn.acquire()


def _nothing() -> None:
    """Stand in for the function of an idle thread."""
