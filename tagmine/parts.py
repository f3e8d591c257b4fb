"""The files of a part: their schemas, their footers, and how each is written and read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.errors import DatastoreError
from tagmine.layout import FORMAT_VERSION, atomic_path
from tagmine.rejects import MAX_DETAIL, REMOVED, Reject
from tagmine.tags import Tag

FOOTER_KEY = b"tagmine"
# An answer decodes the row group of each neighbour: 2 ms each, against 7 ms of 8,192 rows.
ROW_GROUP_ROWS = 2048
# Of parts of earlier releases, too.
_MOST_GROUP_ROWS = 8192
# Of captions; their tags may take some times as much, and what may be unpacked more than that.
_GROUP_CHARACTERS = 1 << 26
MAX_GROUP_BYTES = 1 << 31

TAG_TYPE = pa.struct(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("lemma", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("head", pa.string(), nullable=False),
        pa.field("attributes", pa.list_(pa.string()), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
    ]
)
TAGS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("more_captions", pa.list_(pa.string()), nullable=False),
        pa.field("tags", pa.list_(TAG_TYPE), nullable=False),
        pa.field("caption_sources", pa.list_(pa.string()), nullable=False),
    ]
)
CLIP_SCORE = pa.field("clip_score", pa.float32(), nullable=True)
REJECTS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)


def embeddings_schema(dim: int, scored: bool = False) -> pa.Schema:
    """Schema of an embeddings part: id, key, a float16 vector of `dim` values, and the CLIP score.

    Args:
        dim: length of a vector.
        scored: whether CLIP scores were measured; without them there is no such column.
    """
    columns = [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(pa.float16(), dim), nullable=False),
    ]
    return pa.schema([*columns, CLIP_SCORE] if scored else columns)


@dataclasses.dataclass(frozen=True, slots=True)
class PartFooter:
    """What a part file says of itself, in the file's schema metadata.

    Attributes:
        format_version: the format that the file follows.
        stage: "mine", "embed" or "retrieve".
        part: its number.
        source: name of the shard it was made from.
        source_sha256: hash of that shard's bytes.
        source_bytes: the shard's size.
        samples: fingerprint of the options that decide what is a sample, and so its id.
        maker: fingerprint of the tagger or encoder and of the options that decide the rows.
        read: samples read; equals written plus the sum of rejected.
        written: rows of this file.
        rejected: number of rejects by reason.
        rows_sha256: hash of the rows of an embeddings part, as the function of that name gives
            it; "" for tags, whose pages carry checksums of their own.
        keys_sha256: hash of the keys of an embeddings part, joined by NUL; "" for tags, and in
            parts of before there was one.
        captions_dropped: captions that a filter left out of samples that stay, by reason; absent
            from the file where there are none.
        annotated: keys of the table of annotations that match a sample of the part.

    Raises:
        ValueError: when the counts do not reconcile.
    """

    format_version: int
    stage: str
    part: int
    source: str
    source_sha256: str
    source_bytes: int
    samples: str
    maker: str
    read: int
    written: int
    rejected: dict[str, int]
    rows_sha256: str = ""
    keys_sha256: str = ""
    captions_dropped: dict[str, int] = dataclasses.field(default_factory=dict)
    annotated: int = 0

    def __post_init__(self) -> None:
        if self.read != self.written + sum(self.rejected.values()):
            raise ValueError(
                f"part {self.part} of {self.stage}: {self.read} read is not {self.written} "
                f"written + {sum(self.rejected.values())} rejected"
            )

    @property
    def listed(self) -> int:
        """Rows of its rejects file: all rejects but those that were taken out."""
        return sum(self.rejected.values()) - self.rejected.get(REMOVED, 0)

    def to_metadata(self) -> dict[bytes, bytes]:
        record = dataclasses.asdict(self)
        for name in ("captions_dropped", "keys_sha256"):
            if not record[name]:
                del record[name]
        return {FOOTER_KEY: json.dumps(record, sort_keys=True).encode()}


@dataclasses.dataclass(frozen=True, slots=True)
class TagRow:
    """One image of the tag table; see docs/format.md for the columns."""

    id: int
    key: str
    source: str
    captions: tuple[str, ...]
    tags: tuple[Tag, ...]
    caption_sources: tuple[str, ...] = ()


class TagTableWriter:
    """Writes a tags part row group by row group, so that memory does not grow with the part."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(
            path, TAGS_SCHEMA, compression="zstd", write_page_checksum=True
        )
        self._rows: list[TagRow] = []
        self._characters = 0
        self.added = 0

    def add(self, row: TagRow) -> None:
        self._rows.append(row)
        self.added += 1
        self._characters += sum(map(len, row.captions))
        if len(self._rows) >= ROW_GROUP_ROWS or self._characters >= _GROUP_CHARACTERS:
            self._write_group()

    def finish(self, footer: PartFooter) -> None:
        self._write_group()
        self._writer.add_key_value_metadata(footer.to_metadata())
        self._writer.close()

    def _write_group(self) -> None:
        if self._rows:
            self._writer.write_table(tags_table(self._rows))
            self._rows = []
            self._characters = 0


def tags_table(rows: Sequence[TagRow]) -> pa.Table:
    """The rows as a table of `TAGS_SCHEMA`."""
    columns = {
        "id": [row.id for row in rows],
        "key": [row.key for row in rows],
        "source": [row.source for row in rows],
        "caption": [row.captions[0] for row in rows],
        "more_captions": [list(row.captions[1:]) for row in rows],
        "tags": [[_tag_record(tag) for tag in row.tags] for row in rows],
        "caption_sources": [list(row.caption_sources) for row in rows],
    }
    return pa.table(columns, schema=TAGS_SCHEMA)


def _tag_record(tag: Tag) -> dict:
    return {
        "text": tag.text,
        "lemma": tag.lemma,
        "kind": tag.kind,
        "head": tag.head,
        "attributes": list(tag.attributes),
        "label": tag.label,
        "count": tag.count,
    }


def tag_of_record(record: dict) -> Tag:
    """The tag that a row of the tag table holds."""
    return Tag(**{**record, "attributes": tuple(record["attributes"])})


def write_rejects(path: Path, rejects: Sequence[Reject], maker: str) -> None:
    """Write a rejects file, whole or not at all; one without rows says that there were none.

    Args:
        path: where it goes.
        rejects: its rows.
        maker: fingerprint of what made it, so that it is never taken for another run's.
    """
    columns = {
        "id": [reject.id for reject in rejects],
        "key": [reject.key for reject in rejects],
        "stage": [reject.stage for reject in rejects],
        "reason": [reject.reason for reject in rejects],
        "detail": [_one_line(reject.detail) for reject in rejects],
    }
    schema = REJECTS_SCHEMA.with_metadata({FOOTER_KEY: maker.encode()})
    table = pa.table(columns, schema=schema)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def rejects_made_by(path: Path, maker: str) -> int | None:
    """Rows of a rejects file that is sound and of this maker, else None."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return None
    made_by = (table.schema.metadata or {}).get(FOOTER_KEY)
    return table.num_rows if made_by == maker.encode() else None


def _one_line(detail: str) -> str:
    text = detail.encode("utf-8", "replace").decode()
    return " ".join(text.split())[:MAX_DETAIL]


def rows_sha256(ids: bytes, vectors: bytes, scores: bytes = b"") -> str:
    """Hash of an embeddings part's rows: int64 ids, float16 values, float32 scores if measured."""
    digest = hashlib.sha256(ids)
    digest.update(vectors)
    digest.update(scores)
    return digest.hexdigest()


def keys_sha256(keys: Sequence[str]) -> str:
    """Hash of an embeddings part's keys, in order."""
    return hashlib.sha256("\0".join(keys).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_tags_footer(path: Path) -> PartFooter:
    """The footer of a tags part.

    Raises:
        DatastoreError: for a file that is damaged or was not written by tagmine.
    """
    try:
        metadata = pq.ParquetFile(path).metadata
        check_claims(metadata)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _unreadable(path, error) from error
    return parse_footer(path, metadata.metadata)


def check_claims(metadata: pq.FileMetaData) -> None:
    """Refuse a tags part unread: a small file of a stranger may unpack to more than any memory.

    Raises:
        ValueError: for a row group of more rows or bytes than a part has.
    """
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.num_rows > _MOST_GROUP_ROWS or group.total_byte_size > MAX_GROUP_BYTES:
            raise ValueError(
                f"row group {number} says that it has {group.num_rows:,} rows in "
                f"{group.total_byte_size:,} bytes; a part has up to {_MOST_GROUP_ROWS:,} in "
                f"{MAX_GROUP_BYTES:,}"
            )


def parse_footer(path: Path, metadata: dict[bytes, bytes] | None) -> PartFooter:
    """The footer within a file's schema metadata; see `read_tags_footer` for errors."""
    text = (metadata or {}).get(FOOTER_KEY)
    if text is None:
        raise DatastoreError(f"{path} has no tagmine footer; it was not written by tagmine.")
    try:
        footer = PartFooter(**json.loads(text))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if footer.format_version != FORMAT_VERSION:
        raise DatastoreError(
            f"{path} has format version {footer.format_version}; this tagmine reads version "
            f"{FORMAT_VERSION}. Use the tagmine that wrote it, or build the part again."
        )
    return footer


def _unreadable(path: Path, error: Exception) -> DatastoreError:
    return DatastoreError(
        f"{path} cannot be read ({type(error).__name__}: {error}). Run tagmine build again with "
        "the same shards; it makes damaged parts anew."
    )
