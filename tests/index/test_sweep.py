"""Recall against effort: each point is what a search with that setting finds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from index import open_datastore
from index.exact import leave_out, search_part
from index.queries import stored_queries
from index.sweep import run_sweep
from index.validation import SWEEP_QUERIES, Settings, measure


def truth_of(made, queries, k):
    return search_part(made.vectors, made.ids, np.ones(len(made.ids), bool), queries, k)


def recall_of_search(datastore, queries, own, truth, nprobe, rerank):
    """Share of the five true nearest, by id, that the datastore's own search finds."""
    excluded = () if own is None else [[row_id] for row_id in own.tolist()]
    found, _ = datastore.search(queries, 5, nprobe=nprobe, rerank=rerank, exclude_keys=excluded)
    pairs = zip(found.tolist(), truth.ids[:, :5].tolist(), strict=True)
    return np.mean([len(set(near) & set(true)) / 5 for near, true in pairs])


@pytest.fixture
def made(make_datastore, spread):
    return make_datastore(sizes=(900, 800), index_key="IVF16,PQ16x2", limit=900, draw=spread)


@pytest.mark.parametrize("stored", [False, True])
def test_points_are_what_a_search_finds_and_rise(made, spread, stored):
    datastore = open_datastore(made.root)
    if stored:
        queries, own = made.vectors[::20].astype(np.float32), made.ids[::20]
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        truth = leave_out(truth_of(made, queries, 6), own, 5)
    else:
        queries, own = spread(80, 1000).astype(np.float32), None
        truth = truth_of(made, queries, 5)
    points, error = run_sweep(datastore, queries, own, truth, 5)
    default = datastore.manifest.index
    assert default.nprobe == 16 and default.rerank not in (0, 50)
    by = {(point.nprobe, point.rerank): point.overlap for point in points}
    assert len(by) == len(points)
    assert set(by) == {(n, d) for n in (1, 4, 16) for d in {0, 50, 200, 800, default.rerank}}
    for (nprobe, rerank), overlap in by.items():
        expected = recall_of_search(datastore, queries, own, truth, nprobe, rerank)
        assert overlap == pytest.approx(expected, abs=0.003), (nprobe, rerank)
    for depth in (200, 800):
        assert by[1, depth] < by[4, depth] < by[16, depth]
    for nprobe in (4, 16):
        assert by[nprobe, 0] < by[nprobe, 50] < by[nprobe, 200]
    # The best that the codes alone can do, with nothing left unvisited.
    assert error.ceiling == by[16, 0] != by[4, 0]
    assert error.ceiling == pytest.approx(
        recall_of_search(datastore, queries, own, truth, 16, 0), abs=0.003
    )
    times = [point.milliseconds for point in points]
    assert min(times) > 0 and len(set(times)) > len(times) / 2


def test_a_default_that_is_no_power_of_four_is_a_point_of_its_own(made, spread):
    datastore = open_datastore(made.root)
    index = dataclasses.replace(datastore.manifest.index, nprobe=5, rerank=77)
    datastore.manifest = dataclasses.replace(datastore.manifest, index=index)
    queries = spread(20, 1000).astype(np.float32)
    points, _ = run_sweep(datastore, queries, None, truth_of(made, queries, 5), 5)
    assert {(5, 77), (5, 0), (16, 77)} <= {(point.nprobe, point.rerank) for point in points}


def test_as_many_queries_are_swept_as_is_said(made):
    datastore = open_datastore(made.root)
    queries = stored_queries(datastore, 400, 0)
    settings = Settings(duplicate_cosine=1.0)
    measured = measure(datastore, queries, truth_of(made, queries.vectors, 11), settings)
    # Each of so many queries finds a number of the five nearest.
    hits = np.array([point.overlap for point in measured.sweep]) * 5
    of_all = hits * SWEEP_QUERIES
    np.testing.assert_allclose(of_all, np.rint(of_all), atol=1e-6)
    for other in (SWEEP_QUERIES - 1, SWEEP_QUERIES // 2, len(queries)):
        assert np.abs(hits * other - np.rint(hits * other)).max() > 0.01
    few = stored_queries(datastore, 50, 0)
    measured = measure(datastore, few, truth_of(made, few.vectors, 11), settings)
    hits = np.array([point.overlap for point in measured.sweep]) * 5 * 50
    np.testing.assert_allclose(hits, np.rint(hits), atol=1e-6)


@pytest.mark.parametrize(("key", "own"), [("IVF16,PQ8x4", False), ("IVF16,PQ8x4", True)])
def test_more_lists_and_deeper_reranks_never_find_less(make_datastore, queries, key, own):
    made = make_datastore(sizes=(900, 800), index_key=key)
    datastore = open_datastore(made.root)
    chosen = made.vectors[::40].astype(np.float32) if own else queries
    ids = made.ids[::40] if own else None
    truth = search_part(made.vectors, made.ids, np.ones(len(made.ids), bool), chosen, 6)
    if own:
        from index.exact import leave_out

        truth = leave_out(truth, ids, 5)
    points, error = run_sweep(datastore, chosen, ids, truth, 5)
    by = {(point.nprobe, point.rerank): point.overlap for point in points}
    assert {probe for probe, _ in by} == {1, 4, 16} and {depth for _, depth in by} >= {0, 50, 200}
    for depth in (50, 200):
        assert by[1, depth] <= by[4, depth] <= by[16, depth]
    assert by[16, 0] < by[16, 50] <= by[16, 200] <= by[16, 800] == 1.0
    assert error.ceiling == by[16, 0] and 0 < error.mean < error.p95 < error.largest


def test_an_exact_index_has_one_point_and_no_error(make_datastore, queries):
    made = make_datastore()
    truth = search_part(made.vectors, made.ids, np.ones(len(made.ids), bool), queries, 6)
    points, error = run_sweep(open_datastore(made.root), queries, None, truth, 5)
    assert [(point.nprobe, point.rerank, point.overlap) for point in points] == [(0, 0, 1.0)]
    assert error is None
