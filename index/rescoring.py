"""Exact cosines of candidates, from the float16 embeddings that the datastore keeps."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np

from tagmine.embeddings import EmbeddingsPart
from tagmine.errors import DatastoreError
from tagmine.layout import part_of

# Small enough that a piece's rows stay in the processor's cache between gather and product.
_PIECE_ROWS = 256
# Below this many candidates a thread costs more than it saves.
_ROWS_A_THREAD = 4096


def exact_scores(
    open_part: Callable[[int], EmbeddingsPart], queries: np.ndarray, ids: np.ndarray
) -> np.ndarray:
    """Inner products of each query with the stored vectors of its candidates.

    The candidates of all queries are read part by part and in the order of the file, so that a
    batch touches each page once.

    Args:
        open_part: gives the embeddings of a part by its number.
        queries: float32 [q, dim].
        ids: int64 [q, n], -1 for no candidate.

    Returns:
        float32 [q, n], -inf where there is no candidate.

    Raises:
        DatastoreError: for an id that its part does not hold.
    """
    scores = np.full(ids.size, -np.inf, np.float32)
    width = ids.shape[1]

    def score(chosen: np.ndarray) -> None:
        vectors = _gather(open_part, flat[chosen], queries.shape[1]).astype(np.float32)
        scores[chosen] = np.einsum("nd,nd->n", vectors, queries[chosen // width])

    flat = ids.reshape(-1)
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 0) :]
    pieces = [order[start : start + _PIECE_ROWS] for start in range(0, len(order), _PIECE_ROWS)]
    workers = min(faiss.omp_get_max_threads(), ids.size // _ROWS_A_THREAD)
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(score, pieces))
    else:
        for piece in pieces:
            score(piece)
    return scores.reshape(ids.shape)


def _gather(open_part: Callable[[int], EmbeddingsPart], ids: np.ndarray, dim: int) -> np.ndarray:
    """The stored vectors float16 [n, dim] of ascending ids int64 [n]."""
    parts = part_of(ids)
    borders = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(ids)]
    vectors = np.empty((len(ids), dim), np.float16)
    for start, end in itertools.pairwise(borders):
        part = open_part(int(parts[start]))
        rows = part.ids.searchsorted(ids[start:end])
        # A row past the end is no row of the wanted id either.
        rows[rows == len(part.ids)] = 0
        if not len(part.ids) or (part.ids[rows] != ids[start:end]).any():
            raise DatastoreError(
                f"the index names ids that are not in {part.path}. Run tagmine build again with "
                "the same shards to mend it; finished parts are kept."
            )
        vectors[start:end] = part.vectors[rows]
    return vectors
