"""The cases of the suite, as their YAML tells them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
FRONTS = ("node", "threads", "asyncio")
KEYS = {"name", "ids", "node", "python", "asyncio", "then", "input", "settings", "worker", "order", "alone", "do", "journal", "effects", "fronts"}


@dataclass(frozen=True)
class Case:
    """One behaviour: code for every front, what the test does meanwhile, and the journal that must come of it."""

    name: str
    topic: str
    code: Mapping[str, str]
    then: Mapping[str, str]
    journal: Sequence[Any]  # or `same`: what comes of it is too long to list, but the same in all fronts
    ids: Sequence[str] = ()
    input: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    do: Sequence[Any] = ()
    effects: Sequence[str] | None = None
    fronts: Sequence[str] = FRONTS

    @property
    def slug(self) -> str:
        """The name as an identifier: that of its run and of its module."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")

    @property
    def hosted(self) -> bool:
        """Whether its runs may share a worker with others: nothing happens to the worker, and it does not park."""
        plain = all(isinstance(action, Mapping) and set(action) <= {"release", "until", "send"} for action in self.do)
        parks = any(isinstance(entry, Mapping) and "parked" in entry for entry in self.journal)
        return plain and not (self.alone or self.worker or self.then or parks)


def load_cases() -> list[Case]:
    """Return all cases, in the order of the files and in the files."""
    return [_case(path.stem, each) for path in sorted((HERE / "cases").glob("*.yaml")) for each in yaml.load(path.read_text(), yaml.CSafeLoader)]


def _case(topic: str, given: Mapping[str, Any]) -> Case:
    if unknown := set(given) - KEYS:
        message = f"{topic}.yaml: {given.get('name')!r} has unknown members: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    more = {key: value for key, value in given.items() if key not in ("node", "python", "asyncio", "then")}
    case = Case(topic=topic, code=_code(given), then=_code(given.get("then", {})), **more)
    if len(case.slug) > 100:
        message = f"{topic}.yaml: the name is longer than a file's name should be: {case.name}"
        raise ValueError(message)
    return case


def _code(given: Mapping[str, Any]) -> dict[str, str]:
    """Return code by front; `asyncio` may be left out, where it differs by `async` and `await` only."""
    texts = {"node": given.get("node"), "threads": given.get("python"), "asyncio": given.get("asyncio")}
    return {front: text for front, text in texts.items() if text is not None}
