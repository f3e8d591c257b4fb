"""Where the rows of a copied part came from: a Parquet file beside it, a row for each id."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmine.errors import DatastoreError
from tagmine.layout import atomic_path
from tagmine.parts import FOOTER_KEY, file_sha256

ORIGINS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("datastore", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin_id", pa.int64(), nullable=False),
    ]
)


def origins_path(part: int) -> str:
    return f"origins/part-{part:05d}.parquet"


@dataclasses.dataclass(frozen=True, slots=True)
class OriginsFooter:
    """What a file of origins says of the part that it belongs to.

    Attributes:
        copy: fingerprint of all that decides the part.
        source_sha256: hash of the shard that the part was first made from.
        tags_maker: `maker` of the part's tags.
        files: sha256 of each file of the part as it was copied, by its path.
    """

    copy: str
    source_sha256: str
    tags_maker: str
    files: dict[str, str]


def write_origins(path: Path, origins: pa.Table, footer: OriginsFooter) -> None:
    """Write a file of origins, whole or not at all: a copied part is finished by it.

    Args:
        path: where it goes.
        origins: of `ORIGINS_SCHEMA`, ids ascending.
        footer: what it says of its part.
    """
    text = json.dumps(dataclasses.asdict(footer), sort_keys=True).encode()
    table = origins.cast(ORIGINS_SCHEMA).replace_schema_metadata({FOOTER_KEY: text})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_origins_footer(path: Path) -> OriginsFooter:
    """What a file of origins says of its part.

    Raises:
        DatastoreError: for a file that is damaged, or is none.
    """
    try:
        return OriginsFooter(**json.loads(pq.read_metadata(path).metadata[FOOTER_KEY]))
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unreadable(path, error) from error


def read_origins(path: Path) -> pa.Table:
    """The rows of a file of origins.

    Raises:
        DatastoreError: for a file that is damaged, or whose ids do not ascend.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    if not table.schema.remove_metadata().equals(ORIGINS_SCHEMA):
        raise _unreadable(path, ValueError(f"its columns are {', '.join(table.schema.names)}"))
    if np.any(np.diff(table.column("id").to_numpy()) <= 0):
        raise _unreadable(path, ValueError("its ids do not ascend"))
    return table


def origins_of(ids: np.ndarray, datastore: str, source: str) -> pa.Table:
    """Origins of rows that were first made in a datastore, from one shard; ids int64 [n]."""
    count = len(ids)
    columns = [pa.array(ids), [datastore] * count, [source] * count, pa.array(ids)]
    return pa.table(columns, schema=ORIGINS_SCHEMA)


def origins_among(table: pa.Table, ids: np.ndarray) -> pa.Table:
    """The origins of some ids; those without one are left out."""
    return table.filter(pc.is_in(table.column("id"), value_set=pa.array(ids)))


def strike_origins(root: Path, part: int, removed: np.ndarray) -> None:
    """Rewrite a part's origins, if it has any, without some rows, after its other files.

    Args:
        root: the datastore's folder.
        part: which part.
        removed: int64 [n], ids.

    Raises:
        DatastoreError: for a file that is damaged.
    """
    path = root / origins_path(part)
    if not path.is_file():
        return
    footer, table = read_origins_footer(path), read_origins(path)
    kept = table.filter(pa.array(~np.isin(table.column("id").to_numpy(), removed)))
    # Of the files as they are now: by these a copy knows that it is finished, and stays struck.
    files = {name: file_sha256(root / name) for name in footer.files}
    write_origins(path, kept, dataclasses.replace(footer, files=files))


def _unreadable(path: Path, error: Exception) -> DatastoreError:
    return DatastoreError(
        f"{path} cannot be read as origins ({type(error).__name__}: {error}). Run the tagmine "
        "merge or subset again that made this datastore."
    )
