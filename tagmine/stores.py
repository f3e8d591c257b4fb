"""Object stores: a folder behind a URL that fsspec reads and writes; retries, and no secrets."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from tagmine.errors import ConfigurationError, TagmineError
from tagmine.redaction import redact, refuse_credentials
from tagmine.retries import retry

_T = TypeVar("_T")

# Where an object is there whole or not at all; elsewhere it is written aside and moved.
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs"})
_WHOLE_BYTES = 64 << 20
_READ_BYTES = 8 << 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)
_MOVED = ".tmp-"


class StoreError(TagmineError):
    """An object store that does not answer, refuses, or has not what was written to it."""


def is_remote(address: str | os.PathLike[str]) -> bool:
    """Whether a datastore's address is a URL and not a path."""
    return isinstance(address, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address) is not None


@dataclasses.dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing shows it.

    Attributes:
        name: its path below the store's root.
        size: bytes.
        version: changes whenever it is written: the store's ETag or hash, else its time.
        modified: when it was written, in seconds by the store's clock; None where it has none.
        md5: of its content, as hex, where the store tells.
    """

    name: str
    size: int
    version: str
    modified: float | None
    md5: str | None


class Store:
    """A folder of objects; make one with `open_store`.

    Every call is tried again while its failure may pass; what remains is a `StoreError` that names
    the object and holds no credential.

    Attributes:
        url: the folder, without a slash at its end.
    """

    def __init__(self, url: str, filesystem, path: str) -> None:
        self.url = url
        self._filesystem = filesystem
        self._path = path.rstrip("/")
        protocol = filesystem.protocol
        self._atomic = not _ATOMIC.isdisjoint(
            (protocol,) if isinstance(protocol, str) else protocol
        )
        self._in_process = "memory" in protocol

    def __str__(self) -> str:
        return self.url

    def place(self, name: str) -> str:
        """The URL of an object."""
        return f"{self.url}/{name}" if name else self.url

    def list(self, below: str = "", tries: int | None = None) -> dict[str, StoredObject]:
        """Every object below the root, or a folder of it, by its name; none for an empty store."""
        infos = self._call(below, lambda: self._find(below), tries=tries)
        return {item.name: item for item in map(self._stored, infos.values()) if item is not None}

    def _find(self, below: str) -> Mapping[str, Mapping[str, Any]]:
        self._filesystem.invalidate_cache()
        try:
            return self._filesystem.find(self._full(below).rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}

    def bucket_trouble(self) -> str:
        """`bucket_trouble` for where nothing was found in this store."""
        return bucket_trouble(self._filesystem, self._path)

    def look_up(self, name: str) -> StoredObject | None:
        """One object, or None."""

        def info() -> StoredObject | None:
            self._filesystem.invalidate_cache(self._full(name))
            try:
                return _stored_object(name, self._filesystem.info(self._full(name)))
            except FileNotFoundError:
                return None

        return self._call(name, info)

    def read(self, name: str, most: int | None = None) -> bytes:
        """An object's bytes; no more than `most` of them."""
        return self._call(name, lambda: self._filesystem.cat_file(self._full(name), end=most))

    def hash(self, name: str) -> tuple[str, int]:
        """sha256, as hex, and size of an object, read as a stream."""

        def read() -> tuple[str, int]:
            digest, size = hashlib.sha256(), 0
            with self._filesystem.open(self._full(name), "rb", block_size=_READ_BYTES) as stream:
                while chunk := stream.read(_READ_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
            return digest.hexdigest(), size

        return self._call(name, read)

    def get(self, name: str, target: Path) -> None:
        """Copy an object to a local file, which is not there whole before this returns."""
        self._call(name, lambda: self._filesystem.get_file(self._full(name), str(target)))

    def put(self, source: Path, name: str) -> StoredObject:
        """Write a local file as an object, whole or not at all; returns what the store has then.

        Raises:
            StoreError: also where the store has another number of bytes afterwards.
        """
        self._call(name, lambda: self._put(source, self._full(name)))
        stored = self.look_up(name)
        if stored is None or stored.size != source.stat().st_size:
            raise StoreError(
                f"{self.place(name)} has {stored.size if stored else 0:,} bytes after "
                f"{source.stat().st_size:,} were written. Run the same command again."
            )
        return stored

    def _put(self, source: Path, path: str) -> None:
        if self._in_process or (self._atomic and source.stat().st_size <= _WHOLE_BYTES):
            self._filesystem.pipe_file(path, source.read_bytes())
        elif self._atomic:
            self._filesystem.put_file(str(source), path)
        else:
            parent, _, name = path.rpartition("/")
            aside = f"{parent}/.{name}{_MOVED}{uuid.uuid4().hex}"
            self._make_folder_of(path)
            self._filesystem.put_file(str(source), aside)
            self._filesystem.mv(aside, path)

    def _make_folder_of(self, path: str) -> None:
        """Object stores have no folders; on others a file must lie in one that is there."""
        if not self._atomic:
            self._filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Replace a small object."""
        self._call(name, lambda: self._pipe(name, data))

    def _pipe(self, name: str, data: bytes, **options: str) -> None:
        self._make_folder_of(self._full(name))
        self._filesystem.pipe_file(self._full(name), data, **options)

    def create(self, name: str, data: bytes) -> bool:
        """Write a small object unless there is one; False where there is.

        S3, GCS and memory decide it in one step. Other stores overwrite.
        """
        try:
            self._call(
                name, lambda: self._pipe(name, data, mode="create"), passing=(FileExistsError,)
            )
        except FileExistsError:
            return False
        return True

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""

        def remove() -> None:
            self._filesystem.invalidate_cache(self._full(name))
            if self._filesystem.exists(self._full(name)):
                self._filesystem.rm_file(self._full(name))

        self._call(name, remove)

    def _full(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _stored(self, info: Mapping[str, Any]) -> StoredObject | None:
        name = str(info["name"]).removeprefix(self._path).strip("/")
        # Names of strangers become paths here: nothing absolute, hidden or with "..".
        if info.get("type") == "directory" or not _PLAIN_NAME.fullmatch(name):
            return None
        return _stored_object(name, info)

    def _call(
        self,
        name: str,
        call: Callable[[], _T],
        passing: tuple[type[Exception], ...] = (),
        tries: int | None = None,
    ) -> _T:
        try:
            return retry(call, self.place(name), tries)
        except passing:
            raise
        except Exception as error:
            raise self._sentence(name, error) from None

    def _sentence(self, name: str, error: Exception) -> StoreError:
        place, said = self.place(name), redact(f"{type(error).__name__}: {error}".strip(": "))
        if isinstance(error, FileNotFoundError):
            trouble = self.bucket_trouble()
            if trouble:
                return StoreError(f"{self.url}: {trouble}. Check the spelling.")
            todo = "Check the spelling."
        elif isinstance(error, PermissionError) or "Credential" in type(error).__name__:
            refused = isinstance(error, PermissionError)
            what = "The store refuses" if refused else "No whole credentials were found"
            todo = (
                f"{what}; credentials are taken from the environment alone, such as "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        else:
            todo = "When the store answers again, run the same command; what is finished is kept."
        return StoreError(f"{place} cannot be reached or used ({said}). {todo}")


_TAGS = ("ETag", "etag", "md5Hash", "generation", "blob_id")
_TIMES = ("LastModified", "updated", "last_modified", "mtime", "created")


def _stored_object(name: str, info: Mapping[str, Any]) -> StoredObject:
    size = int(info.get("size") or 0)
    tag = next((str(info[key]) for key in _TAGS if info.get(key)), None)
    modified = next((_seconds(info[key]) for key in _TIMES if info.get(key)), None)
    md5 = tag.strip('"') if tag and re.fullmatch(r'"?[0-9a-f]{32}"?', tag) else None
    return StoredObject(name, size, f"{size}:{tag or modified}", modified, md5)


def _seconds(time: object) -> float | None:
    if isinstance(time, datetime):
        return time.timestamp()
    if isinstance(time, int | float):
        return float(time)
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return None


def bucket_trouble(filesystem, path: str) -> str:
    """What is wrong with the bucket of a path at which nothing was found; "" for a good one.

    Args:
        filesystem: of fsspec.
        path: as that file system writes it, the bucket first.
    """
    protocol = filesystem.protocol
    if _BUCKETS.isdisjoint((protocol,) if isinstance(protocol, str) else protocol):
        return ""
    bucket = path.partition("/")[0]
    if filesystem.exists(bucket):
        return ""
    return f"the bucket {bucket} does not exist, or cannot be seen with these credentials"


def open_store(url: str, where: str) -> Store:
    """The folder of objects at a URL; nothing is asked of the store yet.

    Args:
        url: such as s3://bucket/name; a chain of file systems is refused.
        where: what the URL was given for, such as "--out"; errors begin with it.

    Raises:
        ConfigurationError: for a URL with credentials, without a name in the bucket, or of a
            protocol that fsspec does not know or whose package is not installed.
    """
    import fsspec

    refuse_credentials(url, where)
    if url.startswith("hf://"):
        from tagmine.hub import check_hub

        check_hub(url)
    if "::" in url:
        raise ConfigurationError(f"{where} {url}: a chain of file systems is no place for files.")
    plain = url.rstrip("/")
    protocol, _, rest = plain.partition("://")
    # A bucket holds many things; what lies at its top is not ours to sort.
    if not rest.strip("/") or (protocol in _BUCKETS and "/" not in rest):
        raise ConfigurationError(f"{where} {url}: name a folder, such as {protocol}://bucket/name.")
    try:
        filesystem, path = fsspec.core.url_to_fs(plain, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        extra = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}.get(protocol)
        todo = f"pip install 'tagmine[{extra}]'." if extra else "Give s3://, gs:// or a path."
        raise ConfigurationError(f"{where} {url}: {redact(str(error))}. {todo}") from error
    return Store(plain, filesystem, path)
