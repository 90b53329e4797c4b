"""The clerk: takes cards to TaskYou beside the passes, and brings back what came of it and what people did on the board.

A pass asks and collects; the calls are made by threads, while no lock of a pass is held (a hook of TaskYou may call this program). One process of a
data folder at a time has the board. What a person does there is a request like one by command.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

from reconciler.card import AGENTS, Board, Card, Says, place_tag, text_digest
from reconciler.clock import Clock
from reconciler.config import TaskyouSettings
from reconciler.digest import digest_of
from reconciler.errands import Done, Errand, Errands
from reconciler.errors import BusyError
from reconciler.instants import stamp
from reconciler.locks import FileLock
from reconciler.model import Place
from reconciler.plan.cards import due_cards, may_move, quiet_until
from reconciler.state import Store, cards, cardtries, workflows
from reconciler.taskyou.errors import ElsewhereError, GoneError, TaskYouError
from reconciler.taskyou.presence import may_be_there
from reconciler.taskyou.text import body_of, title_of
from reconciler.taskyou.where import database_of, fingerprint
from reconciler.values import frozen, replace

_PATIENCE = 10.0
_AT_ONCE = 4
_GATHER = 0.2


@frozen
class _Asked:
    """What an errand is about: a card and what it was to say, or (without a card) a place whose cards were listed, and when that began."""

    card: Card | None
    says: Says | None
    database: str = ""
    place: Place | None = None
    began_at: datetime | None = None


class Clerk:
    """Speaks with TaskYou for one process. Passes of that process share it."""

    def __init__(
        self,
        data_dir: Path,
        settings: TaskyouSettings,
        clock: Clock,
        scope: Callable[[], str],
        interval: timedelta,
        say: Callable[[str], None],
        command: str,
    ) -> None:
        """Nothing is called before a card needs it. `interval` is how often people's doings are asked for, `say` tells of trouble."""
        self._data_dir, self._settings, self._clock, self._scope, self._interval = data_dir, settings, clock, scope, interval
        self._command, self._say = command, say
        self.wake: Callable[[], None] = lambda: None
        self.keeps = True  # what was found out of the program; who only plans keeps nothing
        self._known: dict[str, tuple[str, Any]] = {}
        self._recognising = threading.Lock()
        self.asleep = "TY_OPENWORKFLOW_SYNC" in os.environ  # inside a hook of a call that one of us makes: that one goes on afterwards
        self._looked: datetime | None = None
        self._still: tuple[tuple[int, int, int], datetime | None] | None = None
        self._shift, self._working = threading.Lock(), 0
        self._held = ExitStack()
        self._woke = 0.0
        self._board: tuple[float, Board] | None = None

    @cached_property
    def errands(self) -> Errands:
        """The queue of calls."""
        return Errands(self._news, size=_AT_ONCE)

    @property
    def board(self) -> Board:
        """The board of the settings; whether a program is there is looked up once in `poll_interval`."""
        now = monotonic()
        if self._board is None or now - self._board[0] >= self._interval.total_seconds():
            self._board = now, self._present_board()
        return self._board[1]

    def _present_board(self) -> Board:
        given = self._settings
        database = database_of(given.database)
        present = may_be_there(given.cli, self._data_dir / "cache", keep=self.keeps)
        return Board(present, given.auto_create_tasks, database, given.project, given.status_map, given.on_task_closed == "cancel", self._command)

    @property
    def is_used(self) -> bool:
        """Say whether anything was asked of TaskYou in this process."""
        return "errands" in self.__dict__

    @property
    def is_busy(self) -> bool:
        """Say whether a call is under way, or has come back and was not collected."""
        return self.is_used and bool(self.errands.under_way())

    def _news(self) -> None:
        """Wake who waits for outcomes; of many that come at once not for each. Called by threads."""
        now = monotonic()
        if now - self._woke >= _GATHER or not self.errands.is_moving:
            self._woke = now
            self.wake()

    # What has come back

    def collect(self, store: Store) -> None:
        """Remember what came of calls, and what people did on the board since."""
        done = self.errands.collect() if self.is_used else []
        if not done:
            return
        from reconciler import boardresults

        with store.transaction():
            for one in done:
                asked: _Asked = one.errand.about
                if asked.card is None:
                    self._listed(store, one)
                elif one.error is None:
                    boardresults.take(store, asked.card, one.value, self._scope(), self._say, cancels=self.board.cancels, now=self._clock.now())
                else:
                    boardresults.fail(store, asked.card, one.error, self._scope(), self._say, now=self._clock.now())

    def _listed(self, store: Store, done: Done) -> None:
        """Take in what people did with the cards of a place."""
        if done.error is not None:
            return  # unknown: nothing follows from it
        from reconciler import boardnews

        asked: _Asked = done.errand.about
        under_way = self._cards_under_way()
        assert asked.place is not None
        assert asked.began_at is not None
        rows = [row for row in cards.placed(store, asked.database, asked.place) if row["tag"] not in under_way]
        boardnews.take_in(store, asked.place, rows, done.value, asked.began_at, cancels=self.board.cancels, now=self._clock.now())

    def _cards_under_way(self) -> set[str]:
        keys = [key for key, _ in self.errands.under_way()] if self.is_used else []
        return {key[1] for key in keys if isinstance(key, tuple) and key[0] == "card"}

    def known(self, store: Store) -> dict[str, Card]:
        """Return the cards that do not say yet what they shall and that nobody is writing just now, by tag."""
        under_way = self._cards_under_way()
        return {tag: card for tag, card in cards.unsettled(store).items() if tag not in under_way}

    # What is sent

    def send(self, store: Store, *, eager: bool = False, flush: bool = False) -> list[datetime]:
        """Have cards written that do not say yet what they shall; returns when something is due next.

        `eager`: also what failed a moment ago; `flush`: also texts that would be gathered.
        """
        if self.asleep:
            return []
        now = self._clock.now()
        self._look_about(store, now=now)
        if (
            not (eager or flush)
            and self._still is not None
            and self._still[0] == store.version()
            and (self._still[1] is None or now < self._still[1])
        ):
            return [] if self._still[1] is None else [self._still[1]]
        known = list(cards.unsettled(store).values())
        ready = [replace(card, next_at=None if eager else card.next_at, written_at=None if eager or flush else card.written_at) for card in known]
        under_way = self._cards_under_way()  # what these find out comes first
        orders = [order for order in due_cards(ready, self.board, now=now) if order.card.tag not in under_way]
        if orders:
            with store.transaction():
                for order in orders:
                    texts = [text_digest(title_of(order.says.title, otherwise=order.card.object)), text_digest(body_of(order.says.body))]
                    cardtries.about_to_write(store, order.card.tag, texts, order.says)
            for order in orders:
                self.errands.ask(self._errand(store, order.card, order.says, texts=order.card.ours))
        dues = [*cards.next_dues(store), *quiet_until(ready, self.board, now=now)]
        due = min((due for due in dues if due > now), default=None)
        self._still = store.version(), due
        return [] if due is None else [due]

    def _errand(self, store: Store, card: Card, says: Says, *, texts: Sequence[str]) -> Errand:
        from reconciler.taskyou.orders import Order, carry_out

        task = card.about["task"] if isinstance(card.about["task"], dict) else {}  # as the manifest has it now
        tags = [card.tag, place_tag(self._scope_of(store, card.place), card.place), *card.spec["tags"]]
        mine = frozenset({*texts, text_digest(title_of(says.title, otherwise=card.object)), text_digest(body_of(says.body))})
        order = Order(
            tags,
            card.id,
            says,
            task.get("project") or card.spec["project"] or self.board.project or "personal",
            task.get("type") or card.spec["type"],
            card.wrote,
            mine,
            tuple(card.spec["blocks"]),
            bool(card.spec.get("adopt")),
            _since(card),
        )
        token = digest_of([card.now, says.title, says.body, says.status, says.pinned])

        def work() -> Any:
            with self._at_work():
                return carry_out(self._taskyou(card.database), order, may_move)

        return Errand(("card", card.tag), token, ("card", card.tag), work, _Asked(card, says))

    def _look_about(self, store: Store, *, now: datetime) -> None:
        """Ask for the cards of each place where what a person does matters, once in `poll_interval`."""
        if self._looked is not None and self._looked <= now < self._looked + self._interval:
            return
        self._looked = now
        for database, place in cards.watched(store):
            self._ask_for(store, database, place, now=now)

    def look_first(self, store: Store) -> bool:
        """Ask for what people did, before a pass; false if nothing of ours is open."""
        if self.asleep:
            return False
        watched = cards.watched(store)
        self._looked = now = self._clock.now()
        for database, place in watched:
            self._ask_for(store, database, place, now=now)
        return bool(watched)

    def _ask_for(self, store: Store, database: str, place: Place, *, now: datetime) -> None:
        tag = place_tag(self._scope_of(store, place), place)

        def work() -> Any:
            with self._at_work():
                return self._taskyou(database).find(tag)

        self.errands.ask(Errand(("list", database, tag), stamp(now), ("list", database, tag), work, _Asked(None, None, database, place, now)))

    def _scope_of(self, store: Store, place: Place) -> str:
        """Return what a place's tag is made of: like uids, the same after a loss of the data folder where there is a lineage."""
        known = workflows.place_known(store, place)
        return known[0] if known is not None and known[0] else self._scope()

    def trash(self, made: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str]]:
        """Put cards into TaskYou's trash; returns those for which it did not work, with why. Waits for it; no lock of a pass may be held."""
        left: list[tuple[Mapping[str, Any], str]] = []
        for card in made:
            try:
                with self._at_work():
                    taskyou = self._taskyou(card["database"])
                    if taskyou.show(card["id"]).status in AGENTS:
                        left.append((card, "an agent has it"))
                    else:
                        taskyou.trash(card["id"])
            except GoneError:
                continue
            except TaskYouError as error:
                left.append((card, str(error)))
        return left

    # In threads

    def _taskyou(self, database: str) -> Any:
        """Return TaskYou with a database; it is recognised by each process, once as long as the program stays the same. Raises TaskYouError."""
        from reconciler.taskyou import leftovers
        from reconciler.taskyou.client import TaskYou
        from reconciler.taskyou.identity import recognise

        with self._recognising:
            known = self._known.get(database)
            if known is None or fingerprint(known[1].program) != known[0]:
                found = recognise(self._settings.cli, database)
                marked = {**os.environ, leftovers.MARK: str(self._data_dir), leftovers.PROGRAM: found.program}
                known = self._known[database] = (found.fingerprint, TaskYou(found.program, database, environ=marked))
            return known[1]

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Have the board for this process while any of its calls are under way. Raises ElsewhereError."""
        from reconciler.taskyou import leftovers

        with self._shift:
            if not self._working:
                try:
                    self._held.enter_context(FileLock(self._data_dir / "taskyou.lock").held("taskyou", _PATIENCE))
                    leftovers.end_leftovers(str(self._data_dir))
                except BusyError as error:
                    message = f"another process speaks with TaskYou: {error}"
                    raise ElsewhereError(message) from error
            self._working += 1
        try:
            yield
        finally:
            with self._shift:
                self._working -= 1
                if not self._working:
                    self._held.close()


def _since(card: Card) -> datetime | None:
    """Return when the run of a card was made that an earlier try may have made: one of another process, or from before a loss of the database."""
    made = card.about.get("created_at")
    return datetime.fromisoformat(made) if made and (card.ours or card.spec.get("restored")) else None
