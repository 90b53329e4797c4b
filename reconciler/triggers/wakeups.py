"""Waiting until a look is worth while: a change below a folder, a worker's death, or an instant."""

import contextlib
import os
import select
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from reconciler.values import frozen

_GATHER_MS = 4


@frozen
class Woken:
    """What ended a wait: something in a watched folder, a descriptor, or neither (a call of `wake`, or the time)."""

    heard: bool = False
    failed: bool = False


class Wakeups:
    """Watches folders through the kernel, and descriptors of the caller, in one `poll`."""

    def __init__(self) -> None:
        """Nothing is watched yet."""
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._observer: Any = None
        self._folders: set[str] = set()
        self._heard = False

    def __enter__(self) -> Self:
        """Use it in a `with` statement, which ends its thread."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        os.close(self._reader)
        os.close(self._writer)

    def watch(self, folders: Iterable[str], *, tells: bool = True, modified: bool = False) -> None:
        """Begin to watch folders, not what is below them: for new files, and with `modified` for writing into those that are there.

        A change in a folder that does not tell anything only ends a wait.
        """
        new = set(folders) - self._folders
        if not new:
            return
        from watchdog.events import FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        hear = self._hear if tells else self.wake

        class Handler(FileSystemEventHandler):
            def on_any_event(self, _: object) -> None:
                hear()

        if self._observer is None:
            self._observer = Observer()
            self._observer.daemon = True
            self._observer.start()
        wanted: list[type[FileSystemEvent]] = [FileCreatedEvent, FileMovedEvent, *([FileModifiedEvent] if modified else [])]
        for folder in new:
            self._observer.schedule(Handler(), folder, event_filter=wanted)
        self._folders |= new

    def _hear(self) -> None:
        self._heard = True
        self.wake()

    def wake(self) -> None:
        """End the present or the next wait. May be called by any thread and by signal handlers."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def wait(self, descriptors: Iterable[int], timeout_ms: int) -> Woken:
        """Wait for a change, for a call of `wake`, for one of `descriptors` to become readable or to fail, or for the time.

        What follows a hint within a few milliseconds is gathered, so that a burst is one pass.
        """
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        ready = poll.poll(timeout_ms)
        if not ready:
            return Woken()
        failed = any(descriptor != self._reader for descriptor, _ in ready)
        if failed or self._heard:
            select.poll().poll(_GATHER_MS)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass
        heard, self._heard = self._heard, False
        return Woken(heard, failed)
