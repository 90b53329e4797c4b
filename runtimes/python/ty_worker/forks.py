"""What a forked child of the worker must not keep: the lock, the journals, and the belief that it is the worker."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # without the enumerations, which take a tenth of our start
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

descriptors: set[int] = set()
_close, _exit, _write = os.close, os._exit, os.write
_forked = False


def keep_from_children(*handlers: Callable[..., object]) -> None:
    """Close `descriptors` in every child that is forked, and reset the signals that `handlers` of ours take."""

    def after_fork() -> None:
        global _forked
        _forked = True
        for fd in descriptors:
            try:
                _close(fd)
            except OSError:
                continue
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) in handlers:
                signal.signal(number, signal.SIG_DFL)

    os.register_at_fork(after_in_child=after_fork)


def end_if_forked() -> None:
    """End this process if it is a child that came back from the user's code: the run belongs to its parent."""
    if not _forked:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112 - the stream may be anything by now
            continue
    _write(2, b"a forked child returned into the workflow: it ends here, the run goes on in its parent\n")
    _exit(1)
