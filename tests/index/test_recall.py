"""The numbers of a validation on cases whose answer is known."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index import open_datastore
from index.exact import Neighbours
from index.recall import hits_at, list_balance, recall_at, score_error, wilson


def neighbours(*scores):
    rows = np.array(scores, np.float32)
    return Neighbours(np.arange(rows.size).reshape(rows.shape), rows)


def test_overlap_and_first_are_counted_apart():
    truth = neighbours([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    found = np.array([[0.9, 0.5, 0.4], [0.8, 0.7, 0.1]], np.float32)
    recall = recall_at(truth, found, 3)
    assert recall.one_recall == 0.5
    assert recall.overlap == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert recall.low < recall.overlap < recall.high


def test_a_copy_of_a_true_neighbour_is_as_good_and_none_counts_twice():
    truth = neighbours([0.9, 0.9, 0.9])
    assert hits_at(truth, np.array([[0.9, 0.9, 0.9]], np.float32), 2).tolist() == [1.0]
    assert hits_at(truth, np.array([[0.9, 0.89, 0.9]], np.float32), 2).tolist() == [0.5]
    nothing = np.array([[-np.inf, -np.inf]], np.float32)
    assert hits_at(truth, nothing, 2).tolist() == [0.0]
    few = neighbours([0.9, -np.inf, -np.inf])
    assert hits_at(few, np.array([[0.9, -np.inf, -np.inf]], np.float32), 3).tolist() == [1.0]


def test_the_interval_is_wilsons():
    # 81 of 263: 0.2553 to 0.3662, Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(1.0, 10)[1] == 1.0 and 0.7 < wilson(1.0, 10)[0] < 0.75
    assert wilson(0.0, 10)[0] == 0.0


def test_the_imbalance_is_faisss_own(make_datastore):
    shards = open_datastore(make_datastore(sizes=(900, 800), index_key="IVF16,PQ8x4").root).shards
    lists = faiss.try_extract_index_ivf(shards[0]).invlists
    balance = list_balance(shards[:1])
    assert balance.imbalance == pytest.approx(lists.imbalance_factor())
    assert sum(count for _, count in balance.histogram) == balance.lists == 16
    sizes = [lists.list_size(i) for i in range(16)]
    assert (balance.largest, balance.empty) == (max(sizes), sizes.count(0))
    both = list_balance(shards)
    assert both.largest >= balance.largest
    flat = make_datastore(sizes=(30,), name="flat")
    assert list_balance(open_datastore(flat.root).shards) is None


def test_score_errors_leave_out_what_was_not_found():
    compressed = np.array([[0.5, 0.4, -np.inf]], np.float32)
    exact = np.array([[0.6, 0.4, 0.3]], np.float32)
    error = score_error(compressed, exact, 0.25)
    assert error.mean == pytest.approx(0.05) and error.largest == pytest.approx(0.1)
    assert error.ceiling == 0.25
    assert score_error(exact, exact + 1e-7, 1.0) is None
