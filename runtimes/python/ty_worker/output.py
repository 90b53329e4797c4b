"""Where user code prints to: the output.log of its run, and how that file is kept from growing for ever."""

from __future__ import annotations

import os
import stat
import sys
from _contextvars import ContextVar
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

_MOST = 64 << 20
_KEPT = 48 << 20
_LONGEST_LINE = 8192
_open, _close, _write = os.open, os.close, os.write


class Output:
    """The output.log of a run."""

    def __init__(self, path: str, fd: int = -1) -> None:
        """With `fd` the file is open already, else it is opened when something is printed."""
        self._path, self._fd, self._own = path, fd, fd < 0
        self._partial: dict[int, str] = {}  # by thread: lines that have not ended

    def write(self, text: str) -> None:
        """Append what was printed, line by line, as several threads do it at a time."""
        thread = get_ident()
        text = self._partial.pop(thread, "") + text
        end = len(text) if len(text) > _LONGEST_LINE else text.rfind("\n") + 1
        if end < len(text):
            self._partial[thread] = text[end:]
        if end:
            self._append(text[:end])

    def flush(self) -> None:
        """Append what this thread has printed without the end of a line."""
        text = self._partial.pop(get_ident(), "")
        if text:
            self._append(text)

    def _append(self, text: str) -> None:
        """Write to the file. What finds no room is lost: output is no reason for a run to fail."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            if self._fd < 0:
                self._fd = _open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _write(self._fd, data)
        except OSError:
            return

    def trim(self) -> None:
        """Drop the oldest part of a file that has become too large."""
        try:
            if self._fd >= 0:
                self._keep_newest(os.fstat(self._fd))
        except OSError:
            return

    def _keep_newest(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode) or status.st_size <= _MOST:
            return
        reader = _open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(reader, _KEPT, status.st_size - _KEPT)
        finally:
            _close(reader)
        os.ftruncate(self._fd, 0)
        _write(self._fd, data[data.find(b"\n") + 1 :])

    def close(self) -> None:
        """Let the file go."""
        if self._partial:
            self._append("".join(self._partial.values()))
            self._partial.clear()
        if self._own and self._fd >= 0:
            _close(self._fd)
        self._fd = -1


current: ContextVar[Output | None] = ContextVar("current", default=None)


class _Attributed:
    """Stands in for `sys.stdout` or `sys.stderr`: text goes to the run that prints it, the rest to the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Print `text`."""
        output = current.get()
        if output is None:
            return self._stream.write(text)
        output.write(text)
        return len(text)

    def flush(self) -> None:
        """Print what is still in a buffer."""
        output = current.get()
        if output is None:
            self._stream.flush()
        else:
            output.flush()

    def writelines(self, lines: Any) -> None:
        """Print several texts."""
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare(*, attributed: bool) -> None:
    """Let what is printed appear line by line; with `attributed`, in the output.log of the run that prints it."""
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            continue
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        if attributed:
            setattr(sys, name, _Attributed(stream))


def flush() -> None:
    """Print what is still in buffers."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112 - the stream may be anything by now
            continue


def report(text: str) -> None:
    """Print a line of our own to the worker's log."""
    try:
        _write(2, f"{text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return
