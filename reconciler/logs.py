"""What a long-running loop writes while nobody looks: one line for each thing that happened, as text or as a line of JSON."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import IO, Any

from reconciler.clock import Clock
from reconciler.errors import UsageError
from reconciler.instants import stamp

INFO, WARNING, ERROR = "info", "warning", "error"
FORMS = ("text", "json")
FIELDS = ("object", "action", "reason", "message", "revision", "duration_ms")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = re.compile(r"[^\s\"=]+")
_MASK = "***"
_LONGEST = 2000


class Log:
    """A log on a stream. A line is written whole or not at all; a stream that cannot be written to any more stops nobody."""

    def __init__(self, stream: IO[str], clock: Clock, form: str = "text", secrets: Iterable[str] = ()) -> None:
        """`secrets` are values that are masked wherever they turn up. Raises UsageError for a form that is not known."""
        if form not in FORMS:
            message = f"logs as {form}: choose one of {', '.join(FORMS)}"
            raise UsageError(message)
        self._stream, self._clock, self._form = stream, clock, form
        self._secrets = tuple(sorted({secret for secret in secrets if secret}, key=len, reverse=True))

    def info(self, message: str, **facts: Any) -> None:
        """Write that we have changed something."""
        self._write(INFO, message, facts)

    def warning(self, message: str, **facts: Any) -> None:
        """Write that something did not work and is tried again."""
        self._write(WARNING, message, facts)

    def error(self, message: str, **facts: Any) -> None:
        """Write that a person must act."""
        self._write(ERROR, message, facts)

    def _write(self, level: str, message: str, facts: Mapping[str, Any]) -> None:
        known = {name: facts[name] for name in FIELDS if facts.get(name) not in (None, "") and name != "message"}
        more = {name: value for name, value in facts.items() if name not in FIELDS and value not in (None, "")}
        line = {"time": stamp(self._clock.now()), "level": level, **known, "message": message, **more}
        safe = {name: self._safe(value) for name, value in line.items()}
        if self._form == "text":  # what is to be pasted stays as it is, below its line
            safe["message"] = "\n    ".join(self._safe(part) for part in message.split("\n"))
        text = json.dumps(safe, ensure_ascii=False) if self._form == "json" else _text(safe)
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a full disk, a pipe nobody reads, a closed file: the work goes on
            return

    def _safe(self, value: Any) -> Any:
        """Return a value without secrets and without characters that a terminal would obey."""
        if isinstance(value, bool | int | float) or value is None:
            return value
        if isinstance(value, datetime):
            return stamp(value)
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        text = _UNSAFE.sub(lambda found: "\\n" if found[0] == "\n" else f"\\x{ord(found[0]):02x}", text)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(line: Mapping[str, Any]) -> str:
    """Write a line for people, in the order in which they read: when, how bad, what about, what happened, then the other facts."""
    about = f"{line['object']}: " if "object" in line else ""
    rest = [f"{name}={_quoted(value)}" for name, value in line.items() if name not in ("time", "level", "object", "message")]
    return "  ".join([str(line["time"]), str(line["level"]).ljust(7), f"{about}{line['message']}", *([" ".join(rest)] if rest else [])])


def _quoted(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
