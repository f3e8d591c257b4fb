"""What FAISS trains unasked is switched off."""

from __future__ import annotations

import faiss
import pytest

from index.factory import create_index


@pytest.mark.parametrize("key", ["IVF4,PQ8x8", "OPQ8,IVF4,PQ8x8", "PQ8x8", "OPQ8,PQ8x8"])
def test_no_index_trains_an_order_of_codes_that_nothing_reads(key: str):
    index = create_index(key, 32)
    inverted = faiss.try_extract_index_ivf(index)
    inner = faiss.downcast_index(index if inverted is None else inverted)
    while hasattr(inner, "index"):
        inner = faiss.downcast_index(inner.index)
    assert inner.do_polysemous_training is False
