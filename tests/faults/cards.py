"""A site with a board: runs with cards, what must hold of both whatever went wrong, and what tells that all is in sync."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconciler.state import open_store
from tests.support.cli import Result
from tests.support.site import Site, eventually
from tests.support.taskyou import scaled
from tests.support.taskyou.board import Board
from tests.support.taskyou.records import Task

PASSES = 3
_NEVER = {"execute", "queue", "run", "retry", "queued", "processing", "-x", "--execute"}
_KEPT = ("type", "claim", "key", "kind", "try", "status", "value", "output", "signal", "waits", "reason")


@dataclass(frozen=True)
class Is:
    """How a card shall be in the end: its column, its pin, and a part of its body."""

    column: str
    body: str
    pinned: bool = False


@dataclass(frozen=True)
class Scene:
    """A site, and the board that it finds."""

    site: Site
    board: Board

    def pass_(self, *args: str) -> Result:
        """Run one pass until nothing moves any more; it may end as it likes, but not with a traceback."""
        done = self.site.pass_("--until", "parked", *args, expect=None)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def tag(self, run: str, incarnation: int = 1) -> str:
        """Return the tag of the card that was made for an incarnation of a run."""
        name = run if incarnation == 1 else f"{run}~{incarnation}"
        return f"owf-{self.site.journal(name)[0]['uid']}"

    def cards(self, run: str) -> list[Task]:
        """Return every card of a run, those in the trash too."""
        return self.board.tasks(tag=self.tag(run), trashed=True)

    def card(self, run: str) -> Task:
        """Return the only card of a run."""
        (card,) = self.cards(run)
        return card


@contextmanager
def scene(root: Path, *, seconds: float = 60, settings: str = "") -> Iterator[Scene]:
    """Make a site with a board; `seconds` are what a call of TaskYou may take."""
    root.mkdir(exist_ok=True)
    site, board = Site(root), Board.install(root)
    command = (sys.executable, scaled.__file__, str(seconds)) if seconds != 60 else site.cli.command
    site.cli = replace(site.cli, env={**site.cli.env, **board.env}, command=command)
    site.settings(f"adapters: {{exec: {{linger: 50ms}}}}\n{settings}")
    try:
        yield Scene(site, board)
    finally:
        site.close()


def told(site: Site) -> dict[str, list[dict[str, Any]]]:
    """Return what the journals say, apart from times, places and identities."""
    return {name: [_told(record) for record in records] for name, records in site.journals().items()}


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: record[name] for name in _KEPT if name in record}
    if isinstance(kept.get("value"), dict):  # who approved, by which card and when
        kept["value"] = {name: value for name, value in kept["value"].items() if name not in ("task", "at")}
    error = record.get("error")
    return {**kept, "error": f"{error['name']}: {error['message']}"} if isinstance(error, dict) else kept


def check_agents(board: Board) -> None:
    """Check that nothing was handed to an agent, and that nothing tried to."""
    for call in board.calls():
        assert not _NEVER & set(call.argv[:3]), call.argv
    assert board.launched() == []


def check_once(one: Scene) -> None:
    """Check that no tag of ours is on two cards, those in the trash too."""
    tags = Counter(tag for task in one.board.tasks(trashed=True) for tag in task.tags.split(",") if tag.startswith("owf-") and tag[4:7] != "in-")
    assert all(count == 1 for count in tags.values()), tags


def check_same(one: Scene, expected: Mapping[str, list[dict[str, Any]]]) -> None:
    """Check that every run went as it goes without a fault: the same records, no other claim."""
    assert told(one.site) == expected


def is_there(card: Task, wanted: Is) -> bool:
    """Say whether a card is as it shall be."""
    return (card.status, card.pinned, wanted.body in card.body) == (wanted.column, wanted.pinned, True)


def in_sync(one: Scene, wanted: Mapping[str, Is]) -> bool:
    """Say whether each of these runs has exactly the card that it shall have."""
    return all(len(one.cards(run)) == 1 and is_there(one.card(run), card) for run, card in wanted.items())


def converge(one: Scene, wanted: Mapping[str, Is]) -> None:
    """Run three passes, and check that cards are as they shall be then."""
    for _ in range(PASSES):
        if in_sync(one, wanted) and one.site.plan()["changes"] == []:
            break
        one.pass_()
    assert in_sync(one, wanted), one.board.tasks(trashed=True)
    check_quiet(one)


def check_quiet(one: Scene) -> None:
    """Check that nothing is left to do: a pass plans nothing, writes nothing on the board, and nothing into the database."""
    assert one.site.plan()["changes"] == []
    one.board.forget_calls()
    before = one.board.tasks(trashed=True)
    rows = rows_of(one)
    store = open_store(one.site.data)
    try:
        changes = store.db.execute("PRAGMA data_version").fetchone()
        one.pass_()
        assert store.db.execute("PRAGMA data_version").fetchone() == changes, f"a pass over an unchanged world wrote {rows_of(one) ^ rows}"
    finally:
        store.close()
    assert {call.argv[0] for call in one.board.calls()} <= {"--version", "list"}
    assert one.board.tasks(trashed=True) == before


def rows_of(one: Scene) -> set[str]:
    """Return every row of the database, as text."""
    store = open_store(one.site.data)
    try:
        tables = [name for (name,) in store.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {f"{table} {row}" for table in tables for row in store.db.execute(f"SELECT * FROM {table}")}
    finally:
        store.close()


def done_with_workers(one: Scene) -> None:
    """Wait until no worker is left."""
    eventually(lambda: not one.site.processes())
