"""Peak memory of building an index, as the vectors grow: bounded by the sample and one part.

    python -m benchmarks.index_memory [--counts 250000 1000000 4000000]

Training reads a sample of bounded size and filling reads part after part, so what a build adds to
the bare program is that sample and the codes of one index shard, whatever the total. Every step is
a process of its own. The lists and the sample are the same for every count; a larger index would
have more lists, and its sample grows with them (256 vectors a list at most), not with the vectors.
The embeddings are mapped, not read: the kernel may show pages of them as resident that it can drop
at once, so the anonymous memory is shown beside the peak.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.index_data import Collection, write_collection
from benchmarks.index_measure import add_threads_flag, mebibytes, python_module, run_measured


def measure(counts: Sequence[int], options: argparse.Namespace) -> list[dict]:
    """Peaks of a build at each count, smallest first."""
    rows = []
    for count in sorted(counts):
        with tempfile.TemporaryDirectory(prefix="tagmine-bench-", dir=options.folder) as folder:
            needed = count * options.dim * 2 * 1.2
            free = shutil.disk_usage(folder).free
            if free < needed:
                print(f"{count:,}: left out, {mebibytes(needed)} needed, {mebibytes(free)} free")
                continue
            root = Path(folder)
            write_collection(root, Collection("clip", count, options.dim))
            step = [root, options.key, options.shard_vectors]
            command = python_module("benchmarks.index_ours", "build", *step)
            cost, built = run_measured(command, options.threads)
        row = {"count": count, "peak": cost.peak_bytes, "anonymous": built["peak_anonymous"]}
        rows.append({**row, "wall": cost.wall, "cpu": cost.cpu})
        print(
            f"{count:>10,}  peak {mebibytes(row['peak'])}, of it anonymous at most "
            f"{mebibytes(row['anonymous'])}; embeddings {mebibytes(count * options.dim * 2)}; "
            f"{cost.wall:.0f} s, {cost.cpu:.0f} s of CPU",
            flush=True,
        )
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--key", default="IVF256,RaBitQ", help="factory string, the same for all")
    parser.add_argument("--shard-vectors", type=int, default=1 << 20, help="as tagmine's own")
    parser.add_argument("--folder", type=Path, help="where the vectors go for the time being")
    add_threads_flag(parser)
    rows = measure((options := parser.parse_args(argv)).counts, options)
    if len(rows) > 1:
        growth = (rows[-1]["anonymous"] - rows[0]["anonymous"]) / (
            rows[-1]["count"] - rows[0]["count"]
        )
        print(
            f"anonymous memory grows by {growth:.0f} bytes a vector; a vector has {options.dim * 2}"
        )
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
