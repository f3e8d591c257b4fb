"""The folder of this machine where copies of remote datastores lie, and how it stays small."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tagmine.errors import ConfigurationError

CACHE_VARIABLE = "TAGMINE_CACHE"
SIZE_VARIABLE = "TAGMINE_CACHE_SIZE"
DEFAULT_SIZE = "100G"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_USED = "used"
# Handles of entries in use; the kernel lets go of them when the process ends, however it ends.
_IN_USE: dict[Path, int] = {}


def cache_folder() -> Path:
    """`$TAGMINE_CACHE`, else `tagmine` in the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "tagmine"


def cache_limit() -> int:
    """The bytes that `$TAGMINE_CACHE_SIZE` allows.

    Raises:
        ConfigurationError: for a value that is no size.
    """
    text = os.environ.get(SIZE_VARIABLE) or DEFAULT_SIZE
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ConfigurationError(f"{SIZE_VARIABLE}={text}: give a size such as 500M or 100G.")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def entry_path(kind: str, *identity: str) -> Path:
    """Where `entry_for` has an entry, which need not be there."""
    digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:40]
    return cache_folder() / kind / digest


def entry_for(kind: str, *identity: str) -> Path:
    """The folder of an entry, in use by this process from now on.

    Args:
        kind: "mirrors" or "opened".
        identity: what it is a copy of.

    Raises:
        ConfigurationError: when the cache folder cannot be made.
    """
    entry = entry_path(kind, *identity)
    try:
        _use(entry)
        (entry / _USED).touch()
    except OSError as error:
        raise ConfigurationError(
            f"the cache folder {cache_folder()} cannot be written to ({error.strerror}). Set "
            f"{CACHE_VARIABLE} to one that can."
        ) from error
    return entry


def _use(entry: Path) -> None:
    while entry not in _IN_USE or not entry.is_dir():
        entry.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(entry, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_SH)
            # Whoever removed it meanwhile held the lock of a folder that is gone.
            if entry.is_dir() and os.path.samestat(os.fstat(handle), entry.stat()):
                _IN_USE[entry] = handle
                return
            os.close(handle)


@contextlib.contextmanager
def filling(entry: Path) -> Iterator[None]:
    """One process at a time changes what lies in an entry; others wait."""
    handle = os.open(entry / "filling", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def make_room(wanted: int, what: str) -> None:
    """Remove the entries that were used longest ago, and none in use, until `wanted` bytes fit.

    Raises:
        ConfigurationError: when they do not fit into the limit or on the disk.
    """
    limit, folder = cache_limit(), cache_folder()
    sizes = {entry: _size(entry) for entry in _entries(folder)}
    held = sum(sizes.values())
    for entry in sorted(sizes, key=_last_used):
        if held + wanted <= limit and wanted <= shutil.disk_usage(folder).free:
            return
        if _remove(entry):
            held -= sizes[entry]
    free = shutil.disk_usage(folder).free
    if held + wanted > limit:
        raise ConfigurationError(
            f"{what} needs {wanted:,} bytes in the cache {folder}, which may hold {limit:,} and "
            f"has {held:,} in use. Set {SIZE_VARIABLE} to more, such as 500G, or copy the "
            "datastore to a folder with tagmine pull."
        )
    if wanted > free:
        raise ConfigurationError(
            f"{what} needs {wanted:,} bytes, and the disk of the cache {folder} has {free:,} "
            f"free. Set {CACHE_VARIABLE} to a folder on another disk."
        )


def _entries(folder: Path) -> list[Path]:
    return [entry for kind in ("mirrors", "opened") for entry in (folder / kind).glob("*")]


def _size(entry: Path) -> int:
    total = 0
    for path in entry.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _last_used(entry: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return (entry / _USED).stat().st_mtime
    return 0.0


def _remove(entry: Path) -> bool:
    if entry in _IN_USE:
        return False
    try:
        handle = os.open(entry, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(entry, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
