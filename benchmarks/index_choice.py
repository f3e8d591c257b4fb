"""Which index to take: quantizers side by side, on the same lists and the same sample.

    python -m benchmarks.index_choice [--kind clip|faiss|demo] [--count 200000] [--keys "A B"]

The coarse centroids are trained once, and each index starts from them (turned by its own rotation,
where it has one), so that the rows differ by nothing but the codes. A build is the coarse training,
the training of the codes and the filling, in seconds of CPU. Rows with HNSW are filled and searched
through a graph over the same centroids. Everything is one process and plain faiss.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np

from benchmarks.index_data import Collection
from benchmarks.index_measure import K, Recall, add_threads_flag, recall_of

KEYS = (
    "{ivf},PQ32x8",
    "{ivf},PQ32x8+hnsw",
    "OPQ32,{ivf},PQ32x8",
    "{ivf},PQ64x4fs",
    "PCAR192,{ivf},RaBitQ",
    "PCAR64,{ivf},SQ4",
    "{ivf},PQ64x8",
    "{ivf},RaBitQ",
    "RR,{ivf},RaBitQ",
    "{ivf},RaBitQ2",
    "{ivf},RaBitQ4",
    "{ivf},SQ4",
    "{ivf},SQ8",
    "{ivf},Flat",
)
"""From few bytes to many."""
_POINTS_A_CENTROID = 39
_TRAIN_SEED = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Base:
    """The vectors, the questions and the answers.

    Attributes:
        vectors: float16 [n, dim].
        queries: float32 [q, dim], held out.
        true: rows int64 [q, 5] of the nearest.
        sample: float32 [s, dim], a uniform sample.
        centroids: float32 [nlist, dim].
        coarse_seconds: CPU seconds that training the centroids took.
    """

    vectors: np.ndarray
    queries: np.ndarray
    true: np.ndarray
    sample: np.ndarray
    centroids: np.ndarray
    coarse_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """A row of the table; times are seconds of CPU, or milliseconds a query.

    Attributes:
        key: factory string; "+hnsw" where the centroids are in a graph.
        code_bytes: bytes of a code, without its id of 8 bytes.
        train, fill: CPU seconds.
        bare, reranked: recall of the index alone and after exact scoring of the candidates.
        bare_ms: wall milliseconds a query for the five best.
        deep_ms: the same for as many candidates as are re-ranked.
    """

    key: str
    code_bytes: int
    train: float
    fill: float
    bare: Recall
    reranked: Recall
    bare_ms: float
    deep_ms: float


def prepare(collection: Collection, lists: int, query_count: int) -> Base:
    """Make the vectors, find the true neighbours, train the centroids."""
    parts = [collection.part(number) for number in range(collection.parts)]
    vectors = np.concatenate(parts)
    queries = collection.queries(query_count)
    true = _true_rows(vectors, queries)
    size = min(len(vectors), max(lists, 256) * _POINTS_A_CENTROID)
    rows = np.random.default_rng(_TRAIN_SEED).choice(len(vectors), size, replace=False)
    sample = vectors[np.sort(rows)].astype(np.float32)
    started = time.process_time()
    clustering = faiss.Kmeans(sample.shape[1], lists, niter=10, spherical=True, seed=_TRAIN_SEED)
    clustering.train(sample)
    seconds = time.process_time() - started
    return Base(vectors, queries, true, sample, clustering.centroids.copy(), seconds)


def _true_rows(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    heap = faiss.ResultHeap(len(queries), K, keep_max=True)
    block = 1 << 16
    for start in range(0, len(vectors), block):
        piece = vectors[start : start + block].astype(np.float32)
        scores, rows = faiss.knn(queries, piece, K, faiss.METRIC_INNER_PRODUCT)
        heap.add_result(scores, rows + start)
    heap.finalize()
    return heap.I


def measure(base: Base, key: str, nprobe: int, depth: int) -> Choice:
    """Build one index from the common centroids, and search it with and without a re-rank."""
    started = time.process_time()
    index = _train(base, key)
    trained = time.process_time()
    block = 1 << 16
    for start in range(0, len(base.vectors), block):
        index.add(base.vectors[start : start + block].astype(np.float32))
    filled = time.process_time()
    inverted = faiss.extract_index_ivf(index)
    inverted.nprobe = nprobe
    found, bare_ms = _ask(index, base.queries, K)
    deep, deep_ms = _ask(index, base.queries, depth)
    again = _rerank(base, deep)
    return Choice(
        key,
        inverted.code_size,
        base.coarse_seconds + trained - started,
        filled - trained,
        recall_of(found, base.true),
        recall_of(again, base.true),
        bare_ms,
        deep_ms,
    )


def _train(base: Base, key: str) -> faiss.Index:
    factory, _, graph = key.partition("+")
    index = faiss.index_factory(base.vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    inverted = faiss.downcast_index(faiss.extract_index_ivf(index))
    sample, centroids = base.sample, base.centroids
    if isinstance(index, faiss.IndexPreTransform):
        chain = faiss.downcast_VectorTransform(index.chain.at(0))
        chain.train(sample)
        sample, centroids = chain.apply(sample), chain.apply(centroids)
    if graph:
        quantizer = faiss.IndexHNSWFlat(centroids.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        quantizer.hnsw.efSearch = 128
        inverted.own_fields = False
        inverted.quantizer = quantizer
        quantizer.this.disown()
        inverted.own_fields = True
    if hasattr(inverted, "do_polysemous_training"):
        # It orders codes for a filter by Hamming distance that nobody asks for here, and takes
        # two seconds of CPU for every byte of code, most of the training.
        inverted.do_polysemous_training = False
    inverted.quantizer.add(centroids)
    inverted.train(sample)
    index.is_trained = True
    return index


def _ask(index: faiss.Index, queries: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    index.search(queries[:10], k)
    started = time.perf_counter()
    found = [index.search(query[None], k)[1] for query in queries]
    return np.concatenate(found), (time.perf_counter() - started) / len(queries) * 1e3


def _rerank(base: Base, candidates: np.ndarray) -> np.ndarray:
    found = np.full((len(candidates), K), -1, np.int64)
    for row, (query, rows) in enumerate(zip(base.queries, candidates, strict=True)):
        rows = rows[rows >= 0]
        best = np.argsort(-(base.vectors[rows].astype(np.float32) @ query), kind="stable")[:K]
        found[row, : len(best)] = rows[best]
    return found


def table(choices: Sequence[Choice]) -> Iterator[str]:
    """The lines of the report, in Markdown."""
    yield (
        "| index | code bytes | train CPU s | fill CPU s | overlap | 1-recall@5 | ms "
        "| overlap, re-ranked | 1-recall@5 | ms before the re-rank |"
    )
    yield "|---|" + "--:|" * 9
    for row in choices:
        yield (
            f"| `{row.key}` | {row.code_bytes} | {row.train:.1f} | {row.fill:.1f} "
            f"| {row.bare.overlap:.3f} | {row.bare.one:.3f} | {row.bare_ms:.2f} "
            f"| {row.reranked.overlap:.3f} | {row.reranked.one:.3f} | {row.deep_ms:.2f} |"
        )


def sweep_effort(base: Base, key: str) -> Iterator[str]:
    """Overlap of the five over lists visited and candidates re-ranked, of one index."""
    index = _train(base, key)
    index.add(base.vectors.astype(np.float32))
    depths = (5, 50, 100, 200, 400, 800, 1600)
    yield f"| {key}: nprobe | ms | " + " | ".join(f"re-rank {d}" for d in depths) + " |"
    yield "|--:|--:|" + "--:|" * len(depths)
    lists = faiss.extract_index_ivf(index)
    for nprobe in (1, 4, 16, 64, 256):
        lists.nprobe = min(nprobe, lists.nlist)
        deep, each = _ask(index, base.queries, depths[-1])
        scores = [recall_of(_rerank(base, deep[:, :d]), base.true).overlap for d in depths]
        yield f"| {lists.nprobe} | {each:.2f} | " + " | ".join(f"{s:.3f}" for s in scores) + " |"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--kind", choices=("clip", "faiss", "demo"), default="clip")
    parser.add_argument("--lists", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--nprobe", type=int, default=128)
    parser.add_argument("--depth", type=int, default=200, help="candidates that are re-ranked")
    parser.add_argument("--keys", help="factory strings, separated by blanks; {ivf} is the lists")
    parser.add_argument("--effort", help="also sweep nprobe and depth of this factory string")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    add_threads_flag(parser)
    options = parser.parse_args(argv)
    faiss.omp_set_num_threads(options.threads)
    base = prepare(
        Collection(options.kind, options.count, options.dim), options.lists, options.queries
    )
    ivf = f"IVF{options.lists}"
    keys = options.keys.split() if options.keys else KEYS
    choices = []
    print(
        f"{options.count:,} x {options.dim} {options.kind}, nprobe {options.nprobe}, re-rank ",
        end="",
    )
    print(
        f"{options.depth}, {options.threads} thread(s); coarse training {base.coarse_seconds:.1f} s"
    )
    for line in table([]):
        print(line)
    for key in keys:
        choices.append(measure(base, key.format(ivf=ivf), options.nprobe, options.depth))
        print(list(table(choices))[-1], flush=True)
    if options.effort:
        print("\n".join(sweep_effort(base, options.effort.format(ivf=ivf))))
    if options.json:
        rows = [dataclasses.asdict(choice) for choice in choices]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
