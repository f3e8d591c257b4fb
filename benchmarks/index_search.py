"""Sharded search against one monolithic faiss index, the cost of the re-rank, and of opening.

    python -m benchmarks.index_search [--count 1000000] [--key IVF4096,PQ32x8] [--threads 2]

The same vectors are filled from the same training once into several shards and once into one.
The one is read into memory and searched by plain faiss; the shards are memory-mapped, as an open
datastore's are. Both take turns on every batch, with the same nprobe and threads, and the median of
the batches' ratios counts. The re-rank is what a whole search of the datastore takes beyond what
the shards take for proposing the candidates. Opening is timed in processes of its own, with the
files in the page cache and imports done.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np

from benchmarks.index_data import Collection, write_collection
from benchmarks.index_measure import K, add_threads_flag, python_module, run_measured
from benchmarks.index_ours import build, fill, open_shards, publish
from index.search import open_datastore

_WARM_UP = 5
_TARGET = 1.1


def take_turns(searches: Sequence[Callable[[np.ndarray], object]], batches: list) -> np.ndarray:
    """Seconds [batches, searches, 2], wall and CPU of all threads.

    Each batch goes through all searches, and the first to go rotates.
    """
    seconds = np.zeros((len(batches), len(searches), 2))
    for row, batch in enumerate(batches):
        for step in range(len(searches)):
            number = (row + step) % len(searches)
            started = np.array([time.perf_counter(), time.process_time()])
            searches[number](batch)
            seconds[row, number] = [time.perf_counter(), time.process_time()] - started
    return seconds[min(_WARM_UP, len(batches) // 2) :]


def measure(
    root: Path, whole: faiss.Index, queries: np.ndarray, options: argparse.Namespace
) -> None:
    """Print times and ratios for single queries and for batches."""
    shards, store = open_shards(root), open_datastore(root)
    nprobe, depth = options.nprobe, options.depth
    faiss.extract_index_ivf(whole).nprobe = nprobe
    ours = np.sort(shards.propose(queries, depth, nprobe)[1], axis=1)
    theirs = np.sort(whole.search(queries, depth)[0], axis=1)
    print(f"largest difference of a score between both: {np.abs(ours - theirs).max():.2g}")
    searches = {
        f"one faiss index, {K} best": lambda batch: whole.search(batch, K),
        f"{len(shards.indexes)} shards, {K} best": lambda batch: shards.propose(batch, K, nprobe),
        f"one faiss index, {depth} best": lambda batch: whole.search(batch, depth),
        f"{len(shards.indexes)} shards, {depth} best": lambda batch: shards.propose(
            batch, depth, nprobe
        ),
        "datastore.search, re-ranked": lambda batch: store.search(
            batch, K, nprobe=nprobe, rerank=depth
        ),
    }
    for size in (1, 64):
        batches = [queries[at : at + size] for at in range(0, len(queries) - size + 1, size)]
        seconds = take_turns(list(searches.values()), batches)
        _print_batches(list(searches), seconds / size * 1e3, size, depth)


def _print_batches(names: Sequence[str], each: np.ndarray, size: int, depth: int) -> None:
    """Milliseconds a query, [batches, searches, wall and CPU], as text."""
    print(f"batches of {size}: milliseconds a query, of wall and of CPU")
    for name, (wall, cpu) in zip(names, np.median(each, axis=0), strict=True):
        print(f"  {name:<32}{wall:8.3f}{cpu:8.3f}")
    for label, ours, theirs in ((f"{K} best", 1, 0), (f"{depth} best", 3, 2)):
        wall, cpu = np.median(each[:, ours] / each[:, theirs], axis=0)
        verdict = "met" if wall <= _TARGET else "MISSED"
        print(f"  sharded over monolithic, {label}: {wall:.2f}, CPU {cpu:.2f} ({verdict}: 1.10)")
    wall, cpu = np.median(each[:, 4] - each[:, 3], axis=0)
    print(f"  the exact re-rank of {depth}: {wall:.3f}, CPU {cpu:.3f}")


def measure_opening(root: Path, threads: int) -> None:
    """Print how long opening the datastore takes."""
    command = python_module("benchmarks.index_ours", "open", root)
    opened = [run_measured(command, threads)[1] for _ in range(5)]
    seconds = statistics.median(each["seconds"] for each in opened)
    verdict = "met" if seconds <= 0.2 else "MISSED"
    print(f"opening {opened[0]['vectors']:,} vectors: {seconds:.3f} s ({verdict}: at most 0.2)")


def main(argv: Sequence[str] | None = None) -> int:
    """Build both, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--kind", choices=("clip", "faiss", "demo"), default="clip")
    parser.add_argument("--key", default="IVF512,PQ32x8", help="factory string")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--queries", type=int, default=640)
    parser.add_argument("--nprobe", type=int, default=64)
    parser.add_argument("--depth", type=int, default=200)
    add_threads_flag(parser)
    options = parser.parse_args(argv)
    faiss.omp_set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="tagmine-bench-") as folder:
        root = Path(folder)
        collection = Collection(options.kind, options.count, options.dim)
        write_collection(root, collection)
        build(root, options.key, options.count)
        whole = faiss.read_index(str(root / "index/shard-00000.faiss"))
        limit = -(-collection.parts // options.shards) * collection.part_rows
        fill(root, options.key, limit)
        publish(root, options.key, limit)
        print(f"{options.count:,} x {options.dim} {options.kind}, {options.key}, ", end="")
        print(f"nprobe {options.nprobe}, {options.threads} thread(s)")
        measure(root, whole, collection.queries(options.queries), options)
        measure_opening(root, options.threads)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
