"""What living workers do, one move at a time: steps, waits, requests to others, ends, deaths."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from reconciler.history import Call, History
from reconciler.instants import stamp
from tests.simulation.platform import Stage

MOVES = (
    "step",
    "step",
    "result",
    "result",
    "sleep",
    "sleep",
    "child",
    "child",
    "signal",
    "send",
    "park",
    "park",
    "release",
    "body-failed",
    "finish",
    "fail",
    "die",
)
RELEASES = ("suspended", "no-space", "storage", "grace")
_WAITS = ("sleep", "child", "signal", "send")
_NAPS = (timedelta(seconds=3), timedelta(seconds=90), timedelta(hours=2))


@dataclass
class Workers:
    """Moves the workers of a stage. `good` ones only do what ends their runs."""

    stage: Stage
    dice: random.Random
    targets: tuple[str, ...]
    workflows: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)
    good: bool = False

    def take(self) -> str:
        """Let one worker that was ordered take its claim, or die before it does."""
        stage = self.stage
        waiting = sorted(stage.ordered)
        if not waiting:
            return "nobody"
        uid = self.dice.choice(waiting)
        if not self.good and self.dice.random() < 0.3:
            del stage.ordered[uid]
            stage.changed.add(uid)
            self.counts["die-unclaimed"] += 1
            return f"{uid} dies before it takes its claim"
        stage.take(uid)
        self.counts["take"] += 1
        return f"{uid} takes"

    def act(self) -> str:
        """Let one living worker make a move."""
        living = sorted(self.stage.alive)
        return self.act_for(self.dice.choice(living)) if living else "nobody"

    def act_for(self, uid: str) -> str:
        """Let the worker of a run make a move."""
        history = self.stage.history(uid)
        assert history is not None
        move = self._told(uid, history) or self._own(uid, history)
        self.counts[move] += 1
        return f"{uid} {move}"

    def must_end(self, uid: str) -> bool:
        """Say whether the end of a run was asked for, or its time is over."""
        history = self.stage.history(uid)
        assert history is not None
        return any(message["type"] == "cancel" for message in self.stage.inboxes.get(uid, ())) or self._overdue(history)

    def _overdue(self, history: History) -> bool:
        timeout = history.order["settings"]["timeout_ms"]
        if not timeout or not history.started_at:
            return False
        return datetime.fromisoformat(history.started_at) + timedelta(milliseconds=timeout) <= self.stage.clock.now()

    def _told(self, uid: str, history: History) -> str:
        """Do what a message asks for, if there is one that was not heeded."""
        stage = self.stage
        inbox = stage.inboxes.get(uid, [])
        cancel = next((message for message in inbox if message["type"] == "cancel"), None)
        if cancel is not None:
            return self._cancel(uid, history, str(cancel["reason"]))
        if self._overdue(history):
            return self._undo(uid, history) or self._end(uid, history, "failed", "timeout")
        heard = {call.request.get("heard") for call in history.calls.values()}
        for call in history.calls.values():
            for number, message in enumerate(inbox, 1):
                if call.open and number not in heard and _answers(call, message, history.attempt):
                    bad = message.get("error") or message.get("status", "completed") != "completed"
                    outcome: dict[str, Any] = (
                        {"type": "failed", "error": {"name": "ChildError", "message": "no"}} if bad else {"type": "completed", "value": 1}
                    )
                    stage.append(uid, history.claim, {**outcome, "key": call.key, "inbox": number})
                    call.request = {**call.request, "heard": number}
                    return "answer"
        return ""

    def _cancel(self, uid: str, history: History, reason: str) -> str:
        stage, claim = self.stage, history.claim
        if not self.good and self.dice.random() < 0.3:
            how = self.dice.choice(("deaf", "completed", "failed"))
            return how if how == "deaf" or history.canceling is not None else self._end(uid, history, how, "too-late")
        if history.canceling is None:
            stage.append(uid, claim, {"type": "canceling", "reason": reason, "inbox": len(stage.inboxes[uid])})
            return "canceling"
        return self._undo(uid, history) or self._end(uid, history, "canceled", "canceled", reason=reason)

    def _undo(self, uid: str, history: History) -> str:
        """Undo one step that something undoes and that is not undone yet."""
        for call in list(history.calls.values()):
            key = f"{call.key}~compensate"
            if call.status == "completed" and call.request.get("compensate") and key not in history.calls:
                undo = {"type": "requested", "key": key, "kind": "clean-up", "after": 0, "try": 1}
                self.stage.append(uid, history.claim, undo, {"type": "completed", "key": key, "value": None, "try": 1})
                return "undo"
        return ""

    def _own(self, uid: str, history: History) -> str:
        """Do what the code asks for."""
        open_calls = [call for call in history.calls.values() if call.open]
        due = next((call for call in open_calls if call.kind == "sleep" and call.until and call.until <= stamp(self.stage.clock.now())), None)
        if due is not None:
            self.stage.append(uid, history.claim, {"type": "completed", "key": due.key, "value": None})
            return "wake"
        move = self._good_move(open_calls) if self.good else self.dice.choice(MOVES)
        return str(getattr(self, "_" + move.replace("-", "_"))(uid, history, open_calls))

    @staticmethod
    def _good_move(open_calls: list[Call]) -> str:
        if any(call.kind == "step" for call in open_calls):
            return "result"
        return "park" if open_calls else "finish"

    def _key(self, uid: str, kind: str) -> str:
        return f"{kind}{len(self.stage.journals[uid])}"

    def _ask(self, uid: str, history: History, kind: str, **request: Any) -> str:
        key = request.pop("key", None) or self._key(uid, kind)
        self.stage.append(uid, history.claim, {"type": "requested", "key": key, "kind": kind, "after": 0, **request})
        return kind

    def _step(self, uid: str, history: History, calls: list[Call]) -> str:
        return self._ask(uid, history, "step", **{"try": 1, "compensate": self.dice.random() < 0.3, "timeout_ms": 600_000})

    def _sleep(self, uid: str, history: History, calls: list[Call]) -> str:
        return self._ask(uid, history, "sleep", until=stamp(self.stage.clock.now() + self.dice.choice(_NAPS)))

    def _child(self, uid: str, history: History, calls: list[Call]) -> str:
        if "parent" in history.order and "parent" in str(history.order["run"]):
            return self._result(uid, history, calls)
        how = self.dice.choice(("cancel", "cancel", "abandon"))
        again = self.stage.firsts.get(uid)
        if again is not None and again["key"] not in history.calls:
            return self._ask(uid, history, "child", **again)
        request = {"key": self._key(uid, "child"), "workflow": self.dice.choice(self.workflows), "input": uid, "on_cancel": how}
        self.stage.firsts[uid] = request
        return self._ask(uid, history, "child", **request)

    def _signal(self, uid: str, history: History, calls: list[Call]) -> str:
        return self._ask(uid, history, "signal", signal="go")

    def _send(self, uid: str, history: History, calls: list[Call]) -> str:
        return self._ask(uid, history, "send", run=self.dice.choice(self.targets), signal="go", data=1)

    def _result(self, uid: str, history: History, calls: list[Call]) -> str:
        step = next((call for call in calls if call.kind == "step"), None)
        if step is None:
            return self._step(uid, history, calls)
        self.stage.append(uid, history.claim, {"type": "completed", "key": step.key, "value": 1, "try": 1})
        return "result"

    def _park(self, uid: str, history: History, calls: list[Call]) -> str:
        if not calls or any(call.kind not in _WAITS for call in calls):
            return self._result(uid, history, calls)
        until = min((call.until for call in calls if call.until), default=None)
        waits = [{"key": call.key, "kind": call.kind} for call in calls]
        record = {"type": "parked", "waits": waits, "inbox": len(self.stage.inboxes.get(uid, ()))}
        self.stage.append(uid, history.claim, record if until is None else {**record, "until": until})
        self.stage.alive.discard(uid)
        return "park"

    def _release(self, uid: str, history: History, calls: list[Call]) -> str:
        self.stage.append(uid, history.claim, {"type": "released", "reason": self.dice.choice(RELEASES)})
        self.stage.alive.discard(uid)
        return "release"

    def _body_failed(self, uid: str, history: History, calls: list[Call]) -> str:
        if history.attempt > 3:
            return self._fail(uid, history, calls)
        error = {"name": "ValueError", "message": "no"}
        self.stage.append(uid, history.claim, {"type": "body.failed", "attempt": history.attempt, "error": error})
        return "body-failed"

    def _finish(self, uid: str, history: History, calls: list[Call]) -> str:
        return self._end(uid, history, "completed", "finish")

    def _fail(self, uid: str, history: History, calls: list[Call]) -> str:
        return self._end(uid, history, "failed", "fail")

    def _end(self, uid: str, history: History, status: str, move: str, *, reason: str = "") -> str:
        end: dict[str, Any] = {"type": "finished", "status": status, "output": uid if status == "completed" else None}
        if reason:
            end["reason"] = reason
        if status == "failed":
            end["error"] = {"name": "ValueError", "message": "no"}
        self.stage.append(uid, history.claim, end)
        self.stage.alive.discard(uid)
        return move

    def _die(self, uid: str, history: History, calls: list[Call]) -> str:
        self.stage.alive.discard(uid)
        self.stage.changed.add(uid)
        return "die"


def _answers(call: Call, message: Any, attempt: int) -> bool:
    if call.kind == "signal":
        return bool(message["type"] == "signal" and message["name"] == call.request["signal"])
    kind = {"child": "child", "send": "sent"}.get(call.kind)
    return bool(message["type"] == kind and message.get("key") == call.key and str(message["id"]).endswith(f"/{attempt}"))
