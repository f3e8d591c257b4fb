"""Copy a datastore between a folder and an object store: resumable, verified, manifest last."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import (
    COPY_PIN,
    MANIFEST,
    SOURCES,
    atomic_path,
    locked,
    output_folder,
    remove_leftovers,
    write_atomically,
)
from tagmine.lease import hold_lease
from tagmine.manifest import MAX_MANIFEST_BYTES, FileCard, Manifest, read_manifest, write_manifest
from tagmine.mirror import TRANSFERS
from tagmine.opened import BESIDE_MANIFEST, fetch_checked
from tagmine.parts import file_sha256
from tagmine.sources import Source, parse_sources, read_sources
from tagmine.stores import Store, StoredObject, StoreError

CARD = "README.md"
REPORT = ("report/report.json", "report/index.html")
# Not every datastore has them, so one may have been left from an earlier state.
_OPTIONAL = (COPY_PIN, *REPORT)
FOLDERS = (
    "tags/",
    "embeddings/",
    "rejects/",
    "index/",
    "vocabulary/",
    "origins/",
    "removed/",
    "thumbnails/",
)
_READ_BYTES = 1 << 20

ReportFile = Callable[[str, int], None]
"""Called with the name and the bytes of each file that was compared or copied."""


@dataclasses.dataclass(frozen=True, slots=True)
class Transferred:
    """What a push or pull did: files and bytes that were copied, and files that were there."""

    copied: int
    bytes: int
    kept: int


@dataclasses.dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be pushed, hashed.

    Attributes:
        name: its place in the datastore.
        path: where it is.
        size: bytes.
        sha256, md5: of its content, as hex.
    """

    name: str
    path: Path
    size: int
    sha256: str
    md5: str


def hash_file(name: str, path: Path) -> LocalFile:
    """A file with its hashes, read once."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
    return LocalFile(name, path, size, sha256.hexdigest(), md5.hexdigest())


def pinned_file(root: Path, card: FileCard) -> LocalFile:
    """A file that the manifest pins, hashed.

    Raises:
        DatastoreError: when it is missing, or is not what the manifest says.
    """
    path = root / card.path
    file = hash_file(card.path, path) if path.is_file() and not path.is_symlink() else None
    if file is None or (file.size, file.sha256) != (card.bytes, card.sha256):
        raise DatastoreError(
            f"{path} is missing or not what the manifest says, so the datastore is not pushed. Run "
            "tagmine build again with the same shards to mend it."
        )
    return file


def files_beside(root: Path) -> dict[str, Path]:
    """What a push takes along beside the files that the manifest pins, by name.

    The report is left to the caller, since it shows pictures; nothing else that lies in the folder
    is taken.

    Raises:
        DatastoreError: for a folder without the list of its shards, by which a later push knows
            what is there.
    """
    named = {name: root / name for name in (*BESIDE_MANIFEST, CARD, COPY_PIN)}
    found = {n: path for n, path in named.items() if path.is_file() and not path.is_symlink()}
    if SOURCES not in found:
        raise DatastoreError(f"{root} has no {SOURCES}. Restore it from a copy.")
    return found


@contextlib.contextmanager
def manifest_to_send(root: Path, with_pictures: bool) -> Iterator[Path]:
    """The folder of the manifest that a push sends: without thumbnails, unless they are wanted.

    Raises:
        DatastoreError: for a folder that is no datastore, or one that still holds what was taken
            out of it.
    """
    manifest = read_manifest(root)
    if manifest.removed is not None and manifest.removed.pending:
        raise DatastoreError(
            f"{root}: {manifest.removed.pending:,} images that were taken out are still in its "
            "files, and a push would publish them. Run tagmine compact on it first."
        )
    with tempfile.TemporaryDirectory(prefix="tagmine-manifest-") as folder:
        if with_pictures or not any(part.thumbnails for part in manifest.parts):
            shutil.copy(root / MANIFEST, folder)
        else:
            parts = (dataclasses.replace(part, thumbnails=None) for part in manifest.parts)
            write_manifest(Path(folder), dataclasses.replace(manifest, parts=tuple(parts)))
        yield Path(folder)


def push(
    root: Path,
    store: Store,
    sent: Path,
    beside: Mapping[str, Path],
    report: ReportFile = lambda *_: None,
) -> Transferred:
    """Copy a datastore to a store; what is there with the same content is left.

    Args:
        root: the datastore's folder.
        store: where it goes.
        sent: the folder of its manifest, as `manifest_to_send` gives it.
        beside: further files by name, as `files_beside` gives them.
        report: told of each file.

    Raises:
        ConfigurationError: when the store holds something else, or a job writes to either side.
        DatastoreError: for a file that is not what the manifest says.
        StoreError: when the store does not answer, or has other bytes than were written.
    """
    with locked(root), hold_lease(store, str(root.absolute())) as lease:
        manifest = read_manifest(sent)
        listed = store.list()
        refuse_other(listed, store, read_sources(root))
        sender = _Sender(store, listed, report)
        # First, since it is what tells a later run whose half-finished folder this is.
        sender.send(hash_file(SOURCES, beside[SOURCES]))
        with ThreadPoolExecutor(TRANSFERS) as pool:
            cards = manifest.files()
            for _ in pool.map(lambda card: sender.send(pinned_file(root, card)), cards):
                pass
        for name in sorted(set(beside) - {SOURCES}):
            sender.send(hash_file(name, beside[name]))
        lease.check()
        sender.send(hash_file(MANIFEST, sent / MANIFEST))
        for name in stale_names(listed, manifest, beside):
            store.delete(name)
    return sender.result()


class _Sender:
    """Sends files that the store lacks, and counts."""

    def __init__(
        self, store: Store, listed: Mapping[str, StoredObject], report: ReportFile
    ) -> None:
        self._store = store
        self._listed = listed
        self._report = report
        self._sizes: list[int] = []
        self._kept: list[str] = []

    def send(self, file: LocalFile) -> None:
        there = self._listed.get(file.name)
        if there is not None and _same(self._store, file, there):
            self._kept.append(file.name)
        else:
            stored = self._store.put(file.path, file.name)
            if not _same(self._store, file, stored):
                raise StoreError(
                    f"{self._store.place(file.name)} has other bytes than were written, or "
                    f"{file.path} changed on the way. Run the same command again."
                )
            self._sizes.append(file.size)
        self._report(file.name, file.size)

    def result(self) -> Transferred:
        return Transferred(len(self._sizes), sum(self._sizes), len(self._kept))


def _same(store: Store, file: LocalFile, stored: StoredObject) -> bool:
    """Whether an object has a file's content: by the store's own hash, else by reading it again."""
    if stored.size != file.size:
        return False
    if stored.md5 == file.md5:
        return True
    # An ETag may be another kind of hash, as of encrypted objects and those sent in parts.
    return store.hash(file.name) == (file.sha256, file.size)


def refuse_other(listed: Collection[str], store: Store, sources: Iterable[Source]) -> None:
    """Stop before one datastore is written over another, or over what is none.

    Args:
        listed: names of what is there.
        store: the place.
        sources: the shards of the datastore that is to go there.

    Raises:
        ConfigurationError: when what is there has shards that it lacks, or no list of them.
    """
    if not listed:
        return
    names = {source.part: source.name for source in sources}
    known = None
    if SOURCES in listed:
        known = parse_sources(store.read(SOURCES, MAX_MANIFEST_BYTES), store.place(SOURCES))
    if known is None or any(names.get(source.part) != source.name for source in known):
        what = "another datastore" if known is not None else "not a datastore"
        raise ConfigurationError(
            f"{store}: what is there is {what} (it holds {', '.join(sorted(listed)[:3])}). Give an "
            "empty or new place, or delete what is there."
        )


def stale_names(names: Iterable[str], manifest: Manifest, beside: Collection[str]) -> list[str]:
    """Those of some names that a datastore may have and this one has not.

    Args:
        names: of what lies where it lies, things of others among them.
        manifest: the datastore's.
        beside: names of what it has beside the files that the manifest names.
    """
    known = {card.path for card in manifest.files()} | set(beside)
    ours = (name for name in names if name.startswith(FOLDERS) or name in _OPTIONAL)
    return sorted(name for name in ours if name not in known)


def pull(store: Store, out: str, report: ReportFile = lambda *_: None) -> tuple[Path, Transferred]:
    """Copy a datastore from a store to a folder; files with the same content are left.

    What the folder has of another manifest, and the store has not, is deleted.

    Args:
        store: where it is.
        out: the folder.
        report: told of each file.

    Returns:
        The folder, and what was done.

    Raises:
        ConfigurationError: for a folder that holds something else.
        DatastoreError: when the store holds no datastore, or other bytes than its manifest says.
        StoreError: when the store does not answer.
    """
    root = output_folder(out, "DIR")
    data, manifest = fetch_manifest(store)
    listed = store.list()
    if SOURCES not in listed:
        raise DatastoreError(f"{store.place(SOURCES)} is missing; run tagmine push again.")
    with locked(root):
        remove_leftovers(root)
        sources = store.read(SOURCES, most=MAX_MANIFEST_BYTES)
        _refuse_other_folder(root, parse_sources(sources, store.place(SOURCES)))
        # First, since it is what tells a later run whose half-finished folder this is.
        write_atomically(root / SOURCES, sources)
        same = (root / MANIFEST).is_file() and (root / MANIFEST).read_bytes() == data
        if not same:
            # It names files that are replaced one by one from now on.
            (root / MANIFEST).unlink(missing_ok=True)
        with ThreadPoolExecutor(TRANSFERS) as pool:
            copied = list(
                pool.map(lambda card: _receive(store, root, card, report), manifest.files())
            )
        beside = [name for name in (*BESIDE_MANIFEST, CARD, *_OPTIONAL) if name in listed]
        for name in beside:
            with atomic_path(root / name) as temporary:
                store.get(name, temporary)
        # What was made here of this very manifest, such as a report, says nothing of another.
        _remove_stale(root, manifest, (*beside, *_OPTIONAL) if same else beside)
        write_atomically(root / MANIFEST, data)
    sizes = [size for size in copied if size is not None]
    return root, Transferred(len(sizes), sum(sizes), len(copied) - len(sizes))


def fetch_manifest(store: Store) -> tuple[bytes, Manifest]:
    """The manifest of a remote datastore, as bytes and read.

    Raises:
        DatastoreError: when there is none, or it is damaged.
    """
    stored = store.look_up(MANIFEST)
    if stored is None or stored.size > MAX_MANIFEST_BYTES:
        raise DatastoreError(
            f"{store} has no {MANIFEST} of a size that it may have, so it is not a finished "
            "datastore. If a build or push was interrupted, run the same command again."
        )
    data = store.read(MANIFEST, most=MAX_MANIFEST_BYTES)
    with tempfile.TemporaryDirectory(prefix="tagmine-manifest-") as folder:
        (Path(folder) / MANIFEST).write_bytes(data)
        return data, read_manifest(Path(folder))


def _receive(store: Store, root: Path, card: FileCard, report: ReportFile) -> int | None:
    """Bytes that were copied, None where the file was there."""
    target = root / card.path
    there = target.is_file() and not target.is_symlink() and target.stat().st_size == card.bytes
    if there and file_sha256(target) == card.sha256:
        report(card.path, card.bytes)
        return None
    with atomic_path(target) as temporary:
        fetch_checked(store, card, temporary)
    report(card.path, card.bytes)
    return card.bytes


def _refuse_other_folder(root: Path, sources: Iterable[Source]) -> None:
    names = {source.part: source.name for source in sources}
    if any(names.get(source.part) != source.name for source in read_sources(root)):
        raise ConfigurationError(
            f"{root} holds another datastore. Give an empty or new folder, so that nothing of "
            "yours is lost."
        )


def _remove_stale(root: Path, manifest: Manifest, beside: Collection[str]) -> None:
    found = [path for path in root.rglob("*") if path.is_file()]
    names = (path.relative_to(root).as_posix() for path in found)
    for name in stale_names(names, manifest, beside):
        (root / name).unlink()
