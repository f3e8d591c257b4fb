"""Building an index: ours against autofaiss 2.18 and plain faiss, on the same vectors.

    python -m benchmarks.index_build [--count 1000000] [--kind clip|faiss|demo] [--threads 2]

Each build and each search is a process of its own. Ours and plain faiss are built before autofaiss
and after it, so that a machine that slows down hits all; the medians count. autofaiss chooses its
index itself, under the same limit of memory as ours, and is searched as it tuned itself; that
deepens no list of candidates, so its own candidates are also re-ranked, for fairness. Queries are
held out, one at a time. Without autofaiss's environment its rows are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.autofaiss_env import DEFAULT_FOLDER, autofaiss_python
from benchmarks.index_data import PART_ROWS, Collection, write_collection
from benchmarks.index_measure import (
    Cost,
    K,
    Recall,
    add_threads_flag,
    open_parts,
    python_module,
    recall_of,
    rerank,
    run_measured,
    true_neighbours,
)
from benchmarks.index_ours import chosen_key, publish

_SHARD_VECTORS = 1 << 20


@dataclasses.dataclass(slots=True)
class Row:
    """A line of the table.

    Attributes:
        name: who built.
        key: factory string.
        builds: cost of each build.
        index_bytes: size of the index files.
        bare: recall and milliseconds a query of the index alone.
        reranked: the same after exact scoring of the candidates.
    """

    name: str
    key: str
    builds: list[Cost] = dataclasses.field(default_factory=list)
    index_bytes: int = 0
    bare: tuple[Recall, float] | None = None
    reranked: tuple[Recall, float] | None = None

    @property
    def wall(self) -> float:
        return statistics.median(cost.wall for cost in self.builds)

    @property
    def cpu(self) -> float:
        return statistics.median(cost.cpu for cost in self.builds)


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """What all rows share."""

    root: Path
    scratch: Path
    collection: Collection
    queries: np.ndarray
    true: np.ndarray
    options: argparse.Namespace


def measure(bench: Bench, keys: Sequence[str]) -> list[Row]:
    """Build and search everything."""
    ours = [Row("tagmine", key) for key in keys]
    plain = Row("plain faiss", keys[0])
    others = [plain]
    python = None if bench.options.no_autofaiss else autofaiss_python(bench.options.autofaiss_env)
    for turn in range(2 if python else bench.options.repeats):
        for row in ours:
            _build_ours(bench, row)
            if turn == 0:
                _search_ours(bench, row)
        _build_plain(bench, plain)
        if turn == 0 and python:
            others.append(_autofaiss(bench, str(python)))
    return [*ours, *others]


def _build_ours(bench: Bench, row: Row) -> None:
    command = python_module("benchmarks.index_ours", "build", bench.root, row.key, _SHARD_VECTORS)
    cost, built = run_measured(command, bench.options.threads)
    row.builds.append(cost)
    row.index_bytes = built["index_bytes"]
    _say(row.name, row.key, cost)


def _search_ours(bench: Bench, row: Row) -> None:
    publish(bench.root, row.key, _SHARD_VECTORS)
    np.save(bench.scratch / "queries.npy", bench.queries)
    for depth in (0, bench.options.depth):
        arguments = [bench.root, bench.scratch / "queries.npy", bench.options.nprobe, depth]
        command = python_module("benchmarks.index_ours", "search", *arguments)
        _, searched = run_measured(command, bench.options.threads)
        found = np.load(bench.root / "found.npy")
        result = recall_of(found, bench.true), searched["ms"]
        if depth:
            row.reranked = result
        else:
            row.bare = result


def _build_plain(bench: Bench, row: Row) -> None:
    out = bench.scratch / "plain.faiss"
    command = python_module("benchmarks.index_plain", bench.root, row.key, out)
    cost, _ = run_measured(command, bench.options.threads)
    row.builds.append(cost)
    row.index_bytes = out.stat().st_size
    _say(row.name, row.key, cost)


def _autofaiss(bench: Bench, python: str) -> Row:
    vectors, out = bench.scratch / "npy", bench.scratch / "autofaiss"
    _export(bench.root, vectors)
    out.mkdir()
    np.save(bench.scratch / "queries.npy", bench.queries)
    script = Path(__file__).with_name("autofaiss_child.py")
    allowed = bench.options.bytes_a_vector * bench.collection.count
    threads = bench.options.threads
    command = [python, script, "build", vectors, out, f"{allowed}B", threads]
    cost, built = run_measured(command, threads)
    row = Row("autofaiss 2.18", built["index_key"], [cost], (out / "knn.index").stat().st_size)
    _say(row.name, f"{row.key} {built['params']}", cost)
    asked = [bench.scratch / "queries.npy", bench.options.depth, threads]
    _, searched = run_measured([python, script, "search", vectors, out, *asked], threads)
    found = _ids_of_rows(np.load(out / "found.npy"))
    deep = _ids_of_rows(np.load(out / "deep.npy"))
    row.bare = recall_of(found, bench.true), searched["ms"]
    again = rerank(open_parts(bench.root), bench.queries, deep)
    # The re-rank itself is not timed here: only what proposing more candidates costs.
    row.reranked = recall_of(again, bench.true), searched["deep_ms"]
    return row


def _export(root: Path, folder: Path) -> None:
    folder.mkdir()
    for part in open_parts(root):
        np.save(folder / f"{part.footer.part:05d}.npy", part.vectors.astype(np.float32))


def _ids_of_rows(rows: np.ndarray) -> np.ndarray:
    """autofaiss numbers vectors in the order of the files."""
    ids = (rows // PART_ROWS << 32) + rows % PART_ROWS
    return np.where(rows < 0, -1, ids)


def _say(name: str, key: str, cost: Cost) -> None:
    print(f"  built {name} {key}: {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU", flush=True)


def table(rows: Sequence[Row], count: int) -> Iterator[str]:
    """The lines of the report."""
    yield (
        f"{'':<15}{'index':<32}{'wall s':>8}{'CPU s':>8}{'RSS MiB':>9}{'B/vec':>7}"
        f"{'overlap':>9}{'1@5':>7}{'ms':>7}{'re-ranked':>11}{'1@5':>7}{'ms':>7}"
    )
    for row in rows:
        peak = max(cost.peak_bytes for cost in row.builds) / 2**20
        line = f"{row.name:<15}{row.key[:31]:<32}{row.wall:>8.1f}{row.cpu:>8.1f}{peak:>9.0f}"
        line += f"{row.index_bytes / count:>7.1f}"
        for width, result in ((9, row.bare), (11, row.reranked)):
            if result:
                recall, each = result
                line += f"{recall.overlap:>{width}.3f}{recall.one:>7.3f}{each:>7.2f}"
        yield line


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """Each target of ours, with what was measured."""
    ours = [row for row in rows if row.name == "tagmine"]
    short = next(row for row in ours if "PQ32x8" in row.key)
    overlap = short.reranked[0].overlap
    yield f"{_met(overlap >= 0.99)} overlap {overlap:.3f} >= 0.99 re-ranked, with 32 bytes of code"
    theirs = [row for row in rows if row.name.startswith("autofaiss")]
    if not theirs:
        yield "autofaiss was not measured"
        return
    fastest = min(ours, key=lambda row: row.cpu)
    for row, target in ((short, 5), (fastest, 20)):
        ratio = theirs[0].wall / row.wall
        cpu = theirs[0].cpu / row.cpu
        yield f"{_met(ratio >= target)} {row.key}: autofaiss takes {ratio:.1f}x (CPU {cpu:.1f}x)"
        better = row.reranked[0].overlap, theirs[0].bare[0].overlap
        yield f"{_met(better[0] > better[1])} {row.key}: overlap {better[0]:.3f} > {better[1]:.3f}"


def _met(yes: bool) -> str:
    return "met   " if yes else "MISSED"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--kind", choices=("clip", "faiss", "demo"), default="clip")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--nprobe", type=int, default=64)
    parser.add_argument("--depth", type=int, default=800, help="candidates that are re-ranked")
    parser.add_argument("--bytes-a-vector", type=int, default=100, help="memory allowed to both")
    parser.add_argument("--keys", help="factory strings, separated by blanks; one with PQ32x8")
    parser.add_argument("--repeats", type=int, default=1, help="builds, when without autofaiss")
    parser.add_argument("--no-autofaiss", action="store_true")
    parser.add_argument("--autofaiss-env", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    add_threads_flag(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table and the verdicts."""
    options = _parser().parse_args(argv)
    collection = Collection(options.kind, options.count, options.dim)
    with tempfile.TemporaryDirectory(prefix="tagmine-bench-") as folder:
        root = Path(folder, "store")
        write_collection(root, collection)
        queries = collection.queries(options.queries)
        true = true_neighbours(root, queries, K)
        bench = Bench(root, Path(folder), collection, queries, true, options)
        rows = measure(bench, _keys(options))
    lines = [*table(rows, options.count), *verdicts(rows)]
    print(f"\n{options.count:,} x {options.dim} {options.kind}, {options.threads} thread(s)")
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
    return 0


def _keys(options: argparse.Namespace) -> list[str]:
    """What tagmine takes by itself, the 32 bytes of the target, and the fastest to build."""
    if options.keys:
        return options.keys.split()
    own = chosen_key(options.count, options.dim, options.bytes_a_vector * options.count)
    lists = next((word for word in own.split(",") if word.startswith("IVF")), "IVF64")
    short = [] if "PQ32x8" in own else [f"{lists},PQ32x8"]
    return [own, *short, f"{lists.partition('_')[0]},RaBitQ"]


if __name__ == "__main__":
    raise SystemExit(main())
