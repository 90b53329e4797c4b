"""Faults on demand: what happens before a call takes effect, and what happens between its effect and its answer."""

from __future__ import annotations

import os
import time

from .answer import Answer
from .control import Control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SIGKILL = 9  # `signal` imports `enum`, which takes longer than the rest
_WRITES = {
    "create": "insert task",
    "update": "update task",
    "status": "update task status",
    "close": "update task status",
    "complete": "update task status",
    "pin": "update task pinned",
    "block": "add dependency: begin",
    "unblock": "remove dependency",
    "delete": "soft-delete task",
    "restore": "restore task",
    "move": "delete task",
}


class AnsweredError(Exception):
    """The fault itself is the answer; the command is not carried out."""

    def __init__(self, *, out: str = "", err: str = "", code: int = 1) -> None:
        super().__init__(out)
        self.answer = Answer()
        self.answer.out, self.answer.err, self.answer.exit = [out], [err], code


class Trouble:
    """The faults that concern one call."""

    def __init__(self, faults: list[dict[str, Any]], control: Control, number: int, settings: dict[str, Any]) -> None:
        self._faults, self._control, self._number, self._settings = faults, control, number, settings

    def before(self, argv: list[str], play: Callable[[list[str]], None]) -> None:
        """Do what comes before the effect; `play` carries out what a person does meanwhile."""
        for fault in self._faults:
            match fault["kind"]:
                case "person":
                    for command in fault["does"]:
                        play(command)
                case "setting":
                    self._settings[fault["name"]] = fault["value"]
                case "locked":
                    _locked(argv, fault["seconds"])
                case "wrong":
                    from .lookalike import answer

                    raise AnsweredError(**answer(argv))
                case "answer":
                    raise AnsweredError(out=fault["out"], err=fault["err"], code=fault["exit"])
                case kind if fault.get("when") == "before":
                    self._strike(kind, fault)

    def after(self, answer: Answer) -> None:
        """Do what comes after the effect, before anything is printed."""
        for fault in self._faults:
            match fault["kind"]:
                case "garbage":
                    answer.out = [fault["out"]]
                case "ansi":
                    answer.out = [f"\x1b[38;5;42m{text.removesuffix(chr(10))}\x1b[0m\n" for text in answer.out]
                case "notice":
                    answer.err.append("A new version of ty is available: 0.3.24 -> 0.4.0. Run 'ty upgrade' to install it.\n")
                case "flood":
                    answer.out.append("x" * fault["size"])
                case kind if fault.get("when") == "after":
                    self._strike(kind, fault)

    def _strike(self, kind: str, fault: dict[str, Any]) -> None:
        match kind:
            case "slow":
                time.sleep(fault["seconds"])
            case "killed":
                os.kill(os.getpid(), _SIGKILL)
            case "hanging":
                self._hang()
            case "kill_caller":
                self._kill_caller()

    def _hang(self) -> None:
        """Ignore every polite request, with a grandchild that does the same and holds the pipes open."""
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        grandchild = os.fork()
        if grandchild:
            self._control.log({"call": self._number, "hanging": [os.getpid(), grandchild]})
        while True:
            time.sleep(3600)

    def _kill_caller(self) -> None:
        caller = os.getppid()
        if caller in self._settings.get("protected", ()):
            raise AnsweredError(err="the caller is the test itself; it is not killed\n", code=99)
        os.kill(caller, _SIGKILL)
        self._control.end(self._number, 99)
        os._exit(99)


def _locked(argv: list[str], seconds: float) -> None:
    """Wait as the real program does for a lock, four fifths of it while opening; then a write fails, and a read goes on."""
    time.sleep(seconds * 0.8)
    write = _WRITES.get(argv[0] if argv else "")
    if write:
        time.sleep(seconds * 0.2)
        raise AnsweredError(err=f"Error: {write}: database is locked (5) (SQLITE_BUSY)\n")
