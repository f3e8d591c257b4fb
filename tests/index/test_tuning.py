"""The setting that a sweep takes: it reaches what it says, and nothing cheaper does."""

from __future__ import annotations

import numpy as np
import pytest

from index import open_datastore, tuning
from index.tuning import tune


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
    assert (found.setting.nprobe == 0) == (key == "Flat")


def test_images_that_are_not_in_the_index_are_neither_query_nor_truth(make_datastore):
    made = make_datastore(sizes=(60, 50), index_key="Flat", untagged=40)
    found = tune(open_datastore(made.root), 1.0, 5)
    assert found.card.queries == 30 and found.met
