"""The `exec` adapter: runs are carried out by processes on this machine, which outlive whoever started them.

Everything it knows is in its folder: `runs/`, `workers/`, `revisions/`, `deps/`, `changed/`. A second process with the same folder sees
the same, so nothing is handed over when a reconciler dies.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters import keepsakes
from adapters.crew import Crew
from adapters.interpreters import Interpreters
from adapters.placing import ExecSettings, Placing, environment, no_room
from adapters.processes import boot_id, has_children, is_locked, kill_tree, ran_out_of_space, reap
from adapters.replays import replay
from adapters.runfiles import RunFiles, finished, instant, seen, sync_folder
from adapters.snapshots import Snapshots
from reconciler.compute import (
    Finding,
    Finished,
    Found,
    Gone,
    Inventory,
    Keepsake,
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
    Verdict,
    Watched,
)
from reconciler.digest import Json
from reconciler.errors import DamagedError, RejectedError, UnavailableError
from reconciler.history import History, Reader
from reconciler.journal import accepted, decode_lines
from reconciler.model import Status
from reconciler.values import replace

_FOLDERS = ("runs", "workers", "changed", "revisions", "deps")


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
        self._placing = Placing(settings, self._interpreters, self._snapshots, self._crew, self._files)
        self._read: dict[str, tuple[int, Reader]] = {}
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
        try:
            return self._snapshots.write(revision, code, self._interpreters.get(revision.runtime), progress)
        except OSError as error:
            message = f"workflow {revision.workflow!r}: its revision could not be written: {error.strerror}"
            raise UnavailableError(message) from error

    def altered(self, digests: Sequence[str], *, deep: bool = False) -> Mapping[str, str]:
        """Return which revisions are not as they were deployed: by names, sizes and times, and where these differ by the bytes."""
        found = {digest: self._snapshots.altered(digest, self._interpreters.get, deep=deep) for digest in self._snapshots.present(digests)}
        return {digest: what for digest, what in found.items() if what is not None}

    def abandon(self, digest: str) -> None:
        """End the installation that a deploy waits for."""
        self._snapshots.abandon(digest)

    def retire(self, digest: str) -> None:
        """Remove a revision that no run needs."""
        self._snapshots.remove(digest)

    def describe(self, revision: Revision) -> None:
        """Keep a revision's description beside its snapshot."""
        self._snapshots.describe(revision)

    def described(self, digest: str) -> Revision | None:
        """Return the description of a revision."""
        return self._snapshots.described(digest)

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
            facts = seen(history, size, boot=boot_id())
            if history.let_go is not None and history.claim >= claim:
                facts = replace(facts, mail=history.unread(self._files(uid).messages()))
                return LetGo(facts, history.let_go, Status(history.status), instant(history.due()))
            if history.claim >= claim and is_locked(self._lock(history.worker)):
                return Live(facts, Status(history.status), instant(history.due()))
            ordered_at = self._crew.ordered_at(uid, claim) if history.claim < claim else None
            if self._files(uid).size() != size:
                continue  # written between the read and the look at the lock
            if history.claim < claim:
                return Unclaimed(facts, ordered_at is not None, ordered_at)
            if ran_out_of_space(self._lock(history.worker)):
                return LetGo(facts, "no-space", Status(history.status), None)
            return Gone(facts)

    def start(self, orders: Sequence[Order], progress: Progress) -> list[Outcome]:  # noqa: ARG002  # a spawn is too quick to tell of
        """Write first records, then hand each worker its share: idempotent, since a claim is taken once only."""
        self._make_folders()
        self._crew.sweep()
        self._snapshots.sweep(self._crew.uses)
        outcomes: list[Outcome] = []
        ready = []
        before: dict[str, str] = {}
        created = False
        for order in orders:
            try:
                written = self._create(order.uid, order.first)
                history = None if written else self._history(order.uid)[1]
            except (RejectedError, DamagedError) as error:
                outcomes.append(Refused(order.uid, "conflict", str(error), again=False))
                continue
            except (UnavailableError, OSError) as error:
                outcomes.append(no_room(order, error))
                continue
            created |= written or (history is not None and history.claim == 0)
            if history is not None and (history.finished is not None or history.claim >= order.claim):
                outcomes.append(Ordered(order.uid, adopted=True))
                continue
            if not written:
                self._files(order.uid).cut_torn_tail()
            if history is not None and history.let_go is None and history.worker and ran_out_of_space(self._lock(history.worker)):
                before[order.uid] = "no-space"
            ready.append(order)
        if created:
            sync_folder(str(self._dir / "runs"))
        return outcomes + self._placing.hand_over(ready, before)

    def send(self, uid: str, message: Mapping[str, Any]) -> None:
        """Put a message into the inbox and wake whoever holds the run."""
        self._files(uid).send(message)
        history = self._history(uid)[1]
        worker = None if history is None else self._crew.living().get(history.worker)
        if worker is not None:
            worker.wake()

    def kill(self, uid: str) -> None:
        """Kill the worker that holds the run, and everything it started; other runs that it holds go on elsewhere first."""
        history = self._history(uid)[1]
        if history is None:
            return
        worker = self._crew.about_to_take(uid, history.claim)
        if worker is None:
            if not history.worker or history.let_go is not None:
                return
            worker = self._crew.living().get(history.worker)
        if worker is None or worker.hello["capacity"] == 1:
            kill_tree(history.worker if worker is None else worker.id)
        elif history.finished is not None and not has_children(worker.id):
            return  # it left nothing behind
        elif self._crew.handed_over(worker, uid):
            kill_tree(worker.id)

    def end(self, uid: str, claim: int, first: Mapping[str, Any], finished_record: Mapping[str, Any]) -> Finished:
        """Write the terminal record of a run whose worker is proven dead; one that is there already stays."""
        self._make_folders()
        files = self._files(uid)
        created = self._create(uid, first)
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

    def records(self, uid: str) -> list[Mapping[str, Any]]:
        """Return the records that count."""
        try:
            return accepted(decode_lines(self._files(uid).read()))[0]
        except OSError as error:
            message = f"{self._files(uid).journal} cannot be read: {error.strerror}"
            raise UnavailableError(message) from error

    def replay(self, uid: str, revision: Revision, progress: Progress) -> Verdict:
        """Let a worker of that revision look at the journal."""
        progress(f"replaying against revision {revision.digest[:12]}")
        order = {"type": "replay", "uid": uid, "prefix": self._files(uid).prefix}
        env = environment({variable.name: variable.value for variable in revision.env if variable.value is not None})
        return replay(self._dir / "replays", self._placing.hello(revision, 1), order, self._placing.command(revision.runtime), env)

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
        """Return every run with a journal here whose first record can be read."""
        return keepsakes.found(self._dir / "runs", self.history)

    def messages(self, uid: str) -> list[Mapping[str, Any]]:
        """Return the messages in the inbox of a run."""
        return self._files(uid).mail()

    def inventory(self) -> Inventory:
        """Read every journal, and say what is there."""
        return keepsakes.inventory(self._dir, self.history)

    def home(self) -> str | None:
        """Return the folder of this adapter."""
        return str(self._dir)

    def workers(self, home: str) -> int:
        """Return how many workers hold their locks in such a folder."""
        folder = Path(home, "workers")
        return sum(is_locked(str(entry / "lock")) for entry in folder.iterdir()) if folder.is_dir() else 0

    def take_newer(self, home: str) -> int:
        """Take over the runs of which another folder tells more."""
        self._make_folders()
        return keepsakes.take_newer(self._dir, Path(home))

    def keepsakes(self, uids: Sequence[str], digests: Sequence[str]) -> Iterator[Keepsake]:
        """Return the files of these runs and revisions."""
        return keepsakes.keepsakes(self._dir, self._files, uids, digests)

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

    def _create(self, uid: str, first: Mapping[str, Any]) -> bool:
        """Write the first record of a run unless one is there; say whether it was written. Raises RejectedError for another run's record."""
        files = self._files(uid)
        if files.create(first):
            return True
        history = self._history(uid)[1]
        if history is None:
            files.create_again(first)
            return True
        theirs, ours = history.order, first
        if (theirs["uid"], theirs["spec_hash"]) != (ours["uid"], ours["spec_hash"]):
            message = f"{files.journal} holds run {theirs['run']!r} with spec {theirs['spec_hash'][:12]}, not {ours['run']!r} with spec {ours['spec_hash'][:12]}"
            raise RejectedError(message)
        return False

    def _history(self, uid: str) -> tuple[int, History | None]:
        """Return a journal's size and what it tells; of one that has grown only what is new is read."""
        files = self._files(uid)
        size, reader = self._read.get(uid, (-1, Reader()))
        try:
            now = files.size()
            if now == size:
                return size, reader.history
            if now < reader.consumed:
                reader = Reader()
            data = files.read(reader.consumed)
        except OSError as error:
            message = f"{files.journal} cannot be read: {error.strerror}"
            raise UnavailableError(message) from error
        self._read.pop(uid, None)  # a reader that finds damage is of no use
        reader_size = reader.consumed + len(data) if now >= 0 else -1
        reader.feed(data)
        self._read[uid] = (reader_size, reader)
        self._crew.let_go(uid, reader.history)
        return reader_size, reader.history

    def _quietly(self, uid: str) -> History | None:
        try:
            return self._history(uid)[1]
        except (DamagedError, UnavailableError):
            return None
