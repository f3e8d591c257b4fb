"""Images that have a tag, found in the tag table a bounded stretch at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index.live import indexed_rows
from index.search import Datastore
from tagmine.errors import DatastoreError
from tagmine.manifest import PartCard
from tagmine.vocabulary import MergeKey

# Rows that one request looks through: a second or two. A tag of one image in millions is found by
# going on.
MAX_ROWS = 500_000
_KEY = ("kind", "label", "lemma")
_COLUMNS = ["id", *(f"tags.list.element.{name}" for name in _KEY)]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a search goes on: the place of a part in the manifest, and a row of its tag table."""

    part: int = 0
    row: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Tagged:
    """Ids of images with a tag, ascending; images looked through; and where to go on, if at all."""

    ids: tuple[int, ...]
    looked_through: int
    following: Place | None


def find_tagged(
    datastore: Datastore, key: MergeKey, start: Place, count: int, max_rows: int = MAX_ROWS
) -> Tagged:
    """The next images of the index that have a tag.

    Args:
        datastore: where they are.
        key: kind, label and lemma of the tag.
        start: where to begin.
        count: most images.
        max_rows: rows of the tag table to look through, a row group more at most.

    Raises:
        DatastoreError: when a part cannot be read.
    """
    found: list[int] = []
    looked = 0
    for number in range(start.part, len(datastore.manifest.parts)):
        card = datastore.manifest.parts[number]
        first = start.row if number == start.part else 0
        kept: np.ndarray | None = None
        for row, table in _groups(datastore, card, first):
            rows = _rows_with(table, key)
            ids = table.column("id").to_numpy()[rows]
            if len(ids) and kept is None:
                live = indexed_rows(datastore.root, card, datastore.removed)
                kept = datastore.embeddings(card.part).ids[live]
            if len(ids):
                rows = rows[np.isin(ids, kept)]
            for place in rows.tolist():
                if len(found) == count:
                    return Tagged(tuple(found), looked + place, Place(number, row + place))
                found.append(table.column("id")[place].as_py())
            looked += len(table)
            if looked >= max_rows:
                return Tagged(tuple(found), looked, Place(number, row + len(table)))
    return Tagged(tuple(found), looked, None)


def _groups(datastore: Datastore, card: PartCard, first: int) -> Iterator[tuple[int, pa.Table]]:
    """Row groups of a part from a row on, each with the number of its first row."""
    path = datastore.root / card.tags.path
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            start = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if start + rows > first:
                    table = file.read_row_group(group, columns=_COLUMNS)
                    skipped = max(first - start, 0)
                    yield start + skipped, table.slice(skipped)
                start += rows
    except (OSError, pa.ArrowException) as error:
        raise DatastoreError(f"{path} is damaged: {error}. Run tagmine verify.") from error


def _rows_with(table: pa.Table, key: MergeKey) -> np.ndarray:
    """Rows of the table that have the tag, ascending."""
    tags = table.column("tags").combine_chunks()
    values = tags.flatten()
    alike = [pc.equal(values.field(name), said) for name, said in zip(_KEY, key, strict=True)]
    hits = pc.and_(pc.and_(alike[0], alike[1]), alike[2])
    return np.unique(pc.list_parent_indices(tags).filter(hits).to_numpy())
