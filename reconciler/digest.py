"""Digests and identities: the same facts give the same name everywhere."""

import base64
import hashlib
import json
from typing import Any

Json = Any

UID_LENGTH = 20
_DIGEST_LENGTH = 32


def canonical(value: object) -> bytes:
    """Write a JSON value with sorted keys and no spaces, so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def digest_of(value: object) -> str:
    """Return 32 hex digits (128 bits of SHA-256) that stand for a JSON value."""
    return hashlib.sha256(canonical(value)).hexdigest()[:_DIGEST_LENGTH]


def uid_of(scope: str, project: str, environment: str, run: str, incarnation: int) -> str:
    """Name one incarnation of a run: 20 characters of base32(sha256(scope/project/environment/run/incarnation))."""
    text = f"{scope}/{project}/{environment}/{run}/{incarnation}"
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:UID_LENGTH]
