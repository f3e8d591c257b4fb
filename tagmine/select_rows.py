"""Rows of the tag table that a SQL condition holds for, as DuckDB reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.parts import TAGS_SCHEMA

if TYPE_CHECKING:
    import duckdb

_MEMORY = "512MB"
# A condition may come from a stranger: it sees the row, and no file, network or variable of ours.
_CONFIGURATION = {
    "memory_limit": _MEMORY,
    "threads": 1,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "lock_configuration": True,
}
_ROW = (
    "*, list_transform(tags, lambda tag: tag.lemma) AS lemmas, "
    "list_transform(tags, lambda tag: tag.head) AS heads"
)

# Functions that a condition calls, and names that SQL takes for a call, such as current_date.
_CALLS = """
SELECT DISTINCT lower(tree.atom ->> '$') AS name
FROM json_tree(json_serialize_sql(?)) AS tree
LEFT JOIN duckdb_functions() AS known ON known.function_name = lower(tree.atom ->> '$')
WHERE (tree.key = 'function_name' OR tree.path LIKE '%.column_names')
  AND (known.stability <> 'CONSISTENT' OR name IN
    ('current_time', 'current_timestamp', 'localtime', 'localtimestamp'))
ORDER BY name
"""


def select_ids(path: Path, where: str) -> np.ndarray:
    """The ids int64 [n], ascending, of the rows of a tags part that a condition holds for.

    Args:
        path: the tags part; a row group of it is held at once.
        where: a condition of SQL over one row: the columns of the tag table, and `lemmas` and
            `heads`, the lists of its tags' lemmas and of what they are about.

    Raises:
        ConfigurationError: for a condition that DuckDB cannot evaluate.
        DatastoreError: for a part that cannot be read.
    """
    import duckdb

    found = [np.empty(0, np.int64)]
    with duckdb.connect(":memory:", config=_CONFIGURATION) as engine:
        for rows in _row_groups(path):
            found.append(_matching(engine, rows, where))
    return np.concatenate(found)


def check_condition(where: str) -> None:
    """Refuse a condition before any part is read; see `select_ids`.

    Raises:
        ConfigurationError: for one that DuckDB cannot evaluate, or that need not hold for the same
            rows the next time.
    """
    import duckdb

    with duckdb.connect(":memory:", config=_CONFIGURATION) as engine:
        _matching(engine, TAGS_SCHEMA.empty_table(), where)
        calls = engine.execute(_CALLS, [f"SELECT 1 WHERE {where}"]).fetchall()
    if calls:
        raise ConfigurationError(
            f"--where {where}: {calls[0][0]} gives something else each time, and a subset that was "
            "interrupted would go on with other rows. hash(key) % 100 = 0 draws one image in a "
            "hundred, always the same ones."
        )


def _row_groups(path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)
    except (OSError, pa.ArrowException) as error:
        raise DatastoreError(f"{path} cannot be read: {error}. Run tagmine mine again.") from error


def _matching(engine: duckdb.DuckDBPyConnection, rows: pa.Table, where: str) -> np.ndarray:
    import duckdb

    try:
        # An expression and no statement: filter parses nothing that follows one.
        relation = engine.from_arrow(rows).project(_ROW).filter(where).project("id")
        ids = relation.to_arrow_table().column("id").to_numpy()
    except duckdb.Error as error:
        said = str(error).split("\n\nLINE")[0]
        raise ConfigurationError(
            f"--where {where}: {said}. Give a condition over one row, such as "
            "\"list_contains(heads, 'dress')\"; its columns are "
            f"{', '.join(rows.schema.names)}, lemmas and heads."
        ) from error
    return np.sort(ids)
