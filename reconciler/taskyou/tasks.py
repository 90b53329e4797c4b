"""What TaskYou says of tasks and projects: its JSON, checked and made into values."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from reconciler.digest import Json
from reconciler.values import frozen

T = TypeVar("T", str, int, bool)


@frozen
class Listed:
    """A task as a list shows it."""

    id: int
    title: str
    status: str
    project: str
    type: str
    created_at: datetime | None = None


@frozen
class Task:
    """A task as it is read by itself. `started_at` is set once it was in `processing`; a task that is in the trash looks like any other."""

    id: int
    title: str
    body: str
    status: str
    project: str
    type: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    branch: str = ""
    summary: str = ""


@frozen
class Dependencies:
    """The tasks that a task waits for, and those that wait for it, each with its status."""

    blocked_by: Mapping[int, str]
    blocks: Mapping[int, str]


class ShapeError(ValueError):
    """What was printed is not what TaskYou prints."""


def value_of(text: str) -> Json:
    """Return what was printed as JSON. Raises ShapeError."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = "what it printed is not JSON"
        raise ShapeError(message) from error
    return value


def items_of(value: Json) -> list[Json]:
    """Return a list, which TaskYou prints as `null` when it is empty."""
    if value is None:
        return []
    if isinstance(value, list):
        return value
    message = "what it printed is no list"
    raise ShapeError(message)


def text_in(value: Json, key: str) -> str:
    """Return the text under a key; one that is not there is empty."""
    return _field(value, key, str, "")


def flag_in(value: Json, key: str) -> bool:
    """Return what holds under a key; one that is not there is false."""
    return _field(value, key, bool, False)


def id_in(value: Json) -> int:
    """Return the number of a task."""
    number = _field(value, "id", int, 0)
    if number > 0:
        return number
    message = "what it printed has no id"
    raise ShapeError(message)


def listed(value: Json) -> Listed:
    """Return one task of a list."""
    title, status, project, kind = (text_in(value, key) for key in ("title", "status", "project", "type"))
    return Listed(id_in(value), title, status, project, kind, _instant(value, "created_at"))


def task(value: Json) -> Task:
    """Return a task that was shown."""
    title, body, status, project, kind = (text_in(value, key) for key in ("title", "body", "status", "project", "type"))
    created, updated, started, completed = (_instant(value, f"{key}_at") for key in ("created", "updated", "started", "completed"))
    return Task(
        id_in(value), title, body, status, project, kind, created, updated, started, completed, text_in(value, "branch"), text_in(value, "summary")
    )


def _field(value: Json, key: str, kind: type[T], otherwise: T) -> T:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not (found is None or type(found) is kind):
        message = f"what it printed has no {key} that can be read"
        raise ShapeError(message)
    return otherwise if found is None else found


def _instant(value: Json, key: str) -> datetime | None:
    """Return an instant; one that cannot be read counts as not there, since nothing is decided by its value."""
    try:
        return datetime.fromisoformat(text_in(value, key)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
