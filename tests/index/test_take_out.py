"""Images that are taken out: hidden at once, then gone from the files, the others untouched."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from index.build import ShardPlan, fill_shard
from index.compact import compact
from index.diff import Side
from index.diff_parts import compare_parts
from index.exact import score_pairs
from index.queries import sample_images
from index.search import open_datastore
from index.take_out import take_out
from index.training import current_training, trained_ids
from index.tuning import tune
from index.verify import verify_datastore
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import index_shard_path
from tagmine.manifest import read_manifest
from tagmine.removed import Removed, newest_record, read_newest, write_removed
from tagmine.requests import Request, read_requests
from tagmine.samples import SampleFields

KEYS = ("IVF16,PQ8x4", "PCA16,IVF16,SQ8", "Flat", "HNSW8", "IVF16,PQ8x4fs")


def remove(root, *lines):
    """Take out of a datastore; numbers are ids."""
    lines = [f"id:{line}" if isinstance(line, int) else line for line in lines]
    path = root.parent / "takedown.txt"
    path.write_text("\n".join(map(str, lines)))
    return take_out(root, read_requests(path), SampleFields(), lambda step: None)


def compacted(root):
    return compact(root, lambda step: None)


def found(root, vectors, k=10):
    return open_datastore(root).search(vectors.astype(np.float32), k)


def test_what_is_hidden_is_in_no_answer(make_datastore, queries):
    made = make_datastore(index_key="IVF16,PQ8x4")
    before = open_datastore(made.root)
    nearest, _ = before.search(queries, 1)
    gone = np.unique(nearest)
    done = remove(made.root, *gone.tolist())
    assert (done.samples, done.hidden, done.left) == (len(gone), len(gone), 1000 - len(gone))
    after = open_datastore(made.root)
    assert len(after) == 1000 - len(gone)
    ids, scores = after.search(queries, 5)
    assert not np.isin(ids, gone).any() and (ids >= 0).all() and (np.diff(scores) <= 0).all()
    wider, _ = before.search(queries, 200)
    for row in range(len(queries)):
        expected = [i for i in wider[row].tolist() if i not in set(gone.tolist())]
        assert ids[row].tolist() == expected[:5]
    assert after.rows(gone.tolist()) == {} and len(after.ids_of(gone.tolist())) == 0
    with pytest.raises(DatastoreError, match="was taken out"):
        after.locate(gone.tolist())
    assert after.vocabulary.footer.images == len(after)
    live = sorted(set(made.ids.tolist()) - set(gone.tolist()))
    sampled, _ = sample_images(after, 1000, seed=0)
    assert sampled.tolist() == live
    # A reader that was open before still has its files.
    assert before.search(queries, 1)[0].tolist() == nearest.tolist()
    verify_datastore(made.root)


def test_every_image_but_a_few_can_be_hidden(make_datastore, queries):
    made = make_datastore(index_key="IVF16,PQ8x4")
    done = remove(made.root, "d/s0/*", "d/s1/*", "d/s2/0000[0-8]*", "d/s2/0001*")
    assert done.left == 10
    ids, _ = found(made.root, queries, 20)
    assert (np.sort(ids[:, :10], axis=1) == made.ids[890:900]).all()
    assert (ids[:, 10:] == -1).all()


@pytest.mark.parametrize("index_key", KEYS)
def test_compacting_leaves_the_index_that_filling_anew_gives(make_datastore, queries, index_key):
    made = make_datastore(index_key=index_key, untagged=3)
    gone = [*made.ids[5:25].tolist(), *made.ids[400:410].tolist(), int(made.ids[299])]
    remove(made.root, *gone)
    hidden = found(made.root, queries)
    trained = (made.root / "index/trained.faiss").read_bytes()
    done = compacted(made.root)
    assert (done.samples, done.parts, done.manifest.images) == (31, 2, 991 - 30)
    verify_datastore(made.root)
    ids, scores = found(made.root, queries)
    if index_key != "HNSW8":
        assert ids.tolist() == hidden[0].tolist()
        np.testing.assert_allclose(scores, hidden[1], atol=1e-6)
    assert (made.root / "index/trained.faiss").read_bytes() == trained
    manifest = read_manifest(made.root)
    assert manifest.removed.pending == 0 and len(read_newest(made.root).identities.known) == 31
    assert len(list((made.root / "removed").iterdir())) == 1
    for card in manifest.index.shards:
        path = made.root / card.file.path
        kept = path.read_bytes()
        path.unlink()
        number = int(path.stem.split("-")[1])
        assert index_shard_path(number) == card.file.path
        assert fill_shard(made.root, ShardPlan(number, card.parts), index_key)
        assert path.read_bytes() == kept
    assert compacted(made.root) is None


def test_the_training_stays_and_says_that_it_saw_others(make_datastore):
    made = make_datastore(index_key="IVF16,PQ8x4")
    remove(made.root, *made.ids[:40].tolist())
    open_before = open_datastore(made.root)
    tuned = tune(open_before, 0.9, 5)
    assert tuned.met
    compacted(made.root)
    kept = current_training(made.root, (0, 1, 2), "IVF16,PQ8x4")
    assert kept is not None and kept.thinned == 40
    assert trained_ids(made.root) is None
    assert not tune(open_datastore(made.root), 0.9, 5).card.held_out


def test_the_merged_index_forgets_too(make_datastore, queries):
    from index.ondisk import merge_on_disk, merged_cards
    from tagmine.manifest import write_manifest

    made = make_datastore(index_key="IVF16,SQ8")
    manifest = read_manifest(made.root)
    merge_on_disk(made.root, [card.file.path for card in manifest.index.shards])
    merged = merged_cards(made.root, manifest.images)
    index = dataclasses.replace(manifest.index, merged=merged)
    write_manifest(made.root, dataclasses.replace(manifest, index=index))
    gone = found(made.root, queries, 1)[0][:, 0]
    remove(made.root, *set(gone.tolist()))
    compacted(made.root)
    verify_datastore(made.root)
    assert not np.isin(found(made.root, queries)[0], gone).any()


def test_requests_that_are_found_nowhere_are_told_apart(make_datastore):
    made = make_datastore()
    done = remove(made.root, "d/s0/000001", "d/s9/000001", 7)
    assert (done.samples, done.known) == (2, ())
    assert done.unmatched == (Request("key", "d/s9/000001"),)
    compacted(made.root)
    done = remove(made.root, "d/s0/000001", "d/s9/000001", "d/s8/*")
    assert (done.samples, done.hidden) == (0, 0)
    assert [request.value for request in done.known] == ["d/s0/000001", "d/s9/000001"]
    assert [request.kind for request in done.unmatched] == ["glob"]
    assert compacted(made.root) is None


def test_the_record_says_nothing_in_the_clear(make_datastore):
    made = make_datastore()
    remove(made.root, "d/s0/000001")
    compacted(made.root)
    table = pq.read_table(made.root / newest_record(made.root)).to_pylist()
    assert [(row["kind"], row["id"]) for row in table] == [("key", None)]
    assert b"d/s0" not in (made.root / newest_record(made.root)).read_bytes()


def test_nothing_left_is_refused_and_changes_nothing(make_datastore):
    made = make_datastore(sizes=(20,))
    remove(made.root, "d/*")
    assert len(open_datastore(made.root)) == 0
    with pytest.raises(ConfigurationError, match="no image would be left"):
        compacted(made.root)
    assert len(open_datastore(made.root)) == 0


def test_diff_sees_what_is_hidden_as_lost(make_datastore):
    old, new = make_datastore(name="old"), make_datastore(name="new")
    remove(new.root, *new.ids[:4].tolist())
    sides = [Side(made.root, read_manifest(made.root), None) for made in (old, new)]
    changes = compare_parts(*sides)
    assert (changes.lost, changes.gained, changes.same) == (4, 0, 2)
    assert (changes.changes[0].before, changes.changes[0].after) == (300, 296)


def test_verify_finds_what_came_back(make_datastore):
    made = make_datastore()
    remove(made.root, "d/s0/000001", "d/s0/000002")
    removed = read_newest(made.root)
    path = made.root / newest_record(made.root)
    write_removed(path, Removed(removed.identities, removed.pending[:1]))
    record = json.loads((made.root / "manifest.json").read_text())
    from tagmine.parts import file_sha256

    record["removed"] = {
        "file": {
            "path": newest_record(made.root),
            "rows": 3,
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
        },
        "pending": 1,
    }
    (made.root / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(DatastoreError, match="d/s0/000002 was taken out, but is here"):
        verify_datastore(made.root)


def test_a_lost_record_is_no_open_door(make_datastore):
    made = make_datastore()
    remove(made.root, 7)
    (made.root / newest_record(made.root)).unlink()
    with pytest.raises(DatastoreError, match="is missing"):
        open_datastore(made.root)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("d/s0/1\nonly-a-name", "line 2: 'only-a-name' is no key"),
        ("\x00\n", "is no key"),
        ("d/s0/1\n000000000139", "line 2: 000000000139 .* id:139 .* dataset/shard/000000000139"),
        ("4294967303", "may be an id or the key of a sample"),
        ("id:000000000139", "without zeros before it"),
        (f"id:{1 << 63}", "below 2\\^63"),
        ("id:x", "is no id"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, says):
    path = tmp_path / "takedown.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=says):
        read_requests(path)


def test_what_a_line_is(tmp_path):
    path = tmp_path / "takedown.txt"
    lines = ["a/b/c", "a/b/*", "id:12", "AB" * 32, "https://x.org/a?b=[1]", "", "a/b/c"]
    path.write_text("\n".join(lines))
    assert [(r.kind, r.value) for r in read_requests(path)] == [
        ("key", "a/b/c"),
        ("glob", "a/b/*"),
        ("id", "12"),
        ("image", "ab" * 32),
        ("url", "https://x.org/a?b=[1]"),
    ]


def test_scores_of_hidden_images_stay_out_of_the_truth(make_datastore, queries):
    made = make_datastore()
    remove(made.root, *made.ids[:10].tolist())
    datastore = open_datastore(made.root)
    ids, scores = datastore.search(queries, 3)
    np.testing.assert_allclose(score_pairs(datastore, queries, ids), scores, atol=1e-6)
