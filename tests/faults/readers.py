"""The three readers of journals (the reconciler's, and those of both workers), asked for the same variants of a journal."""

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.errors import DamagedError
from reconciler.journal import accepted, decode_lines
from tests.support.workers import NODE, ROOT

sys.path.append(str(ROOT / "runtimes/python"))

from ty_worker import history as worker_history
from ty_worker import lines as worker_lines

Edit = tuple[int, int, bytes]
"""Put these bytes into the place of those from one offset to another."""


def edited(journal: bytes, edits: Sequence[Edit]) -> bytes:
    """Return a variant of a journal."""
    for start, end, new in edits:
        journal = journal[:start] + new + journal[end:]
    return journal


def verdict(records: Sequence[Mapping[str, Any]], original: Sequence[Mapping[str, Any]], count: int, claim: int, *, finished: bool) -> str:
    """Return what a reader made of a variant: `damage`, or whether its records are a beginning of the original ones, and what they tell."""
    same = list(records) == list(original[: len(records)])
    return f"{'prefix' if same else 'other'} {len(records)} {count} {claim} {str(finished).lower()}"


def reconciler_verdicts(journal: bytes, variants: Iterable[Sequence[Edit]]) -> list[str]:
    """Ask the reconciler's reader."""
    original, found = decode_lines(journal), []
    for edits in variants:
        try:
            records = decode_lines(edited(journal, edits))
            kept, _ = accepted(records)
        except DamagedError:
            found.append("damage")
        else:
            claim = max((record["claim"] for record in kept), default=0)
            found.append(verdict(records, original, len(kept), claim, finished=bool(kept) and kept[-1]["type"] == "finished"))
    return found


def python_verdicts(journal: bytes, variants: Iterable[Sequence[Edit]]) -> list[str]:
    """Ask the reader of the Python worker."""
    original, found = worker_lines.decode_lines(journal), []
    for edits in variants:
        history = worker_history.History()
        try:
            records = worker_lines.decode_lines(edited(journal, edits))
            for record in records:
                history.accept(record)
        except (worker_lines.DamageError, KeyError, TypeError, ValueError):
            found.append("damage")
        else:
            found.append(verdict(records, original, history.accepted, history.claim, finished=history.finished is not None))
    return found


def javascript_verdicts(journal: bytes, variants: Iterable[Sequence[Edit]]) -> list[str]:
    """Ask the reader of the JavaScript worker, all variants in one process."""
    assert NODE is not None
    lists = "".join(json.dumps([(start, end, base64.b64encode(new).decode()) for start, end, new in edits]) + "\n" for edits in variants)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        path.write_bytes(journal)
        command = [NODE, str(ROOT / "tests/javascript/support/read_journals.mjs"), str(path)]
        done = subprocess.run(command, input=lists, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def verdicts(journal: bytes, variants: Sequence[Sequence[Edit]]) -> list[str]:
    """Ask all three readers, demand that they agree, and return what they say."""
    ours = reconciler_verdicts(journal, variants)
    for other in (python_verdicts, javascript_verdicts):
        theirs = other(journal, variants)
        assert len(theirs) == len(ours)
        differing = [(edits, mine, his) for edits, mine, his in zip(variants, ours, theirs, strict=True) if mine != his]
        assert not differing, f"{other.__name__}: {len(differing)} differ, the first: {differing[0]}"
    return ours
