"""One call from start to end: count it, meet its faults, carry it out, answer, and wait for the hooks."""

from __future__ import annotations

import os
import sys

from .answer import Answer, FailedError
from .call import Call
from .control import Control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(folder: str, *, person: bool) -> int:
    """Carry out the command line of this process; what a person does meets no fault and is not logged."""
    control, argv = Control(folder), sys.argv[1:]
    settings = control.settings()
    if person:
        return _finish(perform(argv, settings, person=True))
    from .trouble import AnsweredError, Trouble

    number, faults = control.begin(argv)
    trouble = Trouble(faults, control, number, settings)
    try:
        trouble.before(argv, lambda command: play(command, settings))
        call = perform(argv, settings)
        trouble.after(call.answer)
    except AnsweredError as answered:
        call = Call(settings, answered.answer)
    code = _finish(call)
    control.end(number, code)
    return code


def perform(argv: list[str], settings: dict[str, Any], *, person: bool = False) -> Call:
    """Carry out one command line; nothing is printed yet."""
    call = Call(settings, Answer())
    try:
        if person and argv[:1] and argv[0].startswith("@"):
            from .stage import play

            play(call, argv)
        else:
            from .cli import run

            run(call, argv)
    except FailedError as failed:
        call.answer.err.append(failed.text)
        call.answer.exit = 1
    return call


def play(argv: list[str], settings: dict[str, Any]) -> None:
    """Do what a person does just before a call; `{tag:...}` in it is the newest card with that tag."""
    call = perform([_resolved(word, settings) for word in argv], settings, person=True)
    if call.opened is not None:
        call.opened.database.close()


def _resolved(word: str, settings: dict[str, Any]) -> str:
    if not word.startswith("{tag:"):
        return word
    store = Call(settings, Answer()).store
    tag = word.removeprefix("{tag:").removesuffix("}")
    found = store.database.rows("SELECT max(id) AS id FROM tasks WHERE instr(',' || tags || ',', :tag) > 0", tag=f",{tag},")
    store.database.close()
    return str(found[0]["id"] or 0)


def _finish(call: Call) -> int:
    """Print, close the database, then wait for the hooks, as the real program does."""
    _print(1, "".join(call.answer.out))
    _print(2, "".join(call.answer.err))
    if call.opened is not None:
        call.opened.database.close()
        if call.opened.happened:
            from .hooks import run

            run(call.opened.happened, call.clock)
    return call.answer.exit


def _print(descriptor: int, text: str) -> None:
    left = text.encode("utf-8", "surrogateescape")
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        return  # nobody reads it any more
