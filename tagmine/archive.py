"""Read a webdataset shard as a stream of bounded, checked members."""

from __future__ import annotations

import dataclasses
import hashlib
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

MAX_NAME_CHARACTERS = 1024
_MAX_HEADER_BYTES = 1 << 20
_READ_BYTES = 1 << 20
_EXTENDED_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class BrokenArchiveError(Exception):
    """The archive ends too early or stops being a tar; what came before it is good."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive.

    Attributes:
        name: its path in the archive, valid UTF-8.
        data: its bytes, or None when they were not asked for or `problem` is set.
        problem: (reject reason, detail) when the member must not be used, else None.
    """

    name: str
    data: bytes | None
    problem: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where the data of a member lies in its archive: name, offset and length in bytes."""

    name: str
    offset: int
    size: int


class HashingReader:
    """A readable stream that hashes and counts what passes through it.

    Attributes:
        bytes_read: how many bytes were read so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.bytes_read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        self.bytes_read += len(data)
        return data

    def drain(self) -> str:
        """Read to the end and return the sha256 of the whole stream, as hex."""
        while self.read(_READ_BYTES):
            pass
        return self._hash.hexdigest()


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a damaged header for the end of the archive and says nothing; this does not."""

    @classmethod
    def fromtarfile(cls, archive):
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            if archive.offset == 0:
                raise BrokenArchiveError(f"not a tar archive: {error}") from error
            raise BrokenArchiveError(f"{error} at byte {archive.offset}") from error

    def _proc_member(self, archive):
        # An extended header is read whole into memory, whatever size it claims.
        if self.type in _EXTENDED_HEADERS and self.size > _MAX_HEADER_BYTES:
            raise BrokenArchiveError(f"a header of {self.size:,} bytes at byte {archive.offset}")
        return super()._proc_member(archive)


def read_members(stream: HashingReader, size_limit: Callable[[str], int]) -> Iterator[Member]:
    """The files of a tar archive, in order; folders are passed over.

    Args:
        stream: the archive, uncompressed.
        size_limit: for a member's name, the most bytes to read, 0 to leave it unread.

    Yields:
        Each member; one that is too large, a link, or outside the archive carries its problem.

    Raises:
        BrokenArchiveError: where the archive breaks off.
    """
    try:
        with tarfile.open(
            fileobj=stream, mode="r|", bufsize=_READ_BYTES, tarinfo=_StrictTarInfo
        ) as archive:
            for info in archive:
                # tarfile keeps every header it has seen.
                archive.members = []
                if not info.isdir():
                    yield _read_member(archive, info, size_limit)
    except tarfile.TarError as error:
        raise BrokenArchiveError(str(error)) from error
    except RecursionError as error:
        raise BrokenArchiveError("headers nested too deep") from error
    except (ValueError, UnicodeError, OverflowError) as error:
        raise BrokenArchiveError(f"a malformed header: {error}") from error


def find_members(stream: BinaryIO) -> Iterator[Place]:
    """Where the plain files of a tar archive lie, by its headers alone.

    Args:
        stream: the archive, uncompressed and seekable.

    Yields:
        Places in order, less those that `read_members` would not read.

    Raises:
        BrokenArchiveError: where the archive breaks off.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r:", tarinfo=_StrictTarInfo) as archive:
            while (info := archive.next()) is not None:
                archive.members = []
                name = info.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                if info.isreg() and not info.issparse() and not _name_problem(name):
                    yield Place(name, info.offset_data, info.size)
    except (tarfile.TarError, RecursionError, ValueError, OverflowError) as error:
        raise BrokenArchiveError(f"{type(error).__name__}: {error}") from error


def _read_member(
    archive: tarfile.TarFile, info: tarfile.TarInfo, size_limit: Callable[[str], int]
) -> Member:
    name = info.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    problem = _name_problem(name)
    if problem:
        return Member(name[:MAX_NAME_CHARACTERS], None, ("unsafe_path", problem))
    if not info.isreg() or info.issparse():
        kind = "link" if info.issym() or info.islnk() else "special file"
        return Member(name, None, ("unsafe_member", f"{name} is a {kind}"))
    limit = size_limit(name)
    if limit and info.size <= limit:
        return Member(name, archive.extractfile(info).read())
    _skip(archive, info)
    if limit == 0:
        return Member(name, None)
    detail = f"{name} has {info.size:,} bytes; the limit is {limit:,}"
    return Member(name, None, ("member_too_large", detail))


def _skip(archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
    # Now and not on the way to the next header: a body that breaks off makes its member absent
    # for every stage alike, whether the stage reads it or not.
    body = archive.extractfile(info)
    while body.read(_READ_BYTES):
        pass


def _name_problem(name: str) -> str | None:
    if len(name) > MAX_NAME_CHARACTERS:
        return f"a name of {len(name):,} characters; the limit is {MAX_NAME_CHARACTERS:,}"
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
        return f"the name {name!r} leads out of the archive"
    return None
