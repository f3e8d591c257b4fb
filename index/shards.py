"""The open index shards, searched as one index over the lists of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import faiss
import numpy as np

from index.factory import transforms_of
from tagmine.errors import DatastoreError

# Candidates of one block of queries, over all shards, at 12 bytes each.
_BLOCK_CANDIDATES = 1 << 23
_ROWS_COMPARED = 8


class IndexShards:
    """Index shards that were filled from one trained index, searched as one.

    Inverted lists are stacked: FAISS sees one index, each of whose lists is that list of every
    shard, one after the other. So the coarse search runs once, a list is visited once whatever the
    number of shards, and there is one heap of candidates.

    Attributes:
        indexes: every shard, in the order of the manifest, empty ones too.
    """

    def __init__(self, indexes: Sequence[faiss.Index], trained: faiss.Index) -> None:
        """Stack the shards.

        Args:
            indexes: the shards.
            trained: the empty index that they were filled from, not used for anything else: its
                centroids and codebooks serve the search.
        """
        self.indexes = list(indexes)
        self._filled = [index for index in self.indexes if index.ntotal]
        self._trained = trained
        inverted = [inverted_lists_of(index) for index in self._filled]
        inverted = [one for one in inverted if one is not None]
        _check_one_training([inverted_lists_of(trained), *inverted] if inverted else [])
        self._stacks = _stack(inverted, trained)

    @property
    def ntotal(self) -> int:
        return sum(index.ntotal for index in self._filled)

    @property
    def quantizer(self) -> faiss.Index:
        """The coarse quantizer that all shards have copies of."""
        return self._stacks[0].quantizer

    @property
    def nlist(self) -> int:
        """Number of inverted lists, 0 for an index without any."""
        return self._stacks[0].nlist if self._stacks else 0

    def propose(
        self, queries: np.ndarray, depth: int, nprobe: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `depth` best of all shards by the index's own scores, best first.

        Args:
            queries: float32 [q, dim], C-contiguous.
            depth: how many, at least 1.
            nprobe: inverted lists that are visited; of no effect in an index without any.

        Returns:
            ids int64 [q, depth] and scores float32 [q, depth]; -1 and -inf where the lists that
            were visited hold no more.
        """
        if not self._filled or not len(queries):
            shape = (len(queries), depth)
            return np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32)
        block = max(1, _BLOCK_CANDIDATES // (depth * len(self._filled)))
        found = [
            self._propose_block(queries[start : start + block], depth, nprobe)
            for start in range(0, len(queries), block)
        ]
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    def _propose_block(
        self, queries: np.ndarray, depth: int, nprobe: int
    ) -> tuple[np.ndarray, np.ndarray]:
        found = list(self._search_all(queries, depth, nprobe))
        scores = np.stack([_pad(f[0], depth, -np.inf) for f in found])
        ids = np.stack([_pad(f[1], depth, -1) for f in found])
        if len(found) > 1:
            scores, ids = faiss.merge_knn_results(scores, ids, keep_max=True)
        else:
            scores, ids = scores[0], ids[0]
        scores[ids < 0] = -np.inf
        return ids, scores

    def _search_all(
        self, queries: np.ndarray, depth: int, nprobe: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if not self._stacks:
            for index in self._filled:
                yield index.search(queries, min(depth, index.ntotal))
            return
        turned = transform(self._trained, queries)
        distances, lists = self.quantizer.search(turned, min(nprobe, self.nlist))
        for stack in self._stacks:
            yield search_lists(stack, turned, depth, lists, distances)


def _stack(inverted: Sequence[faiss.IndexIVF], trained: faiss.Index) -> list[faiss.IndexIVF]:
    """One index over the lists of all, or all as they are where lists cannot be stacked."""
    # A fast scan's codes are interleaved in blocks of 32, which do not join at a list's end.
    if len(inverted) < 2 or isinstance(inverted[0], faiss.IndexIVFFastScan):
        return list(inverted)
    lists = faiss.InvertedListsPtrVector()
    for one in inverted:
        lists.push_back(one.invlists)
    stacked = faiss.HStackInvertedLists(lists.size(), lists.data())
    whole = inverted_lists_of(trained)
    whole.replace_invlists(stacked, False)
    whole.ntotal = sum(one.ntotal for one in inverted)
    # FAISS has their addresses only.
    whole.referenced_objects = [trained, stacked, *inverted]
    return [whole]


def inverted_lists_of(index: faiss.Index) -> faiss.IndexIVF | None:
    """The index with inverted lists inside of `index`, as its own type; None without any."""
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is None:
        return None
    inverted = faiss.downcast_index(inverted)
    # It is a part of `index`, which must not be freed before it.
    inverted.referenced_objects = [index]
    return inverted


def transform(index: faiss.Index, vectors: np.ndarray) -> np.ndarray:
    """What an index does to vectors (OPQ, PCA) before it stores or finds them, float32 [n, d]."""
    for step in transforms_of(index):
        vectors = step.apply(vectors)
    return np.ascontiguousarray(vectors, np.float32)


def list_sizes(index: faiss.Index) -> np.ndarray:
    """Vectors in each inverted list, int64 [nlist]; empty for an index without lists."""
    inverted = inverted_lists_of(index)
    if inverted is None:
        return np.empty(0, np.int64)
    lists = inverted.invlists
    return np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)


def stored_ids(index: faiss.Index) -> np.ndarray:
    """The ids that an index holds, int64 [n], in no order.

    Raises:
        DatastoreError: for an index that keeps no ids of its own.
    """
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        lists = inverted.invlists
        return np.concatenate([_list_ids(lists, i).copy() for i in range(lists.nlist)])
    index = faiss.downcast_index(index)
    if hasattr(index, "id_map"):
        return faiss.vector_to_array(index.id_map)
    raise DatastoreError(f"an index of type {type(index).__name__} keeps no ids of its own.")


def _list_ids(lists: faiss.InvertedLists, number: int) -> np.ndarray:
    size = lists.list_size(number)
    return faiss.rev_swig_ptr(lists.get_ids(number), size) if size else np.empty(0, np.int64)


def search_lists(
    inverted: faiss.IndexIVF, queries: np.ndarray, k: int, lists: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Search given lists of one shard.

    Args:
        inverted: the shard's index with inverted lists.
        queries: float32 [q, d], after the index's transforms.
        k: how many, at least 1.
        lists: int64 [q, p], the lists to visit, and `distances`, float32 [q, p], to their
            centroids, as the quantizer's search returns them.

    Returns:
        scores float32 [q, k] and ids int64 [q, k], best first, as FAISS returns them.
    """
    scores = np.empty((len(queries), k), np.float32)
    ids = np.empty((len(queries), k), np.int64)
    # Not FAISS's Python method: it takes nprobe from the index only, which threads share.
    inverted.search_preassigned_c(
        len(queries),
        faiss.swig_ptr(queries),
        k,
        faiss.swig_ptr(lists),
        faiss.swig_ptr(distances),
        faiss.swig_ptr(scores),
        faiss.swig_ptr(ids),
        False,
        faiss.SearchParametersIVF(nprobe=lists.shape[1]),
    )
    return scores, ids


def _check_one_training(inverted: Sequence[faiss.IndexIVF]) -> None:
    """Compare a few centroids: lists of two trainings cannot be searched by one quantizer."""
    if not inverted:
        return
    first = inverted[0]
    rows = np.linspace(0, first.nlist - 1, min(_ROWS_COMPARED, first.nlist)).astype(int)
    expected = [first.quantizer.reconstruct(int(row)) for row in rows]
    for other in inverted[1:]:
        same = (other.nlist, other.d, other.code_size) == (first.nlist, first.d, first.code_size)
        centroids = [other.quantizer.reconstruct(int(row)) for row in rows] if same else []
        if not same or not np.array_equal(centroids, expected):
            raise DatastoreError(
                "its index shards were filled from different trainings. Run tagmine index again."
            )


def _pad(array: np.ndarray, width: int, value: float) -> np.ndarray:
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=value) if missing > 0 else array
