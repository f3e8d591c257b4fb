"""Sharded search against one FAISS index of the same factory string, and exclusions."""

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from index import factory, open_datastore
from index.factory import create_index
from index.files import open_index
from index.rescoring import exact_scores
from index.shards import IndexShards, transform
from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import TRAINED_INDEX, embeddings_path
from tagmine.parts import file_sha256

KEYS = (
    "Flat",
    "SQ8",
    "IVF16,Flat",
    "IVF16,PQ8x4",
    "PCA16,IVF16,SQ8",
    "OPQ8_32,IVF16_HNSW8,PQ8x4",
    "IVF16,RaBitQ",
)


def monolith(made, key, nprobe):
    """One index of the same training that holds every vector."""
    index = faiss.read_index(str(made.root / TRAINED_INDEX))
    index.add_with_ids(made.vectors.astype(np.float32), made.ids)
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        inverted.nprobe = nprobe
    return index


@pytest.mark.parametrize("key", KEYS)
def test_shards_answer_as_one_index_does(make_datastore, queries, monkeypatch, key):
    monkeypatch.setattr(factory, "OPQ_ROUNDS", 1)
    sizes = (3500, 3300, 3200) if "OPQ" in key else (900, 800, 700)
    made = make_datastore(sizes=sizes, index_key=key, limit=max(sizes))
    datastore = open_datastore(made.root)
    assert len(datastore.shards) == 3
    scores, ids = monolith(made, key, 5).search(queries, 20)
    found, found_scores = datastore.search(queries, 20, nprobe=5, rerank=0)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5)
    # Where two scores are equal, either order is right.
    apart = np.abs(np.diff(scores, axis=1)) > 1e-5
    alone = np.pad(apart, ((0, 0), (1, 0)), constant_values=True)
    alone &= np.pad(apart, ((0, 0), (0, 1)), constant_values=False)
    assert alone.mean() > 0.5
    np.testing.assert_array_equal(found[alone], ids[alone])


@pytest.mark.parametrize("count", [1, 40])
def test_a_few_queries_and_many_are_answered_alike(make_datastore, queries, count):
    made = make_datastore(sizes=(900, 800, 700), index_key="IVF16,PQ8x4", limit=900)
    datastore = open_datastore(made.root)
    every, scores = datastore.search(queries, 7)
    few, few_scores = datastore.search(queries[:count], 7)
    np.testing.assert_array_equal(few, every[:count])
    np.testing.assert_allclose(few_scores, scores[:count], atol=1e-6)


def test_shards_are_mapped_and_not_read(make_datastore, queries):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,PQ8x4", limit=900)
    datastore = open_datastore(made.root)
    datastore.search(queries, 3)
    mapped = Path("/proc/self/maps").read_text()
    for number in (0, 1):
        assert str(made.root / f"index/shard-0000{number}.faiss") in mapped


def test_the_coarse_quantizer_is_asked_once_for_all_shards(make_datastore, queries):
    made = make_datastore(sizes=(900, 800, 700), index_key="IVF16,Flat", limit=900)
    datastore = open_datastore(made.root)
    faiss.cvar.indexIVF_stats.reset()
    datastore.search(queries, 5, nprobe=4, rerank=0)
    # FAISS counts a quantization only where it does one itself.
    assert faiss.cvar.indexIVF_stats.quantization_time == 0
    # And a list of three shards is visited as one.
    assert faiss.cvar.indexIVF_stats.nlist == 4 * len(queries)


def test_shards_of_two_trainings_are_refused(make_datastore):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,Flat", limit=900)
    other = create_index("IVF16,Flat", 32)
    other.train(made.vectors[:800].astype(np.float32))
    other.add_with_ids(made.vectors[900:].astype(np.float32), made.ids[900:])
    first = open_index(made.root / "index/shard-00000.faiss")
    with pytest.raises(DatastoreError, match="filled from different trainings"):
        IndexShards([first, other], open_index(made.root / TRAINED_INDEX))


def test_a_transform_is_that_of_faiss(make_datastore, queries):
    made = make_datastore(sizes=(10_500,), index_key="PCA16,IVF8,Flat", limit=11_000)
    index = faiss.read_index(str(made.root / TRAINED_INDEX))
    step = faiss.downcast_VectorTransform(index.chain.at(0))
    matrix = faiss.vector_to_array(step.A).reshape(16, 32)
    expected = queries @ matrix.T + faiss.vector_to_array(step.b)
    np.testing.assert_allclose(transform(index, queries), expected, atol=1e-5)


def test_exact_scores_are_inner_products(make_datastore, queries):
    made = make_datastore(sizes=(30, 2000))
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(made.ids), size=(50, 70))
    ids = made.ids[rows]
    ids[3, 5] = ids[0, :] = -1
    found = exact_scores(
        lambda part: open_embeddings(made.root / embeddings_path(part)), queries, ids
    )
    expected = np.einsum("qd,qnd->qn", queries, made.vectors[rows].astype(np.float32))
    np.testing.assert_allclose(found[ids >= 0], expected[ids >= 0], atol=1e-5)
    assert np.isneginf(found[ids < 0]).all() and (ids < 0).sum() == 71
    ids[7, 7] = 2**32 - 1
    with pytest.raises(DatastoreError, match="names ids that are not in"):
        exact_scores(lambda part: open_embeddings(made.root / embeddings_path(part)), queries, ids)


@pytest.mark.parametrize("key", ["Flat", "IVF16,PQ8x4", "HNSW16"])
def test_what_is_excluded_is_replaced_by_the_next(make_datastore, queries, key):
    made = make_datastore(sizes=(900, 800), index_key=key, limit=900)
    datastore = open_datastore(made.root)
    ids, _ = datastore.search(queries, 12, rerank=1700)
    expected = np.stack([row[2:] for row in ids])
    by_query = [row[:2].tolist() for row in ids]
    found, _ = datastore.search(queries, 10, rerank=1700, exclude_keys=by_query)
    np.testing.assert_array_equal(found, expected)
    origins = datastore.locate(ids[:, 0])
    keys = [origins[row_id].key for row_id in ids[:, 0].tolist()]
    found, scores = datastore.search(queries, 10, exclude_keys=[*keys, "no/such/key"])
    assert not np.isin(found, ids[:, 0]).any() and (found >= 0).all()
    assert (np.diff(scores, axis=1) <= 0).all()


def test_what_is_excluded_is_allowed_for_in_the_first_search(make_datastore, queries):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,Flat", limit=900)
    datastore = open_datastore(made.root)
    best, _ = datastore.search(queries, 6, nprobe=16, rerank=0)
    for excluded in (best.tolist(), best[0].tolist()):
        faiss.cvar.indexIVF_stats.reset()
        found, _ = datastore.search(queries, 10, nprobe=16, rerank=0, exclude_keys=excluded)
        # FAISS counts a query each time that it searches for it.
        assert faiss.cvar.indexIVF_stats.nq == len(queries)
        assert (found >= 0).all() and not np.isin(found[0], best[0]).any()


def test_copies_of_the_query_are_excluded_by_cosine_and_k_are_left(make_datastore):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,PQ8x4", limit=900)
    stored = made.vectors[:20].astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    exact = stored @ made.vectors.astype(np.float32).T
    datastore = open_datastore(made.root)
    for above in (0.999, 0.6, 0.0):
        ids, scores = datastore.search(stored, 5, rerank=5, exclude_above=above)
        assert (ids >= 0).all() and (scores < above).all()
    # Deep and wide enough, it is the exact answer.
    found, _ = datastore.search(stored, 5, nprobe=16, rerank=1700, exclude_above=0.6)
    expected = np.where(exact < 0.6, exact, -np.inf).argsort(axis=1)[:, ::-1][:, :5]
    np.testing.assert_array_equal(found, made.ids[expected])


def test_k_are_found_though_the_lists_that_were_visited_hold_fewer(make_datastore, queries):
    made = make_datastore(sizes=(700,), index_key="IVF16,Flat")
    ids, _ = open_datastore(made.root).search(queries, 300, nprobe=1)
    assert (ids >= 0).all() and all(len(set(row)) == 300 for row in ids.tolist())


def test_an_answer_says_where_it_came_from(make_datastore, queries):
    made = make_datastore()
    datastore = open_datastore(made.root)
    ids, _ = datastore.search(queries[:3], 4)
    origins = datastore.locate([*ids.ravel().tolist(), -1])
    assert set(origins) == set(ids.ravel().tolist())
    for row_id, origin in origins.items():
        assert origin.part == row_id >> 32 and origin.source == f"d/s{origin.part}"
        assert origin.key == f"{origin.source}/{row_id & 0xFFFFFFFF:06d}"
        assert datastore.ids_of([origin.key]).tolist() == [row_id]
    with pytest.raises(DatastoreError, match="does not hold the id"):
        datastore.locate([999])


def test_wrong_numbers_are_refused(make_datastore, queries):
    datastore = open_datastore(make_datastore(sizes=(50,)).root)
    for wrong in ({"nprobe": 0}, {"rerank": -1}, {"exclude_keys": [["a/b/c"], "d/e/f"]}):
        with pytest.raises(ValueError, match="expected"):
            datastore.search(queries, 1, **wrong)


def test_vectors_that_were_not_normalised_are_refused(make_datastore, queries):
    made = make_datastore(sizes=(3000, 40))
    path = made.root / embeddings_path(0)
    part = open_embeddings(path)
    longer = part.vectors * np.float16(1.2)
    write_embeddings(path, part.ids.copy(), part.keys().to_pylist(), longer, part.footer)
    record = json.loads((made.root / "manifest.json").read_text())
    record["parts"][0]["embeddings"]["sha256"] = file_sha256(path)
    (made.root / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(DatastoreError, match="not of unit norm"):
        open_datastore(made.root).search(queries, 5, rerank=5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exclude_keys": "fashion/00000/000000000"}, r"write \[key\]"),
        ({"exclude_above": float("nan")}, "exclude_above within"),
        ({"exclude_above": 1.5}, "exclude_above within"),
    ],
)
def test_exclusions_that_would_exclude_nothing_are_refused(make_datastore, queries, changes, says):
    datastore = open_datastore(make_datastore(sizes=(60,)).root)
    with pytest.raises(ValueError, match=says):
        datastore.search(queries, 5, **changes)
