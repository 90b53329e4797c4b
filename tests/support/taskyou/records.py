"""What a board tells: cards, edges, calls, answers."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """A card as it is stored; `deleted_at` is set while it is in the trash."""

    id: int
    title: str
    body: str
    status: str
    type: str
    project: str
    executor: str
    tags: str
    pinned: bool
    branch: str
    worktree: str
    created_at: str
    updated_at: str
    started_at: str | None
    completed_at: str | None
    deleted_at: str | None

    @property
    def trashed(self) -> bool:
        """Whether it is in the trash."""
        return self.deleted_at is not None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the program; `exit` and `ended_at` are missing while it runs, and if it was killed."""

    number: int
    argv: tuple[str, ...]
    env: dict[str, str]
    names: tuple[str, ...]
    cwd: str
    pid: int
    parent: int
    group: int
    stdin: str
    started_at: float
    ended_at: float | None
    exit: int | None
    hanging: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """One card waits for another."""

    blocker: int
    blocked: int
    auto_queue: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person's call answered."""

    stdout: str
    stderr: str
    exit: int


def task_from(row: dict[str, Any]) -> Task:
    """Return a row of the table as a card."""
    names = Task.__slots__
    return Task(**{**{name: row[name] for name in names}, "pinned": bool(row["pinned"])})


def call_from(record: dict[str, Any]) -> Call:
    """Return what was logged about a call, at its start and at its end."""
    return Call(
        number=record["call"],
        argv=tuple(record["argv"]),
        env=record["env"],
        names=tuple(record["names"]),
        cwd=record["cwd"],
        pid=record["pid"],
        parent=record["parent"],
        group=record["group"],
        stdin=record["stdin"],
        started_at=record["started_at"],
        ended_at=record.get("ended_at"),
        exit=record.get("exit"),
        hanging=tuple(record.get("hanging", ())),
    )
