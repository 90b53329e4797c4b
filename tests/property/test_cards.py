"""Orders to TaskYou against a board in memory on which a person acts between our calls, while calls fail and we are killed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.actions import OpenCard
from reconciler.card import ARCHIVED, BACKLOG, BLOCKED, CLOSED, DONE, RUN, Card, Says, text_digest
from reconciler.journal import decode_json
from reconciler.model import Source
from reconciler.plan.cards import may_move
from reconciler.state import Store, cards, cardtries, open_store
from reconciler.taskyou.client import COLUMNS, TaskYou
from reconciler.taskyou.errors import BusyError, GoneError, TaskYouError, UnclearError
from reconciler.taskyou.orders import Order, carry_out
from reconciler.taskyou.tasks import Dependencies, Listed, Task
from tests.support.builders import NOON, PLACE

TAG = "owf-run"
WRITES = {"create", "update", "move", "pin", "block"}


class KilledError(BaseException):
    """Our process is no more."""


@dataclass
class Row:
    """A task on the board, and what a person has done with it."""

    id: int
    title: str
    body: str
    tags: list[str]
    pinned: bool = False
    status: str = BACKLOG
    started: bool = False
    trashed: bool = False
    edited: set[str] = field(default_factory=set)
    closed_by_a_person: bool = False


@dataclass
class Memory(TaskYou):
    """A board that checks each of our calls. `people` act before those that look, `trouble` meets any."""

    store: Store
    worktree: bool
    rows: dict[int, Row] = field(default_factory=dict)
    edges: set[tuple[int, int]] = field(default_factory=set)  # who waits, for whom
    people: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    last: int = 0

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Count a call; it may fail before its effect or after it. Nobody can do anything about a person who acts between a look and the write after it."""
        if name not in ("update", "move") and self.people:
            self.act(self.people.pop(0))
        self.log.append(name)
        trouble = self.trouble.pop(0) if self.trouble else ""
        match trouble:
            case "busy":
                raise BusyError(name)
            case "lost before":
                raise UnclearError(name)
            case "killed before":
                raise KilledError
        yield
        match trouble:
            case "lost after":
                raise UnclearError(name)
            case "killed after":
                raise KilledError

    def ours(self) -> Row | None:
        return next((row for row in self.rows.values() if TAG in row.tags), None)

    def act(self, does: str) -> None:
        """Let a person do something with our card, if there is one."""
        row = self.ours()
        if row is None or row.trashed or not does:
            return
        match does:
            case "title" | "body":
                setattr(row, does, f"a person's {does}")
                row.edited.add(does)
            case "trash":
                row.trashed = True
            case "delete":
                del self.rows[row.id]
                self.edges = {edge for edge in self.edges if row.id not in edge}
            case "pin":
                row.pinned = not row.pinned
                row.edited.add("pinned")
            case status:
                if status != row.status:
                    row.closed_by_a_person = status in CLOSED and status not in self._passes_for_ours()
                row.started |= status == "processing"
                row.edited |= {"status"} if status != row.status else set()
                row.status = status

    def _passes_for_ours(self) -> list[str]:
        """Return the columns that pass for our choice: where we left it, and where a try of which nobody knows the outcome may have put it."""
        wrote = load(self.store, "").wrote
        return [*wrote.get("moving", ()), wrote.get("status", BACKLOG)]

    # Our calls

    def find(self, tag: str) -> list[Listed]:
        with self.call("find"):
            return [Listed(row.id, row.title, row.status, "p", "code") for row in self.rows.values() if tag in row.tags and not row.trashed]

    def trashed(self, title: str) -> list[int]:
        with self.call("trashed"):
            return [row.id for row in self.rows.values() if row.trashed and title in row.title]

    def show(self, id: int) -> Task:
        with self.call("show"):
            if id not in self.rows:
                raise GoneError(str(id))
            row = self.rows[id]
            return Task(id, row.title, row.body, row.status, "p", "code", created_at=NOON, started_at=NOON if row.started else None)

    def create(self, *, title: str, body: str, project: str, type: str, tags: Any, pinned: bool = False) -> int:
        with self.call("create"):
            there = self.ours()
            assert there is None or (there.trashed and {"title", "body"} & there.edited), "a second card"
            self.last += 1
            self.rows[self.last] = Row(self.last, title, body, list(tags), pinned)
            self.texts |= {title, body}
        return self.last

    def update(self, id: int, *, title: str | None = None, body: str | None = None) -> None:
        with self.call("update"):
            row = self._there(id)
            for name, text in (("title", title), ("body", body)):
                if text is not None:
                    assert getattr(row, name) in self.texts, f"a person's {name} was overwritten"
                    assert getattr(row, name) != text, f"{name} was written although it is so"
                    setattr(row, name, text)
                    self.texts.add(text)

    def move(self, id: int, status: str) -> None:
        with self.call("move"):
            row = self._there(id)
            assert status in COLUMNS
            assert row.status not in ("queued", "processing"), "a card was taken from its agent"
            if TAG in row.tags:
                assert not row.closed_by_a_person, "a card that a person closed was moved"
                assert status != row.status, "a status was written although it is so"
                waits = any(edge[0] == id for edge in self.edges)
                assert status != ARCHIVED or not any(edge[1] == id for edge in self.edges), "archived lets go of what waits"
                assert status != BLOCKED or (self.worktree and not waits), "blocked may start an agent"
                row.edited.discard("status")
            row.status = status

    def pin(self, id: int, *, on: bool = True) -> None:
        with self.call("pin"):
            self._there(id).pinned = on

    def dependencies(self, id: int) -> Dependencies:
        with self.call("deps"):
            status = {row.id: row.status for row in self.rows.values()}
            return Dependencies({by: status[by] for who, by in self.edges if who == id}, {who: status[who] for who, by in self.edges if by == id})

    def block(self, id: int, by: int, *, auto_queue: bool = True) -> None:
        with self.call("block"):
            self._there(id)
            self._there(by)
            self.edges.add((id, by))

    def worktrees(self, project: str) -> bool:
        with self.call("projects"):
            return self.worktree

    def _there(self, id: int) -> Row:  # type: ignore[override]
        if id not in self.rows:
            raise GoneError(str(id))
        return self.rows[id]


def load(store: Store, now: str) -> Card:
    """Return our card as it is remembered; `now` stands for what it shall tell."""
    names = ("id", "spec", "wrote", "ours", "seen", "basis", "failures", "trouble")
    row = dict(zip(names, store.db.execute(f"SELECT {', '.join(names)} FROM cards").fetchone(), strict=True))
    wrote, ours = decode_json(row["wrote"]), tuple(decode_json(row["ours"]))
    return Card(TAG, PLACE, "run/r", RUN, "run", "", row["id"], {}, wrote, ours, row["seen"], row["basis"], now, "", 0, "", None, None, {})


def sync(board: Memory, says: Says, blocks: list[int]) -> None:
    """Do what a pass, a thread and the next pass do."""
    store = board.store
    card = load(store, f"{says}")
    if store.db.execute("SELECT gone FROM cards").fetchone()[0]:
        return
    texts = [text_digest(says.title), text_digest(says.body)]
    cardtries.about_to_write(store, TAG, texts, says)
    row = board.ours()
    if row is not None and row.status in load(store, "").wrote.get("moving", ()):
        row.closed_by_a_person = False  # unseen so far: from now on nobody can tell whether it was us
    since = NOON if card.ours else None
    order = Order([TAG, "owf-in-place"], card.id, says, "p", "code", card.wrote, frozenset({*card.ours, *texts}), blocks, False, since)
    try:
        outcome = carry_out(board, order, may_move)
    except KilledError:
        return
    except TaskYouError:
        assert cardtries.broken_off(store, card, None, card.wrote, "", unclear=False)
        return
    if outcome.error is None:
        assert cardtries.written(store, card, outcome.id, outcome.wrote, outcome.seen, gone=outcome.gone, now=datetime(2026, 1, 1, tzinfo=UTC))
    else:
        assert cardtries.broken_off(store, card, outcome.id, outcome.wrote, outcome.seen, unclear=outcome.is_unclear)


PEOPLE = st.sampled_from(["", "", "", "title", "body", "pin", "done", "archived", "backlog", "blocked", "processing", "trash", "delete"])
TROUBLE = st.sampled_from(["", "", "", "busy", "lost before", "lost after", "killed before", "killed after"])
SAYS = st.builds(
    Says,
    st.sampled_from(["Title", "Other title"]),
    st.sampled_from(["Run r\nsleeps", "Run r\nfailed", "Run r\nran"]),
    st.sampled_from([BACKLOG, BLOCKED, DONE, ARCHIVED]),
    st.booleans(),
)
ROUND = st.tuples(SAYS, st.lists(PEOPLE, max_size=8), st.lists(TROUBLE, max_size=8), st.sampled_from(["", "", "waits", "is waited for"]))


@settings(max_examples=300, deadline=None)
@given(st.lists(ROUND, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_I18_people_win_nothing_is_written_twice_and_all_converges(rounds: list[Any], worktree: bool, blocks: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        try:
            with store.transaction():  # for speed: what a killed process loses here is what its threads knew
                live(store, rounds, worktree=worktree, blocks=[900] if blocks else [])
        finally:
            store.close()


def live(store: Store, rounds: list[Any], *, worktree: bool, blocks: list[int]) -> None:
    cards.open_card(store, OpenCard(PLACE, "run/r", RUN, "run", TAG, "", {}, Source("", 0)), now=NOON)
    board = Memory(store, worktree)
    for number in (900, 901, 902):
        board.rows[number] = Row(number, "somebody's", "", [])
    title = ""
    for says, people, trouble, edge in rounds:
        row = board.ours()
        known = store.db.execute("SELECT id FROM cards").fetchone()[0] is not None
        title = says.title if known or not title else title  # nothing but its title finds one in the trash of which nobody has recorded the number
        if row is not None and edge:
            board.edges.add((row.id, 901) if edge == "waits" else (902, row.id))
        board.people, board.trouble = list(people), list(trouble)
        wanted = Says(title, says.body, says.status, says.pinned)
        sync(board, wanted, blocks)
    board.people, board.trouble = [], []
    for _ in range(3):
        sync(board, wanted, blocks)
    board.log.clear()
    before = {row.id: str(row) for row in board.rows.values()}
    sync(board, wanted, blocks)

    assert not WRITES & set(board.log), board.log
    assert {row.id: str(row) for row in board.rows.values()} == before
    check(board, wanted, blocks)


def check(board: Memory, wanted: Says, blocks: list[int]) -> None:
    """Check that the card says what it shall, apart from what a person did."""
    row = board.ours()
    if row is None or row.trashed:
        return
    for name in ("title", "body"):
        assert name in row.edited or getattr(row, name) == getattr(wanted, name), name
    if row.closed_by_a_person or "status" in row.edited or row.status == wanted.status:
        return  # also where a person has added since what would have kept us from it
    may_block = board.worktree and not any(edge[0] == row.id for edge in board.edges)
    may_archive = not any(edge[1] == row.id for edge in board.edges)
    assert row.status == BACKLOG
    assert not {BLOCKED: may_block, ARCHIVED: may_archive}.get(wanted.status, True)
    assert "pinned" in row.edited or row.pinned == (wanted.pinned or wanted.status == BLOCKED)
