"""The embeddings part: an uncompressed Arrow IPC file, read memory-mapped and by row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from tagmine.arrow_files import read_file
from tagmine.errors import DatastoreError
from tagmine.layout import atomic_path, embeddings_path
from tagmine.parts import (
    PartFooter,
    embeddings_schema,
    keys_sha256,
    parse_footer,
    rows_sha256,
)


def write_embeddings(
    path: Path,
    ids: np.ndarray,
    keys: Sequence[str],
    vectors: np.ndarray,
    footer: PartFooter,
    clip_scores: np.ndarray | None = None,
) -> None:
    """Write an embeddings part, whole or not at all.

    Args:
        path: where it goes.
        ids: int64 [n], ascending.
        keys: n namespaced keys.
        vectors: float16 [n, dim], unit norm.
        footer: its footer; `rows_sha256` is filled in here.
        clip_scores: float32 [n], NaN where an image has none; None when they were not measured.

    Raises:
        ValueError: for arrays of other types or lengths, or ids that do not ascend.
    """
    _check_columns(ids, keys, vectors, clip_scores)
    scored = clip_scores is not None
    dim = vectors.shape[1]
    hashed = _hash_rows(ids, np.ascontiguousarray(vectors), clip_scores)
    footer = dataclasses.replace(footer, rows_sha256=hashed, keys_sha256=keys_sha256(keys))
    schema = embeddings_schema(dim, scored).with_metadata(footer.to_metadata())
    values = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    columns = [
        pa.array(ids),
        pa.array(keys, pa.string()),
        pa.FixedSizeListArray.from_arrays(values, dim),
    ]
    if scored:
        columns.append(pa.array(clip_scores, from_pandas=True))
    batch = pa.record_batch(columns, schema=schema)
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        writer.write_batch(batch)


def _check_columns(
    ids: np.ndarray, keys: Sequence[str], vectors: np.ndarray, clip_scores: np.ndarray | None
) -> None:
    if ids.dtype != np.int64 or vectors.dtype != np.float16 or vectors.ndim != 2:
        raise ValueError(
            f"expected int64 ids and float16 vectors, got {ids.dtype}, {vectors.dtype}"
        )
    if not len(ids) == len(keys) == len(vectors) or np.any(np.diff(ids) <= 0):
        raise ValueError("ids, keys and vectors must have one length, and ids must ascend")
    if clip_scores is None:
        return
    if (clip_scores.dtype, clip_scores.shape) != (np.float32, ids.shape):
        raise ValueError(
            f"expected float32 scores [{len(ids)}], got {clip_scores.dtype} {clip_scores.shape}"
        )


def _hash_rows(ids: np.ndarray, vectors: np.ndarray, clip_scores: np.ndarray | None) -> str:
    if clip_scores is None:
        return rows_sha256(ids.tobytes(), vectors.tobytes())
    # One NaN for all, whatever bits a null had under it.
    scores = np.where(np.isnan(clip_scores), np.float32(np.nan), clip_scores)
    return rows_sha256(ids.tobytes(), vectors.tobytes(), scores.tobytes())


@dataclasses.dataclass(frozen=True, slots=True)
class EmbeddingsPart:
    """An embeddings part, memory-mapped: opening it reads nothing but its footer.

    Attributes:
        path: the file.
        footer: what the file says of itself.
        ids: int64 [n], ascending.
        vectors: float16 [n, dim], a view of the file.
    """

    path: Path
    footer: PartFooter
    ids: np.ndarray
    vectors: np.ndarray
    _keys: pa.StringArray
    _clip_scores: pa.FloatArray | None = None

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """Row numbers int64 [m] of the given ids; -1 for those that the part does not hold."""
        rows = np.searchsorted(self.ids, ids)
        rows = np.minimum(rows, max(len(self.ids) - 1, 0))
        if not len(self.ids):
            return np.full(len(ids), -1, np.int64)
        return np.where(self.ids[rows] == ids, rows, -1)

    def keys(self) -> pa.StringArray:
        """The n namespaced keys.

        Raises:
            pyarrow.ArrowInvalid: when the file's offsets lead outside of it.
        """
        # Only here: it reads every key, and most readers need none.
        self._keys.validate(full=True)
        return self._keys

    def clip_scores(self) -> np.ndarray | None:
        """CLIP scores float32 [n], NaN where an image has none; None when not measured.

        Raises:
            pyarrow.ArrowInvalid: when the file states lengths that its buffers do not have.
        """
        if self._clip_scores is None:
            return None
        self._clip_scores.validate(full=True)
        return self._clip_scores.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)

    def _hash_keys(self) -> str:
        try:
            return keys_sha256(self.keys().to_pylist())
        except (pa.ArrowException, UnicodeDecodeError):
            return ""

    def check_rows(self) -> None:
        """Recompute the hashes of ids, vectors and scores, and of the keys.

        Raises:
            DatastoreError: when they are not those that the footer names.
        """
        same = _hash_rows(self.ids, self.vectors, self.clip_scores()) == self.footer.rows_sha256
        if same and self.footer.keys_sha256:
            same = self._hash_keys() == self.footer.keys_sha256
        if not same:
            raise DatastoreError(
                f"{self.path}: its ids, keys, vectors or scores have changed since it was written. "
                "Run tagmine build again with the same shards; it makes the part anew."
            )


def open_embeddings(path: Path) -> EmbeddingsPart:
    """Open an embeddings part memory-mapped.

    Raises:
        DatastoreError: for a file that is damaged or is no embeddings part.
    """
    try:
        with pa.memory_map(str(path)) as source:
            schema, batches = read_file(source)
            footer = parse_footer(path, schema.metadata)
            return _map_rows(path, footer, schema, batches)
    except (OSError, pa.ArrowException, KeyError, ValueError, AttributeError) as error:
        raise DatastoreError(
            f"{path} cannot be read as an embeddings part ({type(error).__name__}: {error}). Run "
            "tagmine build again with the same shards; it makes damaged parts anew."
        ) from error


class EmbeddingsParts:
    """Parts of a datastore in order, each mapped only while it is looked at.

    A process of Linux maps 65,530 files by default, and a datastore may have more parts.
    """

    def __init__(self, root: Path, parts: Sequence[int]) -> None:
        self._paths = [root / embeddings_path(part) for part in parts]

    def __iter__(self) -> Iterator[EmbeddingsPart]:
        """Open one after the other.

        Raises:
            DatastoreError: for a part that is missing or damaged.
        """
        for path in self._paths:
            yield open_embeddings(path)

    @cached_property
    def footers(self) -> tuple[PartFooter, ...]:
        """What each part says of itself; read when first asked for."""
        return tuple(part.footer for part in self)

    @property
    def dim(self) -> int:
        """Of the first part."""
        return open_embeddings(self._paths[0]).dim

    @property
    def rows(self) -> list[int]:
        """How many embeddings each part has."""
        return [footer.written for footer in self.footers]


def _map_rows(
    path: Path, footer: PartFooter, schema: pa.Schema, batches: list[pa.RecordBatch]
) -> EmbeddingsPart:
    dim = schema.field("embedding").type.list_size
    scored = "clip_score" in schema.names
    if not schema.remove_metadata().equals(embeddings_schema(dim, scored)):
        raise ValueError(f"its schema is {schema.remove_metadata()}")
    if len(batches) != 1:
        raise ValueError(f"it has {len(batches)} record batches, expected 1")
    (batch,) = batches
    # A stranger's file may state lengths that its buffers do not have.
    batch.validate()
    if batch.num_rows != footer.written:
        raise ValueError(f"it has {batch.num_rows} rows, its footer says {footer.written}")
    ids = batch.column("id").to_numpy(zero_copy_only=True)
    flat = batch.column("embedding").flatten().to_numpy(zero_copy_only=True)
    scores = batch.column("clip_score") if scored else None
    return EmbeddingsPart(path, footer, ids, flat.reshape(-1, dim), batch.column("key"), scores)
