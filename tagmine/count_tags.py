"""Count the tags of all parts into a vocabulary, in bounded memory whatever their number."""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tagmine.errors import DatastoreError
from tagmine.layout import FORMAT_VERSION, atomic_path
from tagmine.vocabulary import BATCH_ROWS, VOCABULARY_SCHEMA, VocabularyFooter

if TYPE_CHECKING:
    import duckdb

# What DuckDB may hold before it writes to the temporary folder; 32 million tags were counted so.
MEMORY_LIMIT = "512MB"
_MAX_THREADS = 4
_READ_ROWS = 16_384

_PARTS = "read_parquet($tags, hive_partitioning = false) AS mined"
_LEFT_OUT = """
ANTI JOIN read_parquet($left_out, hive_partitioning = false) AS rejected USING (id)"""
_REMOVED = """
ANTI JOIN (SELECT id FROM read_parquet($removed) WHERE id IS NOT NULL) AS hidden USING (id)"""

_TAGS_AN_IMAGE = "SELECT len(tags), count(*) FROM {images} GROUP BY 1 ORDER BY 1"

# A variant is a tag in one wording. Grouping by all of its columns leaves counters as the only
# state, which DuckDB can write to disk; strings picked by an aggregate would stay in memory.
_VARIANTS = """
WITH mentioned AS (SELECT unnest(tags) AS tag FROM {images}),
variants AS (
    SELECT tag.kind AS kind, tag.label AS label, tag.lemma AS lemma, tag.text AS text,
        tag.head AS head, array_to_string(tag.attributes, chr(31)) AS attributes,
        count(*) AS images, sum(tag.count)::BIGINT AS mentions
    FROM mentioned GROUP BY ALL
),
hashed AS (
    SELECT ('0x' || sha256(kind || chr(31) || label || chr(31) || lemma)[:16])::UBIGINT AS hash, *
    FROM variants
)
SELECT hash, kind, label, lemma, text, head,
    CASE attributes WHEN '' THEN [] ELSE string_split(attributes, chr(31)) END AS attributes,
    images, mentions
FROM hashed
ORDER BY hash, kind, label, lemma, text, images DESC, head, hashed.attributes
"""


@contextlib.contextmanager
def open_engine(threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB in memory of `MEMORY_LIMIT`, with a temporary folder, and without any network."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="tagmine-count-") as scratch:
        config = {
            "memory_limit": MEMORY_LIMIT,
            "threads": threads or min(_MAX_THREADS, os.cpu_count() or 1),
            "temp_directory": scratch,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=config) as engine:
            yield engine


def write_vocabulary(
    target: Path,
    tags: Sequence[Path],
    left_out: Sequence[Path],
    maker: str,
    threads: int | None = None,
    removed: Path | None = None,
) -> VocabularyFooter:
    """Count tags and write them as a vocabulary, whole or not at all.

    The bytes depend on the rows alone, not on threads, memory or the order of the files.

    Args:
        target: where it goes.
        tags: the tags parts.
        left_out: rejects files; images that they name are not counted.
        maker: fingerprint of these files.
        threads: how many; by default the processor's, up to 4.
        removed: record of what was taken out; images that wait in it are not counted.

    Raises:
        DatastoreError: when a part cannot be read, or there is no room for temporary files.
    """
    import duckdb

    # A bracket in a folder's name is no pattern.
    files = {"tags": [glob.escape(str(path)) for path in tags]}
    if left_out:
        files["left_out"] = [glob.escape(str(path)) for path in left_out]
    images = f"{_PARTS} {_LEFT_OUT}" if left_out else _PARTS
    if removed is not None:
        files["removed"] = [glob.escape(str(removed))]
        images += _REMOVED
    try:
        with open_engine(threads) as engine:
            counts = tuple(engine.execute(_TAGS_AN_IMAGE.format(images=images), files).fetchall())
            footer = VocabularyFooter(FORMAT_VERSION, maker, sum(n for _, n in counts), counts)
            query = engine.sql(_VARIANTS.format(images=images), params=files)
            with atomic_path(target) as temporary:
                _write_batches(temporary, footer, query.to_arrow_reader(_READ_ROWS))
    except duckdb.Error as error:
        raise DatastoreError(
            f"the tags cannot be counted ({type(error).__name__}: {error}). If the disk of "
            f"{tempfile.gettempdir()} is full, set TMPDIR to a folder with more room; if a part "
            "is damaged, run tagmine mine again with the same shards; it makes damaged parts anew."
        ) from error
    return footer


def _write_batches(path: Path, footer: VocabularyFooter, variants: pa.RecordBatchReader) -> None:
    schema = VOCABULARY_SCHEMA.with_metadata(footer.to_metadata())
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        waiting: list[pa.Table] = []
        for entries in _merge_runs(variants):
            waiting.append(entries)
            if sum(table.num_rows for table in waiting) >= BATCH_ROWS:
                table = pa.concat_tables(waiting)
                whole = table.num_rows - table.num_rows % BATCH_ROWS
                _write_rows(writer, table.slice(0, whole), schema)
                waiting = [table.slice(whole)]
        if waiting:
            _write_rows(writer, pa.concat_tables(waiting), schema)


def _write_rows(writer: pa.RecordBatchWriter, table: pa.Table, schema: pa.Schema) -> None:
    for start in range(0, table.num_rows, BATCH_ROWS):
        rows = table.slice(start, BATCH_ROWS).combine_chunks()
        columns = [_exact(column.chunk(0)) for column in rows.columns]
        writer.write_batch(pa.record_batch(columns, schema=schema))


def _exact(array: pa.Array) -> pa.Array:
    """The same values in buffers of just their size: spare room would go into the file."""
    if pa.types.is_list(array.type):
        offsets = array.offsets.to_numpy()
        return pa.ListArray.from_arrays(pa.array(offsets - offsets[0]), _exact(array.flatten()))
    if pa.types.is_string(array.type):
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        data = data[ends[0] : ends[-1]] if data else pa.py_buffer(b"")
        return pa.StringArray.from_buffers(len(array), pa.py_buffer(ends - ends[0]), data)
    return pa.array(array.to_numpy())


def _merge_runs(variants: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Entries of the vocabulary from variants that are sorted by key and text."""
    rest: pa.Table | None = None
    for batch in variants:
        table = pa.Table.from_batches([batch]).cast(VOCABULARY_SCHEMA)
        table = pa.concat_tables([rest, table]).combine_chunks() if rest is not None else table
        if table.num_rows:
            # The last key may go on in the next batch.
            last = int(np.flatnonzero(_begins(table, ("hash", "kind", "label", "lemma")))[-1])
            yield _merge_variants(table.slice(0, last))
            rest = table.slice(last)
    if rest is not None:
        yield _merge_variants(rest)


def _begins(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """bool [n]: whether a row differs in one of the columns from the row before it."""
    begins = np.ones(table.num_rows, bool)
    differs = [
        pc.not_equal(table.column(name)[1:], table.column(name)[:-1]).to_numpy() for name in names
    ]
    begins[1:] = np.any(differs, axis=0)
    return begins


def _merge_variants(table: pa.Table) -> pa.Table:
    """One row a key: the commonest text's head and attributes, and all variants' counts."""
    if not table.num_rows:
        return table
    new_key = _begins(table, ("hash", "kind", "label", "lemma"))
    key_starts = np.flatnonzero(new_key)
    text_starts = np.flatnonzero(new_key | _begins(table, ("text",)))
    images = table.column("images").to_numpy()
    key_of_text = np.cumsum(new_key)[text_starts]
    images_of_text = np.add.reduceat(images, text_starts)
    # Stable, so that of equally common texts the smallest stays first.
    order = np.lexsort((-images_of_text, key_of_text))
    commonest = order[np.searchsorted(key_of_text[order], np.arange(1, len(key_starts) + 1))]
    # The first row of a text is its commonest variant.
    merged = table.take(pa.array(text_starts[commonest]))
    for name in ("images", "mentions"):
        totals = np.add.reduceat(table.column(name).to_numpy(), key_starts)
        place = merged.schema.get_field_index(name)
        merged = merged.set_column(place, VOCABULARY_SCHEMA.field(name), pa.array(totals))
    return merged
