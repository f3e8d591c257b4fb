"""Near-duplicate images, found through the index."""

from __future__ import annotations

import numpy as np

from index.report import NearDuplicates
from index.search import Datastore
from tagmine.layout import part_of

NEIGHBOURS = 10
_BATCH = 512
_SHOWN = 5


def find_duplicates(
    datastore: Datastore, ids: np.ndarray, vectors: np.ndarray, cosine: float
) -> NearDuplicates:
    """Clusters of images that are all but the same.

    Bounded: only the given images are looked up, and of each only its 10 nearest; images are
    joined through them (union-find). So with all images given, a pair is missed only where an
    image has more copies than that and none of the chains between them is found; with a sample,
    what neither is in it nor near it is not seen.

    Args:
        datastore: where they are looked for.
        ids: int64 [n], images to look up.
        vectors: float32 [n, dim], theirs, of unit norm.
        cosine: from which on two images are copies.
    """
    joined: dict[int, int] = {}
    for start in range(0, len(ids), _BATCH):
        batch = slice(start, start + _BATCH)
        found, scores = datastore.search(vectors[batch], NEIGHBOURS + 1)
        for row_id, near, near_scores in zip(ids[batch].tolist(), found, scores, strict=True):
            for other in near[(near_scores >= cosine) & (near >= 0)].tolist():
                if other != row_id:
                    _join(joined, row_id, other)
    clusters: dict[int, list[int]] = {}
    for row_id in sorted(joined):
        clusters.setdefault(_root(joined, row_id), []).append(row_id)
    largest = sorted(clusters.values(), key=lambda cluster: (-len(cluster), cluster))
    examples = tuple(_keys(datastore, cluster[:_SHOWN]) for cluster in largest[:_SHOWN])
    return NearDuplicates(
        cosine=cosine,
        clusters=len(clusters),
        images=len(joined),
        largest=len(largest[0]) if largest else 0,
        examples=examples,
        looked_at=len(ids),
    )


def _root(joined: dict[int, int], row_id: int) -> int:
    while joined.setdefault(row_id, row_id) != row_id:
        joined[row_id] = joined[joined[row_id]]
        row_id = joined[row_id]
    return row_id


def _join(joined: dict[int, int], one: int, other: int) -> None:
    low, high = sorted((_root(joined, one), _root(joined, other)))
    joined[high] = low


def _keys(datastore: Datastore, ids: list[int]) -> tuple[str, ...]:
    found = []
    for row_id in ids:
        part = datastore.embeddings(part_of(row_id))
        row = int(part.rows_of(np.array([row_id]))[0])
        found.append(part.keys()[row].as_py())
    return tuple(found)
