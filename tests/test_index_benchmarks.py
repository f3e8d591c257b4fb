"""The vectors that the index benchmarks run on, and the yardsticks that they measure with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from benchmarks.autofaiss_env import REQUIREMENTS
from benchmarks.index_choice import main as choose
from benchmarks.index_data import Collection, write_collection
from benchmarks.index_measure import (
    AnonymousPeak,
    open_parts,
    recall_of,
    rerank,
    run_measured,
    true_neighbours,
)
from benchmarks.index_ours import build, open_shards, publish
from index.search import open_datastore

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three parts of 64 dimensions, built and published."""
    root = tmp_path_factory.mktemp("store")
    write_collection(root, Collection("clip", 12_000, 64, part_rows=5000))
    build(root, "IVF16,SQ8", 5000)
    publish(root, "IVF16,SQ8", 5000)
    return root


@pytest.mark.parametrize("kind", ["clip", "faiss"])
def test_vectors_are_unit_the_same_again_and_queries_are_others(kind: str):
    collection = Collection(kind, 2500, 64, part_rows=1000)
    parts = [collection.part(number) for number in range(collection.parts)]
    assert [part.shape for part in parts] == [(1000, 64), (1000, 64), (500, 64)]
    base = np.concatenate(parts).astype(np.float32)
    assert np.abs(np.linalg.norm(base, axis=1) - 1).max() < 2e-3
    queries = collection.queries(50)
    assert np.abs(np.linalg.norm(queries, axis=1) - 1).max() < 1e-5
    assert (queries @ base.T).max() < 0.9999
    assert len(np.unique(base, axis=0)) == 2500
    again = Collection(kind, 2500, 64, part_rows=1000)
    assert np.array_equal(again.part(2), parts[2])
    assert np.array_equal(again.queries(50), queries)
    other = Collection(kind, 2500, 64, seed=1, part_rows=1000)
    assert not np.array_equal(other.part(2), parts[2])


def test_the_clip_world_has_the_cosines_that_its_page_states():
    collection = Collection("clip", 10_000, 512)
    base = collection.part(0).astype(np.float32)
    assert (base[:2000] @ base[2000:4000].T).mean() == pytest.approx(0.5, abs=0.03)
    nearest = faiss.knn(collection.queries(100), base, 1, faiss.METRIC_INNER_PRODUCT)[0]
    assert 0.75 < nearest.mean() < 0.95


def test_unknown_kinds_and_empty_collections_are_refused():
    with pytest.raises(ValueError, match="none of clip"):
        Collection("sift", 10)
    with pytest.raises(ValueError, match="below 1"):
        Collection("clip", 0)


def test_the_folder_is_a_datastore_that_finds_the_true_neighbours(folder: Path):
    store = open_datastore(folder)
    queries = Collection("clip", 12_000, 64, part_rows=5000).queries(40)
    true = true_neighbours(folder, queries)
    parts = open_parts(folder)
    base = np.concatenate([part.vectors for part in parts]).astype(np.float32)
    ids = np.concatenate([part.ids for part in parts])
    assert np.array_equal(true[:, 0], ids[(queries @ base.T).argmax(axis=1)])
    found, _ = store.search(queries, 5, nprobe=16, rerank=200)
    assert recall_of(found, true).overlap > 0.99
    proposed, _ = open_shards(folder).propose(queries, 200, 16)
    assert np.array_equal(rerank(parts, queries, proposed), found)


def test_recall_counts_what_was_found():
    true = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    found = np.array([[5, 1, 99, 2, -1], [7, 8, 9, 10, -1]])
    measured = recall_of(found, true)
    assert (measured.overlap, measured.one) == (0.7, 0.5)


def test_a_measured_process_is_charged_for_its_memory_and_its_answer_is_read():
    code = "import time; b = bytearray(N << 20); time.sleep(0.2); print('noise'); print('[1]')"
    ours = np.ones(60 << 17)
    peaks = []
    for mebibytes in (1, 50):
        command = [sys.executable, "-c", code.replace("N", str(mebibytes))]
        cost, answer = run_measured(command, 1)
        assert answer == [1]
        peaks.append(cost.peak_bytes)
    # Not what this process holds itself.
    assert peaks[0] < ours.nbytes
    assert 40 << 20 < peaks[1] - peaks[0] < 60 << 20
    with pytest.raises(RuntimeError, match="ended with 3"):
        run_measured([sys.executable, "-c", "raise SystemExit(3)"], 1)


def test_anonymous_memory_is_seen_while_it_is_held():
    with AnonymousPeak() as before:
        block = np.zeros(1)
        sum(range(4_000_000))
    with AnonymousPeak() as peak:
        block = np.ones(100 << 17)
        sum(range(4_000_000))
    assert peak.bytes - before.bytes > 90 << 20
    assert block[0] == 1


def test_the_table_of_choices_has_a_row_for_each_index(capsys, tmp_path: Path):
    keys = "{ivf},SQ8 RR,{ivf},RaBitQ {ivf},SQ4+hnsw"
    options = ["--count", "4000", "--dim", "32", "--lists", "8", "--queries", "20"]
    options += ["--nprobe", "8", "--keys", keys, "--effort", "{ivf},SQ8", "--threads", "1"]
    assert choose([*options, "--json", str(tmp_path / "rows.json")]) == 0
    printed = capsys.readouterr().out
    rows = re.findall(
        r"^\| `(.+?)` \| (\d+) \|.*\| ([01]\.\d+) \| [01]\.\d+ \| [\d.]+ \|$", printed, re.M
    )
    assert [row[:2] for row in rows] == [
        ("IVF8,SQ8", "32"),
        ("RR,IVF8,RaBitQ", "12"),
        ("IVF8,SQ4+hnsw", "16"),
    ]
    # Every list is visited and 200 candidates are re-ranked: only rounding is left.
    assert all(float(overlap) > 0.95 for *_, overlap in rows)
    assert printed.count("\n| 8 |") >= 1
    assert (tmp_path / "rows.json").stat().st_size > 100


def test_make_bench_index_calls_scripts_with_flags_that_they_have():
    lines = re.findall(r"-m (benchmarks\.index_\w+)(.*)", (ROOT / "Makefile").read_text())
    assert len(lines) >= 4
    for module, rest in lines:
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
        )
        flags = set(re.findall(r"--[a-z-]+", rest))
        assert flags and flags <= set(re.findall(r"--[a-z-]+", done.stdout)), module


def test_autofaiss_is_pinned_where_it_still_works():
    assert {"autofaiss==2.18.0", "faiss-cpu==1.8.0.post1", "numpy<2", "pyarrow<16"} == set(
        REQUIREMENTS
    )
