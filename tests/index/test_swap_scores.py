"""Precision, recall and intervals of retrieved tags against counts by hand."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from index.pooling import PooledTag
from index.queries import stored_queries
from index.search import open_datastore
from index.stack import open_stack
from index.swap_report import Comparison, ShownAnswer, ShownNeighbour, ShownQuery, render_page
from index.swap_scores import (
    CUTS,
    Retrieved,
    bootstrap,
    most_different,
    ranked_tags,
    retrieve,
    score_stores,
)
from tagmine.tags import Tag

HOSTILE = '<script>alert(1)</script>"\x1b[31m'


def pooled(*lemmas: str) -> list[PooledTag]:
    return [PooledTag(Tag(lemma, lemma, "object", lemma), 1, 1.0) for lemma in lemmas]


def test_a_word_counts_once_whatever_its_kind_and_capitals():
    tags = [*pooled("dress"), PooledTag(Tag("Dress", "Dress", "field", "Dress"), 1, 0.5)]
    assert ranked_tags(tags) == tags[:1]


def test_scores_are_those_of_the_tags_that_the_stack_pools(make_datastore):
    made = make_datastore()
    stack = open_stack([made.root])
    queries = stored_queries(open_datastore(made.root), 40, seed=0)
    own = [frozenset({("object", "", "KIND1"), ("field", "brand", "nobody")})] * len(queries)
    queries = dataclasses.replace(queries, tags=tuple(own))
    found = retrieve(stack, queries, 6)
    for answer, precision, recall in zip(found.answers, found.precision, found.recall, strict=True):
        lemmas = [tag.tag.lemma for tag in answer.tags]
        for column, cut in enumerate(CUTS):
            right = lemmas[:cut].count("kind1")
            assert precision[column] == pytest.approx(right / len(lemmas[:cut]))
            assert recall[column] == right / 2


def test_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(3)
    held = 0
    for trial in range(100):
        (interval,) = bootstrap(rng.normal(0.4, 0.2, (30, 1)), seed=trial)
        held += interval.low <= 0.4 <= interval.high
        assert interval.low <= interval.mean <= interval.high
    assert 85 <= held <= 99
    values = rng.random((50, 3))
    assert bootstrap(values, 7) == bootstrap(values, 7) != bootstrap(values, 8)


def test_intervals_do_not_depend_on_the_number_of_threads():
    program = """
import numpy as np
from index.swap_scores import bootstrap
print(bootstrap(np.random.default_rng(0).random((2000, 12)), 0))
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
            env={"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "2")
    }
    assert len(found) == 1 and b"Interval" in found.pop()


def found_of(values: list[float]) -> Retrieved:
    column = np.repeat(np.array(values)[:, None], len(CUTS), axis=1)
    return Retrieved((), column, column)


def test_gains_are_paired_and_the_most_different_queries_come_first():
    rng = np.random.default_rng(0)
    base = rng.random(300)
    better = np.clip(base + 0.05, 0, 1)
    scores = score_stores(["a", "b"], [1, 2], [found_of(base), found_of(better)], seed=0)
    gain = scores[1].scores[0].recall_gain
    # What all queries share is known far better than the mean of either.
    assert gain.high - gain.low < 0.2 * (
        scores[1].scores[0].recall.high - scores[1].scores[0].recall.low
    )
    assert gain.low > 0 and scores[0].scores[0].recall_gain.high == 0
    one, two = found_of([0.5, 0.1, 0.9, 0.3]), found_of([0.5, 0.9, 0.8, 0.3])
    assert most_different([one, two], 3) == [1, 2]


def test_texts_of_strangers_are_escaped_on_the_page():
    scores = score_stores([HOSTILE, "b"], [1, 2], [found_of([0.5, 0.1])] * 2, seed=0)
    near = ShownNeighbour(HOSTILE, HOSTILE, 0.5, HOSTILE, HOSTILE)
    answer = ShownAnswer(HOSTILE, 0.5, 0.5, (), (near,))
    query = ShownQuery(HOSTILE, (HOSTILE,), (HOSTILE,), (answer,))
    page = render_page(Comparison(2, 1, 3.0, 5, 0, scores, (query,)))
    assert "<script" not in page and "\x1b" not in page and "&lt;script&gt;" in page
    assert "picture out of reach" in page and "1 more have no known tag" in page
