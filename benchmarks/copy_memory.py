"""Memory and time of `tagmine merge` and `subset`, as datastores grow.

    python -m benchmarks.copy_memory [--counts 250000 1000000]

Two datastores of half of the images each are merged, and a tenth of the merge is cut out of it;
both train and fill an index and verify. Each command runs in a process of its own; its anonymous
memory is what it holds, the peak counts mapped pages of files too. A part and an index shard of up
to a million vectors are in memory at a time, the training sample as much as `--training` says, and
the counting of tags takes up to 512 MB before it writes to disk.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.index_data import Collection
from benchmarks.index_folder import FolderPart, finish_folder, write_part
from benchmarks.index_measure import (
    AnonymousPeak,
    Cost,
    add_threads_flag,
    mebibytes,
    python_module,
    run_measured,
)

_SHARD_VECTORS = 1 << 20
_INPUT_KEY = "IVF64,SQ8"


def write_halves(folder: Path, collection: Collection) -> list[Path]:
    """Two datastores with the first and the second half of a collection's parts."""
    from benchmarks.index_ours import build, publish

    middle = collection.parts // 2
    roots = []
    for name, numbers in (("one", range(middle)), ("two", range(middle, collection.parts))):
        root, parts = folder / name, []
        for number in numbers:
            vectors = collection.part(number)
            parts.append(FolderPart(number, len(vectors)))
            write_part(root, parts[-1], vectors)
        finish_folder(root, parts, collection.dim)
        build(root, _INPUT_KEY, _SHARD_VECTORS)
        publish(root, _INPUT_KEY, _SHARD_VECTORS)
        roots.append(root)
    return roots


def measure(count: int, options: argparse.Namespace) -> dict:
    """What merging and cutting take for so many images."""
    found: dict = {"count": count}
    with tempfile.TemporaryDirectory(prefix="tagmine-bench-", dir=options.folder) as folder:
        one, two = write_halves(Path(folder), Collection("clip", count, options.dim))
        both, tenth = Path(folder) / "both", Path(folder) / "tenth"
        index = ["--index-key", options.key, "--max-training-memory", options.training]
        commands = {
            "merge": ["merge", one, two, "--out", both, *index],
            "subset": ["subset", both, "--where", "hash(key) % 10 = 0", "--out", tenth, *index],
        }
        for name, words in commands.items():
            line = json.dumps([str(word) for word in words])
            command = python_module("benchmarks.copy_memory", "--step", line)
            cost, done = run_measured(command, options.threads)
            peak = {"peak": cost.peak_bytes, "wall": cost.wall, "cpu": cost.cpu}
            found[name] = {**done, **peak}
            _print(count, name, cost, done)
    return found


def _print(count: int, name: str, cost: Cost, done: dict) -> None:
    print(
        f"{count:>10,}  {name:<6}  {done['images']:,} images: peak {mebibytes(cost.peak_bytes)}, "
        f"of it anonymous at most {mebibytes(done['peak_anonymous'])}; {cost.wall:.0f} s, "
        f"{cost.cpu:.0f} s of CPU",
        flush=True,
    )


def _run_step(words: list[str]) -> dict:
    from pipelines.main import main as tagmine
    from tagmine.manifest import read_manifest

    with AnonymousPeak() as peak:
        status = tagmine(words)
    if status:
        raise SystemExit(status)
    images = read_manifest(Path(words[words.index("--out") + 1])).images
    return {"peak_anonymous": peak.bytes, "images": images}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--key", default="IVF256,PQ32x8", help="factory string, for every count")
    parser.add_argument("--training", default="256M", help="what training may take in memory")
    parser.add_argument("--folder", type=Path, help="where the datastores go for the time being")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    add_threads_flag(parser)
    options = parser.parse_args(argv)
    if options.step:
        print(json.dumps(_run_step(json.loads(options.step))))
        return 0
    print(json.dumps([measure(count, options) for count in sorted(options.counts)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
