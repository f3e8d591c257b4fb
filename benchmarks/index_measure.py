"""What the index benchmarks measure with: true neighbours, recall, and the cost of a process."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from tagmine.embeddings import EmbeddingsPart, open_embeddings
from tagmine.layout import part_of

K = 5
"""Neighbours that count: TUNA takes the tags of five."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What a process took.

    Attributes:
        wall: seconds from its start to its end.
        cpu: seconds of processor time, in it and in those it waited for.
        peak_bytes: its largest resident set, mapped pages of files among it. Linux only.
    """

    wall: float
    cpu: float
    peak_bytes: int


def run_measured(command: Sequence[object], threads: int) -> tuple[Cost, dict]:
    """Run a command to its end with so many threads; its cost, and the JSON of its last line.

    Raises:
        RuntimeError: with the end of its messages, when it fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [str(word) for word in command]
    with tempfile.TemporaryFile() as messages, tempfile.TemporaryFile() as answer:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=answer, stderr=messages, env=environment)
        peak, ended = 0, 0
        while not ended:
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            # Not ru_maxrss: it begins with what this process had when it made the child.
            peak = max(peak, kibibytes(child.pid, "VmHWM") * 1024)
            time.sleep(0.01)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            messages.seek(0)
            tail = messages.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{tail}")
        answer.seek(0)
        lines = answer.read().decode().strip().splitlines()
    cost = Cost(wall, usage.ru_utime + usage.ru_stime, peak)
    return cost, json.loads(lines[-1])


def kibibytes(process: int | str, field: str) -> int:
    """A line of a process's status that counts memory; 0 when the process has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


def python_module(module: str, *arguments: object) -> list[str]:
    """The command line that runs a module of ours with this Python."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def add_threads_flag(parser: argparse.ArgumentParser) -> None:
    """The flag for threads; by default what the environment says, else every core."""
    default = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    parser.add_argument("--threads", type=int, default=default, help="threads of each process")


def open_parts(root: Path) -> list[EmbeddingsPart]:
    """Every embeddings part below a datastore's folder, by number."""
    return [open_embeddings(path) for path in sorted((root / "embeddings").glob("part-*.arrow"))]


def true_neighbours(root: Path, queries: np.ndarray, k: int = K) -> np.ndarray:
    """Ids int64 [q, k] of the nearest stored vectors, exactly, part after part."""
    best_scores = np.full((len(queries), k), -np.inf, np.float32)
    best_ids = np.full((len(queries), k), -1, np.int64)
    for part in open_parts(root):
        scores, rows = faiss.knn(
            queries,
            part.vectors.astype(np.float32),
            min(k, len(part.ids)),
            faiss.METRIC_INNER_PRODUCT,
        )
        scores = np.concatenate([best_scores, scores], axis=1)
        ids = np.concatenate([best_ids, part.ids[rows]], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best_scores = np.take_along_axis(scores, order, axis=1)
        best_ids = np.take_along_axis(ids, order, axis=1)
    return best_ids


@dataclasses.dataclass(frozen=True, slots=True)
class Recall:
    """How found neighbours agree with the true ones.

    Attributes:
        overlap: mean share of the true five that is among the five found.
        one: share of queries whose nearest is among the five found (1-recall@5).
    """

    overlap: float
    one: float


def recall_of(found: np.ndarray, true: np.ndarray) -> Recall:
    """Compare ids [q, k] with ids [q, k]; -1 counts as not found."""
    hits = (true[:, :, None] == found[:, None, :]).any(axis=2)
    return Recall(float(hits.mean()), float(hits[:, 0].mean()))


def rerank(
    parts: Sequence[EmbeddingsPart], queries: np.ndarray, candidates: np.ndarray, k: int = K
) -> np.ndarray:
    """The k best of the candidates [q, depth] by the stored float16 vectors, ids int64 [q, k]."""
    found = np.full((len(queries), k), -1, np.int64)
    for row, (query, ids) in enumerate(zip(queries, candidates, strict=True)):
        ids = np.sort(ids[ids >= 0])
        numbers = part_of(ids)
        vectors = np.concatenate(
            [parts[n].vectors[parts[n].rows_of(ids[numbers == n])] for n in np.unique(numbers)]
        )
        best = np.argsort(-(vectors.astype(np.float32) @ query), kind="stable")[:k]
        found[row, : len(best)] = ids[best]
    return found


class AnonymousPeak:
    """Watches this process's memory that no file backs, from entering to leaving.

    Attributes:
        bytes: the largest amount that was seen.
    """

    _SECONDS = 0.02

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> AnonymousPeak:
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._SECONDS):
            self.bytes = max(self.bytes, kibibytes("self", "RssAnon") * 1024)


def mebibytes(count: float) -> str:
    return f"{count / 2**20:,.0f} MiB"
