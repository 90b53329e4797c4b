"""Which statuses of a run may follow which: the table, as data. The database refuses every other move."""

from collections.abc import Mapping

from reconciler.model import Status

_HELD = "a worker holds it, or let go of it, and its journal says so"
_CANCEL = "its worker was told to cancel, and has not ended yet"
_ENDED = "its journal has that end"
_OVER = "its end was written by whoever came to it first: a worker, or the reconciler where none lives"

MOVES: Mapping[Status, Mapping[Status, str]] = {
    Status.PENDING: {
        Status.RUNNING: "its first claim was handed over",
        Status.SLEEPING: _HELD,
        Status.WAITING: _HELD,
        Status.CANCELING: _CANCEL,
        Status.COMPLETED: _ENDED,
        Status.FAILED: _OVER,
        Status.CANCELED: "it was canceled before its start, or before anybody looked",
        Status.SKIPPED: "its start deadline passed, or what it depends on did not complete",
    },
    Status.RUNNING: {
        Status.SLEEPING: _HELD,
        Status.WAITING: _HELD,
        Status.CANCELING: _CANCEL,
        Status.COMPLETED: _ENDED,
        Status.FAILED: _OVER,
        Status.CANCELED: _OVER,
    },
    Status.SLEEPING: {
        Status.RUNNING: "its time came, or a message, or another worker took it over",
        Status.WAITING: _HELD,
        Status.CANCELING: _CANCEL,
        Status.COMPLETED: _ENDED,
        Status.FAILED: _OVER,
        Status.CANCELED: _OVER,
    },
    Status.WAITING: {
        Status.RUNNING: "what it waited for came, or another worker took it over",
        Status.SLEEPING: _HELD,
        Status.CANCELING: _CANCEL,
        Status.COMPLETED: _ENDED,
        Status.FAILED: _OVER,
        Status.CANCELED: _OVER,
    },
    Status.CANCELING: {
        Status.COMPLETED: "it was over before it read that it was canceled",
        Status.FAILED: "it was over before it read that it was canceled, or its clean-up could not be carried out",
        Status.CANCELED: _OVER,
    },
    Status.COMPLETED: {},
    Status.FAILED: {},
    Status.CANCELED: {},
    Status.SKIPPED: {},
}


def may_follow(before: Status, after: Status) -> bool:
    """Say whether a run may go from one status to another; one that stays as it is makes no move."""
    return before is after or after in MOVES[before]


SOURCES = {after: ", ".join(f"'{before.value}'" for before in Status if may_follow(before, after)) for after in Status}
"""The statuses that one may follow, itself included, as a list for SQL."""
