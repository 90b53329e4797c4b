"""Run a program and kill it at its n-th system call that writes: `python die_at.py N REPORT PROGRAM ARGUMENT...`.

`strace --inject` counts the calls of each thread for itself, so it cannot reach every call of a program with threads. This counts the
calls of all threads together, in the order in which the kernel sees them, and kills before the call is carried out. N = 0 kills nobody.
REPORT gets the number of calls that were made and, after a kill, which one was next. The end is that of the program: its status, or its signal.

With `--alone` before N only the calls of the program itself count, and only it is killed: what it has started goes on. This ends when all of that
has ended; REPORT is there as soon as the program has.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
from typing import NoReturn

_NUMBERS = {
    "x86_64": (0xC000003E, 257, {1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 257: "openat", 77: "ftruncate", 76: "truncate", 82: "rename",
                                 264: "renameat", 316: "renameat2", 74: "fsync", 75: "fdatasync", 83: "mkdir", 258: "mkdirat", 87: "unlink", 263: "unlinkat"}),
    "aarch64": (0xC00000B7, 56, {64: "write", 68: "pwrite64", 66: "writev", 70: "pwritev", 56: "openat", 46: "ftruncate", 45: "truncate",
                                 38: "renameat", 276: "renameat2", 82: "fsync", 83: "fdatasync", 34: "mkdirat", 35: "unlinkat"}),
}  # fmt: skip
_TRACEME, _CONT, _SETOPTIONS, _GETEVENTMSG = 0, 7, 0x4200, 0x4201
_CLONE, _FORK, _VFORK, _EXEC, _SECCOMP, _EXITKILL = 1 << 3, 1 << 1, 1 << 2, 1 << 4, 1 << 7, 1 << 20
_EVENT_SECCOMP = 7
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def supported() -> bool:
    """Say whether the system calls of this machine are known here."""
    return sys.platform == "linux" and platform.machine() in _NUMBERS


def _filter() -> bytes:
    """Return the program that stops at calls which write, at `openat` only where it opens for writing."""
    arch, openat, names = _NUMBERS[platform.machine()]
    others = [number for number in names if number != openat]
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, 0)]
    for left, number in zip(range(len(others), 0, -1), others, strict=True):
        code.append((_EQUAL, left + 3, 0, number))
    code += [(_EQUAL, 0, 2, openat), (_LOAD, 0, 0, 32), (_ANY_BIT, 1, 0, os.O_WRONLY | os.O_RDWR | os.O_CREAT), (_RETURN, 0, 0, _ALLOW)]
    code.append((_RETURN, 0, 0, _TRACE))
    return b"".join(struct.pack("HBBI", *line) for line in code)


def _call(function: str, *arguments: object) -> None:
    if getattr(_libc, function)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    _call("ptrace", ctypes.c_long(request), ctypes.c_long(pid), ctypes.c_void_p(0), ctypes.c_void_p(data))


def _be_the_program(argv: list[str]) -> NoReturn:
    code = _filter()
    buffer = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)), 16)
    _ptrace(_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _SET_SECCOMP, _FILTER, program, 0, 0)
    os.execv(argv[0], argv)


def _describe(tid: int) -> str:
    """Return name and file of the call that a stopped thread is about to make."""
    with open(f"/proc/{tid}/syscall") as file:
        number, *arguments = file.read().split()
    name = _NUMBERS[platform.machine()][2].get(int(number), number)
    try:
        path = os.readlink(f"/proc/{tid}/fd/{int(arguments[0], 16)}")
    except OSError:
        path = ""
    return f"{name} {path}"


def _process_of(tid: int) -> int:
    """Return the process that a thread belongs to."""
    with open(f"/proc/{tid}/status") as file:
        return int(next(line for line in file if line.startswith("Tgid:")).split()[1])


def _note(report: str, text: str) -> None:
    with open(f"{report}.new", "w") as file:
        file.write(text.strip() + "\n")
    os.rename(f"{report}.new", report)


def run(limit: int, report: str, argv: list[str], *, alone: bool = False) -> int:
    """Carry `argv` out and return its wait status."""
    child = os.fork()
    if child == 0:
        _be_the_program(argv)
    os.waitpid(child, 0)
    _ptrace(_SETOPTIONS, child, _CLONE | _FORK | _VFORK | _EXEC | _SECCOMP | _EXITKILL)
    _ptrace(_CONT, child)
    known, count, fatal, end = {child}, 0, "", 0
    while True:
        try:
            tid, status = os.waitpid(-1, _ALL)
        except ChildProcessError:
            return end
        if not os.WIFSTOPPED(status):
            if tid == child:
                _note(report, f"{count} {fatal}")
                end = status
                if not alone:
                    return end
            continue
        event, number = status >> 16, os.WSTOPSIG(status)
        counts = event == _EVENT_SECCOMP and (not alone or _process_of(tid) == child)
        count += counts
        if counts and count == limit:
            fatal = _describe(tid)
            os.kill(child, signal.SIGKILL)
            continue
        passed_on = 0 if event or (number == signal.SIGSTOP and tid not in known) else number
        known.add(tid)
        try:
            _ptrace(_CONT, tid, passed_on)
        except ProcessLookupError:
            continue  # it is being killed


if __name__ == "__main__":
    only_it = sys.argv[1] == "--alone"
    end = run(int(sys.argv[1 + only_it]), sys.argv[2 + only_it], sys.argv[3 + only_it :], alone=only_it)
    if os.WIFSIGNALED(end):
        signal.signal(os.WTERMSIG(end), signal.SIG_DFL) if os.WTERMSIG(end) != signal.SIGKILL else None
        os.kill(os.getpid(), os.WTERMSIG(end))
    os._exit(os.waitstatus_to_exitcode(end))
