"""Recall and time of a datastore at several settings of its search."""

from __future__ import annotations

import time

import numpy as np

from index.exact import Neighbours, score_pairs
from index.recall import hits_at, score_error
from index.report import ScoreError, SweepPoint
from index.search import Datastore

_DEPTHS = (0, 50, 200, 800)
_REPEATS = 2


def run_sweep(
    datastore: Datastore, queries: np.ndarray, own: np.ndarray | None, truth: Neighbours, k: int
) -> tuple[tuple[SweepPoint, ...], ScoreError | None]:
    """Recall and time against nprobe and re-rank depth, and the error of compressed scores.

    Args:
        datastore: what is measured.
        queries: float32 [q, dim].
        own: int64 [q], ids that are not to be found; None for queries from elsewhere.
        truth: the exact neighbours of the queries, at least k.
        k: how many neighbours are compared.
    """
    index = datastore.manifest.index
    lists = datastore.index_shards.nlist
    error = _score_error(datastore, queries, own, truth, k)
    depths = sorted({*_DEPTHS, index.rerank}) if error or index.rerank else [0]
    points = []
    for nprobe in _probes(lists, index.nprobe):
        for depth in depths:
            if depth and depth < k:
                continue
            started = time.perf_counter()
            for _ in range(_REPEATS):
                ids = _search(datastore, queries, own, (nprobe, depth), k)
            spent = (time.perf_counter() - started) / _REPEATS / len(queries)
            overlap = _overlap(datastore, queries, ids, truth, k)
            points.append(SweepPoint(nprobe, depth, overlap, spent * 1000))
    return tuple(points), error


def _probes(lists: int, default: int) -> list[int]:
    """Powers of four up to every list, and the datastore's own setting."""
    powers = {4**n for n in range(12) if 4**n < lists}
    return sorted({*powers, default, lists}) if lists else [0]


def _search(
    datastore: Datastore,
    queries: np.ndarray,
    own: np.ndarray | None,
    setting: tuple[int, int],
    k: int,
) -> np.ndarray:
    """Ids [q, k] of what the datastore finds at (nprobe, re-rank depth), best first."""
    nprobe, depth = setting
    left_out = () if own is None else own[:, None].tolist()
    return datastore.search(queries, k, nprobe=nprobe or None, rerank=depth, exclude_keys=left_out)[
        0
    ]


def _overlap(
    datastore: Datastore, queries: np.ndarray, ids: np.ndarray, truth: Neighbours, k: int
) -> float:
    return float(hits_at(truth, score_pairs(datastore, queries, ids), k).mean())


def _score_error(
    datastore: Datastore,
    queries: np.ndarray,
    own: np.ndarray | None,
    truth: Neighbours,
    k: int,
) -> ScoreError | None:
    shards = datastore.index_shards
    depth = max(datastore.manifest.index.rerank, 10)
    ids, compressed = shards.propose(queries, depth, max(shards.nlist, 1))
    exact = score_pairs(datastore, queries, ids)
    alone = _search(datastore, queries, own, (shards.nlist, 0), k)
    return score_error(compressed, exact, _overlap(datastore, queries, alone, truth, k))
