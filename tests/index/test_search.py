"""Search against exact search over the same vectors, and what a datastore refuses to open."""

from __future__ import annotations

import json
import shutil

import faiss
import numpy as np
import pytest

from index import open_datastore
from index.pooling import Neighbour, pool_tags
from tagmine.errors import DatastoreError
from tagmine.tags import Tag


def exact(made, queries, k):
    scores = queries @ made.vectors.astype(np.float32).T
    order = np.lexsort((np.broadcast_to(made.ids, scores.shape), -scores), axis=1)[:, :k]
    return made.ids[order], np.take_along_axis(scores, order, axis=1)


@pytest.mark.parametrize("limit", [150, 600, 10_000])
def test_a_flat_index_is_exact_however_it_is_sharded(make_datastore, queries, limit):
    made = make_datastore(limit=limit)
    ids, scores = open_datastore(made.root).search(queries, 5)
    expected_ids, expected_scores = exact(made, queries, 5)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


@pytest.mark.parametrize("key", ["IVF16,PQ8x4", "PCA24,IVF8,PQ8x4", "IVF16,Flat", "HNSW16"])
def test_compressed_indexes_come_close_and_score_exactly(make_datastore, queries, key):
    made = make_datastore(sizes=(1500, 1200), index_key=key)
    ids, scores = open_datastore(made.root).search(queries, 5)
    expected_ids, _ = exact(made, queries, 5)
    overlap = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(ids, expected_ids, strict=True)])
    assert overlap > 0.9
    row_of = {row_id: row for row, row_id in enumerate(made.ids.tolist())}
    stored = made.vectors[[[row_of[i] for i in row] for row in ids.tolist()]].astype(np.float32)
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", queries, stored), atol=1e-5)


def test_asking_for_more_than_there_is(make_datastore, queries):
    made = make_datastore(sizes=(3, 2))
    ids, scores = open_datastore(made.root).search(queries, 8)
    assert (ids[:, 5:] == -1).all() and np.isneginf(scores[:, 5:]).all()
    assert (np.sort(ids[:, :5], axis=1) == np.sort(made.ids)).all()


def test_images_without_a_tag_row_are_never_found(make_datastore, queries):
    made = make_datastore(sizes=(30, 20), untagged=5)
    datastore = open_datastore(made.root)
    ids, _ = datastore.search(queries, 50)
    assert len(datastore) == 40 and set(ids[ids >= 0]) == {
        row_id for row_id in made.ids.tolist() if row_id & 0xFFFFFFFF < (25 if row_id < 99 else 15)
    }
    assert datastore.manifest.totals["index"].rejected == {"no_tags_row": 10}


def test_answers_carry_captions_tags_and_pooled_votes(make_datastore, queries):
    made = make_datastore()
    answer = open_datastore(made.root).query(queries[:1], 5)[0]
    assert [n.score for n in answer.neighbours] == sorted(
        (n.score for n in answer.neighbours), reverse=True
    )
    for neighbour in answer.neighbours:
        assert neighbour.captions == (f"a kind{neighbour.id % 7}",)
        assert neighbour.key == f"{neighbour.source}/{neighbour.id & 0xFFFFFFFF:06d}"
    assert sum(pooled.votes for pooled in answer.tags) == 5
    assert sum(pooled.score for pooled in answer.tags) == pytest.approx(1)


def test_pooling_weighs_by_similarity():
    def neighbour(score, *names):
        tags = tuple(Tag(name, name, "object", name) for name in names)
        return Neighbour(0, "k", "s", score, ("c",), tags)

    pooled = pool_tags([neighbour(0.9, "cat", "mat"), neighbour(0.3, "dog"), neighbour(0.3, "dog")])
    assert [(p.tag.text, p.votes, round(p.score, 3)) for p in pooled] == [
        ("cat", 1, 0.6),
        ("mat", 1, 0.6),
        ("dog", 2, 0.4),
    ]
    assert pool_tags([]) == ()


@pytest.mark.parametrize("wrong", [np.ones((2, 32)), np.ones((2, 8)), np.full((1, 32), np.nan)])
def test_queries_that_are_no_unit_vectors_are_refused(make_datastore, wrong):
    with pytest.raises(ValueError, match="expected vectors of"):
        open_datastore(make_datastore(sizes=(5,)).root).search(wrong, 1)


def test_a_datastore_moves_as_a_folder(make_datastore, queries, tmp_path):
    made = make_datastore()
    before = open_datastore(made.root).search(queries, 5)
    moved = tmp_path / "else" / "where"
    shutil.move(made.root, moved)
    after = open_datastore(moved).search(queries, 5)
    np.testing.assert_array_equal(before[0], after[0])


@pytest.mark.parametrize(
    "name", ["index/shard-00001.faiss", "embeddings/part-00002.arrow", "tags/part-00000.parquet"]
)
def test_a_missing_short_or_altered_file_is_named(make_datastore, name):
    path = make_datastore().root / name
    data = path.read_bytes()
    middle = len(data) // 2
    for content, says in (
        (None, "is missing"),
        (data[:-10], "bytes, the manifest says"),
        (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], "has been altered"),
    ):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(DatastoreError, match=says) as caught:
            open_datastore(path.parents[1])
        assert name in str(caught.value) and "tagmine" in str(caught.value)


def of_another_metric(key, made):
    """The vectors in an index of the datastore's kind for L2 distance."""
    index = faiss.index_factory(32, key, faiss.METRIC_L2)
    vectors = made.vectors.astype(np.float32)
    index.train(vectors)
    index.add_with_ids(vectors, made.ids)
    return index


def only_inside(key, made):
    """An outer index that says inner product, around one that searches by L2 distance."""
    index = of_another_metric(key, made)
    index.metric_type = faiss.METRIC_INNER_PRODUCT
    return index


@pytest.mark.parametrize(
    ("key", "make"),
    [
        ("IDMap2,Flat", of_another_metric),
        ("IVF8,Flat", of_another_metric),
        ("IDMap2,Flat", only_inside),
    ],
)
def test_an_index_of_another_metric_is_refused(make_datastore, repin, key, make):
    """Though every hash is true: its scores would be no cosines."""
    made = make_datastore(sizes=(700,), index_key=key.removeprefix("IDMap2,"), limit=700)
    name = "index/shard-00000.faiss"
    faiss.write_index(make(key, made), str(made.root / name))
    repin(made.root, name)
    with pytest.raises(DatastoreError, match="metric.*inner product") as caught:
        open_datastore(made.root)
    assert name in str(caught.value) and "tagmine" in str(caught.value)


def test_a_newer_format_is_refused(make_datastore):
    root = make_datastore(sizes=(5,)).root
    record = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps(record | {"format_version": 2}))
    with pytest.raises(DatastoreError, match="format version 2.*reads version 1"):
        open_datastore(root)


@pytest.mark.parametrize("path", ["/etc/passwd", "tags/../../x", "../x/y"])
def test_a_manifest_may_not_point_outside(make_datastore, path):
    root = make_datastore(sizes=(5,)).root
    record = json.loads((root / "manifest.json").read_text())
    record["parts"][0]["tags"]["path"] = path
    (root / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(DatastoreError, match="damaged"):
        open_datastore(root)


def test_parts_made_anew_since_the_manifest_are_refused(make_datastore, queries, monkeypatch):
    import dataclasses

    from index import opening
    from tagmine.embeddings import open_embeddings, write_embeddings

    made = make_datastore(sizes=(40,))
    path = made.root / "embeddings/part-00000.arrow"
    part = open_embeddings(path)
    footer = dataclasses.replace(part.footer, maker="f" * 64)
    keys = part.keys().to_pylist()
    write_embeddings(path, part.ids.copy(), keys, part.vectors[::-1].copy(), footer)
    # As in a datastore too large to be hashed whole when it is opened.
    monkeypatch.setattr(opening, "FULL_CHECK_BYTES", 0)
    with pytest.raises(DatastoreError, match="made anew with other options"):
        open_datastore(made.root).search(queries, 5)
