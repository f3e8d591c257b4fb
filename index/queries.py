"""The queries of a validation: stored images, or held-out ones in a folder of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from index.live import indexed_rows
from index.opening import NORM_TOLERANCE
from index.search import Datastore
from index.tag_measures import tag_keys
from tagmine.embeddings import open_embeddings
from tagmine.layout import embeddings_path, tags_path
from tagmine.manifest import fingerprint
from tagmine.sources import Source
from tagmine.vocabulary import MergeKey


@dataclasses.dataclass(frozen=True, slots=True)
class Queries:
    """Images that are looked up.

    Attributes:
        ids: int64 [q], ascending; for stored images their ids, else those of the queries' own
            folder.
        vectors: float32 [q, dim], of unit norm within float16.
        keys: their namespaced keys.
        captions: what is said of each, nothing where captions were not mined.
        tags: tags of each, empty where there are none.
        held_out: whether they are from outside the datastore.
    """

    ids: np.ndarray
    vectors: np.ndarray
    keys: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    tags: tuple[frozenset[MergeKey], ...]
    held_out: bool

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sha256(self) -> str:
        """Which queries these are, by their keys; "" where there are none."""
        return fingerprint(sorted(self.keys)) if len(self) else ""

    @property
    def own(self) -> np.ndarray | None:
        """Ids that must not be found, int64 [q]; None where no query is in the datastore."""
        return None if self.held_out else self.ids


def sample_images(datastore: Datastore, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A uniform, seeded sample of the images in the index: ids int64 [n] and float32 [n, dim].

    Vectors that are not of unit norm are left out; `count` is a most.
    """
    parts = datastore.manifest.parts
    sizes = np.array([part.stages["index"].written for part in parts], np.int64)
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(total, min(count, total), replace=False, shuffle=False))
    ids, vectors = [np.empty(0, np.int64)], [np.empty((0, datastore.manifest.index.dim))]
    for card, end, size in zip(parts, ends.tolist(), sizes.tolist(), strict=True):
        places = chosen[(chosen >= end - size) & (chosen < end)] - (end - size)
        if not len(places):
            continue
        part = datastore.embeddings(card.part)
        rows = np.flatnonzero(indexed_rows(datastore.root, card, datastore.removed))
        rows = rows[places[places < len(rows)]]
        ids.append(part.ids[rows])
        vectors.append(part.vectors[rows].astype(np.float32))
    stacked = np.concatenate(vectors).astype(np.float32)
    unit = np.abs(np.linalg.norm(stacked, axis=1) - 1) < NORM_TOLERANCE
    return np.concatenate(ids)[unit], stacked[unit]


def stored_queries(datastore: Datastore, count: int, seed: int) -> Queries:
    """Stored images as queries; what they find must be taken without themselves."""
    ids, vectors = sample_images(datastore, count, seed)
    rows = datastore.rows(ids.tolist())
    return _queries(ids, vectors, rows, {i: row["key"] for i, row in rows.items()}, False)


def held_out_queries(
    root: Path, sources: Sequence[Source], mined: bool, count: int | None, seed: int
) -> Queries:
    """The embedded, and perhaps mined, query shards in a folder of their own.

    Args:
        root: the folder.
        sources: its shards.
        mined: whether it has a tag table, too.
        count: how many to draw of them, None for all.
        seed: what the draw depends on.
    """
    opened = [open_embeddings(root / embeddings_path(source.part)) for source in sources]
    ids = np.concatenate([part.ids for part in opened])
    vectors = np.concatenate([part.vectors for part in opened]).astype(np.float32)
    keys = [key for part in opened for key in part.keys().to_pylist()]
    if count is not None and count < len(ids):
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(ids), count, replace=False))
        ids, vectors, keys = ids[chosen], vectors[chosen], [keys[row] for row in chosen]
    rows: dict[int, dict] = {}
    if mined:
        wanted = set(ids.tolist())
        for source in sources:
            for row in pq.read_table(root / tags_path(source.part)).to_pylist():
                if row["id"] in wanted:
                    rows[row["id"]] = row
    return _queries(ids, vectors, rows, dict(zip(ids.tolist(), keys, strict=True)), True)


def _queries(
    ids: np.ndarray, vectors: np.ndarray, rows: dict[int, dict], keys: dict[int, str], held: bool
) -> Queries:
    listed = ids.tolist()
    captions = tuple(
        (rows[i]["caption"], *rows[i]["more_captions"]) if i in rows else () for i in listed
    )
    tags = tuple(tag_keys(rows.get(i)) for i in listed)
    return Queries(ids, vectors, tuple(keys.get(i, "") for i in listed), captions, tags, held)
