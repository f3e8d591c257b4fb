"""Write a datastore to an object store: a folder of this machine whose files go there, too.

The stages know folders alone. Each machine that takes part has a mirror of its own, in its cache.
A file is in the store before it has its name in the mirror, so a mirror never holds what the store
lacks, and may be deleted at any time: what is needed is fetched again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tagmine.cache import cache_folder, entry_for, entry_path, make_room
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import (
    ENCODER_PIN,
    MANIFEST,
    SOURCES,
    TAGGER_PIN,
    is_leftover,
    replicate,
    temporary_path,
    write_atomically,
)
from tagmine.lease import Lease, hold_lease
from tagmine.stores import Store, StoredObject, StoreError, is_remote, open_store

CONTROL_FILES = (SOURCES, TAGGER_PIN, ENCODER_PIN, MANIFEST)
"""Small files that every command looks at first."""
JOBS = "jobs/"
"""Records that change every second: they go to the store when the job lets go of it."""
TRANSFERS = 8
"""Files on their way at once."""
_MIRRORS: dict[Path, Mirror] = {}


class Mirror:
    """The folder `root` of this machine as a copy of `store`; make one with `open_mirror`.

    Attributes:
        root: the folder.
        store: the object store.
    """

    def __init__(self, store: Store, entry: Path) -> None:
        self.store = store
        self.root = _root_in(entry, store)
        self._versions = entry / "versions"
        self._lease: Lease | None = None

    @contextlib.contextmanager
    def publish(self, file: Path, target: Path) -> Iterator[None]:
        """Around the rename of `file` to `target`: the object is whole before the file is."""
        name = target.relative_to(self.root).as_posix()
        if name.startswith(JOBS):
            yield
            return
        if name == MANIFEST and self._lease is not None:
            self._lease.check()
        stored = self.store.put(file, name)
        yield
        self._remember(target, stored)

    def withdraw(self, target: Path) -> None:
        """Delete the object of a file that is about to be deleted."""
        self.store.delete(target.relative_to(self.root).as_posix())

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """For the one writer: hold the store, and bring the mirror up to date."""
        with hold_lease(self.store, str(self.root)) as lease:
            self._lease = lease
            try:
                self.update(CONTROL_FILES)
                yield
            finally:
                self._lease = None
                self._publish_jobs()

    def _publish_jobs(self) -> None:
        # A store that is away has ended the job already, and its records are of no other use.
        with contextlib.suppress(StoreError):
            there = self.store.list() if (self.root / JOBS).is_dir() else {}
            for path in sorted((self.root / JOBS).glob("*.json")):
                name = path.relative_to(self.root).as_posix()
                if name not in there:
                    self.store.put(path, name)

    def update(self, wanted: Iterable[str] = (), folders: tuple[str, ...] = ()) -> None:
        """Drop every file that is not as in the store, then fetch what is wanted.

        Args:
            wanted: names of files.
            folders: beginnings of names; "" for everything.
        """
        listed = self.store.list()
        for path in self.root.rglob("*") if self.root.is_dir() else ():
            name = path.relative_to(self.root).as_posix()
            ours = is_leftover(path) or name.startswith(JOBS)
            if path.is_file() and not ours and not self._is_as(path, listed.get(name)):
                path.unlink(missing_ok=True)
        names = {name for name in listed if folders and name.startswith(folders)}
        self._fetch([listed[name] for name in sorted(names | (set(wanted) & set(listed)))])

    def fetch(self, names: Iterable[str]) -> None:
        """Bring single files up to date, also those that the store has no more."""
        with ThreadPoolExecutor(TRANSFERS) as pool:
            listed = dict(zip(names, pool.map(self.store.look_up, names), strict=True))
        for name, stored in listed.items():
            if stored is None:
                (self.root / name).unlink(missing_ok=True)
        self._fetch([stored for stored in listed.values() if stored is not None])

    def _fetch(self, objects: list[StoredObject]) -> None:
        missing = [item for item in objects if not self._is_as(self.root / item.name, item)]
        if missing:
            make_room(sum(item.size for item in missing), str(self.store))
        with ThreadPoolExecutor(TRANSFERS) as pool:
            for _ in pool.map(self._fetch_one, missing):
                pass

    def _fetch_one(self, item: StoredObject) -> None:
        target = self.root / item.name
        with temporary_path(target) as temporary:
            self.store.get(item.name, temporary)
            if temporary.stat().st_size != item.size:
                raise StoreError(
                    f"{self.store.place(item.name)} was replaced while it was read. Run the same "
                    "command again when no other job writes to the datastore."
                )
            temporary.replace(target)
        self._remember(target, item)

    def _remember(self, target: Path, stored: StoredObject) -> None:
        status = target.stat()
        record = [stored.version, status.st_size, status.st_mtime_ns]
        write_atomically(self._record(target), json.dumps(record).encode())

    def _is_as(self, target: Path, stored: StoredObject | None) -> bool:
        """Whether a file is there, unaltered, and is what the store has."""
        if stored is None:
            return False
        try:
            status = target.stat()
            record = json.loads(self._record(target).read_bytes())
        except (OSError, ValueError):
            return False
        return record == [stored.version, status.st_size, status.st_mtime_ns]

    def _record(self, target: Path) -> Path:
        return self._versions / f"{target.relative_to(self.root).as_posix()}.json"

    def check_stored(self, sizes: dict[str, int]) -> None:
        """Is every file of the mirror in the store as it was written?

        Args:
            sizes: bytes by name, as the manifest has them.

        Raises:
            DatastoreError: naming the first that is missing or was replaced.
        """
        listed = self.store.list()
        for name, size in sizes.items():
            stored = listed.get(name)
            if stored is None or stored.size != size or not self._is_as(self.root / name, stored):
                raise DatastoreError(
                    f"{self.store.place(name)} is missing, or another job has replaced it. Run "
                    "tagmine build again with the same shards; finished parts are kept."
                )


def open_mirror(url: str) -> Path:
    """The mirror of a URL that a command writes to, with its small files up to date.

    Raises:
        ConfigurationError: for a URL that cannot be used, or that holds something else.
        StoreError: when the store does not answer.
    """
    mirror = _mirror(url, "--out")
    listed = mirror.store.list()
    if listed and SOURCES not in listed:
        what = "a datastore without its" if MANIFEST in listed else "not a datastore: it has no"
        raise ConfigurationError(
            f"--out {url}: what is there is {what} {SOURCES} (it holds "
            f"{', '.join(sorted(listed)[:3])}{', …' if len(listed) > 3 else ''}). Give an empty "
            "or new place, so that nothing of yours is mixed with it."
        )
    mirror.fetch(CONTROL_FILES)
    return mirror.root


def fetch_records(url: str, folder: Path) -> None:
    """Copy the records of a remote datastore's jobs to `folder/jobs`.

    Those of jobs of this machine that run or were killed are in its mirror alone.

    Raises:
        ConfigurationError: for a URL that cannot be used, or where no job has left a record.
        StoreError: when the store does not answer.
    """
    store = open_store(url, "DIR")
    (folder / JOBS).mkdir(parents=True)
    for name in store.list():
        if name.startswith(JOBS) and name.endswith(".json"):
            store.get(name, folder / name)
    here = _root_in(entry_path("mirrors", store.url), store) / JOBS
    for path in here.glob("*.json"):
        if not is_leftover(path):
            shutil.copyfile(path, folder / JOBS / path.name)
    if not any((folder / JOBS).iterdir()):
        raise ConfigurationError(
            f"{url}: there is no record of a job in {JOBS}, nor in this machine's mirror of it "
            f"({here}). A job puts its record there when it ends; that of one that runs, or was "
            f"killed, is on its own machine, in the mirrors of its cache ({cache_folder()} here): "
            "run the same command there."
        )


def _root_in(entry: Path, store: Store) -> Path:
    return entry / store.url.rpartition("/")[2]


def _mirror(url: str, where: str) -> Mirror:
    store = open_store(url, where)
    mirror = Mirror(store, entry_for("mirrors", store.url))
    known = _MIRRORS.setdefault(mirror.root, mirror)
    if known is mirror:
        replicate(mirror.root, mirror)
    known.root.mkdir(parents=True, exist_ok=True)
    return known


def address_of(root: Path) -> str:
    """What to tell a worker, on whatever machine: the URL of a mirror, else the path."""
    mirror = _MIRRORS.get(root)
    return mirror.store.url if mirror else str(root)


def working_folder(address: str, needed: Iterable[str] = ()) -> Path:
    """The folder that a worker reads and writes, with what it needs there as it is in the store.

    Args:
        address: as `address_of` gave it.
        needed: names of files; those that do not exist yet are left out.
    """
    if not is_remote(address):
        return Path(address)
    mirror = _mirror(address, "--out")
    mirror.fetch(list(needed))
    return mirror.root


def bring_back(root: Path, *folders: str) -> None:
    """Fetch what workers on other machines wrote; nothing for a folder that is no mirror."""
    mirror = _MIRRORS.get(root)
    if mirror is not None:
        mirror.update(CONTROL_FILES, folders)


def is_mirror(root: Path) -> bool:
    """Whether what is written to this folder goes to an object store."""
    return root in _MIRRORS


def files_below(root: Path, folder: str) -> Iterator[tuple[str, Callable[[], Hashable]]]:
    """Files of a folder: their names, and how to see something that a replaced one has not.

    Args:
        root: where workers write; of a mirror, the object store is looked at.
        folder: relative to it, one without folders; there are no files where it is not there.

    Raises:
        OSError: for a folder that cannot be read, or a file that is gone when it is looked at.
        StoreError: when the object store does not answer at once.
    """
    mirror = _MIRRORS.get(root)
    if mirror is not None:
        for name, item in mirror.store.list(folder, tries=1).items():
            yield name, functools.partial(getattr, item, "version")
    elif (root / folder).is_dir():
        with os.scandir(root / folder) as entries:
            for entry in entries:
                yield f"{folder}/{entry.name}", functools.partial(_state, entry)


def _state(entry: os.DirEntry) -> Hashable:
    status = entry.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def check_stored(root: Path, sizes: dict[str, int]) -> None:
    """`Mirror.check_stored` for a mirror; nothing for another folder."""
    mirror = _MIRRORS.get(root)
    if mirror is not None:
        mirror.check_stored(sizes)
