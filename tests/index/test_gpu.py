"""Without a GPU: the estimate, the line that says so, and that the CPU does the work."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index.factory import create_index
from index.gpu import ListAssigner, inner_products, plan_gpus, train

pytestmark = pytest.mark.skipif(faiss.get_num_gpus() > 0, reason="this machine has a GPU")


def test_the_plan_says_that_there_is_none_and_what_one_would_need():
    plan = plan_gpus(nlist=4096, dim=512)
    assert plan.gpus == 0 and plan.reason == "on the CPU, since FAISS sees no GPU"
    assert plan.needed_bytes == 4096 * 512 * 4 + 1536 * 2**20


def test_the_cpu_trains_assigns_and_finds_as_faiss_does(queries):
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(2000, 32)).astype(np.float32)
    ours, theirs = create_index("IVF16,Flat", 32), create_index("IVF16,Flat", 32)
    plan = plan_gpus(16, 32)
    train(ours, sample, plan)
    theirs.train(sample)
    centroids = ours.quantizer.reconstruct_n(0, 16)
    np.testing.assert_array_equal(centroids, theirs.quantizer.reconstruct_n(0, 16))
    lists = ListAssigner(ours, plan).assign(sample)
    np.testing.assert_array_equal(lists, (sample @ centroids.T).argmax(axis=1))
    np.testing.assert_array_equal(inner_products(queries, sample), queries @ sample.T)
