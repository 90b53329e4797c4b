"""Replays of a journal against other code: a worker that only looks, in a folder of its own that is gone afterwards."""

import json
import os
import select
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.processes import kill_tree, reap, spawn
from reconciler.compute import Verdict
from reconciler.errors import UnavailableError

_PATIENCE = 120.0
_SAID = 400


def replay(folder: Path, hello: Mapping[str, Any], order: Mapping[str, Any], command: Sequence[str], env: Mapping[str, str]) -> Verdict:
    """Let a worker carry the journal out, and return what it found. Raises UnavailableError if it finds nothing in two minutes."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = folder / hello["worker"]
    log = str(folder / f"{hello['worker']}.log")
    worker = spawn(str(place), hello, [order], [*command, str(place)], env, log)
    try:
        poll = select.poll()
        poll.register(worker.end, 0)  # its pipe breaks when it ends
        poll.poll(_PATIENCE * 1000)
        try:
            facts = json.loads((place / "verdict.json").read_bytes())
        except FileNotFoundError as error:
            said = Path(log).read_text(errors="replace")[-_SAID:].strip()
            message = f"the replay came to no end: {said or 'its worker said nothing'}"
            raise UnavailableError(message) from error
        return Verdict(**facts)
    finally:
        worker.close()
        kill_tree(worker.id)
        reap()
        shutil.rmtree(place, ignore_errors=True)
        os.unlink(log)
