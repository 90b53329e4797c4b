"""Many runs that a crash has left in some state, resumed by real workers that host them side by side."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.runfiles import RunFiles
from reconciler.history import fold
from tests.faults.programs import EXTENSION, Program
from tests.support.workers import Bench

WORKERS = 2
SIDE_BY_SIDE = 8
_ROUNDS = 4
_CLAIM = 1000  # what the database has decided is beyond every claim that a journal holds


@dataclass
class Left:
    """What a crash has left of one run, and what the world around it holds by then (files in the run's folder)."""

    journal: bytes
    world: dict[str, bytes]
    messages: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Revived:
    """The same run, after it was resumed until its end."""

    journal: bytes
    side: bytes


def revive(folder: Path, program: Program, language: str, first: dict[str, Any], states: Sequence[Left]) -> list[Revived]:
    """Resume every run until it has ended. What has no first record is created again, as `first`."""
    made = Bench(folder, program.code(language), runtime=language, entry=EXTENSION[language])
    names = [f"r{number}" for number in range(len(states))]
    for name, left in zip(names, states, strict=True):
        _write(made, name, left)
        files = RunFiles(made.prefix(name))
        if not files.create(first) and fold(files.read()) is None:
            files.create_again(first)
    for number in range(_ROUNDS):
        unfinished = [name for name in names if made.history(name).finished is None]
        if not unfinished:
            break
        workers = [made.spawn(capacity=SIDE_BY_SIDE, linger_ms=20) for _ in range(WORKERS)]
        for place, name in enumerate(unfinished):
            workers[place % WORKERS].order(name, _CLAIM + number, recorded_uid="" if language == "node" else first["uid"])
        for worker in workers:
            assert worker.wait(300) == 0, worker.log()
    return [_read(made, name) for name in names]


def _write(bench: Bench, name: str, left: Left) -> None:
    prefix = bench.prefix(name)
    os.mkdir(prefix + "files")
    for path, data in left.world.items():
        Path(prefix + "files", path).write_bytes(data)
    if left.messages:
        os.mkdir(prefix + "inbox")
        for path, data in left.messages.items():
            Path(prefix + "inbox", path).write_bytes(data)
    Path(prefix + "journal.jsonl").write_bytes(left.journal)


def _read(bench: Bench, name: str) -> Revived:
    side = Path(bench.prefix(name) + "files/side")
    journal = bench.journal(name)
    history = fold(journal)
    assert history is not None and history.finished is not None, f"{name} does not come to its end:\n{journal.decode(errors='replace')}"
    return Revived(journal, side.read_bytes() if side.exists() else b"")
