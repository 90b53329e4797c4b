"""Watching folders of manifests with everything below them, through the kernel."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from reconciler.values import mutable

Heard = Callable[[str, bool, str], None]
"""Told of each path that something happened to, whether its writer has closed it, and what it was called before; an empty path when events were lost."""


@mutable
class _Tree:
    """One folder as it is watched: which inode it was, what was below it, and the watches on it."""

    inode: tuple[int, int] | None
    tops: frozenset[str]
    watches: dict[str, Any]


class Trees:
    """Watches folders that may be missing, be replaced, or be links to other ones; `renew` follows what became of them."""

    def __init__(self, heard: Heard, leave_out: Iterable[str]) -> None:
        """`leave_out` are names of folders that are not looked into. `heard` is called by a thread of its own."""
        self._heard, self._leave_out = heard, frozenset(leave_out)
        self._observer = _observer()
        self._trees: dict[str, _Tree] = {}
        self._above: dict[str, Any] = {}
        self._lost = _Lost(heard)
        logging.getLogger("watchdog").addHandler(self._lost)

    def close(self) -> None:
        """Stop watching."""
        logging.getLogger("watchdog").removeHandler(self._lost)
        self._observer.stop()
        self._observer.join()

    def renew(self, folder: str) -> str | None:
        """Watch a folder as it is now; call it before each look at the folder. Returns what keeps it from being watched whole."""
        self._watch_above(folder)
        inode, tops = _look(folder, self._leave_out)
        tree = self._trees.get(folder)
        if tree is not None and (tree.inode, tree.tops) == (inode, tops):
            return None
        if tree is None or tree.inode != inode:
            self._drop(tree)
            tree = self._trees[folder] = _Tree(inode, frozenset(), {})
            if inode is None:
                return None
            fault = self._add(tree, folder, recursive=False)
            if fault is not None:
                return fault
        for gone in tree.tops - tops:
            self._unwatch(tree.watches.pop(gone, None))
        faults = [fault for new in sorted(tops - tree.tops) if (fault := self._add(tree, os.path.join(folder, new), recursive=True)) is not None]
        tree.tops = tops
        return faults[0] if faults else None

    def _add(self, tree: _Tree, path: str, *, recursive: bool) -> str | None:
        try:
            real = os.path.realpath(path)  # the kernel is not asked to follow links
            handler, kinds = _handler(
                lambda below, closed, before: self._heard(path + below, closed, before and path + before), self._leave_out, real
            )
            watch = self._observer.schedule(handler, real, recursive=recursive, event_filter=kinds)
        except FileNotFoundError:
            return None  # gone again: the next look sees that
        except OSError as error:
            return f"{path} cannot be watched ({error.strerror}): changes below it are seen by the full pass only"
        tree.watches[os.path.basename(path) if recursive else ""] = watch
        return None

    def _watch_above(self, folder: str) -> None:
        """Watch the folder's own folder for its coming and going, as far as there is one."""
        above = os.path.dirname(folder)
        if above in self._above or not os.path.isdir(above):
            return
        real = os.path.realpath(above)
        handler, kinds = _handler(lambda *paths: self._heard_above(above, paths), frozenset(), real)
        try:
            self._above[above] = self._observer.schedule(handler, real, event_filter=kinds)
        except OSError:
            self._above[above] = None

    def _heard_above(self, above: str, paths: tuple[str, bool, str]) -> None:
        for path in {above + paths[0], above + paths[2]}:
            if path in self._trees:
                self._heard(path, True, "")

    def _drop(self, tree: _Tree | None) -> None:
        for watch in () if tree is None else tree.watches.values():
            self._unwatch(watch)

    def _unwatch(self, watch: Any) -> None:
        if watch is not None:
            with contextlib.suppress(KeyError):  # its folder is gone, and it went with it
                self._observer.unschedule(watch)


def _look(folder: str, leave_out: frozenset[str]) -> tuple[tuple[int, int] | None, frozenset[str]]:
    """Return which folder is there now, and the folders in it that are watched."""
    try:
        found = os.stat(folder)
        with os.scandir(folder) as entries:
            tops = frozenset(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name not in leave_out)
    except OSError:
        return None, frozenset()
    return (found.st_dev, found.st_ino), tops


class _Lost(logging.Handler):
    """Hears from watchdog that the kernel dropped events."""

    def __init__(self, heard: Heard) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._heard("", True, "")


def _observer() -> Any:
    """Return a running observer. On Linux it tells a file that was moved here, which is whole, from one that was just created."""
    import sys

    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver

        observer: Any = InotifyObserver(generate_full_events=True)
    else:
        from watchdog.observers import Observer

        observer = Observer()
    observer.daemon = True
    observer.start()
    return observer


def _handler(heard: Heard, leave_out: frozenset[str], root: str) -> tuple[Any, list[Any]]:
    """Return what watchdog calls, and the kinds of events that it is called for: closed after writing included, opened and read not.

    `heard` is told what follows `root` in a path.
    """
    from watchdog.events import (
        DirCreatedEvent,
        DirDeletedEvent,
        DirMovedEvent,
        FileClosedEvent,
        FileCreatedEvent,
        FileDeletedEvent,
        FileModifiedEvent,
        FileMovedEvent,
        FileSystemEventHandler,
    )

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: Any) -> None:
            closed = not isinstance(event, FileModifiedEvent | FileCreatedEvent)
            old, new = (os.fsdecode(path).removeprefix(root) for path in (event.src_path, event.dest_path))
            after, before = (new, old) if new else (old, "")
            if not leave_out.intersection(after.split(os.sep)):
                heard(after, closed, before)

    kinds = [
        DirCreatedEvent,
        DirDeletedEvent,
        DirMovedEvent,
        FileClosedEvent,
        FileCreatedEvent,
        FileDeletedEvent,
        FileModifiedEvent,
        FileMovedEvent,
    ]
    return Handler(), kinds
