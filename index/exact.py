"""Exact neighbours by brute force, part by part: what an index is measured against."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from index.gpu import inner_products
from tagmine.layout import part_of

if TYPE_CHECKING:
    from index.search import Datastore

_ROWS = 8192
_QUERIES = 512
# A matrix product rounds by its shape, so that copies of a vector may differ in the last bits.
# The product only proposes; this many more than k are scored again, always in the same way.
_SPARE = 8
_STEPS = 1 << 22
_PAIRS = 1 << 14


@dataclasses.dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest images of each query, nearest first; of equal scores the lower id first.

    Attributes:
        ids: int64 [q, k], -1 past the end.
        scores: float32 [q, k] inner products, -inf past the end.
    """

    ids: np.ndarray
    scores: np.ndarray


def nothing_found(queries: int, k: int) -> Neighbours:
    """What is found where there is nothing."""
    return Neighbours(
        np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)
    )


def search_part(
    vectors: np.ndarray, ids: np.ndarray, kept: np.ndarray, queries: np.ndarray, k: int
) -> Neighbours:
    """The k nearest rows of one part, for each query, without any index.

    Args:
        vectors: float16 [n, dim], may be memory-mapped; read in blocks.
        ids: int64 [n], ascending.
        kept: bool [n], the rows that count.
        queries: float32 [q, dim].
        k: how many.
    """
    if not len(ids):
        return nothing_found(len(queries), k)
    found = [
        _search_block(vectors, ids, kept, queries[start : start + _QUERIES], k)
        for start in range(0, len(queries), _QUERIES)
    ]
    if not found:
        return nothing_found(0, k)
    return Neighbours(
        np.concatenate([block.ids for block in found]),
        np.concatenate([block.scores for block in found]),
    )


def _search_block(
    vectors: np.ndarray, ids: np.ndarray, kept: np.ndarray, queries: np.ndarray, k: int
) -> Neighbours:
    best = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(ids), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(ids)))
        rows = rows[kept[rows]]
        if not len(rows):
            continue
        scores = inner_products(queries, vectors[rows].astype(np.float32))
        # Score and row in one integer: each is another, and of equal scores the lower row wins.
        steps = np.rint(np.nan_to_num(scores, nan=-2.0) * _STEPS).astype(np.int64)
        best = _largest(np.concatenate([best, (steps << 32) - rows], axis=1), k + _SPARE)
    if not best.shape[1]:
        return nothing_found(len(queries), k)
    rows = -best & 0xFFFFFFFF
    exact = np.empty(rows.shape, np.float32)
    for query in range(len(queries)):
        exact[query] = _score(vectors[rows[query]], queries[query])
    return merge([Neighbours(ids[rows], exact)], k)


def _largest(keys: np.ndarray, count: int) -> np.ndarray:
    if keys.shape[1] <= count:
        return keys
    return np.partition(keys, keys.shape[1] - count, axis=1)[:, -count:]


def _score(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Inner products float32 [n] that depend on nothing but each pair of vectors."""
    return np.einsum("nd,d->n", vectors.astype(np.float64), query.astype(np.float64)).astype(
        np.float32
    )


def merge(found: Sequence[Neighbours], k: int) -> Neighbours:
    """The k nearest among what several searches found.

    Args:
        found: of the same queries; no id in two of them.
        k: how many.
    """
    ids = np.concatenate([one.ids for one in found], axis=1)
    scores = np.concatenate([one.scores for one in found], axis=1)
    missing = max(k - ids.shape[1], 0)
    ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
    scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return Neighbours(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))


def leave_out(found: Neighbours, own: np.ndarray, k: int) -> Neighbours:
    """The first k without each query's own id.

    Args:
        found: at least k + 1 for each query.
        own: int64 [q].
        k: how many.
    """
    order = np.argsort(found.ids == own[:, None], axis=1, kind="stable")[:, :k]
    return Neighbours(
        np.take_along_axis(found.ids, order, 1), np.take_along_axis(found.scores, order, 1)
    )


def score_pairs(datastore: Datastore, queries: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Exact scores of given images, as `search_part` gives them.

    Args:
        datastore: where the embeddings are.
        queries: float32 [q, dim].
        ids: int64 [q, n], -1 for none.

    Returns:
        float32 [q, n], -inf where there is no id or the datastore does not hold it.
    """
    scores = np.full(ids.shape, -np.inf, np.float32)
    parts = part_of(ids)
    known = {part.part for part in datastore.manifest.parts}
    for number in np.unique(parts[ids >= 0]).tolist():
        if number not in known:
            continue
        part = datastore.embeddings(number)
        owner, column = np.nonzero((parts == number) & (ids >= 0))
        rows = part.rows_of(ids[owner, column])
        owner, column, rows = owner[rows >= 0], column[rows >= 0], rows[rows >= 0]
        for start in range(0, len(rows), _PAIRS):
            chosen = slice(start, start + _PAIRS)
            pair = part.vectors[rows[chosen]].astype(np.float64)
            scores[owner[chosen], column[chosen]] = np.einsum(
                "nd,nd->n", pair, queries[owner[chosen]].astype(np.float64)
            )
    return scores
