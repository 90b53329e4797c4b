"""One attempt of the body: calls are matched with the journal, and results are released to the code one at a time.

They are released in journal order, live and in replay alike. Nothing here knows of threads or event loops: a front runs the code.
"""

from __future__ import annotations

from _collections import deque  # type: ignore[import-not-found]  # without the package, which takes a tenth of our start

from ty_worker.calls import key_of
from ty_worker.durations import quoted
from ty_worker.errors import LimitError, NonDeterminismError
from ty_worker.journal import ClosedError
from ty_worker.lines import copy_json, encode_text
from ty_worker.running import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.calls import Call
    from ty_worker.front import Port
    from ty_worker.history import History
    from ty_worker.immediate import OnCancelCall


class Attempt(Running):
    """The rules of replay for one attempt of the body. Its methods are called under the lock of the run."""

    def __init__(self, port: Port, past: History, *, winding: bool = False) -> None:
        """Follow the journal; with `winding` no further than what it and the memo hold, to find what cleans up."""
        super().__init__(port)
        self.past, self.winding = past, winding
        self.open: dict[str, Call] = {}  # asked for, and not released
        self.held: deque[Call] = deque()  # what waits until all that is recorded was asked for and released
        self.unanswered: list[Call] = []  # new, while winding down
        self.ending: tuple[str, Any] | None = None  # the body has ended, recorded requests may still be asked for
        self.undo: dict[str, Call] = {}  # what was asked for with a function that undoes it
        self.done: list[str] = []  # of these, what was completed in this claim
        self.results: dict[str, Any] = {}  # of these: what was recorded, whatever the code does with it
        self.on_cancel: OnCancelCall | None = None
        self.asked: set[str] = set()
        self._names: dict[str, int] = {}
        self._patched: dict[str, bool] = {}
        self._unasked = 0
        self._releasing = False  # what is committed meanwhile must not release anything itself
        self._ready: deque[Call] = deque()

    def request(self, call: Call, *, foreign: bool = False) -> None:
        """Make a call; `foreign` if the code was not woken by a result. Raises ClosedError if it will never have a result."""
        if self.stopped:
            raise ClosedError
        if len(self.asked) >= self.settings.calls:
            message = f"more than {self.settings.calls} calls in one run (limits.calls)"
            raise LimitError(message)
        self.activity += 1
        count = self._names.get(call.name, 0) + 1
        self._names[call.name] = count
        call.key = key_of(call.name, count)
        call.json_key = encode_text(call.key)
        self.asked.add(call.key)
        if call.compensate is not None:
            self.undo[call.key] = call
        recorded = self.past.by_key.get(call.key)
        if call.immediate:
            call.give(self, recorded)  # type: ignore[attr-defined]
        if recorded is not None:
            self._again(call, recorded)
            return
        if foreign and count > 1 and (self.open or self.held):
            self._warn_of_name(call)
        if self._caught_up() and self.ending is None:
            self._commit(call)
        else:
            self.held.append(call)

    def _warn_of_name(self, call: Call) -> None:
        why = "was used before, while other calls were open and outside of what a result had woken"
        message = f"the name of {quoted(call.key)} {why}: in a replay it may belong to another branch; use names of their own"
        self.warn_once("repeated-name", message, call.key)

    def _again(self, call: Call, recorded: dict[str, Any]) -> None:
        if recorded["kind"] != call.kind:
            message = f"{call.kind} {quoted(call.key)} was recorded as a {recorded['kind']}: the code has changed since"
            self._refuse(NonDeterminismError(message))
        requests = self.past.requests
        while self._unasked < len(requests) and requests[self._unasked]["key"] in self.asked:
            self._unasked += 1
        if not call.immediate:
            self.open[call.key] = call
        if call.compensate is not None:
            self._keep_result(call.key)
        if self.ending is not None:
            if self._unasked >= len(requests):
                self._body_ended(self.ending)
            return
        if call.key not in self.past.settled and not call.immediate:
            self._resume(call, recorded)
        self._commit_held()
        if self.waits and self._unasked >= len(requests):
            self.deliver_all()

    def _keep_result(self, key: str) -> None:
        settled = self.past.settled.get(key, {})
        if settled.get("type") == "completed":
            self.results[key] = copy_json(self.past.memo[key, "step"] if settled.get("memo") else settled["value"])

    def _resume(self, call: Call, recorded: dict[str, Any]) -> None:
        if recorded.get("memo"):
            self.remember(call, self.past.memo[call.key, call.kind])
        elif self.winding or call.key in self.past.abandoned:
            return
        elif any(each.kind == "now" for each in self.held):
            self.held.append(call)  # its function might use an instant that is not durable yet
        else:
            call.resume(self, recorded)

    def _caught_up(self) -> bool:
        return self.released >= len(self.past.results) and self._unasked >= len(self.past.requests)

    @property
    def all_asked(self) -> bool:  # type: ignore[override]
        """Whether the code has asked for everything that is recorded."""
        return self._unasked >= len(self.past.requests)

    @property
    def behind(self) -> bool:
        """Whether something recorded was not asked for, or something asked for is held."""
        return bool(self.held) or not self.all_asked

    def _commit_held(self) -> None:
        while self.held and self._caught_up():
            call = self.held.popleft()
            recorded = self.past.by_key.get(call.key)
            if recorded is None:
                self._commit(call)
            else:
                call.resume(self, recorded)
                self.deliver_all()

    def _commit(self, call: Call) -> None:
        if len(self.asked) * 5 > self.settings.calls * 4 or self.journal.end * 5 > self.settings.journal * 4:
            self._check_limits()
        known = (call.key, call.kind) in self.past.memo
        if self.winding and not known:
            self.unanswered.append(call)
        elif call.immediate:
            call.start(self)
        else:
            self.open[call.key] = call
            if known:
                call.remember(self, self.past.memo[call.key, call.kind])
            else:
                call.start(self)

    def _check_limits(self) -> None:
        if self.winding:
            return
        calls, most, size = self.settings.calls, self.settings.journal, self.journal.end
        if size > most:
            self._refuse(LimitError(f"the journal is larger than {most} bytes (limits.journal)"))
        if len(self.asked) * 5 > calls * 4:
            self.warn_once("limit", f"more than 80 % of {calls} calls in one run are made (limits.calls)")
        if size * 5 > most * 4:
            self.warn_once("limit", f"the journal is larger than 80 % of {most} bytes (limits.journal)")

    def remember(self, call: Call, value: Any) -> None:
        """Complete `call` with what an earlier attempt of the body has left."""
        call.value = value
        self.complete(call, ',"memo":true', durable=False)

    def complete(self, call: Call, tail: str, *, durable: bool, kind: str = "completed") -> int:
        """Record the result of `call`, to be released when its turn comes. Returns where the record ends."""
        offset = self.journal.append(kind, f',"key":{call.json_key}{tail}')
        call.offset = offset if durable else 0
        self._ready.append(call)
        self.activity += 1
        if call.compensate is not None and kind == "completed":
            self.done.append(call.key)
            self.results[call.key] = copy_json(call.value)
        if not durable:
            self.front.wake()
        return offset

    def release(self) -> Call | None:
        """Return the call whose result is released next, if there is one. Only for when the code is quiet."""
        if self.stopped or self._releasing:
            return None
        past, number = self.past, self.released + 1
        if self._unasked < len(past.requests) and past.requests[self._unasked].get("after", 0) < number:
            return None
        if number <= len(past.results):
            record = past.results[number - 1]
            call = self.open[record["key"]]
            if not record.get("memo"):
                call.settle(record)
            else:
                call.value = past.memo[call.key, call.kind]
        elif self.ending is None and self._ready and self._ready[0].offset <= self.journal.durable:
            call = self._ready.popleft()
        else:
            return None
        del self.open[call.key]
        self.released = number
        self.activity += 1
        call.released = True
        if self.held:
            self._releasing = True
            try:
                self._commit_held()
            finally:
                self._releasing = False
        return call

    def patched(self, marker: str) -> bool:
        """Say whether the new code may run: where that is recorded, or everything recorded was asked for."""
        answer = self._patched.get(marker)
        if answer is None:
            answer = marker in self.past.markers
            if not answer and self.all_asked:
                answer = True
                if not self.winding:
                    self.journal.append("marker", f',"id":{encode_text(marker)}')
            self._patched[marker] = answer
        return answer

    @property
    def waiting(self) -> bool:
        """Whether every open call waits."""
        return bool(self.open) and len(self.waits) == len(self.open)

    def rest(self) -> None:
        """Take note that the code is quiet and nothing can be released."""
        if not self.tries and (self.open or self.behind or self.ending is not None or self.winding):
            self.port.plan(0)

    def body_over(self, outcome: tuple[str, Any]) -> None:
        """Take note how the body ended: `returned` or `threw`, and what."""
        if self.stopped:
            return
        if self.all_asked:
            self._body_ended(outcome)
        else:
            self.ending = outcome
            self.activity += 1

    def _body_ended(self, outcome: tuple[str, Any]) -> None:
        for call in [each for each in self.held if each.immediate and not self.winding]:
            call.start(self)  # its value was given out, and a replay gives the same; what else is held was never begun
        self.end(("wound", None) if self.winding else outcome)

    def difference(self) -> NonDeterminismError:
        """Return the error of code that did not ask for what is recorded: it names the first difference."""
        held = next((call for call in self.held if call.key not in self.past.by_key), None)
        recorded = self.past.requests[self._unasked] if not self.all_asked else {}
        asked = f"asked for {held.kind} {quoted(held.key)}" if held is not None else "did not ask for it"
        here = f"{recorded['kind']} {quoted(recorded['key'])}" if recorded else "a result"
        error = NonDeterminismError(f"the journal holds {here} here, the code {asked}: the code has changed since, or depends on more than its calls")
        if self.ending is not None and self.ending[0] == "threw":
            error.__cause__ = self.ending[1]
        return error

    def _refuse(self, error: Exception) -> None:
        self.end(("refused", error))
        raise ClosedError

    def close(self) -> list[str]:
        """Record nothing more, whatever still runs. Returns the keys of the steps that have no result, as JSON."""
        self.stopped = self.closed = True
        ready = {call.key for call in self._ready}
        settled, abandoned = self.past.settled, self.past.abandoned
        return [
            call.json_key
            for call in self.open.values()
            if call.kind == "step" and call.key not in ready and call.key not in settled and call.key not in abandoned
        ]
