"""Runs of random programs in forked children that are the real worker, but for one thing: they die at a chosen write or sync."""

import mmap
import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ty_worker import host, journal

from reconciler.journal import decode_lines, encode_line, whole_length
from tests.python_worker import programs
from tests.support.workers import SETTINGS, merged, now

_CRASHED = 9
_MOST_CRASHES = 4


class CrashingRun:
    """One run, and the claims that try to carry it out."""

    def __init__(self, folder: Path, seed: int, *, is_async: bool, **given: Any) -> None:
        """Create the run of a seed; `given` are further members of its input."""
        self.folder, self.claim, self.crashes, self._sent = folder, 0, 0, 0
        self._chance = random.Random(-seed - 1)
        self._code = folder / "code"
        self._code.mkdir(parents=True)
        (folder / "changed").mkdir()
        (self._code / "main.py").write_text(f"from {programs.__name__} import {'async_workflow as workflow' if is_async else 'workflow'}\n")
        self.journal, self.effects = folder / "journal.jsonl", folder / "effects"
        value = {"seed": seed, "effects": str(self.effects), **given}
        order = {"type": "order", "claim": 0, "seq": 1, "at": now(), "protocol": 1, "uid": "u", "run": "u", "incarnation": 1, "input": value,
                 "settings": merged(SETTINGS, {"cancel": {"grace_ms": 50}})}  # fmt: skip
        self.journal.write_bytes(encode_line(order))

    def records(self) -> list[dict[str, Any]]:
        """Return the records of the journal."""
        return decode_lines(self.journal.read_bytes())

    def carry_out(self) -> Mapping[str, Any]:
        """Let worker after worker die, then let one live. Returns the terminal record."""
        for _ in range(_MOST_CRASHES):
            if self.claim_once(self._chance.randint(2, 60)):
                break
        else:
            assert self.claim_once(0), (self.folder / "log").read_text()
        return self.records()[-1]

    def replay(self) -> Mapping[str, Any]:
        """Take the end away, let another worker reach it again, and return it."""
        lines, records = self.journal.read_bytes().splitlines(keepends=True), self.records()
        while records[-1]["type"] in ("finished", "abandoned"):
            records.pop()
        self.journal.write_bytes(b"".join(lines[: len(records)]))
        assert self.claim_once(0), (self.folder / "log").read_text()
        return self.records()[-1]

    def _send(self) -> None:
        """Put some messages into the inbox: signals, and the ends of children."""
        inbox = self.folder / "inbox"
        inbox.mkdir(exist_ok=True)
        for _ in range(self._chance.randint(0, 3)):
            self._sent += 1
            name = self._chance.choice(programs.NAMES)
            child = {"type": "child", "key": name, "run": "c", "status": "completed", "output": self._sent}
            message = child if self._chance.random() < 0.3 else {"type": "signal", "name": name, "data": self._sent}
            (inbox / f"{self._sent:06d}.json").write_bytes(encode_line({"id": str(self._sent), **message}))

    def under_two_keys(self) -> list[str]:
        """Return the steps whose effect was seen under more than one idempotency key or time."""
        seen: dict[str, set[tuple[str, ...]]] = {}
        for step, _, *under in (line.split() for line in self.executed()):
            if under:
                seen.setdefault(step, set()).add(tuple(under))
        return [step for step, under in seen.items() if len(under) > 1]

    def delivered(self) -> list[int]:
        """Return the numbers of the messages that were taken, in order."""
        return [record["inbox"] for record in self.records() if record["type"] in ("completed", "failed") and "inbox" in record]

    def claim_once(self, crash_at: int) -> bool:
        """Let a worker take the run, and say whether it lived to finish it."""
        self.claim += 1
        self._send()
        completed = {record["key"] for record in self.records() if record["type"] in ("completed", "failed")}
        before = self.executed()
        synced = mmap.mmap(-1, 8)
        synced[:] = self.journal.stat().st_size.to_bytes(8, "little")
        pid = os.fork()
        if pid == 0:
            self._be_the_worker(crash_at, synced)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, _CRASHED), (status, (self.folder / "log").read_text())
        again = completed & {line.split()[0].removeprefix("u/") for line in self.executed()[len(before) :]}
        assert not again, f"{again} had a result and ran again in claim {self.claim}"
        if status == _CRASHED:
            self.crashes += 1
            self._lose_unsynced(int.from_bytes(synced[:], "little"))
            return False
        return True

    def executed(self) -> list[str]:
        """Return the lines that effects left, oldest first."""
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def _lose_unsynced(self, synced: int) -> None:
        """Cut what no sync has covered at random, as a power cut does, and then the torn line, as the reconciler does."""
        size = self.journal.stat().st_size
        os.truncate(self.journal, self._chance.randint(min(synced, size), size))
        os.truncate(self.journal, whole_length(self.journal.read_bytes()))

    def _be_the_worker(self, crash_at: int, synced: mmap.mmap) -> NoReturn:
        try:
            worker = self.folder / f"w{self.claim}"
            worker.mkdir()
            os.mkfifo(worker / "wake")
            hello = {"type": "hello", "protocol": 1, "worker": worker.name, "revision": "r", "code": str(self._code), "entry": "main.py", "paths": [],
                     "capacity": 1, "linger_ms": 0, "park_after_ms": 60_000, "changed": str(self.folder / "changed")}  # fmt: skip
            order = {"type": "order", "uid": "u", "claim": self.claim, "prefix": f"{self.folder}/"}
            (worker / "orders").write_bytes(encode_line(hello) + encode_line(order))
            log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            wake = os.open(worker / "wake", os.O_RDONLY | os.O_NONBLOCK)
            for given, wanted in ((log, 1), (log, 2), (log, 3), (wake, 4)):
                os.dup2(given, wanted)
            sys.stdout = sys.stderr = open(1, "w", closefd=False)  # noqa: SIM115 - pytest has replaced them
            sys.modules.pop("main", None)
            _crash_at(crash_at, synced)
            journal._boot = f"boot {self.claim}"  # what cuts the unsynced tail cuts the power
            host.serve(str(worker))
        finally:
            os._exit(1)


def _crash_at(number: int, synced: mmap.mmap) -> None:
    """Replace the system calls of the journal: they count, die at `number`, and tell how much is durable."""
    count = 0

    def die() -> None:
        nonlocal count
        count += 1
        if count == number:
            os._exit(_CRASHED)

    def write(fd: int, data: bytes) -> int:
        die()
        written = os.write(fd, data)
        die()
        return written

    def sync(fd: int) -> None:
        size = os.fstat(fd).st_size
        die()
        synced[:] = size.to_bytes(8, "little")
        die()

    journal._write, journal._sync = write, sync  # type: ignore[assignment]
