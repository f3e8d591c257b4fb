"""The setting that a sweep takes: it reaches what it says, and nothing cheaper does."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index import open_datastore, tuning
from index.training import sample_rows
from index.tuning import tune
from tagmine.embeddings import EmbeddingsParts
from tagmine.layout import TRAINED_INDEX


def recall_without_oneself(made, datastore, at, rows, nprobe, rerank):
    """Share of the true `at` nearest others that a search finds, by plain matrix product."""
    queries = made.vectors[rows].astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    scores = queries @ made.vectors.astype(np.float32).T
    scores[np.arange(len(rows)), rows] = -np.inf
    truth = made.ids[np.argsort(-scores, axis=1)[:, :at]]
    own = [[row_id] for row_id in made.ids[rows].tolist()]
    found, _ = datastore.search(queries, at, nprobe=max(nprobe, 1), rerank=rerank, exclude_keys=own)
    return np.mean([len(set(a) & set(b)) / at for a, b in zip(found, truth, strict=True)])


@pytest.mark.parametrize("goal", [0.6, 0.95])
def test_the_goal_is_reached_at_the_least_cost(make_datastore, goal):
    made = make_datastore(sizes=(500, 450), index_key="IVF16,PQ8x4", limit=500)
    datastore = open_datastore(made.root)
    # Every image is a query, so that the measurement can be repeated exactly.
    found = tune(datastore, goal, 5, queries=950)
    setting = found.setting
    assert found.met and (found.card.queries, found.card.at, found.card.goal) == (950, 5, goal)
    rows = np.arange(950)
    reached = recall_without_oneself(made, datastore, 5, rows, setting.nprobe, setting.rerank)
    assert reached == pytest.approx(setting.recall, abs=0.002) and setting.recall >= goal
    if setting.nprobe > 1:
        half = setting.nprobe // 2
        less = recall_without_oneself(made, datastore, 5, rows, half, setting.rerank)
        assert less < goal
    assert tune(datastore, goal, 5, queries=950) == found


def test_a_goal_beyond_the_codes_gets_the_best_there_is(make_datastore, monkeypatch):
    monkeypatch.setattr(tuning, "_DEPTHS", (0, 10))
    made = make_datastore(sizes=(2500,), index_key="IVF1,PQ1x4", limit=6000)
    found = tune(open_datastore(made.root), 1.0, 5, queries=100)
    assert not found.met and 0 < found.setting.recall < 1
    assert found.setting.rerank == 10


@pytest.mark.parametrize(("key", "rerank"), [("Flat", 0), ("IVF8,Flat", 0)])
def test_exact_codes_need_no_rerank(make_datastore, key, rerank):
    made = make_datastore(sizes=(700, 300), index_key=key, untagged=20)
    found = tune(open_datastore(made.root), 0.99, 3, queries=200)
    assert found.met and found.setting.rerank == rerank
    assert found.card.held_out
    assert (found.setting.nprobe == 0) == (key == "Flat")


def test_images_that_are_not_in_the_index_are_neither_query_nor_truth(make_datastore):
    made = make_datastore(sizes=(60, 50), index_key="Flat", untagged=40)
    found = tune(open_datastore(made.root), 1.0, 5)
    assert found.card.queries == 30 and found.met


def rows_not_trained_on(made, size):
    """Rows of those vectors that are not in the training sample, by their bytes."""
    parts = EmbeddingsParts(made.root, np.unique(made.ids >> 32).tolist())
    sample = {row.tobytes() for row in sample_rows(parts, size).astype(np.float16)}
    assert len(sample) == size
    return np.array([n for n, row in enumerate(made.vectors) if row.tobytes() not in sample])


def cost_of(made, rows, nprobe, rerank):
    """Bytes that a query reads on average: codes of the lists visited, and rows of float16."""
    trained = faiss.read_index(str(made.root / TRAINED_INDEX))
    centroids = trained.quantizer.reconstruct_n(0, trained.nlist)
    vectors = made.vectors.astype(np.float32)
    sizes = np.bincount((vectors @ centroids.T).argmax(axis=1), minlength=trained.nlist)
    visited = np.argsort(-vectors[rows] @ centroids.T, axis=1)[:, :nprobe]
    # A row of 32 dimensions has 64 bytes, and reading it counts 2.5 times.
    return sizes[visited].sum(axis=1).mean() * trained.code_size + rerank * 64 * 2.5


def test_no_setting_is_cheaper_and_queries_are_not_of_the_training_sample(make_datastore, spread):
    key = "IVF16,PQ16x2"
    made = make_datastore(sizes=(700, 600), index_key=key, limit=700, draw=spread)
    datastore = open_datastore(made.root)
    assert datastore.manifest.index.trained_on == 1024
    rows = rows_not_trained_on(made, 1024)
    settings = {
        (nprobe, rerank): (
            cost_of(made, rows, nprobe, rerank),
            recall_without_oneself(made, datastore, 5, rows, nprobe, rerank),
        )
        for nprobe in (1, 2, 4, 8, 16)
        for rerank in (0, 5, 10, 20, 50, 100, 200, 500)
    }
    chosen, first = set(), []
    for goal in (0.3, 0.5, 0.775, 0.945):
        # Of copies and in the last bits of a score, the two ways to count may differ a little.
        assert min(abs(recall - goal) for _, recall in settings.values()) > 0.003
        enough = {name: cost for name, (cost, recall) in settings.items() if recall >= goal}
        cheapest = min(enough, key=enough.get)
        found = tune(datastore, goal, 5)
        assert (found.setting.nprobe, found.setting.rerank) == cheapest
        assert found.setting.cost == pytest.approx(enough[cheapest], rel=1e-6)
        assert found.card.recall == pytest.approx(settings[cheapest][1], abs=0.002)
        assert (found.card.queries, found.card.held_out) == (276, True)
        chosen.add(cheapest)
        # The first of the sweep that reaches the goal, which visits the fewest lists.
        first += [min(enough)]
    assert len(chosen) == 4 and len(chosen - set(first)) == 3


def test_where_the_sample_left_too_few_all_images_are_asked(make_datastore, spread):
    made = make_datastore(sizes=(700, 500), index_key="IVF16,PQ16x2", limit=700, draw=spread)
    datastore = open_datastore(made.root)
    found = tune(datastore, 0.5, 5)
    assert (found.card.queries, found.card.held_out) == (1000, False)
    # As many as were asked for are enough, however few.
    assert tune(datastore, 0.5, 5, queries=150).card.held_out
