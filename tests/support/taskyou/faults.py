"""The faults that a board can have. Each may be limited to commands, and to the calls from the `first` such one on, `times` of them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

_ids = itertools.count(1)
When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble; calls are counted from the moment when it is set."""

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    commands: Sequence[str] = ()
    first: int = 1
    times: int | None = None
    id: int = field(default_factory=lambda: next(_ids))

    def on(self, *commands: str, first: int = 1, times: int | None = None) -> "Fault":
        """Limit it: `on("create", first=2, times=1)` is the second `create` only; without commands every call counts."""
        return replace(self, commands=commands, first=first, times=times)

    def told(self) -> dict[str, Any]:
        """Return it as the program reads it."""
        return {"kind": self.kind, "id": f"fault-{self.id}", "commands": list(self.commands), "first": self.first, "times": self.times, **self.values}


def slow(seconds: float, when: When = "before") -> Fault:
    """Take that long, then work."""
    return Fault("slow", {"seconds": seconds, "when": when})


def hanging(when: When = "before") -> Fault:
    """Never answer: the program and a child of it ignore SIGTERM; `Call.hanging` has both process ids."""
    return Fault("hanging", {"when": when})


def killed(when: When = "after") -> Fault:
    """Die by SIGKILL, before the effect or between the effect and the answer."""
    return Fault("killed", {"when": when})


def kill_caller(when: When) -> Fault:
    """Kill the process that made the call, before the effect or after it; the process of the tests itself is spared."""
    return Fault("kill_caller", {"when": when})


def wrong_program() -> Fault:
    """Be the type checker of the same name."""
    return Fault("wrong")


def locked(seconds: float) -> Fault:
    """Answer as if another process held the write lock: a write fails after that long, a read works after four fifths of it."""
    return Fault("locked", {"seconds": seconds})


def answers(out: str = "", err: str = "", exit: int = 0) -> Fault:
    """Answer this and do nothing."""
    return Fault("answer", {"out": out, "err": err, "exit": exit})


def garbage(out: str = "\x00\x01 panic: not JSON {{{\n") -> Fault:
    """Take effect, but print something else."""
    return Fault("garbage", {"out": out})


def ansi() -> Fault:
    """Print in colours, whatever was asked for."""
    return Fault("ansi")


def update_notice() -> Fault:
    """Take effect, answer, and tell of a newer version on standard error."""
    return Fault("notice")


def flood(size: int) -> Fault:
    """Take effect, answer, and print that much more."""
    return Fault("flood", {"size": size})


def old_version() -> Fault:
    """Be a version without `list --tag`, `trash`, `restore` and `plugins`, where `complete` is `close`."""
    return Fault("setting", {"name": "old", "value": True})


def unknown_project(*names: str) -> Fault:
    """Know none of these projects on `create`, or none at all."""
    return Fault("setting", {"name": "unknown_projects", "value": list(names) or ["*"]})


def slow_update(seconds: float) -> Fault:
    """Let `update` wait between the reading and the writing of a row."""
    return Fault("setting", {"name": "update_delay", "value": seconds})


def person_during_update(*commands: Sequence[str]) -> Fault:
    """Let a person do this between the reading and the writing of a row, which `update` then undoes where both changed it."""
    return Fault("setting", {"name": "during_update", "value": [list(command) for command in commands]})


def person(*commands: Sequence[str]) -> Fault:
    """Let a person do this just before the call; `{tag:owf-...}` stands for the newest card with that tag, and without one nothing happens."""
    return Fault("person", {"does": [list(command) for command in commands]})
