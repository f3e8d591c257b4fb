"""Memory and time of `tagmine remove` and `compact`, as a datastore grows.

    python -m benchmarks.take_out_memory [--counts 250000 1000000]

One image in a thousand is taken out, from every part. Each command runs in a process of its own;
its anonymous memory is what it holds, the peak counts mapped pages of files too. A part and an
index shard of up to a million vectors are in memory at a time, and the counting of tags takes up to
512 MB before it writes to disk. Beside compacting stands what refilling the index would take.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.index_data import Collection, write_collection
from benchmarks.index_measure import (
    AnonymousPeak,
    Cost,
    add_threads_flag,
    mebibytes,
    python_module,
    run_measured,
)

_ONE_IN = 1000


def measure(count: int, options: argparse.Namespace) -> dict:
    """What removing and compacting take in a datastore of so many images."""
    with tempfile.TemporaryDirectory(prefix="tagmine-bench-", dir=options.folder) as folder:
        root = Path(folder) / "store"
        write_collection(root, Collection("clip", count, options.dim))
        ours = python_module("benchmarks.index_ours", "build", root, options.key, 1 << 20)
        built, _ = run_measured(ours, options.threads)
        module = "benchmarks.take_out_memory"
        run_measured(python_module(module, "--step", "publish", root, options.key), options.threads)
        row = {"count": count, "build_cpu": built.cpu}
        for step in ("remove", "compact"):
            command = python_module(module, "--step", step, root, options.key)
            cost, done = run_measured(command, options.threads)
            row[step] = {**done, "peak": cost.peak_bytes, "wall": cost.wall, "cpu": cost.cpu}
            _print(count, step, cost, done)
    print(f"{count:>10,}  training and filling anew took {built.cpu:.0f} s of CPU", flush=True)
    return row


def _print(count: int, step: str, cost: Cost, done: dict) -> None:
    first = f", the first write after {done['first']:.1f} s" if "first" in done else ""
    print(
        f"{count:>10,}  {step:<8} peak {mebibytes(cost.peak_bytes)}, of it anonymous at most "
        f"{mebibytes(done['peak_anonymous'])}; {cost.wall:.0f} s, {cost.cpu:.0f} s of CPU{first}",
        flush=True,
    )


def _run_step(step: str, root: Path, index_key: str) -> dict:
    from benchmarks.index_ours import publish
    from index.compact import compact
    from index.take_out import take_out
    from tagmine.manifest import read_manifest
    from tagmine.requests import Request
    from tagmine.samples import SampleFields

    if step == "publish":
        publish(root, index_key, 1 << 20)
        return {}
    started = time.perf_counter()
    steps: dict[str, float] = {}
    report = lambda name: steps.setdefault(name, time.perf_counter() - started)  # noqa: E731
    with AnonymousPeak() as peak:
        if step == "remove":
            parts = [(part.part, part.tags.rows) for part in read_manifest(root).parts]
            ids = [(n << 32) + row for n, rows in parts for row in range(0, rows, _ONE_IN)]
            requests = [Request("id", str(row_id)) for row_id in ids]
            done = take_out(root, requests, SampleFields(), report)
            more = {"hidden": done.hidden, "first": steps["counting the tags again"]}
        else:
            more = {"samples": compact(root, report).samples}
    return {"peak_anonymous": peak.bytes, **more}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--key", default="IVF1024,PQ32x8", help="factory string, for every count")
    parser.add_argument("--folder", type=Path, help="where the datastores go for the time being")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    add_threads_flag(parser)
    options = parser.parse_args(argv)
    if options.step:
        step, root, key = options.step
        print(json.dumps(_run_step(step, Path(root), key)))
        return 0
    print(json.dumps([measure(count, options) for count in sorted(options.counts)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
