"""The hash that a manifest ends with: it pins every file of a datastore but itself."""

from __future__ import annotations

import hashlib
import re

_SEAL = b',\n "sha256": "%s"\n}\n'
_SEALED = re.compile(_SEAL.replace(b"%s", b"([0-9a-f]{64})") + rb"\Z")


def seal(record: bytes) -> bytes:
    """A JSON object, indented by one space, with the hash of what precedes it as last field."""
    body = record.removesuffix(b"\n}")
    return body + _SEAL % hashlib.sha256(body).hexdigest().encode()


def is_intact(data: bytes) -> bool:
    """Whether a sealed record is as it was written; true of one that has no seal."""
    found = _SEALED.search(data)
    return found is None or hashlib.sha256(data[: found.start()]).hexdigest().encode() == found[1]
