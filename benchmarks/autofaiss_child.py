"""What runs in autofaiss's environment: build an index, or search one. Imports nothing of ours.

    python autofaiss_child.py build VECTORS OUT BYTES THREADS
    python autofaiss_child.py search VECTORS OUT QUERIES DEPTH THREADS

VECTORS is a folder of .npy files. Writes OUT/knn.index, OUT/found.npy and OUT/deep.npy, and
prints one JSON line.
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np


def build(vectors: str, out: str, memory: str, threads: str) -> dict:
    from autofaiss import build_index

    started = time.perf_counter()
    index, _ = build_index(
        vectors,
        index_path=f"{out}/knn.index",
        index_infos_path=f"{out}/infos.json",
        metric_type="ip",
        max_index_memory_usage=memory,
        current_memory_available="8G",
        nb_cores=int(threads),
        verbose=30,
    )
    seconds = time.perf_counter() - started
    if index is None:
        raise SystemExit("autofaiss built nothing; see its messages above")
    infos = json.loads(Path(out, "infos.json").read_text())
    return {"seconds": seconds, "index_key": infos["index_key"], "params": infos["index_param"]}


def search(vectors: str, out: str, queries: str, depth: str, threads: str) -> dict:
    """As it was built and tuned, one query after the other; then deeper, for a re-rank."""
    faiss.omp_set_num_threads(int(threads))
    index = faiss.read_index(f"{out}/knn.index")
    asked = np.load(queries)
    index.search(asked[:10], 5)
    started = time.perf_counter()
    found = np.concatenate([index.search(query[None], 5)[1] for query in asked])
    each = (time.perf_counter() - started) / len(asked)
    np.save(f"{out}/found.npy", found)
    started = time.perf_counter()
    deep = np.concatenate([index.search(query[None], int(depth))[1] for query in asked])
    deep_each = (time.perf_counter() - started) / len(asked)
    np.save(f"{out}/deep.npy", deep)
    return {"ms": each * 1e3, "deep_ms": deep_each * 1e3}


if __name__ == "__main__":
    measured = {"build": build, "search": search}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(measured))
