"""Rewrite the files of a part without some of its samples."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.layout import atomic_path, embeddings_path, rejects_path, tags_path
from tagmine.parts import (
    ROW_GROUP_ROWS,
    TAGS_SCHEMA,
    PartFooter,
    read_tags_footer,
)
from tagmine.rejects import REMOVED


def strike_part(root: Path, part: int, removed: np.ndarray) -> int:
    """Rewrite tags, embeddings and their rejects without the given samples, which are counted.

    The files are those that a build without the samples would have made, but for what footers
    count over all samples: captions that filters dropped, and matched annotations.

    Args:
        root: the folder; every file is replaced whole.
        part: which part.
        removed: int64 [n], ids.

    Returns:
        How many embeddings were struck.
    """
    tags = root / tags_path(part)
    rejected = _strike_rejects(root / rejects_path("mine", part), removed)
    _strike_tags(tags, removed, read_tags_footer(tags), rejected)
    rejected = _strike_rejects(root / rejects_path("embed", part), removed)
    return _strike_embeddings(root / embeddings_path(part), removed, rejected)


def _strike_rejects(path: Path, removed: np.ndarray) -> Counter[str]:
    """Strike rejects; returns how many by reason."""
    table = pq.read_table(path, page_checksum_verification=True)
    struck = pa.array(np.isin(table.column("id").to_numpy(), removed))
    reasons = Counter(table.column("reason").filter(struck).to_pylist())
    if reasons:
        kept = table.filter(pa.array(~struck.to_numpy(zero_copy_only=False)))
        with atomic_path(path) as temporary:
            pq.write_table(kept, temporary, compression="zstd", write_page_checksum=True)
    return reasons


def _footer_without(footer: PartFooter, rows: int, rejected: Counter[str]) -> PartFooter:
    """The footer after so many rows, and rejects by reason, were struck."""
    counts = Counter(footer.rejected)
    counts.subtract(rejected)
    counts[REMOVED] += rows + rejected.total()
    left = {reason: count for reason, count in sorted(counts.items()) if count}
    return dataclasses.replace(footer, written=footer.written - rows, rejected=left)


def _strike_tags(
    path: Path, removed: np.ndarray, footer: PartFooter, rejected: Counter[str]
) -> None:
    with pq.ParquetFile(path, page_checksum_verification=True) as table, atomic_path(path) as new:
        settings = {"compression": "zstd", "write_page_checksum": True}
        with pq.ParquetWriter(new, TAGS_SCHEMA, **settings) as writer:
            kept = 0
            for group in _groups(table, removed):
                writer.write_table(group)
                kept += group.num_rows
            footer = _footer_without(footer, footer.written - kept, rejected)
            writer.add_key_value_metadata(footer.to_metadata())


def _groups(table: pq.ParquetFile, removed: np.ndarray) -> Iterator[pa.Table]:
    """The rows that stay, in row groups as a build makes them."""
    waiting = TAGS_SCHEMA.empty_table()
    for batch in table.iter_batches(ROW_GROUP_ROWS):
        kept = batch.filter(pa.array(~np.isin(batch.column("id").to_numpy(), removed)))
        rows = pa.Table.from_batches([kept]).replace_schema_metadata(None).cast(TAGS_SCHEMA)
        waiting = pa.concat_tables([waiting, rows])
        if waiting.num_rows >= ROW_GROUP_ROWS:
            yield waiting.slice(0, ROW_GROUP_ROWS).combine_chunks()
            waiting = waiting.slice(ROW_GROUP_ROWS)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def _strike_embeddings(path: Path, removed: np.ndarray, rejected: Counter[str]) -> int:
    part = open_embeddings(path)
    kept = ~np.isin(part.ids, removed)
    struck = int((~kept).sum())
    scores = part.clip_scores()
    write_embeddings(
        path,
        part.ids[kept],
        part.keys().filter(pa.array(kept)).to_pylist(),
        part.vectors[kept],
        _footer_without(part.footer, struck, rejected),
        None if scores is None else scores[kept],
    )
    return struck
