"""What every stage over shards shares: opening one, counting rejects, telling finished work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tagmine.archive import HashingReader
from tagmine.errors import TagmineError
from tagmine.layout import FORMAT_VERSION, rejects_path, sample_id
from tagmine.parts import PartFooter, write_rejects
from tagmine.rejects import Reject
from tagmine.sources import Source

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
    import fsspec

    try:
        with fsspec.open(source.url, "rb") as stream:
            yield HashingReader(stream)
    except OSError as error:
        raise SourceError(
            f"the shard {source.url} cannot be read: {type(error).__name__}: {error}. Nothing "
            "finished is lost; when it can be read, run the same command again."
        ) from error


@dataclasses.dataclass(frozen=True, slots=True)
class PartResult:
    """What became of a part: `made` is False when a finished one was found and kept."""

    part: int
    made: bool
    footer: PartFooter


class PartLedger:
    """Counts what a stage reads, and keeps its rejects until the part is closed."""

    def __init__(self, root: Path, source: Source, stage: str, maker: str) -> None:
        self._root = root
        self._source = source
        self._stage = stage
        self._maker = maker
        self._rejects: list[Reject] = []
        self.read = 0

    def identify(self, position: int, key: str) -> tuple[int, str]:
        """Id and namespaced key of the sample at `position`, which is thereby counted."""
        self.read += 1
        return sample_id(self._source.part, position), f"{self._source.name}/{key}"

    def reject(self, row_id: int, key: str, reason: str, detail: str) -> None:
        self._rejects.append(Reject(row_id, key, self._stage, reason, detail))

    def close(self, stream: HashingReader, written: int) -> PartFooter:
        """Write the rejects and return the footer that the part file is to carry."""
        # In order of the shard: a stage that works ahead may reject out of turn.
        rejects = sorted(self._rejects, key=lambda reject: reject.id)
        write_rejects(self._root / rejects_path(self._stage, self._source.part), rejects)
        counts = Counter(reject.reason for reject in rejects)
        source_sha256 = stream.drain()
        return PartFooter(
            format_version=FORMAT_VERSION,
            stage=self._stage,
            part=self._source.part,
            source=self._source.name,
            source_sha256=source_sha256,
            source_bytes=stream.bytes_read,
            maker=self._maker,
            read=self.read,
            written=written,
            rejected=dict(sorted(counts.items())),
        )


def is_current(
    footer: PartFooter, root: Path, source: Source, maker: str, report: ReportProgress
) -> bool:
    """Whether a finished part is what this job would make from the shard as it is now.

    The shard is read and hashed: its name, size and time say nothing about a shard that was
    replaced, and reading costs little beside making the part.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rejects = root / rejects_path(footer.stage, footer.part)
    if (footer.part, footer.source, footer.maker) != (source.part, source.name, maker):
        return False
    try:
        table = pq.read_table(rejects, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return False
    if table.num_rows != sum(footer.rejected.values()):
        return False
    with open_source(source) as stream:
        current = stream.drain() == footer.source_sha256
        report(stream.bytes_read, footer.read)
    return current
