"""Two workers take the same claim of a run at the same time: one of them has it, the other never writes again."""

import contextlib
import os
from pathlib import Path

import pytest

from reconciler.journal import accepted, decode_lines
from tests.faults.programs import EXTENSION, THIRTY, check_end
from tests.support import strace
from tests.support.workers import Bench, until

LATE_US = 2_000_000


def child_has_open(pid: int, path: str) -> bool:
    """Say whether a child of a process holds a file open."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            for fd in Path(f"/proc/{child}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(fd) == path:
                        return True
    return False


@pytest.mark.parametrize("language", ["node", "python"])
def test_I7_of_two_workers_with_the_same_claim_one_carries_the_run_out(tmp_path: Path, language: str) -> None:
    bench = Bench(tmp_path, THIRTY.code(language), runtime=language, entry=EXTENSION[language])
    bench.create("u")
    before = bench.journal("u")

    # The first one has opened the journal, and is held up at its first write, the claim. Whoever wins, there is one winner.
    slow = bench.spawn(uid="u", under=strace.delayed("write", LATE_US, bench.prefix("u") + "journal.jsonl"))
    slow.order("u", 1)
    until(lambda: child_has_open(slow.pid, bench.prefix("u") + "journal.jsonl"))
    fast = bench.spawn(uid="u")
    fast.order("u", 1)
    assert (slow.wait(), fast.wait()) == (0, 0)

    side = Path(bench.prefix("u") + "files/side").read_bytes()
    records = decode_lines(bench.journal("u"))
    kept, skipped = accepted(records)
    claims = [record["worker"] for record in records if record["type"] == "claim"]
    assert sorted(claims) == sorted([slow.id, fast.id]) or skipped == 0
    assert skipped == len(claims) - 1
    written = b"".join(line for line, record in zip(bench.journal("u").splitlines(keepends=True), records, strict=True) if record in kept)
    check_end(THIRTY, (before, b""), (written, side), f"winner {claims[0]}")
