"""Lines of journals, orders and inboxes: a CRC-32, a space, JSON, a newline."""

from __future__ import annotations

from _json import encode_basestring as encode_text
from _json import make_encoder, make_scanner
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["DamageError", "copy_json", "decode_lines", "encode_json", "encode_line", "encode_text", "whole_length"]


class _Reading:
    """How JSON is read: what the module `json` tells the functions that it is made of. To import it takes a third of our start."""

    strict, object_hook, object_pairs_hook, parse_float, parse_int = True, None, None, float, int

    @staticmethod
    def parse_constant(name: str) -> float:
        """Refuse NaN and infinities."""
        raise ValueError(name)


def _unknown(value: object) -> object:
    raise TypeError(type(value).__name__)


_scan: Callable[[str, int], tuple[Any, int]] = make_scanner(_Reading())  # type: ignore[arg-type]
_encode = make_encoder(None, _unknown, encode_text, None, ":", ",", False, False, False)


def encode_json(value: object) -> str:
    """Write a JSON value without spaces."""
    return "".join(_encode(value, 0))


def copy_json(value: object) -> Any:
    """Return a copy of a JSON value."""
    return _scan(encode_json(value), 0)[0]


class DamageError(Exception):
    """A whole line that is not what was written."""


def encode_line(body: str) -> bytes:
    """Return the line that holds a JSON text."""
    data = body.encode()
    return b"%08x %b\n" % (crc32(data), data)


def whole_length(data: bytes) -> int:
    """Return how many bytes are whole lines: what follows is a torn tail, or NULs."""
    end = len(data.rstrip(b"\0")) if data.endswith(b"\0") else len(data)
    return data.rfind(b"\n", 0, end) + 1


def decode_lines(data: bytes) -> list[dict[str, Any]]:
    """Read all whole lines. Raises DamageError, which names the line."""
    records: list[dict[str, Any]] = []
    append, scan, checksum = records.append, _scan, crc32
    try:
        for line in data[: whole_length(data)].split(b"\n")[:-1]:
            body = line[9:]
            if int(line[:9], 16) != checksum(body):
                break
            record, end = scan(body.decode(), 0)
            if end == 0 or "type" not in record:
                break
            append(record)
        else:
            return records
    except (ValueError, TypeError, StopIteration):
        pass  # the same as a wrong CRC
    message = f"line {len(records) + 1}: the CRC does not fit, or it is no record"
    raise DamageError(message)
