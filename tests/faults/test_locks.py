"""The proof that a worker lives, under those who ask for it at the same time."""

import fcntl
from pathlib import Path

from adapters.processes import is_locked


def test_I7_a_dead_worker_is_seen_as_dead_also_while_somebody_else_asks(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)  # what it looks like from outside when another process is in the middle of asking

        assert not is_locked(asking.name)


def test_I7_a_worker_that_holds_its_lock_lives_and_one_without_a_lock_file_does_not(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert is_locked(held.name)
    assert not is_locked(str(tmp_path / "lock"))
    assert not is_locked(str(tmp_path / "none"))
