"""One process of TaskYou's program, from its start to its end."""

import contextlib
import errno
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from reconciler.taskyou.errors import MissingError, RefusedError, TaskYouError, UnclearError
from reconciler.taskyou.text import wrong_with
from reconciler.values import frozen

if TYPE_CHECKING:
    import subprocess

MOST_ARGUMENT = (128 << 10) - 1  # bytes that the kernel takes in one argument, beside the NUL at its end
_MOST_STDOUT = 32 << 20  # ten thousand tasks with long titles
_MOST_STDERR = 64 << 10
_CHUNK = 64 << 10
_IN_A_PIPE = 1 << 20  # what can be left in one when its writer has ended
_LOOK = 0.02  # seconds between two looks at a process, where the kernel does not tell of its end
_NOT_A_PROGRAM = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)


@frozen
class Answer:
    """What a process left. `whole` is false when it printed more than is kept."""

    status: int
    stdout: str
    stderr: str
    whole: bool = True


def call(program: str, words: Sequence[str], environ: Mapping[str, str], seconds: float) -> Answer:
    """Carry out one call and return what it left, whatever its exit status.

    No shell and no terminal is involved, and standard input is empty. It runs from the root folder, because TaskYou guesses a project from the present
    one. After `seconds` all its processes are killed: its process group, and every descendant, also in a session of its own. What cannot be
    found is a process that has cut both ties: a group of its own, and a parent that ended before. When the call ends by itself, what it left
    running is left alone, also if that holds its pipes open.

    Raises MissingError, RefusedError (an argument cannot be given), UnclearError (killed, by us or by others), TaskYouError (no process could be made).
    """
    name = f"{Path(program).name} {words[0]}"
    _check(name, words)
    process = _start(program, words, environ)
    try:
        answer = _attend(process, monotonic() + seconds)
        if answer is None:
            _kill(process)
    except BaseException:
        _kill(process)
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if answer is None:
        message = f"{name}: did not end within {seconds:g} s, and was killed"
        raise UnclearError(message)
    if answer.status < 0:
        message = f"{name}: was killed by signal {-answer.status}"
        raise UnclearError(message)
    return answer


def _check(name: str, words: Sequence[str]) -> None:
    """Refuse what would fail when the process is started, or arrive as something else."""
    for word in words:
        wrong = wrong_with(word)
        if not wrong and len(word.encode()) > MOST_ARGUMENT:
            wrong = f"has {len(word.encode())} bytes, and {MOST_ARGUMENT} is the most that a program can be given"
        if wrong:
            what = "an argument" if not word.startswith("--") else word.partition("=")[0]
            message = f"{name}: {what} {wrong}"
            raise RefusedError(message)


def _start(program: str, words: Sequence[str], environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    import subprocess

    try:
        return subprocess.Popen(
            [program, *words],
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environ,
            start_new_session=True,
        )
    except OSError as error:
        if error.errno in _NOT_A_PROGRAM:
            message = f"{program} cannot be started: {_why(program, error)}"
            raise MissingError(message) from error
        message = f"{program} could not be started: {error.strerror}"
        raise TaskYouError(message) from error


def _why(program: str, error: OSError) -> str:
    if error.errno == errno.ENOENT and os.path.exists(program):
        return "the interpreter in its first line is not there"
    return error.strerror or str(error)


def _attend(process: "subprocess.Popen[bytes]", deadline: float) -> Answer | None:
    """Read what a process prints until it ends, or return nothing when it does not end in time."""
    import selectors

    assert process.stdout is not None
    assert process.stderr is not None
    kept = {process.stdout.fileno(): _Kept(_MOST_STDOUT), process.stderr.fileno(): _Kept(_MOST_STDERR)}
    with selectors.DefaultSelector() as selector, _end_of(process) as end:
        for pipe in kept:
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ)
        if end is not None:
            selector.register(end, selectors.EVENT_READ)
        while process.poll() is None:
            left = deadline - monotonic()
            if left <= 0:
                return None
            for key, _ in selector.select(left if end is not None else min(left, _LOOK)):
                if key.fd in kept and not kept[key.fd].read(key.fd, _CHUNK):
                    selector.unregister(key.fd)
    for pipe, keep in kept.items():
        keep.read(pipe, _IN_A_PIPE)
    out, err = kept.values()
    return Answer(process.returncode, out.text(), err.text(), out.whole)


@contextlib.contextmanager
def _end_of(process: "subprocess.Popen[bytes]") -> Iterator[int | None]:
    """Give a descriptor that can be read once the process has ended, where the system has such."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    try:
        end = os.pidfd_open(process.pid)
    except OSError:
        yield None
        return
    try:
        yield end
    finally:
        os.close(end)


class _Kept:
    """What was read of a pipe, up to a bound. The rest is read and dropped, so that its writer can go on."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self.whole = True

    def read(self, pipe: int, most: int) -> bool:
        """Take what is there, `most` bytes or a little more, and say whether more may come."""
        while most > 0:
            try:
                data = os.read(pipe, _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            most -= len(data)
            room = self._most - len(self._data)
            self._data += data[:room]
            self.whole = self.whole and len(data) <= room
        return True

    def text(self) -> str:
        """Return it as text."""
        return self._data.decode(errors="replace")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process with its group and its descendants. They are stopped first, so that none can make another meanwhile."""
    from subprocess import TimeoutExpired

    if process.returncode is not None:
        return
    _signal(process.pid, signal.SIGSTOP, group=True)
    stopped: set[int] = set()
    while new := _descendants(process.pid) - stopped:
        for pid in new:
            _signal(pid, signal.SIGSTOP)
        stopped |= new
    for pid in stopped:
        _signal(pid, signal.SIGKILL)
    _signal(process.pid, signal.SIGKILL, group=True)
    with contextlib.suppress(TimeoutExpired):  # one that hangs inside the kernel ends when that lets it
        process.wait(5)


def _signal(pid: int, number: int, *, group: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, number)


def _descendants(root: int) -> set[int]:
    """Return the children of a process, and theirs, as far as the system shows them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, _, rest = entry.read_text(errors="replace").rpartition(")")  # its name may hold anything
            children.setdefault(int(rest.split()[1]), []).append(int(entry.parent.name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
        found.update(below)
        waiting += below
    return found
