"""The folder by which a test steers the program: settings and faults to read, a log of calls to write."""

from __future__ import annotations

import fcntl
import os
import sys
import time

from .gojson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RECORDED = ("HOME", "NO_COLOR", "PATH", "TY_OPENWORKFLOW_SYNC", "WORKTREE_DB_PATH", "WORKTREE_TASK_ID", "XDG_CONFIG_HOME")


class Control:
    """Everything is read anew by every call, so that a long-living caller sees what changes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def settings(self) -> dict[str, Any]:
        """Return what the test has set."""
        read: dict[str, Any] = self._read("settings", {})
        return read

    def begin(self, argv: list[str]) -> tuple[int, list[dict[str, Any]]]:
        """Count this call and log it; return its number and the faults that concern it."""
        with open(f"{self._folder}/lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            counts: dict[str, int] = self._read("counts", {})
            number = counts["calls"] = counts.get("calls", 0) + 1
            meant = []
            for fault in self._read("faults", []):
                if not fault["commands"] or any(argv[: len(words)] == words for words in (command.split() for command in fault["commands"])):
                    seen = counts[fault["id"]] = counts.get(fault["id"], 0) + 1
                    if seen >= fault["first"] and (fault["times"] is None or seen < fault["first"] + fault["times"]):
                        meant.append(fault)
            self._write("counts", counts)
            self.log(_started(number, argv, self.settings().get("record", ())))
        return number, meant

    def end(self, number: int, code: int) -> None:
        """Log how a call ended."""
        self.log({"call": number, "exit": code, "at": time.time()})

    def log(self, record: dict[str, object]) -> None:
        """Append one line, in one write."""
        line = (dumps(record) + "\n").encode()
        descriptor = os.open(f"{self._folder}/calls.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line)
        os.close(descriptor)

    def _read(self, name: str, default: Any) -> Any:
        try:
            with open(f"{self._folder}/{name}", encoding="utf-8", errors="surrogateescape") as file:
                return eval(file.read(), {"__builtins__": {}})  # written by the test, as `repr` writes it; `json` and `ast` are slow to import
        except FileNotFoundError:
            return default

    def _write(self, name: str, value: object) -> None:
        with open(f"{self._folder}/{name}.new", "w", encoding="utf-8") as file:
            file.write(repr(value))
        os.replace(f"{self._folder}/{name}.new", f"{self._folder}/{name}")


def _started(number: int, argv: list[str], more: tuple[str, ...]) -> dict[str, object]:
    return {
        "call": number,
        "argv": argv,
        "env": {name: os.environ[name] for name in (*_RECORDED, *more) if name in os.environ},
        "names": sorted(os.environ),
        "cwd": os.getcwd(),
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgrp(),
        "stdin": os.readlink("/proc/self/fd/0") if sys.platform == "linux" else "",
        "at": time.time(),
    }
