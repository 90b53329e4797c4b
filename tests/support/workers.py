"""Play the reconciler to one real worker: create runs, order them, kill it, read what it wrote."""

import contextlib
import fcntl
import os
import secrets
import select
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.clock import SystemClock
from reconciler.history import History, fold
from reconciler.instants import stamp
from reconciler.journal import accepted, decode_lines, encode_line, whole_length

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
NODE_FLAGS = ["--experimental-detect-module", "--disable-warning=ExperimentalWarning", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"]
SETTINGS: dict[str, Any] = {
    "retry": {"max_attempts": 1, "initial_interval_ms": 1000, "factor": 2, "max_interval_ms": 100_000, "jitter": True},
    "step": {
        "retry": {"max_attempts": 10, "initial_interval_ms": 1000, "factor": 2, "max_interval_ms": 100_000, "jitter": True},
        "timeout_ms": 600_000,
    },
    "cancel": {"grace_ms": 10_000, "cleanup_ms": 60_000},
    "limits": {"value": 1 << 20, "calls": 25_000, "journal": 64 << 20},
}


def now() -> str:
    """Return the present instant as records carry it."""
    return stamp(SystemClock().now())


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it, member by member."""
    result = dict(base)
    for key, value in changes.items():
        result[key] = merged(result[key], value) if isinstance(value, Mapping) and isinstance(result.get(key), Mapping) else value
    return result


class Bench:
    """A folder with runs, workers and `changed/`, and the code of one workflow."""

    def __init__(self, folder: Path, code: Mapping[str, str], *, runtime: str, entry: str | None = None) -> None:
        """Write `code` (path to text); `runtime` is `node` or `python`."""
        self.folder, self.runtime = folder, runtime
        self.entry = entry or next(iter(code))
        for name in ("runs", "workers", "changed", "code"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in code.items():
            target = folder / "code" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        self._workers = 0

    def prefix(self, uid: str) -> str:
        """Return the path prefix of a run's files."""
        return str(self.folder / "runs" / f"{uid}.")

    def create(self, uid: str, value: Any = None, settings: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Write the first record of a run; `fields` are added to it, or replace what would be there."""
        order = {
            "type": "order", "claim": 0, "seq": 1, "at": now(), "protocol": 1, "uid": uid, "scope": "test", "project": "p", "environment": "e",
            "run": uid, "incarnation": 1, "workflow": "w", "revision": "r1", "version": "1", "spec_hash": "h", "owner": "test", "input": value,
            "settings": merged(SETTINGS, settings or {}), **fields,
        }  # fmt: skip
        Path(self.prefix(uid) + "journal.jsonl").write_bytes(encode_line(order))

    def spawn(
        self,
        *,
        capacity: int = 1,
        linger_ms: int = 200,
        park_after_ms: int = 120_000,
        env: Mapping[str, str] | None = None,
        uid: str = "",
        under: Sequence[str] = (),
    ) -> "Worker":
        """Start a worker without orders; with `uid` its output goes to that run's output.log. `under` is a program that carries it out, with arguments."""
        self._workers += 1
        return Worker(self, f"w{self._workers}-{secrets.token_hex(4)}", capacity, linger_ms, park_after_ms, env or {}, uid, under)

    def run(self, uid: str, value: Any = None, *, settings: Mapping[str, Any] | None = None, timeout: float = 20, **spawn: Any) -> History:
        """Create a run, carry it out in one worker, and return its history."""
        self.create(uid, value, settings)
        worker = self.spawn(uid=uid, **spawn)
        worker.order(uid, 1)
        worker.wait(timeout)
        return self.history(uid)

    def resume(self, uid: str, *, timeout: float = 20, **spawn: Any) -> History:
        """Cut a torn tail, order the next claim in a new worker, wait for its end, and return the history."""
        worker = self.spawn(uid=uid, **spawn)
        worker.order(uid, self.history(uid).claim + 1)
        worker.wait(timeout)
        return self.history(uid)

    def journal(self, uid: str) -> bytes:
        """Return the bytes of a run's journal."""
        return Path(self.prefix(uid) + "journal.jsonl").read_bytes()

    def records(self, uid: str) -> list[Mapping[str, Any]]:
        """Return the records of a run that count."""
        return accepted(decode_lines(self.journal(uid)))[0]

    def history(self, uid: str) -> History:
        """Return what the journal of a run tells."""
        history = fold(self.journal(uid))
        assert history is not None
        return history

    def cut(self, uid: str) -> None:
        """Cut the torn tail of a journal, as the reconciler does before it orders."""
        path = self.prefix(uid) + "journal.jsonl"
        os.truncate(path, whole_length(Path(path).read_bytes()))

    def send(self, uid: str, record: Mapping[str, Any]) -> None:
        """Put the next record into a run's inbox."""
        inbox = Path(self.prefix(uid) + "inbox")
        inbox.mkdir(exist_ok=True, mode=0o700)
        number = len(list(inbox.glob("*.json"))) + 1
        temporary = inbox / f".{number}"
        temporary.write_bytes(encode_line(record))
        temporary.rename(inbox / f"{number:06d}.json")


class Worker:
    """One real worker process."""

    def __init__(
        self,
        bench: Bench,
        name: str,
        capacity: int,
        linger_ms: int,
        park_after_ms: int,
        env: Mapping[str, str],
        uid: str,
        under: Sequence[str] = (),
    ) -> None:
        self.bench, self.id, self._under = bench, name, under
        self.folder = bench.folder / "workers" / name
        self.folder.mkdir(mode=0o700)
        os.mkfifo(self.folder / "wake", 0o600)
        self._line({"type": "hello", "protocol": 1, "worker": name, "revision": "r1", "code": str(bench.folder / "code"), "entry": bench.entry, "paths": [],
                    "capacity": capacity, "linger_ms": linger_ms, "park_after_ms": park_after_ms, "changed": str(bench.folder / "changed")})  # fmt: skip
        output = bench.prefix(uid) + "output.log" if uid else str(self.folder / "log")
        self.pid = self._spawn(output, env)
        self.status: int | None = None

    def _spawn(self, output: str, env: Mapping[str, str]) -> int:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        wake = os.open(self.folder / "wake", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.end = os.open(self.folder / "wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (lock, wake)]
        os.close(lock)
        os.close(wake)
        if self.bench.runtime == "node":
            assert NODE is not None
            argv = [NODE, *NODE_FLAGS, str(ROOT / "runtimes/javascript/worker.mjs"), str(self.folder)]
        else:
            argv = [os.path.realpath(sys.executable), "-I", "-S", str(ROOT / "runtimes/python/worker.py"), str(self.folder)]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, high[0], 3),
            (os.POSIX_SPAWN_DUP2, high[1], 4),
        ]
        environment = {"PATH": os.environ["PATH"], "TY_OPENWORKFLOW_WORKER": self.id, **env}
        argv = [*self._under, *argv]
        pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True)
        for fd in high:
            os.close(fd)
        return pid

    def _line(self, record: Mapping[str, Any]) -> None:
        fd = os.open(self.folder / "orders", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, encode_line(record))
        os.close(fd)

    def order(self, uid: str, claim: int, *, recorded_uid: str = "") -> None:
        """Order a run and wake the worker. `recorded_uid` is the uid in its first record, where that is another one."""
        self.bench.cut(uid)
        self._line({"type": "order", "uid": recorded_uid or uid, "claim": claim, "prefix": self.bench.prefix(uid)})
        self.wake()

    def drain(self) -> None:
        """Tell the worker to take no more orders."""
        self._line({"type": "drain"})
        self.wake()

    def wake(self) -> None:
        """Write the wake byte; a worker that is gone does not matter."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.end, b"!")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the worker."""
        os.kill(self.pid, number)

    def pending(self, number: int) -> bool:
        """Say whether a signal has not reached the worker yet."""
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return any(int(fields[name], 16) >> (number - 1) & 1 for name in ("SigPnd", "ShdPnd"))

    def alive(self) -> bool:
        """Say whether the lock of the worker is held."""
        fd = os.open(self.folder / "lock", os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def wait(self, timeout: float = 20) -> int:
        """Wait for the end of the process and return its exit status (negative: the signal)."""
        if self.status is None:
            pidfd = os.pidfd_open(self.pid)
            try:
                if not select.select([pidfd], [], [], timeout)[0]:
                    self.kill()
                    self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                    os.close(self.end)
                    message = f"worker {self.id} did not end within {timeout} s:\n{self.log()}"
                    raise AssertionError(message)
            finally:
                os.close(pidfd)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.end)
        return self.status

    def log(self) -> str:
        """Return what went to the worker's own log."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""


def until(check: Any, timeout: float = 10) -> None:
    """Wait until `check()` is true."""
    end = time.monotonic() + timeout
    while not check():
        if time.monotonic() > end:
            message = "it did not come true in time"
            raise AssertionError(message)
        time.sleep(0.005)
