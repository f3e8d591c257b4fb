"""Several datastores searched as one: against exact search over all their vectors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from index import open_datastore
from index.retrieve import LookUp, look_up
from index.stack import open_stack, share_out
from index.stack_plan import StackPlan, parse_stack, split_inputs
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import ENCODER_PIN, part_of
from tagmine.manifest import read_manifest, write_manifest, write_pin


@pytest.fixture
def pair(make_datastore, clustered):
    """Two datastores of other images under the same keys."""
    one = make_datastore(name="one")
    two = make_datastore((400, 100), name="two", draw=lambda n, seed: clustered(n, seed + 50))
    return one, two


def cosines(made, queries):
    return queries @ made.vectors.astype(np.float32).T


def test_the_nearest_of_all_are_found_whatever_their_keys(pair, queries):
    stack = open_stack([made.root for made in pair])
    ids, scores = stack.search(queries, 7)
    both = np.concatenate([cosines(made, queries) for made in pair], axis=1)
    np.testing.assert_allclose(scores, -np.sort(-both, axis=1)[:, :7], atol=1e-5)
    assert len(stack) == 1500 and ids.min() >= 0
    answers = stack.answers(ids, scores)
    stores = dict(zip(stack.names, stack.datastores, strict=True))
    assert {n.datastore for a in answers for n in a.neighbours} == {"one", "two"}
    for answer, row in zip(answers, ids.tolist(), strict=True):
        assert [n.datastore for n in answer.neighbours] == [stack.name_of(i) for i in row]
        for neighbour in answer.neighbours:
            held = stores[neighbour.datastore].rows([neighbour.id])[neighbour.id]
            assert held["key"] == neighbour.key
        assert sum(tag.score for tag in answer.tags) == pytest.approx(1)


def test_weights_rank_and_pool_but_scores_stay_cosines(pair, queries):
    stack = open_stack([made.root for made in pair], weights=(1.0, 0.5))
    ids, scores = stack.search(queries, 5)
    weighted = np.concatenate([cosines(pair[0], queries), cosines(pair[1], queries) / 2], axis=1)
    of_two = np.array([[stack.name_of(i) == "two" for i in row] for row in ids.tolist()])
    found = np.where(of_two, scores / 2, scores)
    np.testing.assert_allclose(found, -np.sort(-weighted, axis=1)[:, :5], atol=1e-5)
    equal = open_stack([made.root for made in pair], shares=(0.4, 0.6), weights=(1.0, 0.5))
    answer = equal.query(queries[:1], 5)[0]
    total = sum(n.score * n.weight for n in answer.neighbours)
    for tag in answer.tags:
        voters = [n for n in answer.neighbours if tag.tag.lemma in {t.lemma for t in n.tags}]
        assert tag.score == pytest.approx(sum(n.score * n.weight for n in voters) / total)


def test_shares_hold_and_what_one_lacks_the_others_fill(pair, make_datastore, queries):
    stack = open_stack([made.root for made in pair], shares=(0.8, 0.2))
    for answer in stack.query(queries, 5):
        assert [n.datastore for n in answer.neighbours].count("two") == 1
        assert [n.score for n in answer.neighbours] == sorted(
            (n.score for n in answer.neighbours), reverse=True
        )
    small = make_datastore((2,), name="small")
    stack = open_stack([pair[0].root, small.root], shares=(0.2, 0.8))
    for answer in stack.query(queries, 10):
        assert [n.datastore for n in answer.neighbours].count("small") == 2
        assert len(answer.neighbours) == 10
    assert share_out((1 / 3, 1 / 3, 1 / 3), 5) == [2, 2, 1] and share_out((0.5, 0.5), 4) == [2, 2]


def test_an_image_of_one_key_and_embedding_counts_once(pair, queries):
    one, two = pair
    twice = open_stack([one.root, two.root, one.root])
    once = open_stack([one.root, two.root])
    for more, less in zip(twice.query(queries, 6), once.query(queries, 6), strict=True):
        assert [(n.datastore, n.key) for n in more.neighbours] == [
            (n.datastore, n.key) for n in less.neighbours
        ]


def test_what_is_left_out_of_one_is_left_out_of_the_stack(pair, queries):
    stack = open_stack([made.root for made in pair])
    ids, _ = stack.search(queries, 3)
    fewer, _ = stack.search(queries, 3, exclude_keys=[row[:1] for row in ids.tolist()])
    assert not (fewer == ids[:, :1]).any()
    np.testing.assert_array_equal(fewer[:, :2], ids[:, 1:])
    origins = stack.locate(ids.reshape(-1))
    keys = [[origins[i].key for i in row] for row in ids.tolist()]
    wanted = LookUp(k=3, exclude_own_key=True)
    found = look_up(stack, queries, wanted, names=[row[:1] for row in keys])
    assert found.with_own_key == len(queries)
    for answer, own in zip(found.answers, keys, strict=True):
        assert own[0] not in [n.key for n in answer.neighbours]
    assert stack.ids_of(["d/s0/000001", 7]).tolist() == [1, 7, (3 << 32) + 1]
    with pytest.raises(DatastoreError, match="a search of this stack"):
        stack.rows([int(9e15)])
    assert {part_of(i) for i in ids.reshape(-1)} <= set(range(5))


def test_encoders_that_differ_are_refused_by_name(pair):
    one, two = (made.root for made in pair)
    manifest = read_manifest(two)
    other = dataclasses.replace(manifest.encoder, clip_model="ViT-B-32/mine", fingerprint="a" * 64)
    write_pin(two / ENCODER_PIN, other)
    write_manifest(two, dataclasses.replace(manifest, encoder=other))
    with pytest.raises(DatastoreError) as caught:
        open_stack([one, two])
    for name in (str(one), str(two), "demo", "ViT-B-32/mine"):
        assert name in str(caught.value)


def test_a_stack_of_one_words_tags_as_the_datastore(pair, queries):
    alone, stack = open_datastore(pair[0].root), open_stack([pair[0].root])
    for ours, theirs in zip(stack.query(queries, 4), alone.query(queries, 4), strict=True):
        assert ours.tags == theirs.tags
        assert ours.neighbours[0] == dataclasses.replace(theirs.neighbours[0], datastore="one")


def test_what_is_typed_becomes_a_plan(pair, tmp_path):
    one, two = (str(made.root) for made in pair)
    assert parse_stack([one, f"{two}=0.5"]) == StackPlan((one, two), (1.0, 0.5))
    assert parse_stack([f"{one}=25%", f"{two}=75%"]).shares == (0.25, 0.75)
    (tmp_path / "odd=2").mkdir()
    assert parse_stack([str(tmp_path / "odd=2")]).weights == (1.0,)
    assert split_inputs([one, f"{two}=2", "a.jpg", "b.jpg"]) == (
        StackPlan((one, two), (1.0, 2.0)),
        ("a.jpg", "b.jpg"),
    )
    assert split_inputs([one, "s3://b/two", "s3://b/three=0.5", "a.jpg"]) == (
        StackPlan((one, "s3://b/two", "s3://b/three"), (1.0, 1.0, 0.5)),
        ("a.jpg",),
    )
    for words, says in (
        ([f"{one}=25%", two], "every datastore a share"),
        ([f"{one}=25%", f"{two}=30%"], "add up to 55%"),
        ([f"{one}=-1"], "above 0"),
        ([f"{one}=nan"], "above 0"),
        ([f"{one}=much"], "no number"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            parse_stack(words)
    (tmp_path / "a.jpg").write_bytes(b"a photo")
    for words, says in (
        ([one, two], "no photo"),
        ([one, "a.jpg", two], "before the photos"),
        ([str(tmp_path / "a.jpg"), one], "a.jpg is a file, where a datastore is expected"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            split_inputs(words)
    with pytest.raises(ValueError, match="got none"):
        open_stack([])
