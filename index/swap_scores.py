"""What a datastore is worth for given queries: precision and recall of the tags it retrieves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from index.pooling import Answer, PooledTag
from index.queries import Queries
from index.stack import Stack

CUTS = (5, 10, 24)
"""How many of the retrieved tags are looked at; 24 is what a model reads at most."""
_RESAMPLES = 2000
_BATCH = 256
_RESAMPLED_VALUES = 1 << 23


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries with a 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreAt:
    """Scores of the first so many retrieved tags.

    Attributes:
        at: how many.
        precision: share of them that are known of the query; of all, where fewer were retrieved.
        recall: share of the query's known tags among them.
        precision_gain, recall_gain: the same less that of the first datastore, query by query.
    """

    at: int
    precision: Interval
    recall: Interval
    precision_gain: Interval
    recall_gain: Interval


@dataclasses.dataclass(frozen=True, slots=True)
class StoreScores:
    """What one datastore, or one stack, was worth.

    Attributes:
        name: as it was given.
        images: how many it holds.
        scores: for each of `CUTS`.
    """

    name: str
    images: int
    scores: tuple[ScoreAt, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Retrieved:
    """What a stack gave for the queries.

    Attributes:
        answers: of each query.
        precision, recall: float64 [q, cuts].
    """

    answers: tuple[Answer, ...]
    precision: np.ndarray
    recall: np.ndarray


def known_words(queries: Queries) -> list[frozenset[str]]:
    """The tags of each query as they are compared: case-folded lemmas, whatever their kind.

    A field of one datastore may be an object of another; that both know it is what counts.
    """
    return [frozenset(lemma.casefold() for _, _, lemma in tags) for tags in queries.tags]


def ranked_tags(tags: Iterable[PooledTag]) -> list[PooledTag]:
    """Retrieved tags, heaviest first, each word once."""
    first: dict[str, PooledTag] = {}
    for pooled in tags:
        first.setdefault(pooled.tag.lemma.casefold(), pooled)
    return list(first.values())


def retrieve(stack: Stack, queries: Queries, k: int) -> Retrieved:
    """Look the queries up, and compare the tags of k neighbours with their own.

    Args:
        stack: where they are looked up.
        queries: each with tags.
        k: neighbours.
    """
    answers: list[Answer] = []
    for start in range(0, len(queries), _BATCH):
        answers += stack.query(queries.vectors[start : start + _BATCH], k)
    known = known_words(queries)
    shape = (len(queries), len(CUTS))
    precision, recall = np.zeros(shape), np.zeros(shape)
    for row, (answer, own) in enumerate(zip(answers, known, strict=True)):
        right = [pooled.tag.lemma.casefold() in own for pooled in ranked_tags(answer.tags)]
        for column, cut in enumerate(CUTS):
            hits = sum(right[:cut])
            precision[row, column] = hits / max(len(right[:cut]), 1)
            recall[row, column] = hits / len(own)
    return Retrieved(tuple(answers), precision, recall)


def score_stores(
    names: Sequence[str], images: Sequence[int], found: Sequence[Retrieved], seed: int
) -> tuple[StoreScores, ...]:
    """The scores of each, with intervals over one resampling of the queries for all.

    Args:
        names, images: of each datastore or stack.
        found: what each retrieved, for the same queries.
        seed: of the resampling.
    """
    first = found[0]
    scored = []
    for name, count, one in zip(names, images, found, strict=True):
        columns = [one.precision, one.recall]
        columns += [one.precision - first.precision, one.recall - first.recall]
        intervals = bootstrap(np.concatenate(columns, axis=1), seed)
        by_kind = [intervals[start :: len(CUTS)] for start in range(len(CUTS))]
        scores = tuple(ScoreAt(cut, *of) for cut, of in zip(CUTS, by_kind, strict=True))
        scored.append(StoreScores(name, count, scores))
    return tuple(scored)


def bootstrap(values: np.ndarray, seed: int) -> list[Interval]:
    """The mean of each column of [q, m] with the middle 95 % of the means of its resamples."""
    count = len(values)
    rng = np.random.default_rng(seed)
    block = max(1, _RESAMPLED_VALUES // count)
    means = []
    for start in range(0, _RESAMPLES, block):
        drawn = min(block, _RESAMPLES - start)
        # How often each query is drawn: the same as drawing rows, and one product for all columns.
        times = rng.multinomial(count, np.full(count, 1 / count), drawn)
        # Not @, whose last bits depend on how many threads share it.
        means.append(np.einsum("rq,qm->rm", times, values) / count)
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975), axis=0)
    return [
        Interval(*map(float, triple)) for triple in zip(values.mean(axis=0), low, high, strict=True)
    ]


def most_different(found: Sequence[Retrieved], count: int) -> list[int]:
    """Rows of the queries for which the datastores differ most, by their recall at 10, then
    precision."""
    column = CUTS.index(10)
    recall = np.stack([one.recall[:, column] for one in found])
    precision = np.stack([one.precision[:, column] for one in found])
    spread = [np.ptp(of, axis=0) for of in (recall, precision)]
    ranked = np.lexsort((np.arange(len(spread[0])), -spread[1], -spread[0]))
    return [int(row) for row in ranked[:count] if spread[0][row] > 0 or spread[1][row] > 0]
