"""A JSON object that ends with the hash of itself, as the manifest does."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tagmine.errors import DatastoreError

# The last field: the hash of all that stands before it.
_SEAL = b',\n "sha256": "%s"\n}\n'


def seal(data: bytes) -> bytes:
    """An indented JSON object of a field or more, with its hash as the last field."""
    body = data.removesuffix(b"\n}")
    return body + _SEAL % hashlib.sha256(body).hexdigest().encode()


def check_seal(path: Path, data: bytes) -> None:
    """Check the hash, where there is one.

    A manifest pins every file but itself: a number in it that changed would look like any.

    Raises:
        DatastoreError: when it is not that of the content.
    """
    sealed = re.search(_SEAL.replace(b"%s", b"([0-9a-f]{64})") + rb"\Z", data)
    if sealed and hashlib.sha256(data[: sealed.start()]).hexdigest().encode() != sealed[1]:
        raise DatastoreError(
            f"{path} is damaged: its content does not have the sha256 that it ends with. Restore "
            "it from a copy, or run tagmine build again with the same shards."
        )
