"""What an altered index or part must not get past: opening, verify, the health of a shard."""

from __future__ import annotations

import dataclasses

import faiss
import numpy as np
import pytest

from index import open_datastore
from index.ondisk import merge_on_disk, merged_cards, open_merged
from index.shard_health import check_shard, searched_files
from index.shards import inverted_lists_of, list_sizes
from index.verify import verify_datastore
from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import MERGED_INDEX, MERGED_LISTS
from tagmine.manifest import read_manifest, write_manifest

FIRST = "index/shard-00000.faiss"


def roll_ids(index: faiss.Index, number: int) -> None:
    """Give each code of a list the id of the one before."""
    lists = inverted_lists_of(index).invlists
    size = lists.list_size(number)
    ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
    codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size).copy()
    lists.resize(number, 0)
    lists.add_entries(number, size, faiss.swig_ptr(np.roll(ids, 1)), faiss.swig_ptr(codes))


@pytest.mark.parametrize("inner", ["Flat", "PQ8x4"])
def test_another_metric_inside_is_seen_on_open(make_datastore, repin, inner):
    made = make_datastore(sizes=(700,), index_key=inner)
    index = faiss.index_factory(32, f"IDMap2,{inner}", faiss.METRIC_L2)
    index.train(made.vectors.astype(np.float32))
    index.add_with_ids(made.vectors.astype(np.float32), made.ids)
    index.metric_type = faiss.METRIC_INNER_PRODUCT
    faiss.write_index(index, str(made.root / FIRST))
    repin(made.root, FIRST)
    with pytest.raises(DatastoreError, match="its metric is L2 distance, not inner product"):
        open_datastore(made.root)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_vectors_that_are_not_of_unit_norm_are_seen_on_open(make_datastore, repin, part):
    made = make_datastore(sizes=(60, 60, 60))
    path = f"embeddings/part-0000{part}.arrow"
    opened = open_embeddings(made.root / path)
    longer = (opened.vectors.astype(np.float32) * 1.2).astype(np.float16)
    write_embeddings(
        made.root / path, opened.ids.copy(), opened.keys().to_pylist(), longer, opened.footer
    )
    repin(made.root, path)
    with pytest.raises(DatastoreError, match="not of unit norm"):
        open_datastore(made.root)


@pytest.mark.parametrize("key", ["IVF16,PQ8x4", "IVF16,Flat", "IVF16,RaBitQ"])
def test_ids_shuffled_in_a_single_list_are_named(make_datastore, repin, key):
    made = make_datastore(sizes=(2000,), index_key=key)
    index = faiss.read_index(str(made.root / FIRST))
    number = int(np.argsort(list_sizes(index))[8])
    roll_ids(index, number)
    assert 0.02 < list_sizes(index)[number] / 2000 < 0.1
    faiss.write_index(index, str(made.root / FIRST))
    repin(made.root, FIRST)
    manifest = read_manifest(made.root)
    problems = check_shard(made.root, manifest, manifest.index.shards[0]).problems
    assert len(problems) == 1 and "its ids are shuffled" in problems[0]
    with pytest.raises(DatastoreError, match="its ids are shuffled"):
        verify_datastore(made.root)


def test_a_merged_index_is_examined_too(make_datastore):
    made = make_datastore(sizes=(900, 800), index_key="IVF16,PQ8x4", limit=900)
    manifest = read_manifest(made.root)
    merge_on_disk(made.root, [shard.file.path for shard in manifest.index.shards])
    _pin_merged(made.root)
    manifest = read_manifest(made.root)
    health = [check_shard(made.root, manifest, card) for card in searched_files(manifest)]
    assert [one.problems for one in health] == [(), (), ()]
    assert [one.vectors for one in health] == [900, 800, 1700] and health[2].parts == 2

    _shuffle_merged(made.root)
    _pin_merged(made.root)
    manifest = read_manifest(made.root)
    health = [check_shard(made.root, manifest, card) for card in searched_files(manifest)]
    assert [one.problems for one in health[:2]] == [(), ()]
    assert health[2].path == MERGED_INDEX and "its ids are shuffled" in health[2].problems[0]
    with pytest.raises(DatastoreError, match=r"merged.faiss: its ids are shuffled"):
        verify_datastore(made.root)


def _shuffle_merged(root):
    index = open_merged(root / MERGED_INDEX)
    lists = inverted_lists_of(index).invlists
    data = bytearray((root / MERGED_LISTS).read_bytes())
    for number in range(lists.nlist):
        size = lists.list_size(number)
        ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
        place = data.find(ids.tobytes())
        assert place >= 0
        data[place : place + ids.nbytes] = np.roll(ids, 1).tobytes()
    (root / MERGED_LISTS).write_bytes(bytes(data))


def _pin_merged(root):
    manifest = read_manifest(root)
    index = dataclasses.replace(manifest.index, merged=merged_cards(root, manifest.images))
    write_manifest(root, dataclasses.replace(manifest, index=index))


@pytest.mark.parametrize("key", ["IVF16,PQ8x4fs", "IVF16,RaBitQfs"])
def test_what_a_fast_scan_hides_is_asked_of_its_search(make_datastore, repin, key):
    made = make_datastore(sizes=(900, 800), index_key=key, limit=900)
    manifest = read_manifest(made.root)
    for card in manifest.index.shards:
        health = check_shard(made.root, manifest, card)
        assert health.problems == () and health.quantization_error is None
        assert health.self_lookup > 0.9
    assert verify_datastore(made.root).images == 1700
    first = made.ids < 1 << 32
    index = faiss.read_index(str(made.root / "index/trained.faiss"))
    ids = np.random.default_rng(0).permutation(made.ids[first])
    index.add_with_ids(made.vectors[first].astype(np.float32), ids)
    faiss.write_index(index, str(made.root / FIRST))
    repin(made.root, FIRST)
    manifest = read_manifest(made.root)
    (problem,) = check_shard(made.root, manifest, manifest.index.shards[0]).problems
    assert "find themselves among their 18 nearest" in problem


@pytest.mark.parametrize("key", ["PQ8x4fs", "IVF16,PQ8x4fs"])
def test_a_fast_scan_of_many_copies_is_sound(make_datastore, clustered, key):
    def copies(count, seed):
        noise = np.random.default_rng(seed).normal(0, 1e-4, (count, 32))
        vectors = np.repeat(clustered(-(-count // 40), seed), 40, axis=0)[:count] + noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    made = make_datastore(sizes=(2500, 900), index_key=key, limit=4000, draw=copies)
    manifest = read_manifest(made.root)
    (card,) = manifest.index.shards
    assert check_shard(made.root, manifest, card).problems == ()
    assert verify_datastore(made.root).images == 3400
