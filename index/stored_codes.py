"""What an index file keeps of its vectors, and what it ought to keep of them."""

from __future__ import annotations

import faiss
import numpy as np

from index.factory import innermost
from index.shards import inverted_lists_of, list_sizes, stored_ids, transform


class StoredCodes:
    """The vectors of one index shard as its codes give them back.

    Attributes:
        ids: int64 [n], every id that the shard holds, ascending.
    """

    def __init__(self, shard: faiss.Index) -> None:
        self._shard = shard
        self._inverted = inverted_lists_of(shard)
        self._mapped = None if self._inverted else faiss.downcast_index(shard)
        listed = stored_ids(shard)
        self._order = np.argsort(listed, kind="stable")
        self.ids = listed[self._order]
        self._ends = np.cumsum(list_sizes(shard))

    @property
    def readable(self) -> bool:
        """Whether single codes can be decoded: a fast scan interleaves them, 32 a block."""
        return not isinstance(self._inverted, faiss.IndexIVFFastScan)

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors float32 [n, dim] as the codes see them: turned, and cut, as a PCA or OPQ says."""
        return transform(self._shard, vectors)

    def stored(self, ids: np.ndarray) -> np.ndarray:
        """What is kept of ids that the shard holds, transformed: float32 [m, transformed dim]."""
        if self._mapped is not None:
            return np.stack([self._mapped.reconstruct(int(row_id)) for row_id in ids])
        kept = np.empty((len(ids), self._inverted.d), np.float32)
        for row, place in enumerate(self._order[np.searchsorted(self.ids, ids)].tolist()):
            number = int(np.searchsorted(self._ends, place, side="right"))
            offset = place - (int(self._ends[number - 1]) if number else 0)
            self._inverted.reconstruct_from_offset(number, offset, faiss.swig_ptr(kept[row]))
        return kept

    def expected(self, vectors: np.ndarray) -> np.ndarray:
        """What the shard's own quantizers keep of vectors that `transform` gave."""
        codec = self._inverted or faiss.downcast_index(self._mapped.index)
        if isinstance(codec, faiss.IndexHNSW):
            codec = faiss.downcast_index(codec.storage)
        return codec.sa_decode(codec.sa_encode(vectors))


def trained_state(index: faiss.Index) -> bytes:
    """All that training decided about an index, without the vectors that fill it.

    Args:
        index: opened for this; afterwards it is empty.
    """
    inverted = inverted_lists_of(index)
    if inverted is None:
        # A copy in memory: FAISS ends the process when a mapped index is emptied.
        index = faiss.deserialize_index(faiss.serialize_index(index))
        index.reset()
        inner = innermost(index)
        if isinstance(inner, faiss.IndexFastScan):
            # The length of its blocks, which FAISS forgets to reset.
            inner.ntotal2 = 0
        return faiss.serialize_index(index).tobytes()
    empty = faiss.ArrayInvertedLists(inverted.nlist, inverted.code_size)
    inverted.replace_invlists(empty, False)
    # The setting of a search, which some tools leave in the file.
    inverted.nprobe = 1
    inverted.ntotal = index.ntotal = 0
    return faiss.serialize_index(index).tobytes()
