"""Journals as every reader sees them: lines, and the rules of `runtimes/PROTOCOL.md` section 5 for which records count."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.errors import DamagedError, DamagedStateError
from reconciler.values import mutable

PROTOCOL = 1
RECONCILER = "reconciler"
DAMAGED_ADVICE = (
    "`ty-openworkflow state rebuild` moves it aside and takes in what run folders and tombstones prove; a pass that meets this does so by itself"
)
Record = Mapping[str, Any]


def encode_json(value: object) -> str:
    """Write a JSON value without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def decode_json(text: str) -> Any:
    """Read a JSON value that `encode_json` wrote into the database. Raises DamagedStateError: SQLite keeps no checksums."""
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"state.db is damaged (it holds {text[:40]!r} where JSON should be): {DAMAGED_ADVICE}"
        raise DamagedStateError(message) from error


def encode_line(record: Record) -> bytes:
    """Write one record as a line: CRC-32 of the JSON as 8 hex digits, a space, the JSON, a newline."""
    body = encode_json(record).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode_line(line: bytes) -> dict[str, Any]:
    """Read one line without its newline. Raises DamagedError if the CRC or the shape does not fit."""
    body = line[9:]
    try:
        if line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(body):
            message = "the CRC does not fit"
            raise DamagedError(message)
        record = json.loads(body)
    except ValueError as error:
        message = "is not a line of a journal"
        raise DamagedError(message) from error
    if not isinstance(record, dict) or "type" not in record:
        message = "is not a record"
        raise DamagedError(message)
    return record


def whole_length(data: bytes) -> int:
    """Return how many bytes of a journal are whole lines: what follows is a torn tail, or NULs."""
    end = len(data.rstrip(b"\0")) if data.endswith(b"\0") else len(data)
    return data.rfind(b"\n", 0, end) + 1


def decode_lines(data: bytes) -> list[dict[str, Any]]:
    """Read all whole lines of a journal or of orders. Raises DamagedError and names the line."""
    lines = data[: whole_length(data)].split(b"\n")[:-1]
    records = _decode_together(lines)
    if records is not None:
        return records
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(decode_line(line))
        except DamagedError as error:
            message = f"line {number} {error}"
            raise DamagedError(message) from error
    return records


def _decode_together(lines: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Read lines as one array, which is twice as fast as one by one; None where anything is not as it should be."""
    bodies = [line[9:] for line in lines]
    try:
        if any(line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(body) for line, body in zip(lines, bodies, strict=True)):
            return None
        records: list[Any] = json.loads(b"[%b]" % b",".join(bodies))
    except ValueError:
        return None
    whole = len(records) == len(lines) and all(isinstance(record, dict) and "type" in record for record in records)
    return records if whole else None


@mutable
class Acceptance:
    """Says of one record after another whether it counts. `kept` is how many did, `skipped` how many did not."""

    kept: int = 0
    skipped: int = 0
    claim: int = 0
    seq: int = 0
    over: bool = False

    def takes(self, record: Record) -> bool:
        """Say whether a record counts: not if it is of an older claim, of a loser, or after the end.

        Raises DamagedError where a sequence has a gap or records before a claim are gone.
        """
        if self.kept == 0:
            if record["type"] != "order":
                message = "the first record is no order"
                raise DamagedError(message)
        elif self._is_late(record):
            self.skipped += 1
            return False
        elif record["type"] == "claim":
            if record["after"] > self.kept:
                message = f"records are gone before claim {record['claim']}"
                raise DamagedError(message)
            self.claim, self.seq = record["claim"], 0
        self.seq += 1
        if record["claim"] != self.claim or record["seq"] != self.seq:
            message = f"record {record['seq']} of claim {record['claim']} follows record {self.seq - 1} of claim {self.claim}"
            raise DamagedError(message)
        self.kept += 1
        self.over = record["type"] == "finished"
        return True

    def _is_late(self, record: Record) -> bool:
        if self.over:
            return True
        return bool(record["claim"] <= self.claim if record["type"] == "claim" else record["claim"] < self.claim)


def accepted(records: Iterable[Record]) -> tuple[list[Record], int]:
    """Return the records that count, and how many were skipped. Raises DamagedError as `Acceptance.takes`."""
    acceptance = Acceptance()
    kept = [record for record in records if acceptance.takes(record)]
    return kept, acceptance.skipped
