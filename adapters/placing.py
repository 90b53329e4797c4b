"""Handing orders to workers on this machine: each goes to a worker of its revision with room, else to a new one."""

import errno
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.crew import Crew
from adapters.interpreters import Interpreter, Interpreters
from adapters.processes import Worker
from adapters.runfiles import RunFiles
from adapters.snapshots import Snapshots
from reconciler.assets import asset
from reconciler.compute import Order, Ordered, Outcome, Refused, Revision
from reconciler.digest import digest_of
from reconciler.errors import RejectedError, UnavailableError
from reconciler.journal import PROTOCOL
from reconciler.values import frozen

# What a worker inherits; everything else comes from `spec.env`.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
_NODE_FLAGS = ("--experimental-detect-module", "--disable-warning=ExperimentalWarning", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON")
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


class Placing:
    """Finds or starts the workers that take orders."""

    def __init__(
        self, settings: ExecSettings, interpreters: Interpreters, snapshots: Snapshots, crew: Crew, files: Callable[[str], RunFiles]
    ) -> None:
        self._settings, self._dir = settings, Path(settings.work_dir)
        self._interpreters, self._snapshots, self._crew, self._files = interpreters, snapshots, crew, files

    def hand_over(self, orders: Sequence[Order], before: Mapping[str, str]) -> list[Outcome]:
        """Hand each worker its share. `before` says how the last claim of a run ended, where its journal could not."""
        outcomes: list[Outcome] = []
        shares: dict[str, list[dict[str, Any]]] = {}
        for order in orders:
            if not self._snapshots.present([order.revision.digest]):
                message = f"revision {order.revision.digest[:12]} of workflow {order.revision.workflow!r} is not deployed here"
                outcomes.append(Refused(order.uid, "revision-missing", message, again=True))
                continue
            line = {"type": "order", "uid": order.uid, "claim": order.claim, "prefix": self._files(order.uid).prefix}
            if order.uid in before:
                line["before"] = before[order.uid]
            try:
                worker = self._place(order, line)
            except RejectedError as error:
                outcomes.append(Refused(order.uid, "runtime-missing", str(error), again=False))
            except (UnavailableError, OSError) as error:
                outcomes.append(no_room(order, error))
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
        env = environment(order.env)
        place = digest_of([order.revision.digest, sorted(env.items()), capacity])
        worker = self._crew.with_room(place, capacity) if capacity > 1 else None
        if worker is not None:
            return worker
        hello = {**self.hello(order.revision, capacity), "place": place}
        output = self._files(order.uid).output if capacity == 1 else ""
        return self._crew.engage(hello, [line], self.command(order.revision.runtime), env, output)

    def hello(self, revision: Revision, capacity: int) -> dict[str, Any]:
        """Return the first line for a new worker of a revision. Raises RejectedError if its interpreter is missing."""
        return {
            "type": "hello",
            "protocol": PROTOCOL,
            "worker": f"w{secrets.token_hex(6)}",
            "revision": revision.digest,
            "code": self._snapshots.code(revision.digest),
            "entry": revision.entry,
            "paths": self._snapshots.paths(revision.digest, self._interpreter(revision.runtime)),
            "capacity": capacity,
            "linger_ms": self._settings.linger_ms,
            "park_after_ms": self._settings.park_after_ms,
            "changed": str(self._dir / "changed"),
        }

    def _interpreter(self, runtime: str) -> Interpreter:
        return self._interpreters.get(runtime)

    def command(self, runtime: str) -> list[str]:
        """Return the command of a worker, without its folder. Raises RejectedError if its interpreter is missing."""
        path = self._interpreter(runtime).path
        if runtime == "node":
            return [path, *_NODE_FLAGS, str(asset("runtimes", "javascript", "worker.mjs"))]
        return [path, "-I", "-S", str(asset("runtimes", "python", "worker.py"))]


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: what every program needs, and what its workflow declares."""
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("LC_")}
    return {**inherited, **own}


def no_room(order: Order, error: Exception) -> Refused:
    """Return the answer to an order that could not be handed over for now."""
    said = error.strerror if isinstance(error, OSError) else str(error)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Refused(order.uid, "no-space" if full else "unavailable", f"the run could not be handed to a worker: {said}", again=True)
