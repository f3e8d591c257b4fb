"""Read a remote datastore: a checked copy of one manifest's files in the cache of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tagmine.cache import cache_folder, entry_for, filling, make_room
from tagmine.errors import DatastoreError
from tagmine.layout import (
    ENCODER_PIN,
    MANIFEST,
    SOURCES,
    TAGGER_PIN,
    temporary_path,
    write_atomically,
)
from tagmine.manifest import MAX_MANIFEST_BYTES, FileCard, read_manifest
from tagmine.mirror import TRANSFERS
from tagmine.parts import file_sha256
from tagmine.stores import Store, StoreError, is_remote, open_store

REPORT_FILES = ("report/report.json",)
# Of another size than cards: not pinned by the manifest, compared with it by verify.
BESIDE_MANIFEST = (SOURCES, TAGGER_PIN, ENCODER_PIN)
# Below it every file is hashed at each opening, as for a local datastore.
_ALWAYS_HASHED = 32 << 20
_ATTEMPTS = 3
_CHECKED = "checked.json"

Stamp = tuple[int, int, int]


class _AlteredError(DatastoreError):
    """An object is not what the manifest says: damaged, or of another manifest."""


def local_folder(address: str | Path, where: str = "the datastore") -> Path:
    """The folder of a datastore: a path as it is, and for a URL a copy of it.

    The copy is keyed by the manifest's hash, and every file in it has been checked against the
    manifest. A file whose size or time has changed since is hashed again, and fetched again where
    it is not what the manifest says. Processes that open the same URL share one copy.

    Args:
        address: a folder, or a URL that fsspec reads.
        where: what the address was given for; errors begin with it.

    Raises:
        ConfigurationError: for a URL that cannot be used, or a cache without room.
        DatastoreError: when there is no datastore, or the store holds other bytes than its
            manifest says.
        StoreError: when the store does not answer.
    """
    if not is_remote(address):
        return Path(address)
    store = open_store(str(address), where)
    for attempt in range(1, _ATTEMPTS + 1):
        data = _read_manifest(store)
        try:
            return _copy(store, data)
        except _AlteredError:
            # A builder may have replaced files, and the manifest after them, while we read.
            if attempt == _ATTEMPTS or _read_manifest(store) == data:
                raise
    raise AssertionError("unreachable")


def _read_manifest(store: Store) -> bytes:
    stored = store.look_up(MANIFEST)
    if stored is None:
        trouble = store.bucket_trouble()
        if trouble:
            raise DatastoreError(f"{store}: {trouble}. Check the spelling.")
        if not store.list():
            raise DatastoreError(
                f"{store}: there is nothing at this place. Check the spelling; tagmine build or "
                "push puts a datastore there."
            )
        raise DatastoreError(
            f"{store} has no {MANIFEST}, so it is not a finished datastore. If a build or push was "
            "interrupted, run the same command again; it goes on where it stopped."
        )
    if stored.size > MAX_MANIFEST_BYTES:
        raise DatastoreError(f"{store.place(MANIFEST)} has {stored.size:,} bytes; it is refused.")
    return store.read(MANIFEST, most=MAX_MANIFEST_BYTES + 1)


def _copy(store: Store, data: bytes) -> Path:
    entry = entry_for("opened", store.url, hashlib.sha256(data).hexdigest())
    root = entry / store.url.rpartition("/")[2]
    with filling(entry):
        _write_if_other(root / MANIFEST, data)
        manifest = read_manifest(root)
        _fetch_missing(store, entry, root, manifest.files())
        for name in (*BESIDE_MANIFEST, *REPORT_FILES):
            _copy_small(store, root, name)
    return root


def _write_if_other(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


def _copy_small(store: Store, root: Path, name: str) -> None:
    stored = store.look_up(name)
    if stored is None:
        (root / name).unlink(missing_ok=True)
    elif stored.size <= MAX_MANIFEST_BYTES:
        _write_if_other(root / name, store.read(name, most=MAX_MANIFEST_BYTES + 1))


def _fetch_missing(store: Store, entry: Path, root: Path, cards: Sequence[FileCard]) -> None:
    known = {} if sum(card.bytes for card in cards) <= _ALWAYS_HASHED else _read_stamps(entry)
    with ThreadPoolExecutor(TRANSFERS) as pool:
        right = list(pool.map(lambda card: _is_right(root, card, known.get(card.path)), cards))
    missing = [card for card, found in zip(cards, right, strict=True) if not found]
    if missing:
        make_room(sum(card.bytes for card in missing), store.url)
    with ThreadPoolExecutor(TRANSFERS) as pool:
        for _ in pool.map(lambda card: _fetch(store, root, card), missing):
            pass
    stamps = {card.path: _stamp(root / card.path) for card in cards}
    if stamps != known:
        write_atomically(entry / _CHECKED, json.dumps(stamps).encode())


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _read_stamps(entry: Path) -> dict[str, Stamp]:
    try:
        record = json.loads((entry / _CHECKED).read_bytes())
        return {path: tuple(stamp) for path, stamp in record.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _is_right(root: Path, card: FileCard, checked: Stamp | None) -> bool:
    path = root / card.path
    try:
        if checked is not None and _stamp(path) == checked and checked[0] == card.bytes:
            return True
        return path.stat().st_size == card.bytes and file_sha256(path) == card.sha256
    except FileNotFoundError:
        return False


def _fetch(store: Store, root: Path, card: FileCard) -> None:
    target = root / card.path
    with temporary_path(target) as temporary:
        if not _link(store, card, temporary):
            fetch_checked(store, card, temporary)
        # Nobody writes into it: what is memory-mapped stays as it was checked.
        temporary.chmod(0o444)
        temporary.replace(target)


def fetch_checked(store: Store, card: FileCard, target: Path) -> None:
    """Copy an object to a local file and compare it with its card.

    Raises:
        DatastoreError: when the object is missing, or is not what the manifest says.
    """
    stored = store.look_up(card.path)
    if stored is None or stored.size != card.bytes:
        size = "is missing" if stored is None else f"has {stored.size:,} bytes"
        raise _altered(store, card, size)
    store.get(card.path, target)
    if target.stat().st_size != card.bytes or file_sha256(target) != card.sha256:
        raise _altered(store, card, "has other bytes")


def _altered(store: Store, card: FileCard, what: str) -> _AlteredError:
    return _AlteredError(
        f"{store.place(card.path)} {what}, not the {card.bytes:,} bytes of sha256 "
        f"{card.sha256[:12]}… that the manifest says. If a job is writing to the datastore, wait "
        "for its end; else run tagmine build or push again."
    )


def _link(store: Store, card: FileCard, target: Path) -> bool:
    """Take the file from another entry of this machine, if one has it with the right bytes."""
    name = store.url.rpartition("/")[2]
    for kind in ("mirrors", "opened"):
        for found in (cache_folder() / kind).glob(f"*/{name}/{card.path}"):
            with contextlib.suppress(OSError):
                if found.stat().st_size == card.bytes and file_sha256(found) == card.sha256:
                    os.link(found, target)
                    return True
    return False


def check_objects(address: str, root: Path) -> None:
    """Read every object of a remote datastore again and compare it with the manifest.

    Args:
        address: the URL.
        root: its folder, as `local_folder` gave it.

    Raises:
        DatastoreError: at the first object that is not what the manifest says.
        StoreError: when the store does not answer.
    """
    store = open_store(address, "the datastore")
    if store.read(MANIFEST) != (root / MANIFEST).read_bytes():
        raise DatastoreError(f"{store} was changed while it was checked. Run the command again.")

    def check(card: FileCard) -> None:
        if store.look_up(card.path) is None:
            raise _altered(store, card, "is missing")
        if store.hash(card.path) != (card.sha256, card.bytes):
            raise _altered(store, card, "has other bytes")

    with ThreadPoolExecutor(TRANSFERS) as pool:
        for _ in pool.map(check, read_manifest(root).files()):
            pass
    for name in BESIDE_MANIFEST:
        if store.look_up(name) is None:
            raise StoreError(f"{store.place(name)} is missing. Run tagmine build or push again.")
