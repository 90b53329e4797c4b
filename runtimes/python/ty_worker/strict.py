"""An attempt of the body that only looks whether the code still fits its journal: nothing runs, and nothing is recorded."""

from __future__ import annotations

from ty_worker.calls import key_of
from ty_worker.durations import quoted
from ty_worker.engine import Attempt
from ty_worker.errors import LimitError, error_name
from ty_worker.journal import ClosedError
from ty_worker.lines import encode_json, encode_text
from ty_worker.values import limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ty_worker.calls import Call
    from ty_worker.history import History, Record


class StrictAttempt(Attempt):
    """Request number i must be the recorded one; its results are released, and that is all."""

    def request(self, call: Call, *, foreign: bool = False) -> None:  # noqa: ARG002
        """Make a call. Raises ClosedError if it will never have a result."""
        if self.stopped:
            raise ClosedError
        self.activity += 1
        count = self._names.get(call.name, 0) + 1
        self._names[call.name] = count
        call.key = key_of(call.name, count)
        call.json_key = encode_text(call.key)
        recorded = self._expected()
        if call.immediate:
            call.give(self, recorded if recorded is not None and recorded["kind"] == call.kind else None)  # type: ignore[attr-defined]
        if recorded is None:
            self.unanswered.append(call)
            return
        self._compare(call, recorded)
        self._unasked += 1
        if not call.immediate:
            self.open[call.key] = call

    def _expected(self) -> Record | None:
        requests = self.past.requests
        return requests[self._unasked] if self._unasked < len(requests) else None

    def _compare(self, call: Call, recorded: Record) -> None:
        here = f"the journal holds {recorded['kind']} {quoted(recorded['key'])}"
        if (recorded["key"], recorded["kind"]) != (call.key, call.kind):
            self._differ(f"{here} here, the code asked for {call.kind} {quoted(call.key)}")
        after = recorded.get("after", 0)
        held = self.released < after == self.past.results_before.get(recorded["claim"])
        if after != self.released and not held:
            self._differ(f"{here} after {after} results, the code asked for it after {self.released}")

    def _differ(self, difference: str) -> None:
        self.end(("differs", difference))
        raise ClosedError

    def patched(self, marker: str) -> bool:
        """Say whether the new code may run, and record nothing of it."""
        return self._patched.setdefault(marker, marker in self.past.markers or self.all_asked)

    def rest(self) -> None:
        """Take note that the code is quiet and nothing can be released."""
        self.port.plan(0)

    def body_over(self, outcome: tuple[str, Any]) -> None:
        """Take note how the body ended."""
        self.end(outcome)

    def verdict(self) -> dict[str, Any]:
        """Say how code and journal fit together, once the attempt has stopped."""
        kind, what = self.outcome or ("", None)
        difference = what if kind == "differs" else self._missing() or difference_of_end(self.past, kind, what, self.settings.value)
        beyond = self.unanswered[0] if self.unanswered else None
        return {
            "fits": difference is None,
            "asked": self._unasked,
            "recorded": len(self.past.requests),
            "difference": difference,
            "next": {"kind": beyond.kind, "key": beyond.key} if beyond is not None else None,
            "end": {"returned": "returned", "unfit": "returned", "threw": "threw"}.get(kind),
        }

    def _missing(self) -> str | None:
        recorded = self._expected()
        return f"the journal holds {recorded['kind']} {quoted(recorded['key'])} here, the code did not ask for it" if recorded is not None else None


def difference_of_end(past: History, kind: str, what: Any, limit: int) -> str | None:
    """Return how the end of the code differs from that of the run, if it does; `kind` is `returned`, `threw` or another."""
    finished = past.finished
    if finished is None or finished["status"] == "canceled" or "reason" in finished:
        return None
    failed = finished["status"] == "failed"
    if kind in ("threw", "unfit"):
        return None if failed else f"the run completed, the code throws {error_name(what)}: {what}"
    if kind != "returned":
        return "the run has ended, the code has not"
    try:
        text = limited(encode_json(what), limit, "what the workflow returned")
    except LimitError as error:
        return None if failed else f"the run completed, the code throws {error_name(error)}: {error}"
    if failed:
        return "the run failed, the code returns"
    return None if text == encode_json(finished.get("output")) else "the code returns another output than the recorded one"
