"""Plays cases with real workers: creates the run, orders it, does what the case says, and returns what the journal holds in the end."""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.instants import stamp
from reconciler.journal import encode_line
from tests.conformance.runtimes import code
from tests.conformance.runtimes.cases import Case
from tests.support.workers import Bench, Worker, merged, until

PATIENCE = 30
SIDE_BY_SIDE = 6
SETTINGS = {
    "retry": {"initial_interval_ms": 1, "jitter": False},
    "step": {"retry": {"max_attempts": 3, "initial_interval_ms": 1, "jitter": False}, "timeout_ms": 0},
    "cancel": {"grace_ms": 5000},
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True)
class Played:
    """What a case left behind."""

    journal: bytes
    records: list[Mapping[str, Any]]
    effects: list[str]


class Stage:
    """The worker that hosts the runs of many cases of one front."""

    def __init__(self, folder: Path, cases: Iterable[Case], front: str) -> None:
        self.bench = Bench(folder, code.together(cases, front), runtime=code.RUNTIMES[front])
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def worker(self) -> Worker:
        """Return the worker; it is started when it is first asked for, and when it has ended: one that a run was left waiting in does not linger."""
        with self._lock:
            if self._worker is not None and not self._worker.alive():
                self._worker.wait()
                self._worker = None
            if self._worker is None:
                self._worker = self.bench.spawn(capacity=16, linger_ms=60_000, env={"CONFORMANCE": str(self.bench.folder)})
            return self._worker

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            if self._worker.alive():
                self._worker.kill()
            self._worker.wait()


def play(case: Case, front: str, place: Stage | Path) -> Played:
    """Carry a case out, in a worker of its own in a folder, or in the worker of a stage."""
    if isinstance(place, Stage):
        actor = _Actor(case, front, place.bench, place)
    else:
        actor = _Actor(case, front, Bench(place, code.alone(case, front), runtime=code.RUNTIMES[front]), None)
    try:
        return actor.play()
    finally:
        actor.close()


class _Actor:
    """Plays one case in one front."""

    def __init__(self, case: Case, front: str, bench: Bench, stage: Stage | None) -> None:
        self._case, self._front, self._bench, self._stage = case, front, bench, stage
        self._uid = case.slug
        self._worker: Worker | None = None

    def play(self) -> Played:
        case = self._case
        self._bench.create(self._uid, case.input, merged(SETTINGS, case.settings), **case.order)
        if not (case.do and _named(case.do[0])[0] in ("send", "start")):
            self._do_start(None)
        for action in case.do:
            name, details = _named(action)
            getattr(self, f"_do_{name}")(details)
        self._do_end(None)
        effects = Path(self._file("effects"))
        return Played(self._bench.journal(self._uid), self._bench.records(self._uid), effects.read_text().splitlines() if effects.exists() else [])

    def close(self) -> None:
        """Leave no process behind."""
        if self._worker is not None and self._stage is None and self._worker.status is None:
            self._worker.kill()
            self._worker.wait()

    def _file(self, name: str) -> str:
        return str(self._bench.folder / f"{self._uid}.{name}")

    def _do_start(self, details: Any) -> None:
        """Order the next claim of the run."""
        if self._stage is not None:
            self._take(self._stage)
            return
        self._worker = self._bench.spawn(
            uid=self._uid, env={"CONFORMANCE": str(self._bench.folder)}, **{"linger_ms": 20, **self._case.worker, **(details or {})}
        )
        self._worker.order(self._uid, self._bench.history(self._uid).claim + 1)

    def _take(self, stage: Stage) -> None:
        """Order the run from the worker of a stage, until one has claimed it."""
        claim = self._bench.history(self._uid).claim + 1
        while self._bench.history(self._uid).claim < claim:
            self._worker = worker = stage.worker()
            worker.order(self._uid, claim)
            until(lambda worker=worker: self._bench.history(self._uid).claim == claim or not worker.alive(), PATIENCE)

    def _do_resume(self, details: Any) -> None:
        """Wait for the end of the worker, and order the next claim from a new one; `code: 2` has the second version of the code."""
        self._do_end(None)
        details = dict(details or {})
        if details.pop("code", 1) == 2:
            for path, text in code.alone(self._case, self._front, then=True).items():
                (self._bench.folder / "code" / path).write_text(text)
        self._do_start(details)

    def _do_end(self, _details: Any) -> None:
        """Wait until the claim has ended, and with it a worker of the run's own."""
        if self._worker is None:
            return
        if self._stage is None:
            try:
                self._worker.wait(PATIENCE)
            except AssertionError as error:
                message = f"{error}; the journal holds {self._bench.records(self._uid)[1:]}; {self._output()}"
                raise AssertionError(message) from None
            return
        self._wait(lambda: self._ended() or not self._worker.alive(), "the end of the run")  # type: ignore[union-attr]
        assert self._ended(), f"the worker died:\n{self._worker.log()}"

    def _ended(self) -> bool:
        return self._bench.history(self._uid).finished is not None

    def _do_until(self, details: str | list[str]) -> None:
        """Wait until the journal holds records, each as `type`, or `type key`."""
        for each in [details] if isinstance(details, str) else details:
            kind, _, key = each.partition(" ")
            self._wait(lambda kind=kind, key=key: self._holds({kind}, key), each)  # type: ignore[misc]

    def _do_release(self, details: str | list[str]) -> None:
        """Open gates, one after another: the step of that name has ended before the next one is opened."""
        gates = [details] if isinstance(details, str) else details
        for name in gates:
            Path(self._file(f"gate.{name}")).touch()
            if len(gates) > 1:
                self._wait(lambda name=name: self._holds({"completed", "failed"}, name), f"the result of {name}")  # type: ignore[misc]

    def _do_effect(self, details: str) -> None:
        """Wait until the code has left a mark."""
        path = Path(self._file("effects"))
        self._wait(lambda: path.exists() and details in path.read_text().splitlines(), f"effect {details}")

    def _holds(self, kinds: set[str], key: str) -> bool:
        return any(record["type"] in kinds and (not key or record.get("key") == key) for record in self._bench.records(self._uid))

    def _wait(self, check: Callable[[], bool], what: str) -> None:
        """Wait until something is so, or the run has ended without it."""
        with contextlib.suppress(AssertionError):
            until(lambda: check() or self._ended(), PATIENCE)
        if not check():
            message = f"{what} did not come; the journal holds {self._bench.records(self._uid)[1:]}; {self._output()}"
            raise AssertionError(message)

    def _output(self) -> str:
        path = Path(self._bench.prefix(self._uid) + "output.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def _do_send(self, details: Mapping[str, Any]) -> None:
        """Put a message into the inbox, and wake the worker."""
        self._bench.send(self._uid, {"id": f"m{os.urandom(4).hex()}", **details})
        if self._worker is not None and self._worker.status is None:
            self._worker.wake()

    def _do_wake(self, _details: Any) -> None:
        """Wake the worker for nothing."""
        assert self._worker is not None
        self._worker.wake()

    def _do_kill(self, _details: Any) -> None:
        assert self._worker is not None
        self._worker.kill()
        self._worker.wait()

    def _do_sigterm(self, _details: Any) -> None:
        assert self._worker is not None
        self._worker.kill(signal.SIGTERM)
        self._wait(lambda: not self._worker.pending(signal.SIGTERM), "the delivery of SIGTERM")  # type: ignore[union-attr]

    def _do_rival(self, details: int) -> None:
        """Order a claim that another worker holds already, from a second worker, and wait for its end."""
        rival = self._bench.spawn(env={"CONFORMANCE": str(self._bench.folder)})
        rival.order(self._uid, details)
        rival.wait()

    def _do_advance(self, details: int) -> None:
        """Let time pass while the run is parked: every instant in the journal moves into the past, by so many ms."""
        self._do_end(None)

        path = Path(self._bench.prefix(self._uid) + "journal.jsonl")
        path.write_bytes(b"".join(encode_line(moved(record, timedelta(milliseconds=details))) for record in self._bench.records(self._uid)))

    def _do_torn(self, details: int) -> None:
        """Cut so many bytes off the end of the journal, as a crash in the middle of a write does."""
        self._do_end(None)
        path = self._bench.prefix(self._uid) + "journal.jsonl"
        os.truncate(path, os.path.getsize(path) - details)

    def _do_cut(self, details: int) -> None:
        """Take so many whole records off the end of the journal: a power cut has lost what was not synced."""
        self._do_end(None)
        path = Path(self._bench.prefix(self._uid) + "journal.jsonl")
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-details]))


def moved(value: Any, age: timedelta) -> Any:
    """Return a record with its instants moved into the past."""
    if isinstance(value, Mapping):
        return {key: moved(each, age) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, age) for each in value]
    return INSTANT.sub(lambda found: stamp(datetime.fromisoformat(found[0]) - age), value) if isinstance(value, str) else value


def _named(action: Any) -> tuple[str, Any]:
    """Return the name and the details of an action: `name`, or `name: details`."""
    return (action, None) if isinstance(action, str) else next(iter(action.items()))
