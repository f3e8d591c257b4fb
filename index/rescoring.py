"""Exact cosines of candidates, from the float16 embeddings that the datastore keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np

from tagmine.embeddings import EmbeddingsPart
from tagmine.errors import DatastoreError
from tagmine.layout import POSITION_BITS

# Small enough that a piece's rows stay in the processor's cache between gather and product.
_PIECE_ROWS = 1024
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

    def score(piece: tuple[EmbeddingsPart, np.ndarray, np.ndarray]) -> None:
        part, rows, chosen = piece
        vectors = part.vectors[rows].astype(np.float32)
        scores[chosen] = np.einsum("nd,nd->n", vectors, queries[chosen // width])

    pieces = list(_pieces(open_part, ids.reshape(-1)))
    workers = min(faiss.omp_get_max_threads(), ids.size // _ROWS_A_THREAD)
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(score, pieces))
    else:
        for piece in pieces:
            score(piece)
    return scores.reshape(ids.shape)


def _pieces(
    open_part: Callable[[int], EmbeddingsPart], ids: np.ndarray
) -> Iterator[tuple[EmbeddingsPart, np.ndarray, np.ndarray]]:
    """(part, its rows, their places in `ids`), in the order of the files."""
    order = np.argsort(ids, kind="stable")
    order = order[np.searchsorted(ids[order], 0) :]
    if not len(order):
        return
    borders = np.flatnonzero(np.diff(ids[order] >> POSITION_BITS)) + 1
    for places in np.split(order, borders):
        part = open_part(int(ids[places[0]] >> POSITION_BITS))
        rows = part.rows_of(ids[places])
        if np.any(rows < 0):
            raise DatastoreError(
                f"the index names ids that are not in {part.path}. Run tagmine build again with "
                "the same shards to mend it; finished parts are kept."
            )
        for start in range(0, len(rows), _PIECE_ROWS):
            piece = slice(start, start + _PIECE_ROWS)
            yield part, rows[piece], places[piece]
