"""Clean-up of a run that failed or was canceled: its function for a cancel, then what undoes its steps, the last first."""

from __future__ import annotations

from _collections import deque  # type: ignore[import-not-found]  # without the package, which takes a tenth of our start

from ty_worker.durations import quoted
from ty_worker.functions import required_parameters, takes_none
from ty_worker.lines import encode_text
from ty_worker.policy import NO_RETRY
from ty_worker.running import Running
from ty_worker.steps import StepCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.engine import Attempt
    from ty_worker.history import History, Record
    from ty_worker.immediate import OnCancelCall
    from ty_worker.journal import Journal
    from ty_worker.policy import Settings
    from ty_worker.tries import Try

_ON_CANCEL = "ty/on-cancel~run"


class CleanUpCall(StepCall):
    """A function that cleans up: it is tried like a step, and what it returns is of no interest."""

    kind = "clean-up"
    __slots__ = ("_given", "over")

    def __init__(self, key: str, fn: Any, given: tuple[Any, ...], *, wants_context: bool) -> None:
        super().__init__(key, fn, NO_RETRY, 0, wants_context=wants_context)
        self.json_key = encode_text(key)
        self._given = given
        self.over = False

    def invoke(self, running: Try) -> Any:
        """Call the function."""
        return self.fn(*self._given, running) if self.wants_context else self.fn(*self._given)

    def returned(self, running: Running, this: Try, value: object) -> None:  # noqa: ARG002
        """Record that the function has returned."""
        super().returned(running, this, None)


class CleanUp(Running):
    """Carries the functions out, one after another. The methods are called under the lock of the run, but for `commit`."""

    def __init__(self, attempt: Attempt, calls: list[CleanUpCall], until: int) -> None:
        """Go on where the past of `attempt` left off, until the instant `until` at most."""
        super().__init__(attempt.port, attempt.front)
        self.past, self.until = attempt.past, until
        self._left = deque(calls)
        self._current: CleanUpCall | None = None

    def record_request(self, call: Any, tail: str) -> int:
        """Record that clean-up comes to a function."""
        return self.journal.append("requested", f',"key":{call.json_key},"kind":"{call.kind}"{tail}')

    def complete(self, call: Any, tail: str, *, durable: bool, kind: str = "completed") -> int:  # noqa: ARG002
        """Record how a function ended. Returns where the record ends."""
        call.offset = self.journal.append(kind, f',"key":{call.json_key}{tail}')
        call.over = True
        return int(call.offset)

    def commit(self, offset: int) -> None:
        """Make the journal durable up to `offset`, then go on with the next function."""
        self.journal.sync(offset)
        self.port.plan(0)

    def advance(self, now: int) -> None:
        """Begin the next function when the last one is over and that is durable; end when all are, or when the time is."""
        while not self.stopped:
            call = self._current
            if call is not None and call.over and call.offset <= self.journal.durable:
                self._told(call.key, call.error)
                self._current = None
            elif now >= self.until:
                self._out_of_time()
            elif call is not None:
                return
            elif self._left:
                self._begin(self._left.popleft())
            else:
                self.end(("clean", None))

    def _begin(self, call: CleanUpCall) -> None:
        settled, recorded = self.past.cleaned.get(call.key), self.past.cleaning.get(call.key)
        if settled is not None:
            self._told(call.key, settled.get("error"))
            return
        self._current = call
        if recorded is None:
            call.start(self)
        else:
            call.resume(self, recorded)

    def _told(self, key: str, error: Record | None) -> None:
        if error is not None:
            self.warn_once("clean-up", f"{quoted(key)} failed: {error.get('message', '')}", key)

    def _out_of_time(self) -> None:
        self.closed = True  # what comes now comes too late
        self.abort_tries()
        warn_of_time(self.journal, self.settings, self._current.json_key if self._current is not None else "")
        self.end(("clean", None))


def warn_of_time(journal: Journal, settings: Settings, json_key: str = "") -> None:
    """Leave the warning that there was too little time for clean-up; `json_key` is that of the function that runs."""
    key = f',"key":{json_key}' if json_key else ""
    journal.append("warning", f',"code":"clean-up","message":"clean-up did not end within {settings.cleanup_ms} ms (cancel.cleanup_ms)"{key}')


def warn_of_replay(journal: Journal, error: Exception) -> None:
    """Leave the warning that the code does not fit any more, so that nobody knows what cleans up."""
    message = f"the code cannot be replayed, so that nothing is cleaned up: {error}"
    journal.append("warning", f',"code":"clean-up","message":{encode_text(message)}')


def may_be_owed(past: History, *, canceled: bool) -> bool:
    """Say whether something that is recorded, or in the memo, can need clean-up."""
    return bool(past.compensable or _completed(past)) or (canceled and past.has_on_cancel())


def may_find_more(attempt: Attempt, *, canceled: bool) -> bool:
    """Say whether a replay would find functions that the code has not given in this claim."""
    past, asked = attempt.past, attempt.asked
    on_cancel = canceled and past.has_on_cancel() and attempt.on_cancel is None
    return on_cancel or any(key not in asked for key in [*past.compensable, *_completed(past)])


def _completed(past: History) -> list[str]:
    """Return the keys of the completed steps that had something to undo them, in order."""
    return [result["key"] for result in past.results if result["type"] == "completed" and past.by_key[result["key"]].get("compensate")]


def owed(attempt: Attempt, *, canceled: bool) -> list[CleanUpCall]:
    """Return what cleans up after an attempt of the body, in order. Warns where the code does not give it any more."""
    calls: list[CleanUpCall] = []
    gone: list[str] = []
    if canceled and attempt.on_cancel is not None:
        calls.append(_on_cancel(attempt.on_cancel, attempt.settings))
    elif canceled and any(request["kind"] == "on-cancel" for request in attempt.past.requests):
        gone.append(_ON_CANCEL)
    for key in reversed([*_completed(attempt.past), *attempt.done]):
        step: Any = attempt.undo.get(key)
        if step is not None:
            calls.append(_compensation(step, attempt.results[key]))
        else:
            gone.append(f"{key}~compensate")
    for key in gone:
        attempt.warn_once("clean-up", f"{quoted(key)} cannot be run: the code no longer gives it", key)
    return calls


def _on_cancel(given: OnCancelCall, settings: Settings) -> CleanUpCall:
    call = CleanUpCall(_ON_CANCEL, given.fn, (), wants_context=required_parameters(given.fn) > 0)
    call.policy, call.timeout_ms, call.context = settings.step_retry, settings.timeout_ms, given.context
    return call


def _compensation(step: StepCall, result: Any) -> CleanUpCall:
    given = () if takes_none(step.compensate) else (result,)
    call = CleanUpCall(f"{step.key}~compensate", step.compensate, given, wants_context=required_parameters(step.compensate) > 1)
    call.policy, call.timeout_ms, call.context = step.policy, step.timeout_ms, step.context
    return call
