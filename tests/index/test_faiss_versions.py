"""Index files that FAISS 1.15.1 wrote, in tests/index/golden, open and answer with today's.

Each was filled, under the ids 3·2³² to 3·2³² + 59, with the 60 vectors of `vectors.npy`.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from index.files import open_index
from index.shards import stored_ids

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.faiss"))
IDS = np.arange(60) + (3 << 32)


def test_there_is_one_of_each_kind():
    kinds = {path.name.split("-")[0] for path in FILES}
    assert kinds == {"flat", "ivf_pq", "opq_ivf_hnsw_pq", "rabitq", "sq8"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_another_day_opens_and_finds_what_it_holds(path):
    index = open_index(path)
    vectors = np.load(GOLDEN / "vectors.npy", allow_pickle=False).astype(np.float32)
    assert (index.d, index.ntotal, index.metric_type) == (16, 60, faiss.METRIC_INNER_PRODUCT)
    np.testing.assert_array_equal(np.sort(stored_ids(index)), IDS)
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        inverted.nprobe = inverted.nlist
    _, near = index.search(vectors, 10)
    assert (near == IDS[:, None]).any(axis=1).mean() > 0.9
