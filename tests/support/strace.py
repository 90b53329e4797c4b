"""System calls of real processes: recorded, or made to fail."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_STRACE = shutil.which("strace")
_CHANGES = (
    "openat,open,creat,write,pwrite64,writev,fdatasync,fsync,syncfs,sync,rename,renameat,renameat2,mkdir,mkdirat,"
    "unlink,unlinkat,rmdir,ftruncate,truncate,symlink,symlinkat,link,linkat"
)
_RECORDING = ["-y", "-xx", "-s", "33554432", "-e", f"trace={_CHANGES}"]
_LINE = re.compile(r"^(\d+) +(.*)$")
_WHOLE = re.compile(r"^(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FOLDER = re.compile(r"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>")


def strace() -> str:
    """Return the program. Skips the test where it is missing; in CI that is a failure."""
    if _STRACE is None:
        if os.environ.get("CI"):
            pytest.fail("strace is not installed, and CI must not do without it")
        pytest.skip("strace is not installed")
    return _STRACE


def failing(call: str, error: str, number: int, path: str = "", into: Path | None = None) -> list[str]:
    """Return the start of a command whose call number `number` (of each thread) fails, if it is about `path`. What it changes is recorded `into` a file."""
    return _injecting(call, f"error={error}:when={number}", path, into)


def delayed(call: str, microseconds: int, path: str) -> list[str]:
    """Return the start of a command whose first call about `path` is held up before it is carried out."""
    return _injecting(call, f"delay_enter={microseconds}:when=1", path)


def _injecting(call: str, what: str, path: str, into: Path | None = None) -> list[str]:
    only = ["-P", path] if path else []
    log = ["-o", "/dev/null", "-e", f"trace={call}"] if into is None else ["-o", str(into), *_RECORDING]
    return [strace(), "-f", "--seccomp-bpf", "-q", "-e", "signal=none", *only, *log, "-e", f"inject={call}:{what}"]


def recorded(log: Path) -> list["Event"]:
    """Return what was recorded into a file."""
    return list(_events(log.read_text()))


@dataclass(frozen=True)
class Event:
    """One call that succeeded: when it began, and when it had ended (positions in the record), and what it was about."""

    begun: int
    ended: int
    name: str
    paths: tuple[str, ...]
    data: bytes
    flags: str


def record(command: Sequence[str], into: Path, *, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 120) -> list[Event]:
    """Carry a command out with everything that it starts, and return what it changed. Raises AssertionError if it fails."""
    argv = [
        strace(),
        "-f",
        "--seccomp-bpf",
        "-q",
        "-y",
        "-xx",
        "-s",
        "33554432",
        "-e",
        "signal=none",
        "-e",
        f"trace={_CHANGES}",
        "-o",
        str(into),
        *command,
    ]
    done = subprocess.run(argv, cwd=cwd, env=None if env is None else {**os.environ, **env}, capture_output=True, check=False, timeout=timeout)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout.decode()[-2000:]}{done.stderr.decode()[-4000:]}"
    return recorded(into)


def _events(text: str) -> Iterator[Event]:
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, rest = match.groups()
        start = number
        if rest.endswith("<unfinished ...>"):
            begun[thread] = (number, rest.removesuffix("<unfinished ...>").rstrip())
            continue
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            start, head = begun.pop(thread)
            rest = head + resumed[2]
        whole = _WHOLE.match(rest)
        if whole is not None and int(whole[3]) >= 0:
            yield _event(start, number, whole[1], whole[2], int(whole[3]))


def _event(start: int, end: int, name: str, arguments: str, result: int) -> Event:
    texts = [_plain(found) for found in _TEXT.findall(arguments)]
    folders = [_plain(found).decode() for found in _FOLDER.findall(arguments)]
    flags = _TEXT.sub("", _FOLDER.sub("", arguments))
    if name in ("write", "pwrite64", "writev"):
        data = b"".join(texts)[:result]
        return Event(start, end, name, tuple(folders[:1]), data, flags)
    if name in ("fdatasync", "fsync", "syncfs", "ftruncate"):
        return Event(start, end, name, tuple(folders[:1]), b"", flags)
    if name in ("symlink", "symlinkat"):
        return Event(start, end, "symlink", (os.path.join(*folders[:1], texts[1].decode()),), texts[0], flags)
    at = folders if name.endswith(("at", "at2")) else []
    paths = [os.path.normpath(os.path.join(*at[place : place + 1], text.decode())) for place, text in enumerate(texts)]
    return Event(start, end, name, tuple(paths), b"", flags)


def _plain(escaped: str) -> bytes:
    return bytes.fromhex(_ESCAPE.sub(r"\1", escaped))
