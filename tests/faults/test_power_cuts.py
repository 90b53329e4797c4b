"""The power fails: from the system calls of real runs, the states that a disk may be in afterwards, and what becomes of them.

A worker that is killed leaves its unsynced data in the page cache, so that no kill can show a missing `fdatasync`. These tests can.
"""

import json
import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from adapters.exec import ExecAdapter
from adapters.placing import ExecSettings
from adapters.runfiles import RunFiles
from reconciler.compute import Finished, Missing, Quarantined
from reconciler.journal import decode_lines, whole_length
from tests.faults.counts import note
from tests.faults.power_scenarios import DIGEST, SCENARIOS, prepare
from tests.faults.programs import check_end, check_recovered
from tests.faults.revival import Left, revive
from tests.support import strace
from tests.support.power import Disk, State, Tree, cuts
from tests.support.site import Site, eventually, kill
from tests.support.strace import Event
from tests.support.workers import ROOT

FULL = os.environ.get("TYOW_FULL") == "1"
FINE = 420 if FULL else 40
EVERY = 1 if FULL else 7
REVIVED = 100_000 if FULL else 60
BOTH = ["steps", "parallel", "sleep-and-retry", "park", "body-retry", "hosted", "cancel", "results-of-the-dead", "memo-of-the-dead", "fresh"]
ONE = ["end-of-the-dead", "created-twice", "ended-by-the-reconciler", "inbox", "deploy", "deploy-twice"]
CASES = (
    [(name, language) for name in BOTH for language in ("node", "python")] + [(name, "python") for name in ONE] + [("deploy-with-packages", "node")]
)
SLICE = {
    ("steps", "python"),
    ("parallel", "node"),
    ("memo-of-the-dead", "node"),
    ("results-of-the-dead", "python"),
    *((name, "python") for name in ONE if name != "deploy-twice"),
}
PAUSED = """\
import os, time

def work(step):
    again = os.path.exists(os.environ["EFFECTS"])
    effects = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(effects, f"{step.key}\\n".encode())
    if not again:
        time.sleep(600)
    return "done"

def workflow(input, ctx):
    return ctx.step("work", work)
"""
pytestmark = pytest.mark.timeout(1800 if FULL else 120)


@dataclass
class World:
    """What the world around the disk has seen: what was promised to it, by when."""

    root: Path
    events: Sequence[Event]

    def external(self, position: int) -> dict[str, bytes]:
        """Return the files of the observer and of user code as they were at a position of the record."""
        found: dict[str, bytes] = {}
        for event in self.events:
            path = os.path.relpath(event.paths[0], self.root) if event.paths else "exec"
            if event.begun <= position and is_external(path) and not os.path.isdir(event.paths[0]):
                if event.name == "openat" and "O_CREAT" in event.flags:
                    found.setdefault(path, b"")
                elif event.name == "write":
                    found[path] = found.get(path, b"") + event.data
        return found


def is_external(path: str) -> bool:
    """Say whether a path, relative to the root of a scenario, is not on the disk whose power fails."""
    return not path.startswith("exec") or ".files" in path


def is_ignored(path: str) -> bool:
    """Say whether a path is of no interest: hints, what belongs to one worker, and what may be lost."""
    return is_external(path) or path.startswith(("exec/workers", "exec/changed", "exec/interpreters")) or path.endswith("output.log")


@dataclass
class Recording:
    """A scenario that was carried out under the eyes of strace."""

    root: Path
    scenario: str
    language: str
    world: World
    states: list[State]
    final: Tree
    first: Mapping[str, Any]

    @property
    def runs(self) -> list[str]:
        """The uids of its runs."""
        return sorted(path.split("/")[-1].split(".")[0] for path in self.final if path.endswith(".journal.jsonl"))


def recorded(root: Path, scenario: str, language: str) -> Recording:
    """Carry a scenario out and compute the states."""
    prepare(scenario, language, root)
    disk = Disk(root, ignored=is_ignored)
    program = [sys.executable, "-m", "tests.faults.power_scenarios", scenario, language, str(root)]
    events = strace.record(program, root.parent / "trace", cwd=ROOT)
    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    states = cuts(disk, events, FINE, chance, every=EVERY)
    final = disk.tree()
    assert final == Disk(root, ignored=is_ignored).tree(), "the record does not lead to what is there"
    journals = [data for path, data in final.items() if path.endswith("journal.jsonl") and isinstance(data, bytes)]
    first = decode_lines(journals[0])[0] if journals else {}
    chance.shuffle(states)
    return Recording(root, scenario, language, World(root, events), states, final, first)


def materialize(tree: Tree, root: Path) -> None:
    """Write a state to a real disk."""
    root.mkdir()
    for path, what in tree.items():
        target = root / path
        if what is None:
            target.mkdir()
        elif isinstance(what, str):
            target.symlink_to(what)
        else:
            target.write_bytes(what)


def check_state(recording: Recording, state: State, root: Path, external: Mapping[str, bytes]) -> None:
    """Check what a reconciler finds after the power cut: every promise is kept, and nothing is half there."""
    adapter = ExecAdapter(ExecSettings(str(root / "exec")))
    promises = [line.split() for line in external.get("side", b"").decode().splitlines()]
    seen = adapter.observe(dict.fromkeys(recording.runs, 1))
    for uid, what in seen.items():
        assert not isinstance(what, Quarantined), f"{state.what}: {uid}: {what}"
        messages = check_inbox(root / f"exec/runs/{uid}.inbox", state.what)
        for promise in promises:
            match promise:
                case ["ordered", name] if name == uid:
                    assert not isinstance(what, Missing), f"{state.what}: {uid} was ordered, and is not known"
                case ["ended", name, status] if name == uid:
                    assert isinstance(what, Finished) and what.status == status, f"{state.what}: {uid} had {status}, and is {what}"
                case ["sent", name, message] if name == uid:
                    assert message in messages, f"{state.what}: message {message} to {uid} was acknowledged, and is lost"
    is_there = DIGEST in adapter.deployed([DIGEST])
    assert is_there or ["deployed", DIGEST] not in promises, f"{state.what}: the revision is gone"
    if is_there:
        check_snapshot(recording.final, state)


def check_inbox(folder: Path, where: str) -> list[str]:
    """Check that what is visible in an inbox is whole, and each message is there once; return their ids."""
    ids = []
    for path in sorted(folder.glob("[0-9]*.json")):
        data = path.read_bytes()
        assert data and whole_length(data) == len(data), f"{where}: {path.name} is visible before its data"
        ids += [record["id"] for record in decode_lines(data)]
    assert len(ids) == len(set(ids)), where
    return ids


def check_snapshot(final: Tree, state: State) -> None:
    """Check that a revision which is visible is whole, with what was installed for it."""
    wanted = {path: what for path, what in final.items() if path.startswith((f"exec/revisions/{DIGEST}/", "exec/deps/"))}
    there = {path: state.tree.get(path, "nothing") for path in wanted}
    assert there == wanted, f"{state.what}: the revision is visible, and not whole: {[path for path in wanted if there[path] != wanted[path]]}"


@pytest.mark.parametrize(
    ("scenario", "language"), [pytest.param(*case, marks=[] if case in SLICE else [pytest.mark.slow], id="-".join(case)) for case in CASES]
)
def test_I2_I4_I5_nothing_that_was_promised_is_lost_when_the_power_fails(tmp_path: Path, scenario: str, language: str) -> None:
    recording = recorded(tmp_path / "live", scenario, language)
    program = SCENARIOS[scenario][1]
    left: dict[str, list[tuple[State, Left]]] = {uid: [] for uid in recording.runs}
    for number, state in enumerate(recording.states):
        root = tmp_path / f"state{number}"
        materialize(state.tree, root)
        external = recording.world.external(state.position)
        check_state(recording, state, root, external)
        for uid in recording.runs:
            left[uid].append((state, left_of(root, uid, external)))
            check_recovered(RunFiles(str(root / f"exec/runs/{uid}.")).read(), left[uid][-1][1].world.get("side", b""), state.what)
        shutil.rmtree(root)

    for uid, all_of_it in left.items() if scenario in BOTH else ():
        first = {**recording.first, "uid": uid, "run": uid}
        states = all_of_it[:REVIVED]
        revived = revive(tmp_path / f"revived-{uid}", program, language, first, [one for _, one in states])
        for (state, before), after in zip(states, revived, strict=True):
            canceled = any(b'"cancel"' in data for data in before.messages.values()) or b'"canceling"' in before.journal
            wanted = replace(program, status="canceled") if canceled else program
            check_end(wanted, (before.journal, before.world.get("side", b"")), (after.journal, after.side), state.what, lost=True)
    note(f"power-cut states, {scenario}", len(recording.states))


def left_of(root: Path, uid: str, external: Mapping[str, bytes]) -> Left:
    """Return what is left of a run."""
    files = RunFiles(str(root / f"exec/runs/{uid}."))
    inbox = Path(files.inbox)
    folder = f"exec/runs/{uid}.files/"
    world = {path.removeprefix(folder): data for path, data in external.items() if path.startswith(folder)}
    return Left(files.read(), world, {path.name: path.read_bytes() for path in inbox.glob("*.json")} if inbox.is_dir() else {})


def test_the_promises_of_a_recorded_scenario_are_seen(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "live", "steps", "python")

    external = recording.world.external(sys.maxsize)
    assert external["side"].decode().splitlines() == ["ordered u", "ended u completed"]
    assert [json.loads(line.split(b" ", 2)[2])["n"] for line in external["exec/runs/u.files/side"].splitlines() if line.startswith(b"released")] == [
        0,
        1,
        2,
        3,
    ]
    assert recording.world.external(0) == {}


@pytest.mark.parametrize("left", [b"", bytes(300), b"0123456"], ids=["empty", "zeros", "torn"])
def test_a_run_whose_journal_was_lost_before_its_first_sync_is_started_again(site: Site, left: bytes) -> None:
    site.workflow("once", "once.py", PAUSED)
    site.start("one", "once")
    site.pass_()
    eventually(site.effects)
    assert all(kill(pid) for pid in site.processes())
    (journal,) = (site.data / "exec/runs").glob("*.journal.jsonl")
    journal.write_bytes(left)

    site.finish("--timeout", "20s")

    assert site.status("one")["output"] == "done"
    first, second = site.effects()
    assert first == second
