"""Names, ids and atomic writes: where each file of a datastore is and how it gets there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tagmine.errors import ConfigurationError

FORMAT_VERSION = 1
POSITION_BITS = 32
MAX_PARTS = 1 << 31

MANIFEST = "manifest.json"
SOURCES = "sources.json"
TRAINED_INDEX = "index/trained.faiss"
MERGED_INDEX = "index/merged.faiss"
MERGED_LISTS = "index/merged.ivfdata"
VOCABULARY = "vocabulary/tags.arrow"
TAGGER_PIN = "tagger.json"
ENCODER_PIN = "encoder.json"
COPY_PIN = "copied.json"
_TEMPORARY_MARK = ".tmp-"
_UNDER_WAY = ".under-way"


def sample_id(part: int, position: int) -> int:
    """The id of a sample: `part << 32 | position in the shard`, a non-negative int64.

    Raises:
        ValueError: for a part or position outside what an int64 can hold.
    """
    if not 0 <= part < MAX_PARTS or not 0 <= position < 1 << POSITION_BITS:
        raise ValueError(f"part {part}, position {position}: outside 0..2^31, 0..2^32")
    return part << POSITION_BITS | position


def part_of(row_id: int) -> int:
    """The part that a sample id belongs to."""
    return row_id >> POSITION_BITS


def tags_path(part: int) -> str:
    return f"tags/part-{part:05d}.parquet"


def embeddings_path(part: int) -> str:
    return f"embeddings/part-{part:05d}.arrow"


def thumbnails_path(part: int) -> str:
    return f"thumbnails/part-{part:05d}.parquet"


def rejects_path(stage: str, part: int) -> str:
    return f"rejects/{stage}/part-{part:05d}.parquet"


def index_shard_path(shard: int) -> str:
    return f"index/shard-{shard:05d}.faiss"


def shard_of(path: str) -> int | None:
    """The number of the index shard at `path`; None where it is not named as one."""
    name = Path(path).stem.removeprefix("shard-")
    number = int(name) if name.isascii() and name.isdecimal() else -1
    return number if number >= 0 and path == index_shard_path(number) else None


def card_path(index_file: str) -> str:
    """The JSON card beside an index file, which FAISS's own format has no room for."""
    return str(Path(index_file).with_suffix(".json"))


class Replica(Protocol):
    """Where the files of a folder go besides; tagmine/mirror.py has the one for object stores."""

    def publish(self, file: Path, target: Path) -> AbstractContextManager[None]:
        """Around the rename of `file` to `target`: there before it is here."""

    def withdraw(self, target: Path) -> None:
        """Before `target` is deleted."""

    def hold(self) -> AbstractContextManager[None]:
        """For as long as the folder is locked."""


_REPLICAS: dict[Path, Replica] = {}


def replicate(root: Path, replica: Replica) -> None:
    """From now on, whatever this process writes to, deletes from or locks in `root` goes there."""
    _REPLICAS[root] = replica


def _replica_of(target: Path) -> Replica | None:
    if not _REPLICAS:
        return None
    return next((_REPLICAS[path] for path in (target, *target.parents) if path in _REPLICAS), None)


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary sibling of `target`, renamed onto it when the block ends well.

    The file is flushed to disk before the rename and the folder after it, so that a power cut
    leaves the old file or the new one. On an error the temporary file is removed.
    """
    with temporary_path(target) as temporary:
        yield temporary
        flush_to_disk(temporary)
        replica = _replica_of(target)
        with replica.publish(temporary, target) if replica else contextlib.nullcontext():
            os.replace(temporary, target)
            flush_to_disk(target.parent)


def remove_file(target: Path) -> None:
    """Delete a file of a datastore, if it is there."""
    replica = _replica_of(target)
    if replica:
        replica.withdraw(target)
    target.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_path(target: Path) -> Iterator[Path]:
    """A name beside `target` for a file that is gone when the block ends, however it ends.

    What a killed process leaves of it, `remove_leftovers` finds.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Unique, since a worker orphaned by a killed launcher may still be writing the same part.
    temporary = target.with_name(f".{target.name}{_TEMPORARY_MARK}{uuid.uuid4().hex}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(target: Path, data: bytes) -> None:
    """Replace `target` by `data`, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


def remove_leftovers(root: Path) -> int:
    """Delete the temporary files that killed writers left below `root`; returns how many."""
    leftovers = [path for path in root.rglob(f".*{_TEMPORARY_MARK}*") if path.is_file()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def is_leftover(path: Path) -> bool:
    left = _TEMPORARY_MARK in path.name or path.name.endswith(_UNDER_WAY)
    return path.name.startswith(".") and left


@contextlib.contextmanager
def under_way(target: Path) -> Iterator[bool]:
    """Mark `target` as being made, while the block runs.

    Only a process that dies leaves the mark. It is kept until `target` is made, so that a job
    that is interrupted in between does not forget.

    Yields:
        Whether a process died while it made `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = target.with_name(f".{target.name}{_UNDER_WAY}")
    died = mark.exists()
    if not died:
        mark.touch()
    try:
        yield died
    except BaseException:
        if not died:
            mark.unlink(missing_ok=True)
        raise
    mark.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold `root` for one writer; the lock ends with the process, however it ends.

    Raises:
        ConfigurationError: when another process holds it.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root, os.O_RDONLY)
    except OSError as error:
        raise ConfigurationError(
            f"{root}: the folder cannot be made or opened ({error.strerror}). Give --out a folder "
            "that you may write to."
        ) from error
    # The folder itself is locked: a lock file would outlive a crash and say nothing true.
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{root}: another tagmine job is writing to this folder. Wait for it to end, "
                "or give --out another folder."
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"{root}: the folder cannot be locked ({error}). Give --out a folder on a file "
                "system with locks, such as a local disk."
            ) from error
        replica = _replica_of(root)
        with replica.hold() if replica else contextlib.nullcontext():
            yield
    finally:
        os.close(handle)


def output_folder(out: str, flag: str = "--out") -> Path:
    """The folder that a flag names; for the URL of an object store, this machine's mirror of it.

    Raises:
        ConfigurationError: for a URL that cannot be used, a file, or a folder that holds something
            else.
        StoreError: for a store that does not answer.
    """
    from tagmine.stores import is_remote

    if is_remote(out):
        from tagmine.mirror import open_mirror

        return open_mirror(out)
    root = Path(out).absolute()
    if root.exists() and not root.is_dir():
        raise ConfigurationError(f"{flag} {out}: there is a file of that name; give a folder.")
    if (root / MANIFEST).exists() and not (root / SOURCES).exists():
        raise ConfigurationError(
            f"{flag} {out}: this is a datastore without its {SOURCES}, which says what shard each "
            "part is. Restore that file from a copy, or build into a new folder."
        )
    if root.is_dir() and not (root / SOURCES).exists():
        others = sorted(path.name for path in root.iterdir() if not is_leftover(path))
        if others:
            raise ConfigurationError(
                f"{flag} {out}: the folder is not a datastore and not empty (it holds "
                f"{', '.join(others[:3])}{', …' if len(others) > 3 else ''}). Give an empty or new "
                "folder, so that nothing of yours is mixed with it."
            )
    return root


def job_folder(out: str, pin: str, command: str) -> Path:
    """The folder that `--out` names for what is no datastore.

    Args:
        out: what was given.
        pin: name of the file that the job writes first.
        command: the command that does.

    Raises:
        ConfigurationError: for a URL, a file, a datastore, or a folder that the command did not
            begin.
    """
    if "://" in out:
        raise ConfigurationError(
            f"--out {out}: tagmine {command} writes to a local folder. Copy it afterwards."
        )
    root = Path(out).absolute()
    if root.exists() and not root.is_dir():
        raise ConfigurationError(f"--out {out}: there is a file of that name; give a folder.")
    if (root / MANIFEST).exists():
        raise ConfigurationError(f"--out {out}: this is a datastore; give a folder of its own.")
    if root.is_dir() and not (root / pin).exists():
        others = sorted(path.name for path in root.iterdir() if not is_leftover(path))
        if others:
            raise ConfigurationError(
                f"--out {out}: the folder is not empty (it holds {', '.join(others[:3])}) and no "
                f"tagmine {command} began it. Give an empty or new folder."
            )
    return root


def flush_to_disk(path: Path) -> None:
    """Let a file, or the names in a folder, outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
