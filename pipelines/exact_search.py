"""The job beneath a validation: exact neighbours part by part, and every index shard examined."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.utils.shared import Shared
from pydantic import TypeAdapter

from index.exact import Neighbours, merge, nothing_found, search_part
from index.live import indexed_rows, removed_of
from index.opening import NORM_TOLERANCE
from index.report import ShardHealth
from index.shard_health import check_shard, searched_files
from pipelines.code_version import check_code, code_version
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import write_atomically
from tagmine.manifest import read_manifest

QUERIES = "queries.npy"
_FOUND = "exact.npz"
_ROWS = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class ExactJob:
    """What a worker needs.

    Attributes:
        root: the datastore's folder.
        scratch: folder with the queries, float32 [q, dim]; results are written there.
        k: how many neighbours.
        code: what the launcher runs, and the worker must, too.
    """

    root: str
    scratch: str
    k: int
    code: str = dataclasses.field(default_factory=code_version)


@dataclasses.dataclass(frozen=True, slots=True)
class Scan:
    """What was found in one part, or in several.

    Attributes:
        found: the exact neighbours of every query.
        problems: (part, what is wrong with its embeddings).
    """

    found: Neighbours
    problems: tuple[tuple[int, str], ...]


class MergeScans(beam.CombineFn):
    """Scans of several parts as one, in any order and grouping."""

    def __init__(self, k: int) -> None:
        self._k = k

    def create_accumulator(self) -> Scan | None:
        return None

    def add_input(self, accumulator: Scan | None, scan: Scan) -> Scan:
        return self.merge_accumulators([accumulator, scan])

    def merge_accumulators(self, accumulators: Iterable[Scan | None]) -> Scan | None:
        scans = [scan for scan in accumulators if scan is not None]
        if len(scans) < 2:
            return scans[0] if scans else None
        problems = [problem for scan in scans for problem in scan.problems]
        return Scan(merge([scan.found for scan in scans], self._k), tuple(sorted(problems)))

    def extract_output(self, accumulator: Scan | None) -> Scan | None:
        return accumulator


def build(root: beam.Pipeline, job: ExactJob, parts: list[int], shards: list[int]) -> None:
    """The pipeline: every part searched exactly and merged, every index shard examined."""
    (
        root
        | "List parts" >> beam.Create(parts)
        | "Spread parts" >> beam.Reshuffle()
        | "Search parts exactly" >> beam.Map(_scan, job, Shared())
        | "Merge neighbours" >> beam.CombineGlobally(MergeScans(job.k)).with_fanout(16)
        | "Write neighbours" >> beam.Map(_write_scan, job)
    )
    (
        root
        | "List index shards" >> beam.Create(shards)
        | "Spread index shards" >> beam.Reshuffle()
        | "Examine index shards" >> beam.Map(_examine, job, Shared())
    )


def _held(job: ExactJob, shared: Shared) -> _Held:
    # A manifest of many parts takes seconds to read.
    return shared.acquire(lambda: _Held(Path(job.root)))


class _Held:
    """Something that can be referred to weakly, as what is shared must be."""

    def __init__(self, root: Path) -> None:
        self.manifest = read_manifest(root)
        self.parts = {part.part: part for part in self.manifest.parts}
        self.removed = removed_of(root, self.manifest)


def _scan(number: int, job: ExactJob, shared: Shared) -> Scan:
    check_code(job.code)
    queries = np.load(Path(job.scratch) / QUERIES, mmap_mode="r")
    root = Path(job.root)
    held = _held(job, shared)
    card = held.parts[number]
    try:
        embeddings = open_embeddings(root / card.embeddings.path)
        kept = indexed_rows(root, card, held.removed)
    except DatastoreError as error:
        return Scan(nothing_found(len(queries), job.k), ((number, str(error)),))
    problem = norm_problem(embeddings.vectors)
    found = search_part(embeddings.vectors, embeddings.ids, kept, np.asarray(queries), job.k)
    named = f"{card.embeddings.path}: {problem}"
    return Scan(found, ((number, named),) if problem else ())


def norm_problem(vectors: np.ndarray) -> str | None:
    """What is wrong with the norms of float16 [n, dim], None where nothing is."""
    lowest, highest = np.inf, -np.inf
    for start in range(0, len(vectors), _ROWS):
        norms = np.linalg.norm(vectors[start : start + _ROWS].astype(np.float32), axis=1)
        if not np.isfinite(norms).all():
            return "its vectors hold values that are no numbers. Run tagmine embed again"
        lowest, highest = min(lowest, norms.min()), max(highest, norms.max())
    if lowest < 1 - NORM_TOLERANCE or highest > 1 + NORM_TOLERANCE:
        return (
            f"its vectors are not normalised: their norms are {lowest:.3f} to {highest:.3f}. Run "
            "tagmine embed again"
        )
    return None


def _write_scan(scan: Scan | None, job: ExactJob) -> None:
    queries = len(np.load(Path(job.scratch) / QUERIES, mmap_mode="r"))
    scan = scan or Scan(nothing_found(queries, job.k), ())
    buffer = io.BytesIO()
    problems = np.array([text for _, text in scan.problems], np.str_)
    np.savez(buffer, ids=scan.found.ids, scores=scan.found.scores, problems=problems)
    write_atomically(Path(job.scratch) / _FOUND, buffer.getvalue())


def _examine(number: int, job: ExactJob, shared: Shared) -> None:
    check_code(job.code)
    manifest = _held(job, shared).manifest
    health = check_shard(Path(job.root), manifest, searched_files(manifest)[number])
    write_atomically(_health_path(job, number), TypeAdapter(ShardHealth).dump_json(health))


def _health_path(job: ExactJob, number: int) -> Path:
    return Path(job.scratch) / f"shard-{number:05d}.json"


def read_results(
    job: ExactJob, shards: int
) -> tuple[Neighbours, tuple[str, ...], tuple[ShardHealth, ...]]:
    """What the job found: exact neighbours, problems of parts, health of each index shard."""
    with np.load(Path(job.scratch) / _FOUND, allow_pickle=False) as saved:
        found = Neighbours(saved["ids"], saved["scores"])
        problems = tuple(saved["problems"].tolist())
    paths = [_health_path(job, number) for number in range(shards)]
    health = TypeAdapter(ShardHealth)
    return found, problems, tuple(health.validate_json(path.read_bytes()) for path in paths)
