"""Exact search part by part against one numpy product over everything."""

from __future__ import annotations

import numpy as np
import pytest

from index import exact, open_datastore
from index.exact import Neighbours, leave_out, merge, score_pairs, search_part
from tagmine.layout import sample_id


def unit(count, dim, seed):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def full_search(ids, vectors, queries, k):
    """What numpy says in double precision, ties by lower id."""
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    order = np.lexsort((np.broadcast_to(ids, scores.shape), -scores.astype(np.float32)), axis=1)
    return ids[order[:, :k]], np.take_along_axis(scores, order, 1)[:, :k]


@pytest.mark.parametrize("rows", [7, 64, 8192])
def test_parts_searched_and_merged_are_the_full_search(rows, monkeypatch):
    monkeypatch.setattr(exact, "_ROWS", rows)
    monkeypatch.setattr(exact, "_QUERIES", 9)
    queries = unit(20, 24, 100).astype(np.float32)
    sizes = (300, 0, 5, 431)
    parts = [
        (np.array([sample_id(n, i) for i in range(size)], np.int64), unit(size, 24, n))
        for n, size in enumerate(sizes)
    ]
    found = [search_part(v, ids, np.ones(len(ids), bool), queries, 11) for ids, v in parts]
    # As a runner may: in another order, and by a tree.
    merged = merge([merge([found[3], found[1]], 11), merge([found[0], found[2]], 11)], 11)
    ids, vectors = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    expected, scores = full_search(ids, vectors, queries, 11)
    np.testing.assert_array_equal(merged.ids, expected)
    np.testing.assert_allclose(merged.scores, scores, atol=1e-6)


def test_copies_come_in_the_order_of_their_ids_wherever_they_are():
    vectors = unit(4, 16, 0)[np.array([2, 1, 2, 0, 2, 2, 1, 2])]
    ids = np.arange(100, 108, dtype=np.int64)
    query = vectors[:1].astype(np.float32)
    halves = [
        search_part(vectors[half], ids[half], np.ones(4, bool), query, 8)
        for half in (slice(4, 8), slice(0, 4))
    ]
    assert merge(halves, 8).ids[0, :5].tolist() == [100, 102, 104, 105, 107]


def test_rows_that_do_not_count_are_not_found_and_an_end_is_padded():
    vectors, ids = unit(6, 16, 0), np.arange(6, dtype=np.int64)
    kept = np.array([True, False, True, False, True, False])
    found = search_part(vectors, ids, kept, vectors[:2].astype(np.float32), 5)
    assert set(found.ids[0, :3].tolist()) == {0, 2, 4}
    assert (found.ids[:, 3:] == -1).all() and np.isneginf(found.scores[:, 3:]).all()
    none = search_part(vectors, ids, np.zeros(6, bool), vectors[:2].astype(np.float32), 5)
    assert (none.ids == -1).all() and none.ids.shape == (2, 5)
    assert search_part(vectors, ids, kept, np.empty((0, 16), np.float32), 5).ids.shape == (0, 5)


def test_a_query_is_left_out_of_its_own_neighbours():
    found = Neighbours(
        np.array([[5, 1, 2], [8, 9, 5], [1, 2, 3]]), np.array([[3.0, 2, 1]] * 3, np.float32)
    )
    assert leave_out(found, np.array([5, 9, 7]), 2).ids.tolist() == [[1, 2], [8, 5], [1, 2]]


def test_pairs_are_scored_as_the_search_scores_them(make_datastore, queries):
    made = make_datastore()
    found = search_part(made.vectors, made.ids, np.ones(len(made.ids), bool), queries, 4)
    ids = np.concatenate([found.ids, np.full((len(queries), 1), -1)], axis=1)
    ids[0, 0] = sample_id(77, 0)
    scores = score_pairs(open_datastore(made.root), queries, ids)
    assert np.isneginf(scores[:, 4]).all() and np.isneginf(scores[0, 0])
    np.testing.assert_array_equal(scores[1:, :4], found.scores[1:])
