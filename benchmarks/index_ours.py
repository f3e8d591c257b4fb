"""The one place where the benchmarks touch the functions of `index`, and the processes around it.

    python -m benchmarks.index_ours build FOLDER KEY SHARD_VECTORS
    python -m benchmarks.index_ours search FOLDER QUERIES NPROBE DEPTH
    python -m benchmarks.index_ours open FOLDER

Each prints one JSON line.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.index_measure import AnonymousPeak, K, open_parts
from index.build import fill_shard, plan_shards, remove_other_shards
from index.files import open_index
from index.publish import assemble_manifest
from index.search import open_datastore
from index.shards import IndexShards
from index.spec import choose_spec
from index.training import train_index
from tagmine.layout import TRAINED_INDEX, index_shard_path
from tagmine.manifest import write_manifest
from tagmine.sources import read_sources


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """An index that was built, and the seconds of each step."""

    train: float
    fill: float
    index_bytes: int
    vectors: int


def chosen_key(count: int, dim: int, max_bytes: int) -> str:
    """The factory string that tagmine takes by itself."""
    return choose_spec(count, dim, max_bytes).index_key


def build(root: Path, index_key: str, shard_vectors: int) -> Built:
    """Train and fill anew, as `tagmine index` does, in this process."""
    shutil.rmtree(root / "index", ignore_errors=True)
    return fill(root, index_key, shard_vectors)


def fill(root: Path, index_key: str, shard_vectors: int) -> Built:
    """As `build`, with what is trained already."""
    rows = [(part.footer.part, len(part.ids)) for part in open_parts(root)]
    plans = plan_shards(rows, shard_vectors)
    started = time.perf_counter()
    train_index(root, [part for part, _ in rows], index_key)
    trained = time.perf_counter()
    for plan in plans:
        fill_shard(root, plan, index_key)
    remove_other_shards(root, plans)
    filled = time.perf_counter()
    size = sum((root / index_shard_path(plan.shard)).stat().st_size for plan in plans)
    return Built(trained - started, filled - trained, size, sum(count for _, count in rows))


def publish(root: Path, index_key: str, shard_vectors: int) -> None:
    """Make the folder a datastore that opens."""
    rows = [(part.footer.part, len(part.ids)) for part in open_parts(root)]
    plans = plan_shards(rows, shard_vectors)
    write_manifest(root, assemble_manifest(root, read_sources(root), plans, index_key))


def open_shards(root: Path) -> IndexShards:
    """The index shards alone, as an open datastore searches them."""
    return IndexShards(
        [open_index(path) for path in sorted((root / "index").glob("shard-*.faiss"))],
        open_index(root / TRAINED_INDEX),
    )


def _search(root: Path, queries: np.ndarray, nprobe: int, depth: int) -> dict:
    store = open_datastore(root)
    store.search(queries[:10], K, nprobe=nprobe, rerank=depth)
    started = time.perf_counter()
    found = [store.search(query[None], K, nprobe=nprobe, rerank=depth)[0] for query in queries]
    each = (time.perf_counter() - started) / len(queries)
    np.save(root / "found.npy", np.concatenate(found))
    return {"ms": each * 1e3}


def _open(root: Path) -> dict:
    started = time.perf_counter()
    store = open_datastore(root)
    return {"seconds": time.perf_counter() - started, "vectors": len(store)}


def main(argv: list[str]) -> int:
    """Run one step and print what it measured."""
    step, root = argv[0], Path(argv[1])
    if step == "build":
        with AnonymousPeak() as peak:
            built = build(root, argv[2], int(argv[3]))
        measured = {**dataclasses.asdict(built), "peak_anonymous": peak.bytes}
    elif step == "search":
        measured = _search(root, np.load(argv[2]), int(argv[3]), int(argv[4]))
    else:
        measured = _open(root)
    print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
