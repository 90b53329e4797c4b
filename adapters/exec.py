"""The `exec` adapter: runs are carried out by processes on this machine, which outlive whoever started them.

Everything it knows is in its folder: `runs/`, `workers/`, `revisions/`, `deps/`, `changed/`. A second process with the same folder sees
the same, so nothing is handed over when a reconciler dies.
"""

import errno
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.crew import Crew
from adapters.interpreters import Interpreter, Interpreters
from adapters.processes import Worker, is_locked, kill_tree, reap
from adapters.runfiles import RunFiles, finished, instant, seen, sync_folder
from adapters.snapshots import Snapshots
from reconciler.assets import asset
from reconciler.compute import (
    Finding,
    Finished,
    Found,
    Gone,
    LetGo,
    Live,
    Missing,
    Observation,
    Order,
    Ordered,
    Outcome,
    Progress,
    Quarantined,
    Refused,
    Revision,
    Seen,
    Unclaimed,
    Unknown,
    Watched,
)
from reconciler.digest import Json, digest_of
from reconciler.errors import DamagedError, RejectedError, UnavailableError
from reconciler.journal import PROTOCOL, History, fold
from reconciler.model import Status
from reconciler.values import frozen

# What a worker inherits; everything else comes from `spec.env`.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
_NODE_FLAGS = ("--experimental-detect-module", "--disable-warning=ExperimentalWarning", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON")
_FOLDERS = ("runs", "workers", "changed", "revisions", "deps")
_BATCH = 16


@frozen
class ExecSettings:
    """What the settings say of this adapter; durations in milliseconds."""

    work_dir: str
    node: str = ""
    python: str = ""
    runs_per_worker: int = 1
    linger_ms: int = 5000
    park_after_ms: int = 120_000


class ExecAdapter:
    """Runs as processes on this machine."""

    name = "exec"

    def __init__(self, settings: ExecSettings) -> None:
        """Nothing is touched before it is needed."""
        self._settings = settings
        self._dir = Path(settings.work_dir)
        self._interpreters = Interpreters({"node": settings.node, "python": settings.python}, self._dir / "interpreters.json")
        self._snapshots = Snapshots(self._dir)
        self._crew = Crew(self._dir / "workers", self._quietly)
        self._read: dict[str, tuple[int, History | None]] = {}
        self._folders_are_durable = False

    # Revisions

    def missing(self, revision: Revision) -> str | None:
        """Return what keeps this machine from running a revision."""
        try:
            self._interpreters.get(revision.runtime)
        except RejectedError as error:
            return str(error)
        return None

    def deployed(self, digests: Sequence[str]) -> frozenset[str]:
        """Return which revisions are there, whole."""
        return self._snapshots.present(digests)

    def deploy(self, revision: Revision, code: Mapping[str, bytes], progress: Progress) -> Json:
        """Write the snapshot and install dependencies; a rename makes it visible, so it is there whole or not at all."""
        self._make_folders()
        return self._snapshots.write(revision, code, self._interpreters.get(revision.runtime), progress)

    def retire(self, digest: str) -> None:
        """Remove a revision that no run needs."""
        self._snapshots.remove(digest)

    # Runs

    def observe(self, claims: Mapping[str, int]) -> dict[str, Observation]:
        """Read the journals that have grown, and ask the locks of their workers."""
        reap()
        return {uid: self._observe(uid, claim) for uid, claim in claims.items()}

    def _observe(self, uid: str, claim: int) -> Observation:
        try:
            return self._judge(uid, claim)
        except DamagedError as error:
            return Quarantined(f"the journal of this run is damaged: {self._files(uid).journal}: {error}")
        except UnavailableError as error:
            return Unknown(str(error))

    def _judge(self, uid: str, claim: int) -> Observation:
        while True:
            size, history = self._history(uid)
            if history is None:
                # A journal without a first record was never synced: nothing of the run was released, and it is created again.
                return Missing() if size < 0 else Unclaimed(Seen(size=size), ordered=False)
            if history.finished is not None:
                self._files(uid).sync()  # its worker may have died before it did
                return finished(history, size)
            facts = seen(history, size)
            if history.let_go is not None and history.claim >= claim:
                return LetGo(facts, history.let_go, Status(history.status), instant(history.due()))
            if history.claim >= claim and is_locked(self._lock(history.worker)):
                return Live(facts, Status(history.status), instant(history.due()))
            ordered = history.claim < claim and self._crew.has_order(uid, claim)
            if self._files(uid).size() != size:
                continue  # written between the read and the look at the lock
            return Unclaimed(facts, ordered) if history.claim < claim else Gone(facts)

    def start(self, orders: Sequence[Order], progress: Progress) -> list[Outcome]:  # noqa: ARG002  # a spawn is too quick to tell of
        """Write first records, then hand each worker its share: idempotent, since a claim is taken once only."""
        self._make_folders()
        self._crew.sweep()
        outcomes: list[Outcome] = []
        ready = []
        created = False
        for order in orders:
            try:
                written = self._files(order.uid).create(order.first)
                history = None if written else self._history(order.uid)[1]
            except (RejectedError, DamagedError) as error:
                outcomes.append(Refused(order.uid, "conflict", str(error), again=False))
                continue
            except (UnavailableError, OSError) as error:
                outcomes.append(_no_room(order, error))
                continue
            created |= written or (history is not None and history.claim == 0)
            if history is not None and (history.finished is not None or history.claim >= order.claim):
                outcomes.append(Ordered(order.uid, adopted=True))
                continue
            if not written:
                self._files(order.uid).cut_torn_tail()
            ready.append(order)
        if created:
            sync_folder(str(self._dir / "runs"))
        return outcomes + self._hand_over(ready)

    def _hand_over(self, orders: Sequence[Order]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        shares: dict[str, list[dict[str, Any]]] = {}
        for order in orders:
            if not self._snapshots.present([order.revision.digest]):
                message = f"revision {order.revision.digest[:12]} of workflow {order.revision.workflow!r} is not deployed here"
                outcomes.append(Refused(order.uid, "revision-missing", message, again=True))
                continue
            line = {"type": "order", "uid": order.uid, "claim": order.claim, "prefix": self._files(order.uid).prefix}
            try:
                worker = self._place(order, line)
            except RejectedError as error:
                outcomes.append(Refused(order.uid, "runtime-missing", str(error), again=False))
            except (UnavailableError, OSError) as error:
                outcomes.append(_no_room(order, error))
            else:
                outcomes.append(Ordered(order.uid))
                if worker.orders.get(order.uid) != order.claim:
                    shares.setdefault(worker.id, []).append(line)
                    worker.orders[order.uid] = order.claim
                if len(shares.get(worker.id, ())) >= _BATCH:
                    worker.append(shares.pop(worker.id))
        for name, lines in shares.items():
            self._crew.living()[name].append(lines)
        return outcomes

    def _place(self, order: Order, line: Mapping[str, Any]) -> Worker:
        """Return the worker that takes an order: one of its revision with room, else a new one, which has the order already."""
        capacity = 1 if order.alone else int(order.revision.block.get("runsPerWorker", self._settings.runs_per_worker))
        env = self._environment(order.env)
        place = digest_of([order.revision.digest, sorted(env.items()), capacity])
        worker = self._crew.with_room(place, capacity) if capacity > 1 else None
        return worker or self._spawn(order, line, env, capacity, place)

    def _spawn(self, order: Order, line: Mapping[str, Any], env: Mapping[str, str], capacity: int, place: str) -> Worker:
        interpreter = self._interpreters.get(order.revision.runtime)
        digest = order.revision.digest
        hello = {
            "type": "hello",
            "protocol": PROTOCOL,
            "worker": f"w{secrets.token_hex(6)}",
            "revision": digest,
            "code": self._snapshots.code(digest),
            "entry": order.revision.entry,
            "paths": self._snapshots.paths(digest, interpreter),
            "capacity": capacity,
            "linger_ms": self._settings.linger_ms,
            "park_after_ms": self._settings.park_after_ms,
            "changed": str(self._dir / "changed"),
            "place": place,
        }
        output = self._files(order.uid).output if capacity == 1 else ""
        return self._crew.engage(hello, [line], self._command(interpreter), env, output)

    def _command(self, interpreter: Interpreter) -> list[str]:
        if interpreter.runtime == "node":
            return [interpreter.path, *_NODE_FLAGS, str(asset("runtimes", "javascript", "worker.mjs"))]
        return [interpreter.path, "-I", "-S", str(asset("runtimes", "python", "worker.py"))]

    @staticmethod
    def _environment(own: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("LC_")}
        return {**inherited, **own}

    def send(self, uid: str, message: Mapping[str, Any]) -> None:
        """Put a message into the inbox and wake whoever holds the run."""
        self._files(uid).send(message)
        history = self._history(uid)[1]
        worker = None if history is None else self._crew.living().get(history.worker)
        if worker is not None:
            worker.wake()

    def kill(self, uid: str) -> None:
        """Kill the worker that holds the run, and everything it started; one that hosts others is left to them once this run has ended."""
        history = self._history(uid)[1]
        if history is None or not history.worker or history.let_go is not None:
            return
        worker = self._crew.living().get(history.worker)
        if history.finished is None or worker is None or worker.hello["capacity"] == 1:
            kill_tree(history.worker)

    def end(self, uid: str, claim: int, first: Mapping[str, Any], finished_record: Mapping[str, Any]) -> Finished:
        """Write the terminal record of a run whose worker is proven dead; one that is there already stays."""
        self._make_folders()
        files = self._files(uid)
        created = files.create(first)
        history = self._history(uid)[1]
        if created or (history is not None and history.claim == 0):
            sync_folder(str(self._dir / "runs"))
        if history is not None and history.finished is None and history.let_go is None and is_locked(self._lock(history.worker)):
            message = f"worker {history.worker} still holds run {history.order['run']!r}"
            raise UnavailableError(message)
        files.end(claim, finished_record)
        size, history = self._history(uid)
        assert history is not None
        return finished(history, size)

    def history(self, uid: str) -> History | None:
        """Return what the journal tells."""
        return self._history(uid)[1]

    def output(self, uid: str, offset: int = 0) -> Iterator[bytes]:
        """Return what was printed, from `offset` on."""
        return self._files(uid).printed(offset)

    def folder(self, uid: str) -> str | None:
        """Return the run's own folder."""
        return self._files(uid).files

    def remove(self, uid: str) -> None:
        """Remove everything of a run that has ended."""
        self._files(uid).remove()
        self._read.pop(uid, None)

    def found(self) -> Iterator[Found]:
        """Return every run with a journal here; one that is damaged or empty is passed over."""
        runs = self._dir / "runs"
        for path in sorted(runs.glob("*.journal.jsonl")) if runs.is_dir() else ():
            uid = path.name.removesuffix(".journal.jsonl")
            try:
                history = self._history(uid)[1]
            except DamagedError:
                continue
            if history is not None:
                yield Found(uid, history.order)

    def examine(self) -> list[Finding]:
        """Look for the interpreters, and whether the folders may be used."""
        places = [self._dir, *(self._dir / name for name in _FOLDERS)]
        shut = [str(place) for place in places if os.path.lexists(place) and not os.access(place, os.R_OK | os.W_OK | os.X_OK)]
        advice = f"chmod 700 {' '.join(shut)}"
        found = [Finding("run folders", not shut, f"{', '.join(shut)} cannot be used: no permission" if shut else str(self._dir), advice)]
        for runtime in ("node", "python"):
            try:
                interpreter = self._interpreters.get(runtime)
            except RejectedError as error:
                found.append(Finding(runtime, False, str(error), f"workflows with runtime {runtime} cannot run here until then"))
            else:
                found.append(Finding(runtime, True, f"{interpreter.path}, {interpreter.version}"))
        return found

    # Between two passes

    def watched(self) -> Watched:
        """Watch `changed/`, and the pipes of the workers for their deaths."""
        self._make_folders()
        return Watched((str(self._dir / "changed"),), self._crew.ends())

    def drain_changes(self) -> frozenset[str]:
        """Unlink the marks before anything is read, so that a change after that makes a new one."""
        reap()
        changed = self._dir / "changed"
        names = os.listdir(changed) if changed.is_dir() else []
        for name in names:
            (changed / name).unlink(missing_ok=True)
        return frozenset([*names, *self._crew.bury()])

    def close(self) -> None:
        """Close the pipes; the workers go on."""
        self._crew.close()

    # Inside

    def _files(self, uid: str) -> RunFiles:
        return RunFiles(str(self._dir / "runs" / f"{uid}."))

    def _lock(self, worker: str) -> str:
        return str(self._dir / "workers" / worker / "lock")

    def _make_folders(self) -> None:
        for name in _FOLDERS:
            (self._dir / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._folders_are_durable:  # whoever made them may have died before this
            sync_folder(str(self._dir))
            sync_folder(str(self._dir.parent))
            self._folders_are_durable = True
        self._interpreters.save()

    def _history(self, uid: str) -> tuple[int, History | None]:
        """Return a journal's size and what it tells; one that has not grown is not read again."""
        files = self._files(uid)
        try:
            size = files.size()
            known = self._read.get(uid)
            data = b"" if known is not None and known[0] == size else files.read()
        except OSError as error:
            message = f"{files.journal} cannot be read: {error.strerror}"
            raise UnavailableError(message) from error
        if known is None or known[0] != size:
            known = (len(data), fold(data)) if data else (size, None)
            self._read[uid] = known
            self._crew.let_go(uid, known[1])
        return known

    def _quietly(self, uid: str) -> History | None:
        try:
            return self._history(uid)[1]
        except (DamagedError, UnavailableError):
            return None


def _no_room(order: Order, error: Exception) -> Refused:
    said = error.strerror if isinstance(error, OSError) else str(error)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Refused(order.uid, "no-space" if full else "unavailable", f"the run could not be handed to a worker: {said}", again=True)
