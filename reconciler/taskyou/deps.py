"""Reads `ty deps`, which prints text only, and titles as they are: a title may look like further lines of it."""

import re
from collections.abc import Mapping

from reconciler.taskyou.tasks import Dependencies, Task

_ENTRY = r"(?m)^  #(\d+): "
_STATUS = r" \[([a-z]+)\]\n?"
_WAITS, _HOLDS = "Blocked by:\n", "Blocks:\n"


def named_in(text: str) -> list[int]:
    """Return the tasks that the text may be about, beside its own: all those that it is about, and maybe some that a title names."""
    return list(dict.fromkeys(int(found[1]) for found in re.finditer(_ENTRY, text)))


def read(text: str, own: Task, others: Mapping[int, Task]) -> Dependencies | None:
    """Return the dependencies of a task, given it and those that are named. None when the text does not fit their titles."""
    head = f"Task #{own.id}: {own.title}\n"
    if not text.startswith(head):
        return None
    found: dict[str, dict[int, str]] = {_WAITS: {}, _HOLDS: {}}
    section, at = "", len(head)
    while at < len(text):
        entry = re.compile(_ENTRY).match(text, at) if section else None
        if entry is not None:
            number = int(entry[1])
            title = others[number].title if number in others else None
            if title is None or not text.startswith(title, entry.end()):
                return None
            status = re.compile(_STATUS).match(text, entry.end() + len(title))
            if status is None:
                return None
            found[section][number] = status[1]
            at = status.end()
            continue
        heading = next((name for name in found if text.startswith(name, at)), None)
        if heading is None and text[at] != "\n":
            return None
        section, at = (heading, at + len(heading)) if heading is not None else (section, at + 1)
    return Dependencies(found[_WAITS], found[_HOLDS])


def at_most(others: Mapping[int, Task]) -> Dependencies:
    """Return what may be so at most, for a text that cannot be understood: every task that it names, on both sides."""
    statuses = {number: task.status for number, task in others.items()}
    return Dependencies(statuses, statuses)
