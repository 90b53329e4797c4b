"""A disk that fails or is full: what could not be made durable was never released, and the next claim goes on."""

import os
import random
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.journal import decode_lines, whole_length
from tests.faults.counts import note
from tests.faults.programs import EXTENSION, Program, check_end, check_recovered
from tests.support import strace
from tests.support.workers import Bench

FULL = os.environ.get("TYOW_FULL") == "1"
LANGUAGES = ["node", "python"]
LEVELS = 200 if FULL else 6
SYNCS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] if FULL else [1, 4]
NO_SPACE = ("ENOSPC", "EDQUOT")
DISK = 64 << 10
PAGE = 4096
STEP = 32
PROGRAM = Program(
    """\
def workflow(input, ctx):
    got = [do(ctx, f"s{n}", "x" * 1000) for n in range(4)]
    got += ctx.parallel(*[lambda b=b: do(ctx, f"p{b}", b) for b in range(3)])
    return got + [do(ctx, f"z{n}", n) for n in range(2)]
""",
    """\
async function workflow(input, api) {
  const got = [];
  for (let n = 0; n < 4; n++) got.push(await act(api, `s${n}`, "x".repeat(1000)));
  got.push(...(await Promise.all([0, 1, 2].map((b) => act(api, `p${b}`, b)))));
  for (let n = 0; n < 2; n++) got.push(await act(api, `z${n}`, n));
  return got;
}
""",
    ["x" * 1000] * 4 + [0, 1, 2, 0, 1],
)
pytestmark = pytest.mark.timeout(1800 if FULL else 120)


@pytest.fixture(params=LANGUAGES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(tmp_path, PROGRAM.code(request.param), runtime=request.param, entry=EXTENSION[request.param])


@pytest.fixture
def small(bench: Bench) -> Iterator[Bench]:
    """A bench whose runs are on a file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file system that is full")
    runs = bench.folder / "runs"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(runs)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield bench
    subprocess.run(["umount", str(runs)], check=True)


def state(bench: Bench, uid: str) -> tuple[bytes, bytes]:
    side = Path(bench.prefix(uid) + "files/side")
    return bench.journal(uid), side.read_bytes() if side.exists() else b""


def go_on(bench: Bench, uid: str, where: str) -> None:
    """Check what is there, let the next claim go on, and check how it ends."""
    before = state(bench, uid)
    check_recovered(*before, where)
    bench.resume(uid)
    check_end(PROGRAM, before, state(bench, uid), where)


# Full


def fill(path: Path, left: int) -> None:
    """Write a file that leaves about so many bytes free on its file system."""
    free = os.statvfs(path.parent)
    path.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - left)))


def test_I2_I4_a_full_disk_ends_the_claim_without_a_torn_line_and_the_run_goes_on_when_there_is_room(small: Bench) -> None:
    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed}")
    dice = random.Random(seed)
    levels = range(LEVELS) if FULL else [dice.randrange(100 * half, 100 * half + 100) for half in (0, 0, 0, 1, 1, 1)]
    said = full = 0

    for number, level in enumerate(levels):
        uid = f"r{number}"
        # A tmpfs has room for whole pages: the place where the journal meets the end of one is moved, and then there is one more page.
        small.create(uid, "y" * (STEP * (level % (PAGE // STEP))))
        os.mkdir(small.prefix(uid) + "files")
        side = small.folder / f"{uid}.side"
        side.touch()
        Path(small.prefix(uid) + "files/side").symlink_to(side)
        filler = small.folder / "runs/filler"
        fill(filler, PAGE * (level * 2 // 200))
        worker = small.spawn(uid=uid)
        worker.order(uid, 1)
        where = f"level {level}"

        assert worker.wait() == 0, f"{where}: {worker.log()}"
        journal = small.journal(uid)
        assert whole_length(journal) == len(journal), where
        history = small.history(uid)
        told = os.stat(worker.folder / "lock").st_mode & stat.S_ISVTX
        assert history.let_go == "no-space" or history.finished is not None or told, where
        full += history.finished is None
        said += history.let_go == "no-space"
        filler.unlink()
        if history.finished is None:
            go_on(small, uid, where)
        for path in Path(small.prefix(uid)).parent.glob(f"{uid}.*"):
            subprocess.run(["rm", "-rf", str(path)], check=True)
    assert full >= len(levels) // 2
    assert said or len(levels) < 20
    note(f"fill levels, {small.runtime}", len(levels))
    note(f"fill levels at which the claim could say so, {small.runtime}", said)


# Failing


@pytest.mark.parametrize("error", ["EIO", *NO_SPACE])
def test_I2_a_sync_that_failed_ends_the_process_and_nothing_is_released(bench: Bench, error: str) -> None:
    deaths = 0
    for number in SYNCS:
        uid = f"r{number}"
        bench.create(uid)
        log = bench.folder / f"{uid}.strace"
        worker = bench.spawn(uid=uid, under=strace.failing("fdatasync", error, number, into=log))
        worker.order(uid, 1)

        status = worker.wait()
        assert status == (70 if "(INJECTED)" in log.read_text() else 0)
        deaths += status == 70
        if status == 70:
            assert re.search("storage of a journal failed|journal cannot be written", Path(bench.prefix(uid) + "output.log").read_text())
            assert bench.history(uid).let_go is None
            assert_nothing_was_released_that_is_not_durable(bench, uid, strace.recorded(log))
            if bench.history(uid).finished is None:
                go_on(bench, uid, f"sync {number}")
    assert deaths >= len(SYNCS) / 2
    note(f"failed syncs, {bench.runtime}", deaths)


def assert_nothing_was_released_that_is_not_durable(bench: Bench, uid: str, events: list[strace.Event]) -> None:
    """No result was released that came into the journal after the last sync that worked had begun."""
    about = [event for event in events if event.paths[:1] == (bench.prefix(uid) + "journal.jsonl",)]
    synced = max((event.begun for event in about if event.name == "fdatasync"), default=-1)
    late = [record for event in about if event.name == "write" and event.ended > synced for record in decode_lines(event.data)]
    released = {line.split()[1] for line in state(bench, uid)[1].decode().splitlines() if line.startswith("released")}
    assert late and not released & {record["key"] for record in late if record["type"] == "completed"}


@pytest.mark.parametrize("call", ["fdatasync", "write"])
def test_a_call_that_was_interrupted_is_made_again(bench: Bench, call: str) -> None:
    for number in (1, 2, 5):
        uid = f"{call}{number}"
        bench.create(uid)
        before = state(bench, uid)
        worker = bench.spawn(uid=uid, under=strace.failing(call, "EINTR", number, bench.prefix(uid) + "journal.jsonl"))
        worker.order(uid, 1)

        assert worker.wait() == 0
        check_end(PROGRAM, before, state(bench, uid), f"{call} {number}")
    note(f"interrupted calls, {bench.runtime}", 3)


@pytest.mark.parametrize("error", ["EIO", "EROFS", "EFBIG"])
def test_I2_a_write_that_failed_ends_the_process_and_the_next_claim_goes_on(bench: Bench, error: str) -> None:
    writes = range(1, 20) if FULL else (1, 3)
    for number in writes:
        uid = f"r{number}"
        bench.create(uid)
        worker = bench.spawn(uid=uid, under=strace.failing("write", error, number, bench.prefix(uid) + "journal.jsonl"))
        worker.order(uid, 1)

        status = worker.wait()
        assert status == 70 or (status == 0 and bench.history(uid).finished is not None)  # each thread has a count of its own
        if status == 70:
            go_on(bench, uid, f"write {number}")
    note(f"failed writes, {bench.runtime}", len(writes))


@pytest.mark.parametrize("error", NO_SPACE)
def test_a_disk_that_was_full_for_one_record_lets_the_claim_say_so(bench: Bench, error: str) -> None:
    for number in range(2, 16) if FULL else (2, 4):
        uid = f"r{number}"
        bench.create(uid)
        worker = bench.spawn(uid=uid, under=strace.failing("write", error, number, bench.prefix(uid) + "journal.jsonl"))
        worker.order(uid, 1)

        assert worker.wait() == 0
        history = bench.history(uid)
        assert history.let_go == "no-space" or history.finished is not None
        if history.finished is None:
            go_on(bench, uid, f"write {number}")
    note(f"writes without space, {bench.runtime}", 14 if FULL else 2)
