"""Single rows of tag tables: what an answer says of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index.opening import REPAIR
from tagmine.errors import DatastoreError
from tagmine.parts import TAGS_SCHEMA, PartFooter, check_claims, parse_footer


def read_tag_rows(
    path: Path, ids: Sequence[int], accept: Callable[[PartFooter], None]
) -> list[dict]:
    """Rows of a tags part by id; unknown ids are left out.

    Only the row groups that may hold one of the ids are decoded.

    Args:
        path: the part.
        ids: of the rows.
        accept: raises for the footer of a part that is not to be read.

    Raises:
        DatastoreError: when the file is damaged or was not written by tagmine.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as opened:
            check_claims(opened.metadata)
            accept(parse_footer(path, opened.metadata.metadata))
            _check_columns(opened.schema_arrow)
            wanted = pa.array(ids, pa.int64())
            found = []
            for group in _groups(opened.metadata, ids):
                table = opened.read_row_group(group, use_threads=False)
                places = pc.indices_nonzero(pc.is_in(table.column("id"), wanted))
                found += table.take(places).to_pylist()
            return found
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DatastoreError(f"{path} is damaged: {error}. {REPAIR}") from error


def _check_columns(schema: pa.Schema) -> None:
    for wanted in TAGS_SCHEMA:
        number = schema.get_field_index(wanted.name)
        found = schema.field(number) if number >= 0 else None
        # No reader of rows needs it, and earlier releases wrote none.
        lacking = found is None and wanted.name == "caption_sources"
        if not lacking and (found is None or not found.equals(wanted)):
            raise ValueError(f"its column {wanted.name} is {found}, expected {wanted}")


def _groups(metadata: pq.FileMetaData, ids: Sequence[int]) -> list[int]:
    """Row groups whose ids may include one of these; those that do not say are all of them."""
    columns = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    chosen = []
    for number in range(metadata.num_row_groups):
        statistics = metadata.row_group(number).column(columns.index("id")).statistics
        told = statistics is not None and statistics.has_min_max
        if not told or any(statistics.min <= row_id <= statistics.max for row_id in ids):
            chosen.append(number)
    return chosen
