"""A replay of a journal against the code of this worker: what surrounds the attempt, and the file that holds the verdict."""

from __future__ import annotations

import os
from _thread import allocate_lock

from ty_worker.api import AsyncContext, Context, RunInfo
from ty_worker.clock import NEVER, monotonic, now_ms
from ty_worker.errors import LoadError
from ty_worker.functions import is_async
from ty_worker.history import History
from ty_worker.lines import DamageError, copy_json, decode_lines, encode_json
from ty_worker.orders import Inbox, read_file
from ty_worker.output import Output, current
from ty_worker.policy import Settings
from ty_worker.strict import StrictAttempt
from ty_worker.threads import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.history import Record
    from ty_worker.host import Host

_FOREIGN = 2.0
_SETTLED = 0.01


class _NoJournal:
    """Stands where a journal is expected, and takes no records."""

    end = durable = 0
    closed = False

    def sync(self, offset: int) -> None:
        """Do nothing: there is nothing to make durable."""


class Replay:
    """Carries the last attempt of a journal out, and writes the verdict. The host sees it as a run."""

    def __init__(self, host: Host, order: Record, output: Output, path: str) -> None:
        self.uid, self.host, self.output = order["uid"], host, output
        self.lock = allocate_lock()
        self.journal: Any = _NoJournal()
        self.warned: set[tuple[str, str]] = set()
        self.inbox = Inbox("", set())
        self.seed, self.settings = self.uid, Settings({})
        self.leftover = True  # what the code has left waits for ever
        self._prefix, self._path = order["prefix"], path
        self._attempt: StrictAttempt | None = None
        self._seen, self._began, self._since = -1, 0.0, 0.0
        self._over = False

    def carry_out(self) -> None:
        """Carry the body out in this thread."""
        current.set(self.output)
        history = History()
        try:
            for record in decode_lines(read_file(self._prefix + "journal.jsonl", 0)):
                history.accept(record)
            workflow = self.host.code.workflow()
        except (DamageError, LoadError, KeyError) as error:
            self._end({"fits": False, "asked": 0, "recorded": len(history.requests), "difference": str(error), "next": None, "end": None})
            return
        self.seed = history.order.get("seed") or self.uid
        self.settings = Settings(history.order.get("settings", {}))
        attempt = StrictAttempt(self, history)
        info = RunInfo(history.order, self._prefix + "files", make=False)
        context: Context | AsyncContext
        if is_async(workflow):
            from ty_worker.loops import Loops

            attempt.front = loops = Loops(attempt, self.host.pool)
            context = AsyncContext(loops, self.settings, info)
        else:
            attempt.front = threads = Threads(attempt, self.host.pool)
            context = Context(threads, self.settings, info)
        self._attempt = attempt
        attempt.front.body(workflow, copy_json(history.order.get("input")), context)

    def plan_at(self, ms: int) -> None:
        """Look at the attempt at this instant, at the latest."""
        self.host.plan(monotonic() + (ms - now_ms()) / 1000)

    def plan(self, moment: float) -> None:
        """Look at the attempt when the monotonic clock shows this, at the latest."""
        self.host.plan(moment)

    def changed(self) -> None:
        """Tell nobody: the run is what it was."""

    def read_inbox(self) -> None:
        """Leave the messages where they are."""

    def look_for_messages(self) -> None:
        """Leave the messages where they are."""

    def leave(self, _reason: str) -> None:
        """End without a verdict."""
        self._over = True
        self.host.run_over(self)

    def tick(self) -> float:
        """End the attempt when the code has been quiet for a moment. Returns the monotonic moment at which to look again."""
        with self.lock:
            again = self._look(monotonic())
        self.conclude()
        return again

    def _look(self, moment: float) -> float:
        attempt = self._attempt
        if attempt is None or attempt.stopped or not attempt.front.resting:
            return NEVER
        if self._seen != attempt.activity:
            self._seen, self._began, self._since = attempt.activity, moment, moment
        if attempt.front.foreign and moment - self._began < _FOREIGN:
            self._since = moment
        elif moment - self._since >= _SETTLED:
            attempt.end(("quiet", None))
            return NEVER
        return moment + _SETTLED

    def conclude(self) -> None:
        """Write the verdict, if the attempt has stopped."""
        with self.lock:
            attempt = self._attempt
            if attempt is None or not attempt.stopped or self._over:
                return
            self._over = True
            verdict = attempt.verdict()
            attempt.front.stop()
        self._end(verdict)

    def _end(self, verdict: dict[str, Any]) -> None:
        with open(self._path + ".new", "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(encode_json(verdict) + "\n")
        os.rename(self._path + ".new", self._path)
        self.host.run_over(self)
