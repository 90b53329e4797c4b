"""Bugs of ours: the journals are fine, but this process may not be."""

from __future__ import annotations

import os

from ty_worker.output import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_exit = os._exit


def crash() -> NoReturn:
    """End the process because of the exception at hand: the next claim takes the runs up again."""
    import traceback

    report(traceback.format_exc())
    _exit(1)


def guarded(function: Callable[..., object], *arguments: object) -> None:
    """Call what must not raise."""
    try:
        function(*arguments)
    except BaseException:  # noqa: BLE001 - whatever it is, going on would be worse
        crash()
