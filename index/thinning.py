"""Fill an index with the codes of an earlier one, less some of them, without encoding again."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np

from index.files import open_index
from index.shards import inverted_lists_of
from tagmine.removed import Removed


def copy_without(earlier: Path, removed: Removed, index: faiss.Index) -> bool:
    """Copy the inverted lists of an index file into the empty index that it was filled from.

    The lists keep their order, so the result is what filling anew would give, byte for byte. Only
    `index` is in memory; the file is mapped.

    Args:
        earlier: the file.
        removed: its pending ids are left out.
        index: the trained, empty index.

    Returns:
        Whether it was done; False for an index without lists of plain codes, such as a graph.
    """
    inverted = inverted_lists_of(index)
    if inverted is None:
        return False
    lists = faiss.downcast_InvertedLists(inverted.invlists)
    # A fast scan's codes are interleaved in blocks.
    if not isinstance(lists, faiss.ArrayInvertedLists):
        return False
    mapped = inverted_lists_of(open_index(earlier))
    for number in range(mapped.nlist):
        _copy_list(mapped.invlists, lists, number, removed)
    inverted.ntotal = sum(lists.list_size(number) for number in range(lists.nlist))
    # A transform in front counts for itself.
    index.ntotal = inverted.ntotal
    return True


def _copy_list(
    source: faiss.InvertedLists, target: faiss.InvertedLists, number: int, removed: Removed
) -> None:
    size = source.list_size(number)
    if not size:
        return
    ids = faiss.rev_swig_ptr(source.get_ids(number), size)
    codes = faiss.rev_swig_ptr(source.get_codes(number), size * source.code_size)
    kept = ~removed.hides(ids)
    ids = np.ascontiguousarray(ids[kept])
    codes = np.ascontiguousarray(codes.reshape(size, source.code_size)[kept])
    if len(ids):
        target.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
