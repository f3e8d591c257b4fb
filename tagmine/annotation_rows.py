"""The rows of a table of annotations, one after the other: Parquet, JSONL or CSV."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.errors import ConfigurationError
from tagmine.table_rows import Row, read_json_lines

_COLUMNS = ("caption", "question", "answer", "answers", "source")
_LOOKED_AT = 50
_BATCH_ROWS = 1_024


def check_columns(path: Path, json_field: str | None) -> str:
    """Name of the column of keys: `key`, or that of the JSON field that the table is joined by.

    Raises:
        ConfigurationError: for a file of an unknown kind, or a column that is missing.
    """
    wanted = ("key",) if json_field is None else ("key", json_field)
    rows = itertools.islice(read_rows(path, wanted), _LOOKED_AT)
    # A dictionary for its order, that of the file.
    found = {name: None for row in rows if isinstance(row, dict) for name in row}
    if path.suffix.lower() == ".parquet":
        found = dict.fromkeys(pq.read_schema(path).names)
    key = next((name for name in wanted if name in found), None)
    listed = ", ".join(map(str, found)) or "none"
    if key is None:
        raise ConfigurationError(
            f"--annotations {path}: there is no column {' or '.join(wanted)}; the columns are "
            f"{listed}. It must hold what the samples are joined by: their key, or the JSON field "
            "that --annotations-key names."
        )
    answers = "answer" in found or "answers" in found
    if "caption" not in found and not ("question" in found and answers):
        raise ConfigurationError(
            f"--annotations {path}: there is neither a column caption, nor question and answer; "
            f"the columns are {listed}."
        )
    return key


def read_rows(path: Path, keys: Sequence[str]) -> Iterator[Row | ValueError]:
    """The rows of a table, in order; a line that is no row is the error that says why.

    Args:
        path: the table.
        keys: names of columns that may hold keys. Of a Parquet file, no other column is read but
            these and those of annotations: it may hold the pictures, too.

    Raises:
        ConfigurationError: for a file of an unknown kind, or one that cannot be read on.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigurationError(
            f"--annotations {path}: give a file that ends in {', '.join(_READERS)}."
        )
    try:
        yield from reader(path, {*keys, *_COLUMNS})
    except (OSError, pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"--annotations {path} cannot be read: {type(error).__name__}: {error}."
        ) from error


def _read_parquet(path: Path, columns: set[str]) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if name in columns]
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            yield from batch.to_pylist()


def _read_lines(path: Path, columns: set[str]) -> Iterator[Row | ValueError]:
    return read_json_lines(path)


def _read_csv(path: Path, columns: set[str]) -> Iterator[Row | ValueError]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            # Cells beyond the header's have the key None.
            yield ValueError("more cells than columns") if None in row else _read_list(row)


def _read_list(row: Row) -> Row | ValueError:
    """A cell of answers that holds a JSON list, as other tools write one into a CSV."""
    cell = row.get("answers") or ""
    if not cell.lstrip().startswith("["):
        return row
    try:
        return {**row, "answers": json.loads(cell)}
    except (ValueError, RecursionError) as error:
        return ValueError(f"answers begin with a bracket and are no JSON list: {error}")


_READERS = {
    ".parquet": _read_parquet,
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
    ".csv": _read_csv,
}
