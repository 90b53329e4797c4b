"""One call of the program, as its commands see it."""

from __future__ import annotations

import time

from .answer import Answer, FailedError
from .clock import Clock
from .flags import Given
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Call:
    """What was asked for, what is answered, and the board, which is opened by whoever needs it first."""

    def __init__(self, settings: dict[str, Any], answer: Answer) -> None:
        self.settings, self.answer = settings, answer
        self.given = Given()
        self.clock = Clock(settings)
        self._store: Store | None = None

    def between(self) -> None:
        """Let happen what a test wants to happen after a row was read and before it is written."""
        time.sleep(self.settings.get("update_delay", 0))
        for argv in self.settings.get("during_update", ()):
            from .main import play

            play(argv, {**self.settings, "during_update": ()})

    @property
    def store(self) -> Store:
        """The board."""
        if self._store is None:
            from .database import Database

            self._store = Store(Database(self.clock, self.settings.get("busy", 5.0)), self.clock)
        return self._store

    @property
    def opened(self) -> Store | None:
        """The board, if this call has opened it."""
        return self._store

    def task_number(self, place: int = 0) -> int:
        """Return the word at `place` as the number of a card, as C's `%d` reads it: what follows the digits does not matter."""
        word = self.given.words[place]
        digits = word.lstrip()
        sign, digits = (digits[0], digits[1:]) if digits[:1] in {"-", "+"} else ("", digits)
        length = next((at for at, letter in enumerate(digits) if letter not in "0123456789"), len(digits))
        if not length or int(digits[:length]) >= 2**63:
            text = f"Invalid task ID: {word}"
            raise FailedError(text)
        return int(sign + digits[:length])
