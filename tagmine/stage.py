"""What every stage over shards shares: opening one, counting rejects, telling finished work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from tagmine.archive import HashingReader
from tagmine.errors import TagmineError
from tagmine.layout import FORMAT_VERSION, rejects_path, sample_id
from tagmine.manifest import fingerprint
from tagmine.parts import PartFooter, rejects_made_by, write_rejects
from tagmine.redaction import redact
from tagmine.rejects import REMOVED, Reject
from tagmine.retries import retry
from tagmine.samples import SampleFields
from tagmine.sources import Source
from tagmine.stores import is_remote

ReportProgress = Callable[[int, int], None]
"""Called with the bytes and the samples of the shard read so far."""


class SourceError(TagmineError):
    """A shard cannot be read at all: missing, unreachable, or changed between two stages."""


def ignore_progress(bytes_read: int, samples: int) -> None:
    """A `ReportProgress` for callers that show none."""


@contextlib.contextmanager
def open_source(source: Source) -> Iterator[HashingReader]:
    """A shard as a stream that is hashed while it is read.

    Raises:
        SourceError: when it cannot be opened or read.
    """
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(_open_stream(source))
        # Whatever a file system of fsspec raises, and they raise all sorts, it is the source's.
        except Exception as error:
            raise _unreadable(source, error) from None
        yield HashingReader(_SourceStream(source, stream))


def _open_stream(source: Source) -> BinaryIO:
    import fsspec

    def open_file() -> BinaryIO:
        return fsspec.open(source.url, "rb").open()

    return retry(open_file, source.url) if is_remote(source.url) else open_file()


class _SourceStream:
    """Tells failures to read the shard from those of whoever works on what was read."""

    def __init__(self, source: Source, stream: BinaryIO) -> None:
        self._source = source
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        try:
            return self._read_on(size)
        # Without its cause, whose text may hold the key of a signed URL.
        except Exception as error:
            raise _unreadable(self._source, error) from None

    def _read_on(self, size: int) -> bytes:
        if not (is_remote(self._source.url) and self._stream.seekable()):
            return self._stream.read(size)
        place = self._stream.tell()

        def read() -> bytes:
            self._stream.seek(place)
            return self._stream.read(size)

        return retry(read, self._source.url)


def _unreadable(source: Source, error: Exception) -> SourceError:
    return SourceError(
        f"the shard {redact(source.url)} cannot be read: {type(error).__name__}: "
        f"{redact(str(error))}. Nothing "
        "finished is lost; when it can be read, run the same command again."
    )


@dataclasses.dataclass(frozen=True, slots=True)
class PartResult:
    """What became of a part: `made` is False when a finished one was found and kept."""

    part: int
    made: bool
    footer: PartFooter


class HashedInput(Protocol):
    """What a part is made of, hashed while it is read; a `HashingReader` is one.

    Attributes:
        bytes_read: how many bytes were read so far.
    """

    bytes_read: int

    def drain(self) -> str:
        """Read to the end and return the sha256 of it all, as hex."""


class PartLedger:
    """Counts what a stage reads, and keeps its rejects until the part is closed."""

    def __init__(
        self, root: Path, source: Source, stage: str, fields: SampleFields, maker: str
    ) -> None:
        self._root = root
        self._samples = fingerprint(fields.grouping)
        self._source = source
        self._stage = stage
        self._maker = maker
        self._rejects: list[Reject] = []
        self._captions_dropped: Counter[str] = Counter()
        self._removed = 0
        self.read = 0

    def identify(self, position: int, key: str) -> tuple[int, str]:
        """Id and namespaced key of the sample at `position`, which is thereby counted."""
        self.read += 1
        return sample_id(self._source.part, position), f"{self._source.name}/{key}"

    def reject(self, row_id: int, key: str, reason: str, detail: str) -> None:
        self._rejects.append(Reject(row_id, key, self._stage, reason, detail))

    def leave_out(self) -> None:
        """Count a sample that was taken out of the datastore, and say no more of it."""
        self._removed += 1

    def drop_captions(self, reasons: Iterable[str]) -> None:
        """Count captions that were left out of a sample that stays, by their reasons."""
        self._captions_dropped.update(reasons)

    def close(self, stream: HashedInput, written: int) -> PartFooter:
        """Write the rejects and return the footer that the part file is to carry."""
        # In order of the shard: a stage that works ahead may reject out of turn.
        rejects = sorted(self._rejects, key=lambda reject: reject.id)
        counts = Counter(reject.reason for reject in rejects)
        if self._removed:
            counts[REMOVED] = self._removed
        source_sha256 = stream.drain()
        path = self._root / rejects_path(self._stage, self._source.part)
        write_rejects(path, rejects, self._maker + source_sha256)
        return PartFooter(
            format_version=FORMAT_VERSION,
            stage=self._stage,
            part=self._source.part,
            source=self._source.name,
            source_sha256=source_sha256,
            source_bytes=stream.bytes_read,
            samples=self._samples,
            maker=self._maker,
            read=self.read,
            written=written,
            rejected=dict(sorted(counts.items())),
            captions_dropped=dict(sorted(self._captions_dropped.items())),
        )


OpenInput = Callable[[Source], contextlib.AbstractContextManager[HashedInput]]


def is_current(
    footer: PartFooter,
    root: Path,
    source: Source,
    maker: str,
    report: ReportProgress,
    open_input: OpenInput = open_source,
) -> bool:
    """Whether a finished part is what this job would make from the shard as it is now.

    The shard is read and hashed: its name, size and time say nothing about a shard that was
    replaced, and reading costs little beside making the part.
    """
    rejects = root / rejects_path(footer.stage, footer.part)
    if (footer.part, footer.source, footer.maker) != (source.part, source.name, maker):
        return False
    found = rejects_made_by(rejects, maker + footer.source_sha256)
    if found != footer.listed:
        return False
    with open_input(source) as stream:
        current = stream.drain() == footer.source_sha256
        report(stream.bytes_read, footer.read)
    return current
