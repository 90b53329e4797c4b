"""Which approvals a pass sees: those that were asked for and not answered, whatever else a journal holds."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from adapters.runfiles import seen
from reconciler.assets import asset
from reconciler.compute import OpenApproval
from reconciler.history import Reader, fold
from reconciler.journal import encode_line

AT = "2026-11-22T14:37:00.000Z"
UNTIL = datetime(2026, 11, 23, tzinfo=UTC)
KEYS = ("a", "b", "c")
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("ask", "wait", "answer", "expire", "step")), st.sampled_from(KEYS)),
        st.tuples(st.sampled_from(("claim", "park", "fail", "cancel", "loser")), st.just("")),
    ),
    max_size=30,
)


class Journal:
    """A journal that is written as a worker would, and which approvals are open by a reading of its own."""

    def __init__(self) -> None:
        """Begin with the order and the first claim."""
        self.lines: list[bytes] = []
        self.claim, self.seq, self.kept, self.attempt = 0, 0, 0, 1
        self.requests: dict[str, int | None] = {}
        self.open: dict[str, OpenApproval] = {}
        self.over = False
        self._append({"type": "order", "run": "r", "uid": "u"})
        self._begin()

    def _append(self, record: dict[str, Any]) -> None:
        self.seq += 1
        self.kept += 1
        self.lines.append(encode_line({**record, "claim": self.claim, "seq": self.seq, "at": AT}))

    def _begin(self) -> None:
        self.claim, self.seq = self.claim + 1, 0
        self._append({"type": "claim", "worker": f"w{self.claim}", "after": self.kept})

    def play(self, event: str, key: str) -> None:
        """Let one thing happen, if it can."""
        if event == "claim":
            self._begin()
        elif event == "park":
            self._append({"type": "parked", "waits": [{"key": each, "kind": "signal"} for each in self.open], "inbox": 0})
            self._begin()
        elif event == "loser":
            self.lines.append(encode_line({"type": "claim", "worker": "late", "after": 0, "claim": self.claim, "seq": 1, "at": AT}))
        elif event == "cancel" and not self.over:
            self._append({"type": "canceling", "reason": "why"})
            self.over, self.open = True, {}
        elif event == "fail" and not self.over:
            self._append({"type": "body.failed", "attempt": self.attempt, "error": {"name": "E", "message": "m"}, "retry_at": AT})
            self.attempt, self.requests, self.open = self.attempt + 1, {}, {}
        elif event in ("ask", "wait", "step") and key not in self.requests and not self.over:
            self._request(event, key)
        elif event in ("answer", "expire") and key in self.requests and not self.over:
            self._settle(event, key)

    def _request(self, event: str, key: str) -> None:
        call: dict[str, Any] = {"kind": "step", "try": 1} if event == "step" else {"kind": "signal", "signal": f"signal-{key}"}
        if event == "ask":
            call |= {"approval": {"title": f"{key}?", "description": "why"} if key == "a" else {"title": f"{key}?"}}
            call |= {"until": "2026-11-23T00:00:00.000Z"} if key == "b" else {}
        self._append({"type": "requested", "key": key, "after": 0, **call})
        self.requests[key] = self.kept
        if event == "ask":
            until, description = (UNTIL if key == "b" else None), ("why" if key == "a" else "")
            self.open[key] = OpenApproval(key, f"signal-{key}", f"{key}?", description, self.kept, until, self.attempt)

    def _settle(self, event: str, key: str) -> None:
        if self.requests[key] is None:
            return
        self._append({"type": "completed", "key": key, **({"expired": True} if event == "expire" else {"value": 1, "inbox": 1})})
        self.requests[key] = None
        self.open.pop(key, None)


def approvals(lines: Sequence[bytes]) -> tuple[OpenApproval, ...]:
    history = fold(b"".join(lines))
    assert history is not None
    return seen(history, 0).approvals


@given(EVENTS)
def test_the_open_approvals_are_those_without_an_end(events: list[tuple[str, str]]) -> None:
    journal = Journal()

    for event, key in events:
        journal.play(event, key)

        assert approvals(journal.lines) == tuple(journal.open.values())


@given(EVENTS)
def test_a_journal_read_bit_by_bit_tells_the_same_as_the_whole(events: list[tuple[str, str]]) -> None:
    journal, reader = Journal(), Reader()
    for event, key in events:
        journal.play(event, key)

    for line in journal.lines:
        reader.feed(line)

    assert reader.history == fold(b"".join(journal.lines))


@given(EVENTS)
def test_no_two_approvals_of_a_run_have_one_number(events: list[tuple[str, str]]) -> None:
    journal = Journal()
    asked: dict[int, tuple[str, int]] = {}

    for event, key in events:
        journal.play(event, key)
        for approval in approvals(journal.lines):
            assert asked.setdefault(approval.seq, (approval.key, approval.attempt)) == (approval.key, approval.attempt)

    assert len(set(asked.values())) == len(asked)


@given(EVENTS)
def test_every_record_fits_the_schema_of_journals(events: list[tuple[str, str]]) -> None:
    schema = json.loads(asset("schemas", "journal.schema.json").read_text())
    journal = Journal()
    for event, key in events:
        journal.play(event, key)

    for line in journal.lines:
        jsonschema.validate(json.loads(line[9:]), schema)


def test_after_the_end_of_the_run_nothing_is_asked() -> None:
    journal = Journal()
    journal.play("ask", "a")
    asked = approvals(journal.lines)
    finished = {"type": "finished", "status": "completed", "output": None, "claim": 1, "seq": journal.seq + 1, "at": AT}

    assert [one.title for one in asked] == ["a?"]
    assert approvals([*journal.lines, encode_line(finished)]) == ()
