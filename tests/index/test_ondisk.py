"""The merged index: as the shards answer, wherever the folder lies."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from index import open_datastore
from index.ondisk import check_mergeable, merge_on_disk, merged_cards, remove_unmerged
from index.verify import verify_datastore
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import MERGED_INDEX, MERGED_LISTS
from tagmine.manifest import read_manifest, write_manifest


def merge(root):
    manifest = read_manifest(root)
    merge_on_disk(root, [shard.file.path for shard in manifest.index.shards])
    index = dataclasses.replace(manifest.index, merged=merged_cards(root, manifest.images))
    write_manifest(root, dataclasses.replace(manifest, index=index))


@pytest.mark.parametrize("key", ["IVF16,SQ8", "PCA16,IVF16_HNSW8,SQ8"])
def test_it_answers_as_the_shards_do_and_moves_with_the_folder(
    make_datastore, queries, tmp_path, key
):
    made = make_datastore(sizes=(900, 800, 700), index_key=key, limit=900)
    ids, scores = open_datastore(made.root).search(queries, 9, nprobe=4, rerank=0)
    merge(made.root)
    bytes_of_it = [(made.root / path).read_bytes() for path in (MERGED_INDEX, MERGED_LISTS)]
    merge(made.root)
    assert bytes_of_it == [(made.root / path).read_bytes() for path in (MERGED_INDEX, MERGED_LISTS)]
    moved = tmp_path / "else" / "where"
    shutil.move(made.root, moved)
    datastore = open_datastore(moved)
    assert len(datastore.shards) == 1 and datastore.shards[0].ntotal == 2400
    found, found_scores = datastore.search(queries, 9, nprobe=4, rerank=0)
    np.testing.assert_array_equal(found, ids)
    np.testing.assert_allclose(found_scores, scores, atol=1e-6)
    assert str(moved / MERGED_LISTS) in Path("/proc/self/maps").read_text()
    assert verify_datastore(moved).images == 2400


def test_nothing_is_printed_where_results_go(make_datastore, capfd):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,SQ8", limit=900)
    capfd.readouterr()
    merge(made.root)
    assert capfd.readouterr().out == ""


def test_a_missing_or_short_file_of_it_is_named(make_datastore):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,PQ8x4", limit=900)
    merge(made.root)
    (made.root / MERGED_LISTS).write_bytes(b"short")
    with pytest.raises(DatastoreError, match=r"merged.ivfdata has 5 bytes"):
        open_datastore(made.root)
    remove_unmerged(made.root, ())
    with pytest.raises(DatastoreError, match=r"merged.faiss is missing"):
        open_datastore(made.root)


@pytest.mark.parametrize("key", ["Flat", "HNSW16", "IVF16,PQ8x4fs"])
def test_what_has_no_lists_on_disk_is_refused(key):
    with pytest.raises(ConfigurationError, match=f"--merge-ondisk: {key}"):
        check_mergeable(key, 32)
