"""Cards in TaskYou as they are remembered: what a card is about, what we last wrote on it, and what it shall say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.digest import digest_of
from reconciler.model import Place
from reconciler.values import frozen, made

RUN, SCHEDULE, APPROVAL, LINK = "run", "schedule", "approval", "link"
BACKLOG, BLOCKED, DONE, ARCHIVED = "backlog", "blocked", "done", "archived"
CLOSED = frozenset({DONE, ARCHIVED})
# TaskYou's columns in which an agent has a card: a status that we wrote would take it away.
AGENTS = frozenset({"queued", "processing"})

DEFAULT_STATUSES: Mapping[str, str] = {
    "pending": BACKLOG,
    "running": BACKLOG,
    "sleeping": BACKLOG,
    "waiting": BACKLOG,
    "canceling": BACKLOG,
    "completed": DONE,
    "failed": BLOCKED,
    "canceled": ARCHIVED,
    "skipped": ARCHIVED,
}


@frozen
class Board:
    """The TaskYou of this installation, as the settings have it.

    `present` says whether there is a program that may be TaskYou; `auto` whether runs get a card when nothing else is said. `database` is the path
    of its database, `statuses` the column of a run's card by the run's status. `command` is how this installation's program is called in texts.
    """

    present: bool = False
    auto: bool = True
    database: str = ""
    project: str = ""
    statuses: Mapping[str, str] = made(default_factory=dict)
    cancels: bool = False
    command: str = "ty-openworkflow"

    def column(self, status: str) -> str:
        """Return the column of a run's card."""
        return self.statuses.get(status) or DEFAULT_STATUSES[status]


@frozen
class Says:
    """What a card says: title, body, column, and whether it is pinned."""

    title: str
    body: str
    status: str
    pinned: bool


@frozen
class Card:
    """A card that may have to be written, with what it is about.

    `about` has the facts of its run, approval or schedule as the database has them now; `now` stands for them, and `basis` for those that the card was
    last written for. `wrote` is what we last wrote (`title` and `body` as digests, `status`, `pinned`, `blocks`).
    """

    tag: str
    place: Place
    object: str
    kind: str
    uid: str
    database: str
    id: int | None
    spec: Mapping[str, Any]
    wrote: Mapping[str, Any]
    ours: tuple[str, ...]
    seen: str
    basis: str
    now: str
    extra: str
    failures: int
    trouble: str
    next_at: datetime | None
    written_at: datetime | None
    about: Mapping[str, Any]

    @property
    def over(self) -> bool:
        """Say whether what the card is about has come to its end."""
        if self.kind == SCHEDULE:
            return bool(self.about.get("removed"))
        return bool(self.about.get("completed_at")) or self.extra != ""


def tag_of(uid: str) -> str:
    """Return the tag of a card: TaskYou compares tags in lower case and cuts them at commas and spaces."""
    return f"owf-{uid}"


def approval_tag(uid: str, key: str, attempt: int) -> str:
    """Return the tag of the card of one wait: another attempt of the body, and another wait for the same signal, have cards of their own."""
    return tag_of(digest_of([uid, key, attempt])[:20])


def place_tag(scope: str, place: Place) -> str:
    """Return the tag that all cards of a place have."""
    return f"owf-in-{digest_of([scope, place.project, place.environment])[:16]}"


def text_digest(text: str) -> str:
    """Return what stands for a text that we wrote."""
    return digest_of(text)[:16]
