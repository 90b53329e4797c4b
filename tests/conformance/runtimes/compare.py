"""Journals against what a case expects, and against each other: times and ids masked, everything else as it is."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

ANY = "*"
MASKED = {"type", "claim", "seq", "at", "worker", "boot", "stack"}
INSTANTS = {"until", "retry_at"}
TOLERANCE_MS = 2000
Shape = tuple[str, dict[str, Any]]


def shapes(records: Sequence[Mapping[str, Any]]) -> list[Shape]:
    """Return what is compared of a journal: type and fields of every record after the order; instants as ms from the record's own."""
    return [(record["type"], _fields(record)) for record in records[1:]]


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: _unmasked(value) for key, value in record.items() if key not in MASKED}
    if record["type"] == "claim":
        fields.pop("after", None)  # checked by the reader
    if fields.get("inbox") == 0:
        del fields["inbox"]  # no message was read: the same as absent
    for key in INSTANTS & fields.keys():
        fields[key] = round((_instant(fields[key]) - _instant(record["at"])) * 1000)
    return fields


def _unmasked(value: Any) -> Any:
    if isinstance(value, Mapping) and {"name", "message"} <= value.keys():
        return {key: _unmasked(each) for key, each in value.items() if key != "stack"}
    return value


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def expected(case_journal: Sequence[Any] | str) -> list[Shape] | None:
    """Return the records that a case lists, `type` or `type: {field: value}`; None where it says `same`."""
    if case_journal == "same":
        return None
    return [(entry, {}) if isinstance(entry, str) else next((kind, dict(fields or {})) for kind, fields in entry.items()) for entry in case_journal]


def difference(found: Sequence[Shape], wanted: Sequence[Shape] | None, front: str) -> str | None:
    """Return where a journal first differs from what is wanted of it in this front."""
    if wanted is None:
        return None if found[-1][0] == "finished" else "the run has not ended"
    for number, (got, want) in enumerate(zip(found, wanted, strict=False), 1):
        if got[0] != want[0]:
            return f"record {number} is {got[0]} {got[1]}, wanted {want[0]} {want[1]}"
        for key in sorted(got[1].keys() | want[1].keys()):
            if key not in got[1] or key not in want[1] or not _fits(got[1][key], want[1][key], key, front):
                return f"record {number}, {got[0]}: {key} is {got[1].get(key, 'absent')!r}, wanted {want[1].get(key, 'absent')!r}"
    if len(found) == len(wanted):
        return None
    more, rest = ("more", found[len(wanted)]) if len(found) > len(wanted) else ("fewer", wanted[len(found)])
    return f"{len(found)} records, {more} than the {len(wanted)} wanted; the first of them: {rest}"


def _fits(got: Any, want: Any, key: str, front: str) -> bool:
    want = _of_front(want, front)
    if want == ANY:
        return True
    if key in INSTANTS:
        return isinstance(want, int) and abs(got - want) <= TOLERANCE_MS
    if isinstance(want, Mapping):
        return isinstance(got, Mapping) and got.keys() == want.keys() and all(_fits(got[each], want[each], each, front) for each in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(_fits(one, other, "", front) for one, other in zip(got, want, strict=True))
    if key == "message" and isinstance(got, str) and isinstance(want, str):
        return neutral(got) == neutral(want)
    return isinstance(got, bool) == isinstance(want, bool) and bool(got == want)


def _of_front(want: Any, front: str) -> Any:
    """Return what is wanted in one front, where the languages differ: `{node: ..., python: ...}`."""
    if isinstance(want, Mapping) and want.keys() == {"node", "python"}:
        return want["node" if front == "node" else "python"]
    return want


def neutral(message: str) -> str:
    """Return a message as both languages have it: snake case as camel case, without `ctx.`, one kind of quotes, null."""
    text = re.sub(r"\bctx\.", "", message).replace("'", '"')
    text = re.sub(r"\b(None|undefined)\b", "null", text)
    text = re.sub(r"^(\w+)\([^)]*\): ", r"\1(): ", text)  # signatures are those of the language
    return re.sub(r"(?<=[a-z])_([a-z])", lambda match: match[1].upper(), text)


def disagreement(one: Sequence[Shape], other: Sequence[Shape], wanted: Sequence[Shape] | None) -> str | None:
    """Return the first text that two fronts word differently where the case leaves the words open, or the first difference where it lists nothing."""
    if wanted is None:
        return difference(one, other, "node")
    for number, (got, also, want) in enumerate(zip(one, other, wanted, strict=False), 1):
        if want[1].get("message") == ANY and neutral(got[1].get("message", "")) != neutral(also[1].get("message", "")):
            return f"record {number}, {got[0]}: {got[1].get('message')!r} and {also[1].get('message')!r}"
        errors = got[1].get("error") or {}, also[1].get("error") or {}
        if (want[1].get("error") or {}).get("message") == ANY and neutral(errors[0].get("message", "")) != neutral(errors[1].get("message", "")):
            return f"record {number}, {got[0]}: {errors[0].get('message')!r} and {errors[1].get('message')!r}"
    return None
