"""Lines of journals, orders and inboxes: a CRC-32, a space, JSON, a newline."""

from __future__ import annotations

import json
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

encode_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
encode_text = json.encoder.encode_basestring
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def copy_json(value: object) -> Any:
    """Return a copy of a JSON value."""
    return _scan(encode_json(value), 0)[0]


class DamageError(Exception):
    """A whole line that is not what was written."""


def encode_line(body: str) -> bytes:
    """Return the line that holds a JSON text."""
    data = body.encode()
    return b"%08x %b\n" % (crc32(data), data)


def decode_line(line: bytes) -> dict[str, Any]:
    """Read one line without its newline. Raises DamageError."""
    body = line[9:]
    try:
        fits = line[8:9] == b" " and int(line[:8], 16) == crc32(body)
        record, end = _scan(body.decode(), 0) if fits else (None, 0)
    except (ValueError, StopIteration):
        record, end = None, 0
    if not isinstance(record, dict) or end == 0 or "type" not in record:
        message = "the CRC does not fit, or it is no record"
        raise DamageError(message)
    return record


def whole_length(data: bytes) -> int:
    """Return how many bytes are whole lines: what follows is a torn tail, or NULs."""
    end = len(data.rstrip(b"\0")) if data.endswith(b"\0") else len(data)
    return data.rfind(b"\n", 0, end) + 1


def decode_lines(data: bytes, first: int = 1) -> list[dict[str, Any]]:
    """Read all whole lines. Raises DamageError that names the line, counted from `first`."""
    records = []
    for number, line in enumerate(data[: whole_length(data)].split(b"\n")[:-1], first):
        try:
            records.append(decode_line(line))
        except DamageError as error:
            message = f"line {number}: {error}"
            raise DamageError(message) from None
    return records
