"""YAML as we read it: strings stay strings, and what could be read in two ways is an error.

Only `true`, `false`, `null`, nothing at all and JSON numbers are anything else than text. The parser of libyaml is asked for
events and never for a tree: its own tree is built by recursion, and a few kilobytes of brackets would end the process.
"""

import re
from collections.abc import Iterator
from typing import Any

from reconciler.digest import Json
from reconciler.suggest import pointer_of
from reconciler.values import frozen, made, mutable

DEEPEST = 100
MOST_VALUES = 50_000
_MOST_DIRECTIVES = 100
_BIGGEST = 2**53
_INTEGER_DIGITS = 17

_CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None, "": None}
_NUMBER_STARTS = frozenset("-0123456789")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


class YamlError(Exception):
    """The text cannot be read at all; line and column count from 1."""

    def __init__(self, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.message, self.hint = line, column, message, hint


@frozen
class Remark:
    """Something in the text that we do not take; the rest of the text is still read."""

    line: int
    column: int
    pointer: str
    message: str
    hint: str = ""


@mutable
class Positions:
    """Where things are, by JSON pointer: values, and the keys in front of them."""

    values: dict[str, tuple[int, int]] = made(default_factory=dict)
    keys: dict[str, tuple[int, int]] = made(default_factory=dict)

    def at(self, pointer: str, *, key: bool) -> tuple[int, int] | None:
        """Return line and column of a value or its key, or of the nearest thing around it."""
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        while True:
            place = first.get(pointer) or second.get(pointer)
            if place is not None or not pointer:
                return place
            pointer = pointer.rpartition("/")[0]


@mutable
class Document:
    """One document: where it begins, what it says, and what is wrong with how it says it."""

    line: int
    value: Json
    remarks: list[Remark]
    positions: Positions | None = None


def read_documents(data: bytes, *, positions: bool = False) -> list[Document]:
    """Read every document of a file. Raises YamlError."""
    _check_bytes(data)
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(iter(loader(data).get_event, None), yaml, positions=positions)
    try:
        return list(reader.documents())
    except yaml.YAMLError as error:
        raise _explained(error, data) from error


def write_document(value: Json) -> str:
    """Write a value as YAML that `read_documents` reads back as it was, readable for a person."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
            return True

    def text(dumper: Any, data: str) -> Any:
        misread = data in _CONSTANTS or _NUMBER.fullmatch(data) is not None or not data.replace("\n", "").isprintable()
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style='"' if misread else "|" if "\n" in data else None)

    Dumper.add_representer(str, text)
    written: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return written


class _Reader:
    """Builds values from events, and stops before anything gets too deep or too many."""

    def __init__(self, events: Iterator[Any], yaml: Any, *, positions: bool) -> None:
        self._events = events
        self._start, self._alias_kind, self._scalar_kind = yaml.DocumentStartEvent, yaml.AliasEvent, yaml.ScalarEvent
        self._mapping_start, self._mapping_end, self._sequence_end = yaml.MappingStartEvent, yaml.MappingEndEvent, yaml.SequenceEndEvent
        self._with_positions = positions
        self._positions: Positions | None = None
        self._anchors: dict[str, tuple[Json, int, int]] = {}
        self._remarks: list[Remark] = []
        self._path: list[Any] = []
        self._count = 0
        self._depth = 0
        self._deepest = 0

    def documents(self) -> Iterator[Document]:
        for event in self._events:
            if type(event) is not self._start:
                continue
            self._anchors, self._remarks, self._path = {}, [], []
            self._positions = Positions() if self._with_positions else None
            first = next(self._events)
            value = self._node(first)
            yield Document(first.start_mark.line + 1, value, self._remarks, self._positions)

    def _node(self, event: Any) -> Json:
        if self._positions is not None:
            self._positions.values[pointer_of(self._path)] = (event.start_mark.line + 1, event.start_mark.column + 1)
        self._take(event, 1)
        kind = type(event)
        if kind is self._scalar_kind and event.anchor is None and event.tag is None:
            return self._scalar(event) if event.implicit[0] else event.value
        if kind is self._alias_kind:
            return self._alias(event)
        if event.tag is not None:
            self._remark(event, f"the tag {event.tag!r} is not read", "write the value without a tag; quotes make it a string")
        if event.anchor is None:
            return self._unmarked(event)
        before, self._deepest, count = self._deepest, self._depth, self._count
        value = self._unmarked(event)
        self._anchors[event.anchor] = (value, self._count - count + 1, self._deepest - self._depth)
        self._deepest = max(before, self._deepest)
        return value

    def _unmarked(self, event: Any) -> Json:
        """Return the value of an event, whatever anchor or tag it has."""
        if type(event) is self._scalar_kind:
            return self._scalar(event) if event.implicit[0] else event.value
        self._depth += 1
        self._check_depth(event, 0)
        self._path.append(None)
        value: Json = self._mapping() if type(event) is self._mapping_start else self._sequence()
        self._path.pop()
        self._depth -= 1
        return value

    def _take(self, event: Any, values: int) -> None:
        self._count += values
        if self._count > MOST_VALUES:
            message = f"more than {MOST_VALUES:,} values in one file"
            raise YamlError(event.start_mark.line + 1, event.start_mark.column + 1, message, "put a large input into a file of its own: inputFile")

    def _check_depth(self, event: Any, more: int) -> None:
        self._deepest = max(self._deepest, self._depth + more)
        if self._depth + more > DEEPEST:
            raise YamlError(event.start_mark.line + 1, event.start_mark.column + 1, f"nested more than {DEEPEST} levels deep")

    def _sequence(self) -> list[Json]:
        values: list[Json] = []
        while type(event := next(self._events)) is not self._sequence_end:
            self._path[-1] = len(values)
            values.append(self._node(event))
        return values

    def _mapping(self) -> dict[str, Json]:
        values: dict[str, Json] = {}
        while type(event := next(self._events)) is not self._mapping_end:
            key = self._key(event)
            self._path[-1] = key if key is not None else "?"
            if self._positions is not None and key is not None and key not in values:
                self._positions.keys[pointer_of(self._path)] = (event.start_mark.line + 1, event.start_mark.column + 1)
            if key is not None and key in values:
                self._remark(event, f"the key {key!r} is there twice")
                kept, self._positions = self._positions, None
                self._node(next(self._events))
                self._positions = kept
            elif key is None:
                self._node(next(self._events))
            else:
                values[key] = self._node(next(self._events))
        return values

    def _key(self, event: Any) -> str | None:
        """Return the key, or None for one that is no string."""
        if type(event) is not self._scalar_kind:
            self._path[-1] = "?"
            self._remark(event, "a key must be plain text")
            kept, self._positions = self._positions, None
            self._node(event)
            self._positions = kept
            return None
        self._count += 1
        text: str = event.value
        self._path[-1] = text
        if event.tag is not None:
            self._remark(event, f"the tag {event.tag!r} is not read", "write the key without a tag")
        if event.anchor is not None:
            self._remark(event, "a key cannot have an anchor")
        if not event.implicit[0]:
            return text
        if text == "<<":
            self._remark(event, "merge keys are not read", "write the fields out")
            return None
        if not isinstance(self._scalar(event), str):
            self._remark(event, f"the key {text!r} is not a string", f'write "{text}" in quotes')
            return None
        return text

    def _alias(self, event: Any) -> Json:
        if event.anchor not in self._anchors:
            self._remark(event, f"the alias *{event.anchor} stands for nothing that is complete here")
            return None
        value, size, height = self._anchors[event.anchor]
        self._take(event, size)
        self._check_depth(event, height)
        return value

    def _scalar(self, event: Any) -> Json:
        text: str = event.value
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text[0] not in _NUMBER_STARTS or (found := _NUMBER.fullmatch(text)) is None:
            return text
        if found[1] is None and found[2] is None:
            number: float = int(text) if len(text) <= _INTEGER_DIGITS else _BIGGEST
        else:
            number = float(text) + 0.0  # -0.0 is 0.0
        if -_BIGGEST < number < _BIGGEST or (isinstance(number, float) and abs(number) != float("inf")):
            return number
        self._remark(event, f"the number {text[:40]} does not fit in a JSON number", "write it in quotes")
        return 0

    def _remark(self, event: Any, message: str, hint: str = "") -> None:
        self._remarks.append(Remark(event.start_mark.line + 1, event.start_mark.column + 1, pointer_of(self._path), message, hint))


def _check_bytes(data: bytes) -> None:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            raise YamlError(1, 1, f"is {name}", "save the file as UTF-8")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[start : error.start].decode("utf-8", "replace")) + 1
        raise YamlError(
            data.count(b"\n", 0, error.start) + 1, column, f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8"
        ) from error
    if data.count(b"\n%") > _MOST_DIRECTIVES:
        raise YamlError(1, 1, f"more than {_MOST_DIRECTIVES} lines begin with '%'")


def _explained(error: Exception, data: bytes) -> YamlError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        problem = str(getattr(error, "problem", None) or getattr(error, "context", None) or error)
        return YamlError(mark.line + 1, mark.column + 1, f"not YAML: {problem}", _hint(problem, data, mark))
    position = getattr(error, "position", None)
    if isinstance(position, int):
        text = data.decode("utf-8", "replace")
        before = data[:position].decode("utf-8", "replace") if getattr(error, "encoding", "") == "utf-8" else text[:position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return YamlError(line, column, "not YAML: a control character", "remove it, or write it as \\x.. in double quotes")
    return YamlError(1, 1, f"not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def _hint(problem: str, data: bytes, mark: Any) -> str:
    line = next(iter(data.split(b"\n")[mark.line : mark.line + 1]), b"").decode("utf-8", "replace")
    found = line[mark.column : mark.column + 1]
    if found == "\t" or "tab" in problem:
        return "indent with spaces, not with tabs"
    if found and found in "@`%":
        return f"text that begins with {found} needs quotes"
    if "mapping values are not allowed" in problem:
        return "text with ': ' in it needs quotes"
    if "expected <block end>" in problem:
        return "look at the indentation of this line and the one before"
    return ""
