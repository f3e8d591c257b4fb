"""Numbers that compare what an index finds with the exact neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import faiss
import numpy as np

from index.exact import Neighbours
from index.report import ListBalance, RecallAt, ScoreError
from index.shards import list_sizes

# Of two copies of a picture either is right: a score this close to the last true one is a hit,
# as ann-benchmarks counts (Aumüller, Bernhardsson, Faithfull, arXiv 1807.05614, section 3.6).
TIE = 1e-6
_Z = 1.959963984540054


def hits_at(truth: Neighbours, scores: np.ndarray, k: int) -> np.ndarray:
    """Which share of the true k each query finds, float64 [q]; ties count.

    Args:
        truth: the exact neighbours, at least k.
        scores: float32 [q, at least k], the exact scores of what was found; -inf for nothing.
        k: how many are looked at.
    """
    available = np.isfinite(truth.scores[:, :k]).sum(axis=1)
    last = truth.scores[np.arange(len(truth.scores)), np.maximum(available, 1) - 1]
    found = (np.isfinite(scores[:, :k]) & (scores[:, :k] >= last[:, None] - TIE)).sum(axis=1)
    return np.where(available > 0, np.minimum(found, available) / np.maximum(available, 1), 1.0)


def recall_at(truth: Neighbours, scores: np.ndarray, k: int) -> RecallAt:
    """1-recall@k and k-in-k overlap; see `hits_at` for the arguments."""
    overlap = hits_at(truth, scores, k)
    first = (scores[:, :k] >= truth.scores[:, :1] - TIE).any(axis=1)
    low, high = wilson(float(overlap.mean()), len(overlap))
    return RecallAt(k, float(first.mean()), float(overlap.mean()), low, high)


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % score interval of a share of `count` trials (Wilson, JASA 22, 1927).

    For a mean of values within [0, 1] it is on the wide side, since no distribution with that mean
    has a greater variance than the one of zeros and ones.
    """
    square = _Z * _Z
    centre = (share + square / (2 * count)) / (1 + square / count)
    spread = math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    half = _Z * spread / (1 + square / count)
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def score_error(
    compressed: np.ndarray, exact: np.ndarray, ceiling: float, exact_codes: float = 1e-5
) -> ScoreError | None:
    """How far compressed scores are from exact ones; None where the index does not compress.

    Args:
        compressed: scores [q, n] as the index gave them.
        exact: scores [q, n] of the same images; pairs that are not finite are left out.
        ceiling: overlap of the compressed scores alone, every list visited.
        exact_codes: the largest error that rounding explains.
    """
    usable = np.isfinite(compressed) & np.isfinite(exact)
    errors = np.abs(compressed[usable].astype(np.float64) - exact[usable])
    if not len(errors) or errors.max() < exact_codes:
        return None
    p95 = float(np.quantile(errors, 0.95))
    return ScoreError(float(errors.mean()), p95, float(errors.max()), ceiling)


def list_balance(shards: Sequence[faiss.Index]) -> ListBalance | None:
    """Balance of the inverted lists of all shards together; None for an index without lists.

    The imbalance is FAISS's `InvertedLists::imbalance_factor`: lists times the sum of squared
    sizes over the squared sum of sizes.
    """
    sizes = [list_sizes(shard) for shard in shards]
    sizes = [of_shard for of_shard in sizes if len(of_shard)]
    if not sizes or len({len(of_shard) for of_shard in sizes}) > 1:
        return None
    together = np.sum(sizes, axis=0)
    total = int(together.sum())
    squared = float(np.square(together.astype(np.float64)).sum())
    imbalance = len(together) * squared / total**2 if total else 1.0
    return ListBalance(
        lists=len(together),
        empty=int((together == 0).sum()),
        largest=int(together.max()),
        imbalance=imbalance,
        histogram=_histogram(together),
    )


def _histogram(sizes: np.ndarray) -> tuple[tuple[int, int], ...]:
    bounds = [0]
    while bounds[-1] < sizes.max():
        bounds.append(max(1, bounds[-1] * 2))
    bins = np.searchsorted(bounds, sizes)
    return tuple(
        (bound, int(count))
        for bound, count in zip(bounds, np.bincount(bins, minlength=len(bounds)), strict=True)
    )
