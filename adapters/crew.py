"""The living workers of one folder: who they are, what was ordered from them, and who of them has died."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.processes import Worker, is_locked, kill_tree, ran_out_of_space, read_worker, spawn
from reconciler.history import History

_KEPT_SECONDS = 86_400
_HANDING_MARGIN = 2.0


class Crew:
    """Workers by their names; those that another process started are found on first use."""

    def __init__(self, folder: Path, history: Callable[[str], History | None]) -> None:
        """`history` tells what has become of a run, None where that cannot be read."""
        self._folder, self._history = folder, history
        self._living: dict[str, Worker] | None = None

    def living(self) -> dict[str, Worker]:
        """Return the workers that are known to have lived at the last look."""
        if self._living is None:
            self._living = {}
            for entry in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
                worker = read_worker(str(entry))
                if worker is not None and worker.alive():
                    worker.open_end()
                    self._living[worker.id] = worker
                    for uid in list(worker.orders):
                        self.let_go(uid, self._history(uid))
        return self._living

    def with_room(self, place: str, capacity: int) -> Worker | None:
        """Return a living worker of a place that can take one more run."""
        for worker in self.living().values():
            busy = worker.drained or worker.handing_since is not None
            if worker.hello.get("place") == place and not busy and len(worker.orders) < capacity and worker.end >= 0 and worker.alive():
                return worker
        return None

    def ordered_at(self, uid: str, claim: int) -> datetime | None:
        """Return since when a living worker is ordered to take this claim (no earlier than that it was told), None if there is none."""
        for worker in self.living().values():
            if worker.orders.get(uid) == claim and worker.alive():
                return worker.told_at()
        return None

    def about_to_take(self, uid: str, claim: int) -> Worker | None:
        """Return a living worker that was ordered to take a later claim of a run than this one."""
        return next((worker for worker in self.living().values() if worker.orders.get(uid, 0) > claim and worker.alive()), None)

    def uses(self, digest: str) -> bool:
        """Say whether a living worker is one of this revision."""
        return any(worker.hello.get("revision") == digest and worker.alive() for worker in self.living().values())

    def engage(
        self, hello: Mapping[str, Any], orders: Sequence[Mapping[str, Any]], command: Sequence[str], env: Mapping[str, str], output: str
    ) -> Worker:
        """Start a worker with its first orders; without `output` it prints into a log of its own."""
        folder = str(self._folder / hello["worker"])
        worker = spawn(folder, hello, orders, [*command, folder], env, output or os.path.join(folder, "log"))
        self.living()[worker.id] = worker
        return worker

    def let_go(self, uid: str, history: History | None) -> None:
        """Give a worker its room back when it let go of a run."""
        if self._living is None or history is None or (history.finished is None and history.let_go is None):
            return
        worker = self._living.get(history.worker)
        if worker is not None and worker.orders.get(uid) == history.claim:
            del worker.orders[uid]

    def handed_over(self, worker: Worker, keep: str) -> bool:
        """Tell a worker to let every run but one go on elsewhere, and say whether it has, or had its time."""
        others = [uid for uid in list(worker.orders) if uid != keep]
        histories = [history for uid in others if (history := self._history(uid)) is not None]
        if not [uid for uid in worker.orders if uid != keep]:
            return True
        now = time.time()  # noqa: TID251
        if worker.handing_since is None:
            worker.handing_since = now
            worker.append([{"type": "hand-over", "keep": keep, "since": now}])
        grace = max((history.order["settings"]["cancel"]["grace_ms"] for history in histories), default=0)
        return now > worker.handing_since + grace / 1000 + _HANDING_MARGIN

    def bury(self) -> list[str]:
        """Forget the workers that have died since the last look, and return the runs that were ordered from them."""
        uids: list[str] = []
        for worker in list(self.living().values()):
            if not worker.alive():
                worker.close()
                del self.living()[worker.id]
                if worker.handing_since is not None:
                    kill_tree(worker.id)  # what the run that it kept has left behind
                _sweep(Path(worker.folder))
                uids += worker.orders
        return uids

    def sweep(self) -> None:
        """Remove the folders of dead workers. Only where workers are started: one that is just being started looks dead to others."""
        for entry in self._folder.iterdir():
            if entry.name in self.living() or is_locked(str(entry / "lock")):
                continue
            worker = read_worker(str(entry))
            if worker is not None and worker.handing_since is not None:
                kill_tree(worker.id)
            _sweep(entry)

    def ends(self) -> tuple[int, ...]:
        """Return the pipes that tell of deaths."""
        return tuple(worker.end for worker in self.living().values() if worker.end >= 0)

    def close(self) -> None:
        """Close the pipes; the workers go on."""
        for worker in (self._living or {}).values():
            worker.close()
        self._living = None


def _sweep(folder: Path) -> None:
    """Remove the folder of a dead worker; what it printed outside of any run is kept for a day, and so is the mark that it had no space."""
    log, lock = folder / "log", folder / "lock"
    try:
        spoke = (log.exists() and log.stat().st_size) or ran_out_of_space(str(lock))
        if spoke and time.time() - folder.stat().st_mtime < _KEPT_SECONDS:  # noqa: TID251
            return
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
    except OSError:
        return  # somebody else sweeps too
