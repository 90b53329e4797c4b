"""One process of TaskYou's program: how it is started, how long it may take, and what is left of it."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from reconciler.taskyou.call import MOST_ARGUMENT, call
from reconciler.taskyou.errors import MissingError, RefusedError, UnclearError
from tests.support.site import eventually
from tests.unit.taskyou.programs import python, quoted, shell

ENV = {"PATH": os.environ["PATH"]}


def gone(pid: int) -> bool:
    """Say whether a process has ended (one that nobody has waited for yet has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_a_call_leaves_is_returned_whatever_its_exit_status(tmp_path: Path) -> None:
    program = shell(tmp_path / "ty", 'echo "out $*"; echo err >&2; cat; pwd; exit 7')

    answer = call(program, ["a b", "$(c)"], ENV, 10)

    assert (answer.status, answer.stdout, answer.stderr, answer.whole) == (7, "out a b $(c)\n/\n", "err\n", True)


def test_a_call_has_a_session_of_its_own_and_no_terminal(tmp_path: Path) -> None:
    program = python(tmp_path / "ty", "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0), os.isatty(0))")

    assert call(program, ["x"], ENV, 10).stdout == "True False\n"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_text("#!/bin/sh\n"), "Permission denied"),
        (lambda path: (path.write_bytes(b"\x7fELF nonsense"), path.chmod(0o755)), "Exec format error"),
        (lambda path: (path.write_text("#!/nowhere/sh\n"), path.chmod(0o755)), "interpreter in its first line"),
        (lambda path: path.mkdir(), "Permission denied"),
    ],
    ids=["not there", "no permission", "no program", "no interpreter", "a folder"],
)
def test_a_program_that_cannot_be_started_is_missing_and_named(tmp_path: Path, make: object, why: str) -> None:
    make(tmp_path / "ty")  # type: ignore[operator]

    with pytest.raises(MissingError, match=f"{tmp_path}/ty cannot be started: .*{why}"):
        call(str(tmp_path / "ty"), ["x"], ENV, 10)


def test_after_its_time_the_whole_tree_is_killed_also_what_ignores_signals_or_has_left_the_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = shell(
        tmp_path / "ty",
        f"""trap '' TERM INT HUP
echo $$ >>{quoted(pids)}
(trap '' TERM; echo $(exec sh -c 'echo $PPID') >>{quoted(pids)}; sleep 1000) &
setsid sh -c 'echo $$ >>"$0"; sleep 1000 & echo $! >>"$0"; wait' {quoted(pids)} &
while :; do sleep 1000; done""",
    )
    seen: list[int] = []

    with pytest.raises(UnclearError, match=r"ty create: did not end within 1\.5 s, and was killed"):
        call(program, ["create"], ENV, 1.5)

    seen = [int(line) for line in pids.read_text().split()]
    assert len(seen) == 4
    eventually(lambda: all(map(gone, seen)))


def test_an_interrupt_of_ours_ends_the_call(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = shell(tmp_path / "ty", f"echo $$ >{quoted(pid)}.new; mv {quoted(pid)}.new {quoted(pid)}; exec sleep 1000")
    code = f"import os; from reconciler.taskyou.call import call; call({program!r}, ['x'], dict(os.environ), 100)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, cwd=Path(__file__).parents[3])
    eventually(pid.exists)

    process.send_signal(signal.SIGINT)

    _, told = process.communicate(timeout=10)
    assert b"KeyboardInterrupt" in told
    eventually(lambda: gone(int(pid.read_text())))


def test_what_a_call_leaves_running_neither_holds_us_up_nor_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = shell(tmp_path / "ty", f"sleep 1000 & echo $! >{quoted(pid)}; echo done")
    before = monotonic()

    answer = call(program, ["x"], ENV, 60)

    left = int(pid.read_text())
    alive = not gone(left)
    os.kill(left, signal.SIGKILL)
    assert alive
    assert (answer.status, answer.stdout) == (0, "done\n")
    assert monotonic() - before < 30


def test_what_goes_on_writing_after_the_end_of_a_call_does_not_hold_us_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = shell(tmp_path / "ty", f"yes & echo $! >{quoted(pid)}; exit 3")

    answer = call(program, ["x"], ENV, 60)

    eventually(lambda: gone(int(pid.read_text())))  # by SIGPIPE
    assert answer.status == 3


def test_a_call_that_closes_its_outputs_is_waited_for(tmp_path: Path) -> None:
    program = shell(
        tmp_path / "ty",
        f"exec >/dev/null 2>&1; while [ ! -e {quoted(tmp_path / 'go')} ]; do sleep 0.01; done & exec 1>&- 2>&-; echo >{quoted(tmp_path / 'go')}; wait; exit 5",
    )

    assert call(program, ["x"], ENV, 60).status == 5


def test_a_gigabyte_of_output_fills_no_memory(tmp_path: Path) -> None:
    program = shell(tmp_path / "ty", "head -c 1000000000 /dev/zero; head -c 100000000 /dev/zero >&2; exit 4")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    answer = call(program, ["x"], ENV, 120)

    assert (answer.status, answer.whole) == (4, False)
    assert len(answer.stdout) == 32 << 20
    assert len(answer.stderr) == 64 << 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB


def test_output_that_is_not_utf8_is_made_readable(tmp_path: Path) -> None:
    assert call(shell(tmp_path / "ty", "printf '\\377x'"), ["x"], ENV, 10).stdout == "\N{REPLACEMENT CHARACTER}x"


def test_a_call_that_others_killed_has_an_unknown_effect(tmp_path: Path) -> None:
    with pytest.raises(UnclearError, match="ty update: was killed by signal 9"):
        call(shell(tmp_path / "ty", "kill -9 $$"), ["update"], ENV, 10)


@pytest.mark.parametrize(
    ("word", "wrong"),
    [
        ("--body=" + "x" * (MOST_ARGUMENT - 6), "--body has 131072 bytes, and 131071 is the most"),
        ("é" * (1 << 16), "an argument has 131072 bytes"),
        ("a\x00b", "an argument has a NUL character"),
        ("--title=\ud800", "--title has half of a surrogate pair"),
    ],
)
def test_what_no_program_can_be_given_is_refused_before_it_is_started(tmp_path: Path, word: str, wrong: str) -> None:
    started = tmp_path / "started"
    program = shell(tmp_path / "ty", f"touch {quoted(started)}")

    with pytest.raises(RefusedError, match=f"ty create: {wrong}"):
        call(program, ["create", word], ENV, 10)
    assert not started.exists()


def test_the_longest_argument_arrives(tmp_path: Path) -> None:
    word = "--body=" + "x" * (MOST_ARGUMENT - 7)

    assert call(python(tmp_path / "ty", "import sys; print(len(sys.argv[2]))"), ["create", word], ENV, 10).stdout == f"{MOST_ARGUMENT}\n"


def test_where_the_kernel_tells_of_no_end_a_call_is_looked_at_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(pid: int) -> int:
        raise OSError(errno.ENOSYS, "no pidfd here")

    monkeypatch.setattr(os, "pidfd_open", none, raising=False)
    program = shell(tmp_path / "ty", "sleep 1000 & echo $!")

    answer = call(program, ["x"], ENV, 30)

    os.kill(int(answer.stdout), signal.SIGKILL)
    assert answer.status == 0
