"""The estimate, the line that says where work is done, and that a GPU's way fills as the CPU's."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index import build, gpu, open_datastore
from index.factory import create_index
from index.gpu import GpuPlan, ListAssigner, inner_products, plan_gpus, train

without_gpu = pytest.mark.skipif(faiss.get_num_gpus() > 0, reason="this machine has a GPU")
with_gpu = pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="this machine has no GPU")


@without_gpu
def test_the_plan_says_that_there_is_none_and_what_one_would_need():
    plan = plan_gpus(nlist=4096, dim=512)
    assert plan.gpus == 0 and plan.reason == "on the CPU, since FAISS sees no GPU"
    assert plan.needed_bytes == 4096 * 512 * 4 + 1536 * 2**20


@without_gpu
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


@pytest.mark.parametrize(
    "key",
    [
        "OPQ8_32,IVF16,PQ8x4",
        "OPQ8_32,IVF64_HNSW16,PQ8x4",
        "OPQ8_32,PQ8x4",
        "PCA32,OPQ8_32,IVF16,PQ8x4",
        "IVF16(PCA16,Flat),SQ8",
        "IVF16,RaBitQ",
        "HNSW16",
    ],
)
def test_an_index_does_not_depend_on_the_number_of_threads(spread, key):
    sample = spread(2000, 4)
    ids = np.arange(len(sample))
    before = faiss.omp_get_max_threads()
    found = set()
    try:
        for threads in (1, 2, 3):
            faiss.omp_set_num_threads(threads)
            index = create_index(key, sample.shape[1])
            train(index, sample, GpuPlan(0, 0, ""))
            assert faiss.omp_get_max_threads() == threads
            index.add_with_ids(sample, ids)
            found.add(faiss.serialize_index(index).tobytes())
    finally:
        faiss.omp_set_num_threads(before)
    assert index.is_trained and len(found) == 1


@without_gpu
def test_a_gpu_that_is_too_small_is_left_alone(monkeypatch):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(gpu, "torch_sees_gpus", lambda: True)
    monkeypatch.setattr(gpu, "_free_bytes", lambda number: 2**31 if number else 2**30)
    plan = plan_gpus(4096, 512)
    assert plan.gpus == 0 and "1,073,741,824 bytes free" in plan.reason
    monkeypatch.setattr(gpu, "_free_bytes", lambda number: 2**31)
    assert plan_gpus(4096, 512).gpus == 2
    monkeypatch.setattr(gpu, "torch_sees_gpus", lambda: False)
    assert plan_gpus(4096, 512).gpus == 0


@without_gpu
@pytest.mark.parametrize("key", ["IVF16,PQ8x4", "PCA16,IVF16,SQ8", "IVF16,RaBitQ"])
def test_what_is_filled_by_assigned_lists_is_what_faiss_fills(
    make_datastore, queries, monkeypatch, key
):
    """The way of a GPU, with the lists found on the CPU in its place."""
    sizes = (10_000, 20) if "PCA" in key else (900, 800)
    plain = make_datastore(sizes=sizes, index_key=key, limit=20_000)
    expected = open_datastore(plain.root).search(queries, 9, rerank=0)
    monkeypatch.setattr(build, "plan_gpus", lambda nlist, dim: GpuPlan(1, 0, "as if"))
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lambda index, ngpu: index)
    (plain.root / "index/shard-00000.json").unlink()
    (filled,) = [build.fill_shard(plain.root, plan, key) for plan in _plans(plain, sizes)]
    assert filled
    found = open_datastore(plain.root).search(queries, 9, rerank=0)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)


def _plans(made, sizes):
    return build.plan_shards(list(enumerate(sizes)), sum(sizes))


@with_gpu
def test_a_gpu_fills_and_scores_as_the_cpu_does(queries):
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(4000, 32)).astype(np.float32)
    index = create_index("IVF16,Flat", 32)
    plan = plan_gpus(16, 32)
    assert plan.gpus
    train(index, sample, plan)
    exact = index.quantizer.search(sample, 1)[1][:, 0]
    assert (ListAssigner(index, plan).assign(sample) == exact).mean() > 0.999
    np.testing.assert_allclose(inner_products(queries, sample), queries @ sample.T, atol=1e-4)
