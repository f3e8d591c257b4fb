"""Recall and time of a datastore at several settings of its search."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from index.exact import Neighbours, score_pairs
from index.recall import hits_at, score_error
from index.report import ScoreError, SweepPoint
from index.search import Datastore
from tagmine.manifest import Manifest

_DEPTHS = (0, 50, 200, 800)
_REPEATS = 2


def open_shards(root: Path, manifest: Manifest) -> list[faiss.Index]:
    """The filled index shards, memory-mapped, for settings that the datastore does not have."""
    flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
    shards = [faiss.read_index(str(root / s.file.path), flags) for s in manifest.index.shards]
    return [shard for shard in shards if shard.ntotal]


def search_shards(
    shards: Sequence[faiss.Index], queries: np.ndarray, depth: int, nprobe: int
) -> Neighbours:
    """The best candidates of all shards by compressed score.

    Args:
        shards: filled, at least one.
        queries: float32 [q, dim].
        depth: how many candidates a query.
        nprobe: inverted lists visited; of no effect without lists.
    """
    proposed = []
    for shard in shards:
        inverted = faiss.try_extract_index_ivf(shard)
        if inverted is not None:
            inverted.nprobe = nprobe
        proposed.append(shard.search(queries, min(depth, shard.ntotal)))
    ids = np.concatenate([found for _, found in proposed], axis=1)
    scores = np.concatenate([score for score, _ in proposed], axis=1)
    scores = np.where(ids < 0, -np.inf, scores).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return Neighbours(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))


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
    shards = open_shards(datastore.root, datastore.manifest)
    lists = max((_lists(shard) for shard in shards), default=0)
    error = _score_error(datastore, shards, queries, own, truth, k)
    depths = sorted({*_DEPTHS, index.rerank}) if error or index.rerank else [0]
    points = []
    for nprobe in _probes(lists, index.nprobe):
        for depth in depths:
            if depth and depth < k:
                continue
            started = time.perf_counter()
            for _ in range(_REPEATS):
                scores = _settings(datastore, shards, queries, own, (nprobe, depth), k)
            spent = (time.perf_counter() - started) / _REPEATS / len(queries)
            overlap = float(hits_at(truth, scores, k).mean())
            points.append(SweepPoint(nprobe, depth, overlap, spent * 1000))
    return tuple(points), error


def _lists(shard: faiss.Index) -> int:
    inverted = faiss.try_extract_index_ivf(shard)
    return 0 if inverted is None else inverted.nlist


def _probes(lists: int, default: int) -> list[int]:
    """Powers of four up to every list, and the datastore's own setting."""
    powers = {4**n for n in range(12) if 4**n < lists}
    return sorted({*powers, default, lists}) if lists else [0]


def _settings(
    datastore: Datastore,
    shards: Sequence[faiss.Index],
    queries: np.ndarray,
    own: np.ndarray | None,
    setting: tuple[int, int],
    k: int,
) -> np.ndarray:
    """Exact scores [q, k] of what is found at (nprobe, re-rank depth), best first."""
    nprobe, depth = setting
    found = search_shards(shards, queries, max(depth, k) + (own is not None), nprobe)
    ids = found.ids if own is None else np.where(found.ids == own[:, None], -1, found.ids)
    if not depth:
        # The order of the compressed scores stands; -1 of the query itself goes to the end.
        order = np.argsort(ids < 0, axis=1, kind="stable")[:, :k]
        return score_pairs(datastore, queries, np.take_along_axis(ids, order, 1))
    return -np.sort(-score_pairs(datastore, queries, ids), axis=1)[:, :k]


def _score_error(
    datastore: Datastore,
    shards: Sequence[faiss.Index],
    queries: np.ndarray,
    own: np.ndarray | None,
    truth: Neighbours,
    k: int,
) -> ScoreError | None:
    lists = max((_lists(shard) for shard in shards), default=0)
    depth = max(datastore.manifest.index.rerank, 10)
    found = search_shards(shards, queries, depth, lists)
    exact = score_pairs(datastore, queries, found.ids)
    alone = _settings(datastore, shards, queries, own, (lists, 0), k)
    return score_error(found.scores, exact, float(hits_at(truth, alone, k).mean()))
