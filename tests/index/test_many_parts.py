"""A process may map 65,530 files, and a datastore may have more parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.search import open_datastore
from tagmine.embeddings import EmbeddingsParts


def mapped_parts() -> int:
    maps = Path("/proc/self/maps").read_text().splitlines()
    return sum("/embeddings/part-" in line for line in maps)


def test_parts_are_mapped_one_at_a_time(make_datastore):
    made = make_datastore(sizes=(20,) * 12, index_key="Flat")
    before = mapped_parts()
    parts = EmbeddingsParts(made.root, range(12))
    assert parts.rows == [20] * 12
    most = max(mapped_parts() for _ in parts)
    assert most <= before + 2


def test_an_open_datastore_keeps_a_bounded_number_of_parts(make_datastore, monkeypatch):
    made = make_datastore(sizes=(20,) * 12, index_key="Flat")
    monkeypatch.setattr("index.search.MAX_MAPPED_PARTS", 3)
    datastore = open_datastore(made.root)
    before = mapped_parts()
    found, _ = datastore.search(made.vectors.astype(np.float32), 1)
    np.testing.assert_array_equal(found[:, 0], made.ids)
    assert mapped_parts() <= before + 3
