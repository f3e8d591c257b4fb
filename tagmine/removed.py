"""The record of what was taken out: hashes that keep it out, and ids that wait for compacting."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.captions import MAX_JSON_BYTES
from tagmine.errors import DatastoreError
from tagmine.layout import atomic_path
from tagmine.samples import SampleFields

FOLDER = "removed"
KINDS = ("key", "url", "image")
PENDING = "pending"
# What embedding reads of an image at most.
MAX_IMAGE_BYTES = 256 << 20
# Fields of img2dataset's JSON: where the picture was, and the hash of what lay there. Shops write
# Url and URL as well.
_URL_FIELD = "url"
_SHA256_FIELD = "sha256"
# Scheme and host are the same in capitals; a password and a path are not.
_ADDRESS = re.compile(r"([^:/?#]+://)([^/?#]*@)?([^/?#]*)")
_NAME = re.compile(r"record-(\d{5,})\.parquet")

REMOVED_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("sha256", pa.binary(32)),
        pa.field("id", pa.int64()),
    ]
)

Identity = tuple[str, bytes]
"""A kind, and the hash of a key, a URL, or an image's own sha256 as hex."""


def identify(kind: str, value: str) -> Identity:
    """The identity that stands for a key, a URL or an image's sha256 (hex, lower case).

    URLs that differ in how scheme and host are capitalised are one.
    """
    if kind == "url" and (address := _ADDRESS.match(value)):
        scheme, login, host = address.groups(default="")
        value = scheme.lower() + login + host.lower() + value[address.end() :]
    # Of an image a hash of its hash: lists of hashes of abuse are not to be published either.
    digest = hashlib.sha256(f"{kind}\x1f{value}".encode("utf-8", "surrogatepass"))
    return kind, digest.digest()


@dataclasses.dataclass(frozen=True, slots=True)
class Identities:
    """Samples that must not be in a datastore, as hashes.

    Attributes:
        known: the identities.
    """

    known: frozenset[Identity] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.known)

    def of_kind(self, kind: str) -> frozenset[Identity]:
        return frozenset(identity for identity in self.known if identity[0] == kind)

    def limits(self, fields: SampleFields) -> dict[str, int]:
        """The members that must be read to tell a sample, each with the most bytes of it."""
        kinds = {kind for kind, _ in self.known}
        limits = {fields.json_key: MAX_JSON_BYTES} if kinds & {"url", "image"} else {}
        if "image" in kinds:
            limits |= dict.fromkeys(fields.image_keys, MAX_IMAGE_BYTES)
        return limits

    def found_in(
        self, key: str, members: Mapping[str, bytes], fields: SampleFields
    ) -> set[Identity]:
        """Those that a sample has.

        Args:
            key: its namespaced key.
            members: data of its members, by extension, as far as they were read.
            fields: which members are images and JSON.
        """
        return self.known & set(identities_of(key, members, fields)) if self.known else set()


NOTHING = Identities()


def identities_of(
    key: str, members: Mapping[str, bytes], fields: SampleFields
) -> Iterator[Identity]:
    """Everything that a sample can be named by; args as of `Identities.found_in`."""
    yield identify("key", key)
    try:
        record = json.loads(members.get(fields.json_key, b"{}"))
    except (ValueError, RecursionError):
        record = {}
    record = record if isinstance(record, dict) else {}
    for field, value in record.items():
        if field.lower() == _URL_FIELD and isinstance(value, str):
            yield identify("url", value)
    if isinstance(value := record.get(_SHA256_FIELD), str):
        yield identify("image", value.lower())
    data = next((members[k] for k in fields.image_keys if k in members), None)
    if data is not None:
        yield identify("image", hashlib.sha256(data).hexdigest())


@dataclasses.dataclass(frozen=True, slots=True)
class Removed:
    """What was taken out of a datastore.

    Attributes:
        identities: what keeps it out when the datastore is built again.
        pending: int64 [n], ascending: ids whose rows are still in the files, and which no reader
            shows; compacting empties it.
    """

    identities: Identities = NOTHING
    pending: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))

    def hides(self, ids: np.ndarray) -> np.ndarray:
        """Which of the ids may not be shown, bool, of the shape of `ids`."""
        places = np.searchsorted(self.pending, ids)
        places = np.minimum(places, max(len(self.pending) - 1, 0))
        return self.pending[places] == ids if len(self.pending) else np.zeros(ids.shape, bool)


def record_path(number: int) -> str:
    return f"{FOLDER}/record-{number:05d}.parquet"


def newest_record(root: Path) -> str | None:
    """The record in force: the one of the highest number.

    A writer goes by this and not by the manifest, so that nothing comes back because a manifest
    was lost, or not yet written when a process was killed.
    """
    numbers = [
        int(found[1]) for path in (root / FOLDER).glob("*") if (found := _NAME.fullmatch(path.name))
    ]
    return record_path(max(numbers)) if numbers else None


def next_record(root: Path) -> str:
    """The path of a record that takes the place of the newest."""
    newest = newest_record(root)
    return record_path(int(_NAME.fullmatch(Path(newest).name)[1]) + 1 if newest else 1)


def write_removed(path: Path, removed: Removed) -> None:
    """Write a record, whole or not at all; equal records give equal bytes."""
    listed = sorted(removed.identities.known)
    pending = removed.pending.tolist()
    columns = {
        "kind": [kind for kind, _ in listed] + [PENDING] * len(pending),
        "sha256": [digest for _, digest in listed] + [None] * len(pending),
        "id": [None] * len(listed) + pending,
    }
    table = pa.table(columns, schema=REMOVED_SCHEMA)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_removed(path: Path) -> Removed:
    """What a record says.

    Raises:
        DatastoreError: for a file that is damaged or is no record.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        if not table.schema.remove_metadata().equals(REMOVED_SCHEMA):
            raise ValueError(f"its schema is {table.schema.remove_metadata()}")
        kinds = table.column("kind").to_pylist()
        if set(kinds) - {*KINDS, PENDING}:
            raise ValueError(f"it has kinds other than {', '.join((*KINDS, PENDING))}")
        waits = np.array([kind == PENDING for kind in kinds], bool)
        pending = table.column("id").filter(pa.array(waits)).to_numpy()
        hashes = table.column("sha256").to_pylist()
        identities = frozenset(
            pair for pair in zip(kinds, hashes, strict=True) if pair[0] != PENDING
        )
        if pending.dtype != np.int64 or np.any(np.diff(pending) <= 0):
            raise ValueError("its ids are missing or do not ascend")
        if any(digest is None for _, digest in identities):
            raise ValueError("a hash is missing")
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DatastoreError(
            f"{path} cannot be read as a record of what was taken out ({error}). Restore it from a "
            "copy: without it, pictures that were removed would come back."
        ) from error
    return Removed(Identities(identities), pending)


def read_newest(root: Path) -> Removed:
    """What the record in force says; an empty one where nothing was ever taken out."""
    path = newest_record(root)
    return read_removed(root / path) if path else Removed()
