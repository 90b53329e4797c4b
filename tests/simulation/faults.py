"""What goes wrong, and when: drawn from the seed, counted by kind."""

import random
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from reconciler.errors import RejectedError, UnavailableError
from tests.support.world import Crash, HandClock

# What may happen to a call of the adapter. `lost` has its effect and no answer; a `late` look shows how it was; `rejected` is for good.
OF_CALLS = {
    "deployed": ("unavailable", "hang", "crash-before", "crash-after"),
    "deploy": ("unavailable", "lost", "rejected", "crash-before", "crash-after"),
    "observe": ("unavailable", "hang", "unknown", "late", "crash-before", "crash-after"),
    "start": ("unavailable", "lost", "refused", "crash-before", "crash-after"),
    "send": ("unavailable", "lost", "hang", "crash-before", "crash-after"),
    "kill": ("unavailable", "lost", "hang", "crash-before", "crash-after"),
    "end": ("unavailable", "lost", "hang", "crash-before", "crash-after"),
    "retire": ("unavailable", "lost", "crash-before", "crash-after"),
    "records": ("unavailable", "crash-before"),
}
SELDOM = ("records", "retire", "kill", "end", "deploy")
OF_COMMITS = ("commit-failed", "crash-before-commit", "crash-after-commit")
OF_THE_DATABASE = ("db-locked", "db-full")
KINDS = frozenset(f"{call}: {kind}" for call, kinds in OF_CALLS.items() for kind in kinds) | frozenset(OF_COMMITS) | frozenset(OF_THE_DATABASE)
_USUAL_CALLS = 1 / 4
_FIRST_COMMITS = 5
_HANG = timedelta(seconds=60)


@dataclass
class Faults:
    """Decides which calls and commits go wrong. Nothing does until it is armed for a pass."""

    dice: random.Random
    clock: HandClock
    counts: Counter[str] = field(default_factory=Counter)
    calls: set[int] = field(default_factory=set)
    commits: dict[int, str] = field(default_factory=dict)
    made: int = 0
    committed: int = 0
    dead: bool = False
    kill_at: int | None = None

    def arm(self) -> None:
        """Choose what goes wrong in the pass that begins, if anything."""
        self.disarm()
        if self.dice.random() < 0.35:
            self.calls = {int(self.dice.expovariate(_USUAL_CALLS)) for _ in range(self.dice.choice((1, 1, 2, 4)))}
        if self.dice.random() < 0.12:
            self.commits = {self.dice.randrange(_FIRST_COMMITS): self.dice.choice(OF_COMMITS)}

    def disarm(self) -> None:
        """Let a pass be without faults."""
        self.calls, self.commits, self.made, self.committed, self.dead, self.kill_at = set(), {}, 0, 0, False, None

    def of_call(self, call: str) -> str:
        """Return what happens to the call that is made now, empty if nothing."""
        self.live()
        number, self.made = self.made, self.made + 1
        if number == self.kill_at:
            return self.dice.choice(("crash-before", "crash-after"))
        seldom = bool(self.calls) and call in SELDOM and self.dice.random() < 0.3
        if number not in self.calls and not seldom:
            return ""
        kind = self.dice.choice(OF_CALLS[call])
        self.counts[f"{call}: {kind}"] += 1
        return kind

    def of_commit(self) -> str:
        """Return what happens to the commit that is made now, empty if nothing."""
        number, self.committed = self.committed, self.committed + 1
        kind = self.commits.get(number, "")
        if kind:
            self.counts[kind] += 1
        return kind

    def live(self) -> None:
        """Nothing is done by a process that has died."""
        if self.dead:
            raise Crash

    def die(self) -> None:
        """Kill the reconciler here."""
        self.dead = True
        raise Crash

    def before(self, kind: str) -> None:
        """Let a call fail before it has an effect."""
        match kind:
            case "crash-before":
                self.die()
            case "unavailable":
                raise UnavailableError("the platform is away")
            case "hang":
                self.clock.at += _HANG
                raise UnavailableError("no answer in time")
            case "rejected":
                raise RejectedError("the platform does not want this")

    def after(self, kind: str) -> None:
        """Let a call fail after it had its effect."""
        if kind == "crash-after":
            self.die()
        if kind == "lost":
            raise UnavailableError("the answer was lost")


class Connection:
    """A connection to the database whose commits may fail, and whose process may die around them."""

    def __init__(self, db: sqlite3.Connection, faults: Faults) -> None:
        self.db, self.faults = db, faults

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "ROLLBACK":
            return self.db.execute(statement)
        self.faults.live()
        kind = self.faults.of_commit() if statement == "COMMIT" else ""
        if kind == "crash-before-commit":
            self.faults.die()
        if kind == "commit-failed":
            raise sqlite3.OperationalError("disk I/O error")
        done = self.db.execute(statement, *values)
        if kind == "crash-after-commit":
            self.faults.die()
        return done

    def executemany(self, statement: str, rows: Any) -> sqlite3.Cursor:
        self.faults.live()
        return self.db.executemany(statement, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)
