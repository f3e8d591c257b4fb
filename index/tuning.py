"""The cheapest search that reaches a recall: how many lists to visit, how many to score exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq

from index.exact import leave_out, merge, nothing_found, search_part
from index.rescoring import exact_scores
from index.search import Datastore
from index.shards import IndexShards, inverted_lists_of, list_sizes, transform
from index.training import trained_ids
from tagmine.layout import rejects_path
from tagmine.manifest import TuningCard

QUERIES = 1000
# Fewer queries than this measure a recall too roughly to choose a setting by.
LEAST_QUERIES = 200
_SEED = 20240610
_DEPTHS = (0, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
# Reading a row of the embeddings by its id takes so much longer than a byte of a code in a list.
_ROW_COST = 2.5
# Copies of one picture are equally right answers.
_SAME_SCORE = 1e-5


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One way to search, with what it reaches and costs.

    Attributes:
        nprobe: inverted lists that are visited, 0 in an index without any.
        rerank: candidates that are scored exactly, 0 for none.
        recall: mean share of the true nearest that are found.
        cost: bytes of codes and embeddings that a query reads, the latter weighed as slower.
    """

    nprobe: int
    rerank: int
    recall: float
    cost: float


@dataclasses.dataclass(frozen=True, slots=True)
class Tuning:
    """What a sweep found: the setting to take, and its record for the manifest."""

    setting: Setting
    card: TuningCard

    @property
    def met(self) -> bool:
        return self.setting.recall >= self.card.goal


def tune(datastore: Datastore, goal: float, at: int, queries: int = QUERIES) -> Tuning:
    """The cheapest setting whose recall at `at` is the goal, or the best there is.

    Queries are images of the datastore, drawn uniformly and seeded, each of which is left out of
    its own answers and of the truth. They are images that the index was not trained on, as long as
    there are at least `LEAST_QUERIES` of those; else of all. Cost is counted and not timed, so
    that the same datastore gets the same setting on every machine.

    Args:
        datastore: with its index finished.
        goal: wanted mean share of the true `at` nearest that are found, in (0, 1].
        at: how many nearest.
        queries: how many images to ask for.
    """
    ids, held_out = _draw(datastore, queries)
    vectors = _vectors(datastore, ids)
    at = min(at, len(datastore) - 1)
    truth = _kth_scores(datastore, ids, vectors, at)
    best: Setting | None = None
    for setting in _sweep(datastore, ids, vectors, truth, at):
        if best is not None and best.recall >= goal and setting.cost >= best.cost:
            # Costs ascend with nprobe, and within it with depth.
            if setting.rerank == 0:
                break
            continue
        if best is None or _better(setting, best, goal):
            best = setting
    card = TuningCard(goal, at, round(best.recall, 6), len(ids), held_out)
    return Tuning(best, card)


def _better(setting: Setting, best: Setting, goal: float) -> bool:
    if min(setting.recall, best.recall) >= goal:
        return setting.cost < best.cost
    return setting.recall > best.recall


def _draw(datastore: Datastore, count: int) -> tuple[np.ndarray, bool]:
    """Ids int64 [q] of images in the index, and whether it was trained on none of them."""
    ids = np.concatenate([_held(datastore, card.part) for card in datastore.manifest.parts])
    trained = trained_ids(datastore.root)
    others = np.setdiff1d(ids, ids if trained is None else trained, assume_unique=True)
    held_out = len(others) >= min(count, LEAST_QUERIES, len(ids))
    ids = others if held_out else ids
    rng = np.random.default_rng(_SEED)
    return np.sort(rng.choice(ids, min(count, len(ids)), replace=False)), held_out


def _vectors(datastore: Datastore, ids: np.ndarray) -> np.ndarray:
    """The embeddings of images, float32 [q, dim], unit norm."""
    vectors = np.empty((len(ids), datastore.manifest.index.dim), np.float32)
    for part in np.unique(ids >> 32).tolist():
        chosen = np.flatnonzero(ids >> 32 == part)
        opened = datastore.embeddings(part)
        vectors[chosen] = opened.vectors[opened.rows_of(ids[chosen])]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _kth_scores(datastore: Datastore, ids: np.ndarray, vectors: np.ndarray, at: int) -> np.ndarray:
    """For each query, float32 [q], the exact score of its `at`-th nearest other image."""
    found = nothing_found(len(ids), at + 1)
    for card in datastore.manifest.parts:
        part = datastore.embeddings(card.part)
        kept = np.isin(part.ids, _held(datastore, card.part), assume_unique=True)
        found = merge([found, search_part(part.vectors, part.ids, kept, vectors, at + 1)], at + 1)
    return leave_out(found, ids, at).scores[:, -1]


def _held(datastore: Datastore, part: int) -> np.ndarray:
    """Ids int64 [n] of a part's images that are in the index."""
    path = datastore.root / rejects_path("index", part)
    left_out = pq.read_table(path, columns=["id"]).column("id").to_numpy()
    held = np.setdiff1d(datastore.embeddings(part).ids, left_out, assume_unique=True)
    return held[~datastore.removed.hides(held)]


def _sweep(
    datastore: Datastore, ids: np.ndarray, vectors: np.ndarray, truth: np.ndarray, at: int
) -> Iterator[Setting]:
    """Every setting, by lists visited and then by depth, so in order of cost."""
    shards = datastore.index_shards
    code_bytes, scanned = _scan_costs(shards, vectors)
    depths = [d for d in _DEPTHS if d == 0 or at <= d < 2 * len(datastore)]
    # One more, since each query finds itself.
    deepest = min(max(*depths, at) + 1, len(datastore))
    for nprobe, codes in scanned:
        found, own = shards.propose(vectors, deepest, nprobe)
        found = np.where((found == ids[:, None]) | datastore.removed.hides(found), -1, found)
        order = np.argsort(found < 0, axis=1, kind="stable")
        found = np.take_along_axis(found, order, axis=1)
        exact = exact_scores(datastore.embeddings, vectors, found)
        right = exact >= truth[:, None] - _SAME_SCORE
        for depth in depths:
            kept = right[:, : depth or at].sum(axis=1)
            recall = float(np.minimum(kept, at).mean() / at)
            read = depth * vectors.shape[1] * 2 * _ROW_COST
            yield Setting(nprobe, depth, recall, codes * code_bytes + read)


def _scan_costs(shards: IndexShards, vectors: np.ndarray) -> tuple[int, list[tuple[int, float]]]:
    """Bytes of a code; and for each nprobe worth trying, how many codes a query meets."""
    if not shards.nlist:
        # What a search visits is the graph's or the exact scan's own affair, and always the same.
        return 1, [(0, 0.0)]
    sizes = sum(list_sizes(index) for index in shards.indexes)
    turned = transform(shards.indexes[0], vectors)
    steps = [1 << n for n in range(shards.nlist.bit_length()) if 1 << n < shards.nlist]
    _, near = shards.quantizer.search(turned, shards.nlist)
    met = np.where(near >= 0, sizes[near], 0).cumsum(axis=1).mean(axis=0)
    return inverted_lists_of(shards.indexes[0]).code_size, [
        (n, float(met[n - 1])) for n in [*steps, shards.nlist]
    ]
