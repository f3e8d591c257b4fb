"""Small pictures of a part's images, kept beside its embeddings when `build` is asked to."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index.images import ImageLimits
from index.pictures import shrink
from tagmine.copy_part import PartCopy, renamed
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import (
    FORMAT_VERSION,
    atomic_path,
    embeddings_path,
    sample_id,
    thumbnails_path,
)
from tagmine.manifest import FileCard, fingerprint
from tagmine.parts import PartFooter, file_sha256, parse_footer
from tagmine.samples import SampleFields, read_samples
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress, ignore_progress, open_source

STAGE = "thumbnails"
THUMBNAILS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("jpeg", pa.binary(), nullable=False),
    ]
)
# What reading one picture costs: about a megabyte at 128 pixels.
_GROUP_ROWS = 256
_MAX_GROUP_BYTES = 256 << 20
_FILES_KEPT = 64


def thumbnails_maker(side: int, fields: SampleFields) -> str:
    """Fingerprint of all that decides a part's thumbnails, its shard and ids aside."""
    return fingerprint(STAGE, side, fields.grouping)


def make_thumbnails(
    root: Path,
    source: Source,
    side: int,
    fields: SampleFields,
    report: ReportProgress = ignore_progress,
) -> PartResult:
    """Make the thumbnails of an embedded part, unless current ones are there already.

    Args:
        root: the datastore's folder.
        source: the shard.
        side: most pixels a side.
        fields: which members are images, as of the embeddings.
        report: told of the progress.

    Returns:
        The part's footer, and whether it was made now.

    Raises:
        SourceError: when the shard cannot be read.
        DatastoreError: when it has not been embedded, or has changed since.
    """
    embeddings = open_embeddings(root / embeddings_path(source.part))
    target = root / thumbnails_path(source.part)
    maker = thumbnails_maker(side, fields)
    finished = read_thumbnails_footer(target) if target.exists() else None
    if finished and finished.maker == maker and _belong_together(finished, embeddings.footer):
        report(finished.source_bytes, finished.written)
        return PartResult(source.part, False, finished)
    footer = _footer_of(embeddings.footer, maker)
    wanted = set(embeddings.ids.tolist())
    limits = {key: ImageLimits().max_bytes for key in fields.image_keys}
    with atomic_path(target) as temporary, open_source(source) as stream:

        def pictures() -> Iterator[tuple[int, bytes]]:
            for sample in read_samples(stream, fields, limits):
                row_id = sample_id(source.part, sample.position)
                if row_id in wanted:
                    member = next(k for k in fields.image_keys if k in sample.members)
                    yield row_id, shrink(sample.members[member], side)
                    report(stream.bytes_read, sample.position + 1)

        _write(temporary, pictures(), footer)
        if stream.drain() != footer.source_sha256:
            raise DatastoreError(
                f"{source.url} has changed since it was embedded. Run tagmine build again."
            )
    return PartResult(source.part, True, footer)


def strike_thumbnails(root: Path, part: int, struck: np.ndarray) -> None:
    """Rewrite a part's thumbnails, if it has any, without some images.

    Args:
        root: the datastore's folder, where the part's embeddings are without them already.
        part: its number.
        struck: int64 [n], ids.

    Raises:
        DatastoreError: when they cannot be read.
    """
    target = root / thumbnails_path(part)
    if not target.exists():
        return
    maker = read_thumbnails_footer(target).maker
    gone = set(struck.tolist())
    rows = ((row_id, picture) for row_id, picture in _rows(target) if row_id not in gone)
    footer = _footer_of(open_embeddings(root / embeddings_path(part)).footer, maker)
    with atomic_path(target) as temporary:
        _write(temporary, rows, footer)


def copy_thumbnails(copy: PartCopy, out: Path) -> None:
    """Copy a part's thumbnails after its other files, unless they are there or it has none.

    Args:
        copy: what became of the part.
        out: folder of the new datastore, where its embeddings are copied already.

    Raises:
        DatastoreError: when they cannot be read.
    """
    source, target = copy.card.thumbnails, out / thumbnails_path(copy.source.part)
    if source is None:
        return
    old = open_embeddings(Path(copy.root) / copy.card.embeddings.path)
    new = open_embeddings(out / embeddings_path(copy.source.part))
    maker = read_thumbnails_footer(Path(copy.root) / source.path).maker
    finished = read_thumbnails_footer(target) if target.exists() else None
    if finished and finished.maker == maker and _belong_together(finished, new.footer):
        return
    kept = pc.is_in(renamed(copy, old.keys()), value_set=new.keys())
    ids = dict(
        zip(old.ids[kept.to_numpy(zero_copy_only=False)].tolist(), new.ids.tolist(), strict=True)
    )
    rows = (
        (ids[old_id], jpeg)
        for old_id, jpeg in _rows(Path(copy.root) / source.path)
        if old_id in ids
    )
    with atomic_path(target) as temporary:
        _write(temporary, rows, _footer_of(new.footer, maker))


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    for table in _groups(path):
        yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


def _write(path: Path, rows: Iterator[tuple[int, bytes]], footer: PartFooter) -> None:
    with pq.ParquetWriter(
        path, THUMBNAILS_SCHEMA, compression="none", write_page_checksum=True
    ) as writer:
        while group := list(itertools.islice(rows, _GROUP_ROWS)):
            ids, pictures = zip(*group, strict=True)
            columns = [pa.array(ids), pa.array(pictures)]
            writer.write_table(pa.table(columns, schema=THUMBNAILS_SCHEMA))
        writer.add_key_value_metadata(footer.to_metadata())


def _footer_of(embedded: PartFooter, maker: str) -> PartFooter:
    made_from = (embedded.part, embedded.source, embedded.source_sha256, embedded.source_bytes)
    count = embedded.written
    return PartFooter(FORMAT_VERSION, STAGE, *made_from, embedded.samples, maker, count, count, {})


def _belong_together(thumbnails: PartFooter, embedded: PartFooter) -> bool:
    """Whether the thumbnails are of the very images that were embedded."""
    names = ("part", "source", "source_sha256", "samples", "written")
    return all(getattr(thumbnails, name) == getattr(embedded, name) for name in names)


def read_thumbnails_footer(path: Path) -> PartFooter:
    """What a file of thumbnails says of itself.

    Raises:
        DatastoreError: for a file that is damaged, or is none.
    """
    try:
        return parse_footer(path, pq.read_metadata(path).metadata)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def thumbnails_card(root: Path, embedded: PartFooter) -> FileCard | None:
    """The card of a part's thumbnails; those of other images than were embedded are deleted."""
    name = thumbnails_path(embedded.part)
    path = root / name
    if not path.exists():
        return None
    if not _belong_together(read_thumbnails_footer(path), embedded):
        path.unlink()
        return None
    return FileCard(name, embedded.written, path.stat().st_size, file_sha256(path))


def check_thumbnails(root: Path, card: FileCard, ids: np.ndarray) -> None:
    """Look whether a part's thumbnails are pictures of its images.

    Args:
        root: the datastore's folder.
        card: the file.
        ids: int64 [n], those of the part's embeddings.

    Raises:
        DatastoreError: when they are not.
    """
    path = root / card.path
    found = [np.empty(0, np.int64)]
    for table in _groups(path):
        found.append(table.column("id").to_numpy())
        for picture in table.column("jpeg"):
            if not picture.as_buffer()[:3].to_pybytes() == b"\xff\xd8\xff":
                raise DatastoreError(f"{card.path} holds something that is no JPEG.")
    if not np.array_equal(np.concatenate(found), ids):
        raise DatastoreError(f"{card.path} does not have one picture for each embedded image.")


def _groups(path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.remove_metadata().equals(THUMBNAILS_SCHEMA):
                raise _unreadable(path, ValueError(f"its schema is {file.schema_arrow}"))
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


class Thumbnails:
    """The thumbnails of a datastore, by the ids of images."""

    def __init__(self, root: Path, cards: dict[int, FileCard]) -> None:
        """Remember where they lie.

        Args:
            root: the datastore's folder.
            cards: the files, by part; parts may lack one.
        """
        self._root = root
        self._cards = cards
        self._ids = functools.lru_cache(_FILES_KEPT)(self._read_ids)

    def read(self, part: int, row_id: int) -> bytes | None:
        """The JPEG of an image; None where its part has none.

        Raises:
            DatastoreError: when the file is damaged.
        """
        card = self._cards.get(part)
        if card is None:
            return None
        ids, starts = self._ids(part)
        row = int(np.searchsorted(ids, row_id))
        if row == len(ids) or ids[row] != row_id:
            return None
        group = int(np.searchsorted(starts, row, "right")) - 1
        path = self._root / card.path
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                if file.metadata.row_group(group).total_byte_size > _MAX_GROUP_BYTES:
                    raise _unreadable(path, ValueError("its row groups are too large"))
                pictures = file.read_row_group(group, columns=["jpeg"]).column("jpeg")
            return pictures[row - int(starts[group])].as_py()
        except (OSError, pa.ArrowException, KeyError, IndexError) as error:
            raise _unreadable(path, error) from error

    def _read_ids(self, part: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids int64 [n], and the first row of each row group."""
        path = self._root / self._cards[part].path
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                ids = file.read(columns=["id"]).column("id").to_numpy()
                groups = range(file.num_row_groups)
                sizes = [file.metadata.row_group(group).num_rows for group in groups]
        except (OSError, pa.ArrowException, KeyError) as error:
            raise _unreadable(path, error) from error
        return ids, np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def _unreadable(path: Path, error: Exception) -> DatastoreError:
    return DatastoreError(
        f"{path} cannot be read as thumbnails ({type(error).__name__}: {error}). Delete it and run "
        "the command again that made this datastore."
    )
