"""Beside a living loop: other processes ask it for passes, and watch what it does, instead of making passes of their own."""

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from reconciler import handover
from reconciler.actions import Plan
from reconciler.clock import Clock
from reconciler.handover import Told, Wish
from reconciler.hands import Applied
from reconciler.locks import loop_lock
from reconciler.model import Place
from reconciler.reconcile import Report
from reconciler.recorded import ActiveRun
from reconciler.state import open_store, read_store, runs, wishes
from reconciler.triggers.wakeups import Wakeups

_WAKE, _TOLD = "wake", "loop"
_LOOK_MS = 1000


def told_folder(data_dir: Path) -> Path:
    """Return the folder in which a loop marks each pass."""
    return data_dir / _TOLD


def touch_wake(data_dir: Path) -> None:
    """Wake the loop, if there is one: it looks at what it is asked for."""
    _touch(data_dir / _WAKE)


def wake_stamp(data_dir: Path) -> tuple[int, int]:
    """Return what tells one wake from the next."""
    try:
        found = (data_dir / _WAKE).stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def mark_pass(data_dir: Path) -> None:
    """Tell whoever waits that a pass is over."""
    folder = told_folder(data_dir)
    try:
        _touch(folder / "passed")
    except FileNotFoundError:
        folder.mkdir(mode=0o700, exist_ok=True)
        _touch(folder / "passed")


def _touch(path: Path) -> None:
    """Put an empty file into its place by a rename, which those who watch the folder hear at once."""
    temporary = f"{path}.{os.getpid()}"
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os.rename(temporary, path)


def ask(data_dir: Path, wish: Wish, clock: Clock) -> Told | None:
    """Ask the living loop for a pass and return what came of it; None if the loop ended without an answer. Raises what the pass raised."""
    with _watching(data_dir) as wakeups:
        store = open_store(data_dir)
        try:
            number = wishes.ask(store, handover.encode(wish), now=clock.now())
            try:
                touch_wake(data_dir)
                while (answer := wishes.answer_of(store, number)) is None:
                    if not loop_lock(data_dir).busy():
                        return None
                    wakeups.wait((), _LOOK_MS)
            finally:
                wishes.withdraw(store, number)
        finally:
            store.close()
    return handover.told(answer)


def watch(
    data_dir: Path,
    active: Mapping[str, ActiveRun],
    wanted: Callable[[Mapping[str, ActiveRun]], bool],
    seen: Callable[[Report], None],
    patience: float | None,
) -> tuple[bool | None, Mapping[str, ActiveRun]]:
    """Watch the loop's passes until `wanted` is true of the active runs (True) or the time is over (False); None if the loop ended before."""
    end = math.inf if patience is None else time.monotonic() + patience
    with _watching(data_dir) as wakeups:
        while True:
            before, active = active, _active(data_dir)
            ended = tuple(run for uid, run in before.items() if uid not in active)
            seen(Report(Place("", ""), Plan(), Applied(), ended, active))
            if wanted(active):
                return True, active
            if time.monotonic() >= end:
                return False, active
            if not loop_lock(data_dir).busy():
                return None, active
            wakeups.wait((), max(1, min(_LOOK_MS, int((end - time.monotonic()) * 1000)) if end < math.inf else _LOOK_MS))


def _watching(data_dir: Path) -> Wakeups:
    folder = told_folder(data_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    wakeups = Wakeups()
    wakeups.watch([str(folder)])
    return wakeups


def _active(data_dir: Path) -> dict[str, ActiveRun]:
    store = read_store(data_dir)
    if store is None:
        return {}
    try:
        return runs.active_runs(store)
    finally:
        store.close()
