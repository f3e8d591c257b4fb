"""Plain faiss, as most people write it: everything in memory, train on a sample, add, write.

python -m benchmarks.index_plain FOLDER KEY OUT
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np

from benchmarks.index_measure import open_parts

_POINTS_A_CENTROID = 39


def main(argv: list[str]) -> int:
    """Build one index of everything and print the seconds."""
    root, key, out = Path(argv[0]), argv[1], argv[2]
    parts = open_parts(root)
    started = time.perf_counter()
    vectors = np.concatenate([part.vectors.astype(np.float32) for part in parts])
    ids = np.concatenate([part.ids for part in parts])
    index = faiss.index_factory(vectors.shape[1], key, faiss.METRIC_INNER_PRODUCT)
    lists = faiss.extract_index_ivf(index).nlist
    chosen = np.random.default_rng(0).permutation(len(vectors))[
        : max(lists, 256) * _POINTS_A_CENTROID
    ]
    index.train(vectors[np.sort(chosen)])
    trained = time.perf_counter()
    index.add_with_ids(vectors, ids)
    faiss.write_index(index, out)
    filled = time.perf_counter()
    print(json.dumps({"train": trained - started, "fill": filled - trained}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
