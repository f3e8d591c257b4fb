"""The files of a datastore: what is written is read back, and damage is named."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing

import numpy as np
import pytest

from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import (
    atomic_path,
    is_leftover,
    locked,
    output_folder,
    part_of,
    remove_leftovers,
    sample_id,
)
from tagmine.manifest import StageCount, read_manifest
from tagmine.parts import PartFooter
from tagmine.tags import Tag, merge_captions


def footer(**changes) -> PartFooter:
    base = PartFooter(1, "embed", 3, "d/s", "0" * 64, 10, "2" * 64, "1" * 64, 5, 5, {})
    return dataclasses.replace(base, **changes)


def unit_vectors(count: int, dim: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def test_ids_hold_part_and_position():
    assert sample_id(3, 7) == 3 << 32 | 7
    assert part_of(sample_id(2**31 - 1, 2**32 - 1)) == 2**31 - 1
    for part, position in ((-1, 0), (2**31, 0), (0, 2**32), (0, -1)):
        with pytest.raises(ValueError, match="outside"):
            sample_id(part, position)


def test_embeddings_are_read_back_by_id(tmp_path):
    ids = np.array([sample_id(3, position) for position in (0, 2, 5, 6, 9)], np.int64)
    vectors = unit_vectors(5, 16)
    path = tmp_path / "part.arrow"
    write_embeddings(path, ids, list("abcde"), vectors, footer())
    part = open_embeddings(path)
    part.check_rows()
    assert part.keys().to_pylist() == list("abcde")
    assert part.rows_of(ids[[4, 1]]).tolist() == [4, 1]
    assert part.rows_of(np.array([ids[0] + 1, ids[4] + 100, 0])).tolist() == [-1, -1, -1]
    np.testing.assert_array_equal(part.vectors, vectors)


def test_an_empty_part_is_a_part(tmp_path):
    path = tmp_path / "part.arrow"
    empty = footer(read=2, written=0, rejected={"no_image": 2})
    write_embeddings(path, np.empty(0, np.int64), [], np.empty((0, 16), np.float16), empty)
    part = open_embeddings(path)
    assert part.vectors.shape == (0, 16)
    assert part.rows_of(np.array([1, 2])).tolist() == [-1, -1]


def test_every_byte_of_an_embeddings_part_matters(tmp_path):
    ids = np.arange(5, dtype=np.int64) + sample_id(3, 0)
    path = tmp_path / "part.arrow"
    write_embeddings(path, ids, list("abcde"), unit_vectors(5, 16), footer())
    original = path.read_bytes()
    vectors = original.find(open_embeddings(path).vectors.tobytes())
    assert vectors > 0
    for place in (vectors, vectors + 31, original.find(ids.tobytes())):
        path.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
        with pytest.raises(DatastoreError, match="changed since"):
            open_embeddings(path).check_rows()
    for size in range(0, len(original) - 1, 97):
        path.write_bytes(original[:size])
        with pytest.raises(DatastoreError, match="cannot be read"):
            open_embeddings(path)


def test_ids_must_ascend_and_counts_reconcile(tmp_path):
    with pytest.raises(ValueError, match="ascend"):
        ids = np.array([2, 1], np.int64)
        write_embeddings(tmp_path / "p", ids, ["a", "b"], unit_vectors(2, 8), footer())
    with pytest.raises(ValueError, match="is not"):
        footer(read=9)
    with pytest.raises(ValueError, match="is not"):
        StageCount(3, 1, {"no_image": 1})


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    with atomic_path(tmp_path / "deep" / "file") as temporary:
        name = temporary.name
        temporary.touch()
    leftover = tmp_path / "deep" / name
    leftover.touch()
    (tmp_path / "deep" / "mine.tmp-notes").touch()
    assert is_leftover(leftover)
    assert remove_leftovers(tmp_path) == 1
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["file", "mine.tmp-notes"]


def _hold(root, ready, release):
    with locked(root):
        ready.set()
        release.wait(30)


def test_one_writer_a_folder_and_a_killed_one_leaves_no_lock(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, release))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(ConfigurationError, match="another tagmine job"), locked(tmp_path):
        pass
    holder.kill()
    holder.join()
    with locked(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_output_folders_that_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for out, says in (
        ("s3://key:secret@bucket/x", "carries a user or a password"),
        ("s3://bucket", "name a folder"),
        ("nosuch://bucket/x", "Protocol not known"),
        (str(tmp_path / "file"), "file of that name"),
        (str(tmp_path), "not empty"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            output_folder(out)
    assert output_folder(str(tmp_path / "new")) == tmp_path / "new"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not a finished datastore"),
        ("", "no tagmine manifest"),
        ("[" * 100_000, "no tagmine manifest"),
        ('{"format": "other", "format_version": 1}', "format version None"),
        ('{"format": "tagmine-datastore", "format_version": 99}', "format version 99"),
        ('{"format": "tagmine-datastore", "format_version": 1, "extra": 1}', "damaged"),
    ],
)
def test_manifests_that_are_refused(tmp_path, content, says):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DatastoreError, match=says):
        read_manifest(tmp_path)


def test_tags_of_several_captions_merge_with_votes():
    red = Tag("red cars", "red car", "attribute", "car", ("red",))
    red_again = Tag("a red car", "red car", "attribute", "car", ("red",))
    sky = Tag("sky", "sky", "object", "sky")
    merged = merge_captions([[red, sky], [red_again, red], [sky]])
    assert [(tag.text, tag.count) for tag in merged] == [("red cars", 2), ("sky", 2)]


@pytest.mark.parametrize("change", [{"text": ""}, {"kind": "thing"}, {"count": 0}])
def test_a_tag_is_checked_when_it_is_made(change):
    with pytest.raises(ValueError, match="tag"):
        Tag(**{"text": "a", "lemma": "a", "kind": "object", "head": "a"} | change)


def test_a_footer_survives_json(tmp_path):
    made = footer(rejected={"no_image": 2}, read=7)
    assert PartFooter(**json.loads(made.to_metadata()[b"tagmine"])) == made
