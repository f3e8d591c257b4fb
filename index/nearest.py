"""From proposals to answers: exact re-rank, exclusions, and searching deeper where it takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from index.rescoring import exact_scores
from index.shards import IndexShards
from tagmine.embeddings import EmbeddingsPart
from tagmine.removed import Removed

# How much deeper and wider a query searches that found too few.
_DEEPER = 4
# More excluded ids than this are not asked for in advance: a query meets few of them.
_MOST_FORESEEN = 1024
# Fewer still of those that were taken out, which lie anywhere.
_HIDDEN_FORESEEN = 32
# Candidates of one block of queries.
_BLOCK_CANDIDATES = 1 << 22


@dataclasses.dataclass(frozen=True, slots=True)
class Exclusions:
    """What may not be an answer.

    Attributes:
        everywhere: int64 [n], ids that are left out of every answer.
        by_query: for each query int64 [m], ids that are left out of its answer; or None.
        above: images whose exact cosine with the query is at least this are left out, or None.
        removed: what was taken out of the datastore, which no answer shows.
    """

    everywhere: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    by_query: tuple[np.ndarray, ...] | None = None
    above: float | None = None
    removed: Removed = Removed()

    def of(self, rows: np.ndarray) -> Exclusions:
        """Those of some queries only."""
        if self.by_query is None:
            return self
        return dataclasses.replace(self, by_query=tuple(self.by_query[row] for row in rows))

    @property
    def foreseen(self) -> int:
        """How many more candidates a search asks for at first."""
        hidden = min(len(self.removed.pending), _HIDDEN_FORESEEN)
        return min(self._named(), _MOST_FORESEEN) + hidden

    def _named(self) -> int:
        longest = max((len(ids) for ids in self.by_query or ()), default=0)
        return len(self.everywhere) + longest

    def remove(self, ids: np.ndarray) -> np.ndarray:
        """`ids` int64 [q, n] with -1 for those that are left out."""
        ids = np.where(self.removed.hides(ids), -1, ids)
        if not self._named():
            return ids
        out = np.isin(ids, self.everywhere)
        for row, excluded in enumerate(self.by_query or ()):
            out[row] |= np.isin(ids[row], excluded)
        return np.where(out, -1, ids)


@dataclasses.dataclass(frozen=True, slots=True)
class Effort:
    """How hard a search tries.

    Attributes:
        nprobe: inverted lists that are visited.
        rerank: candidates that are scored exactly; 0 keeps the index's own scores.
    """

    nprobe: int
    rerank: int


def find_nearest(
    shards: IndexShards,
    open_part: Callable[[int], EmbeddingsPart],
    queries: np.ndarray,
    k: int,
    effort: Effort,
    exclusions: Exclusions,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each query that are not excluded, nearest first.

    A query that finds fewer is searched again, deeper and in more lists, until it has k or has
    seen everything.

    Returns:
        ids int64 [q, k] and scores float32 [q, k]; -1 and -inf past the datastore's end.
    """
    ids = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    depth = max(k, effort.rerank) + exclusions.foreseen
    nprobe = effort.nprobe
    waiting = np.arange(len(queries))
    while len(waiting):
        depth = min(depth, max(shards.ntotal, 1))
        block = max(1, _BLOCK_CANDIDATES // depth)
        for start in range(0, len(waiting), block):
            rows = waiting[start : start + block]
            proposed = shards.propose(queries[rows], depth, nprobe)
            found = _rank(open_part, queries[rows], k, effort, exclusions.of(rows), *proposed)
            ids[rows, : found[0].shape[1]], scores[rows, : found[1].shape[1]] = found
        if depth >= shards.ntotal and nprobe >= shards.nlist:
            break
        waiting = waiting[(ids[waiting] < 0).any(axis=1)]
        depth, nprobe = depth * _DEEPER, nprobe * _DEEPER
    return ids, scores


def _rank(
    open_part: Callable[[int], EmbeddingsPart],
    queries: np.ndarray,
    k: int,
    effort: Effort,
    exclusions: Exclusions,
    ids: np.ndarray,
    scores: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    ids = exclusions.remove(ids)
    if effort.rerank or exclusions.above is not None:
        scores = exact_scores(open_part, queries, ids)
    if exclusions.above is not None:
        ids = np.where(scores >= exclusions.above, -1, ids)
    scores = np.where(ids < 0, -np.inf, scores)
    # Ties go to the lower id, so that an answer does not depend on how parts are sharded.
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)


def keys_by_query(
    excluded: Sequence[str | int] | Sequence[Sequence[str | int]], count: int
) -> tuple[list[str | int], list[list[str | int]] | None]:
    """Tell exclusions for all queries from those for each: a flat list, or a list of lists.

    Raises:
        ValueError: for a single key, a mixture, or another number of lists than of queries.
    """
    if isinstance(excluded, str | bytes):
        raise ValueError(
            f"expected exclude_keys to be a list of keys or ids, got the one key {excluded!r}; "
            "write [key]"
        )
    listed = list(excluded)
    nested = [not isinstance(item, str | int | np.integer) for item in listed]
    if not any(nested):
        return listed, None
    if not all(nested) or len(listed) != count:
        raise ValueError(
            "expected exclude_keys to be keys or ids for all queries, or one list of them for each "
            f"of the {count} queries; got {len(listed)} items"
        )
    return [], [list(item) for item in listed]
