"""Retrievers over the demo encoder: a datastore, what was retrieved before, and the controls."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from index.retrievals import EMPTY, GROUP_ROWS, Retrieval, RetrievedTag, write_retrievals
from index.stack_plan import parse_stack
from pipelines.main import main
from tagmine.errors import ConfigurationError, DatastoreError
from tuna_model.controls import CONTROLS
from tuna_model.retrieval import (
    ClipTagger,
    DatastoreRetriever,
    RandomTags,
    StoredRetrievals,
    UnknownImageError,
    commonest_tags,
)
from tuna_model.tag_source import SourceOptions, open_retriever

WORDS = ("red car", "blue boat", "yellow bus", "green tree", "old house", "black dog")


@pytest.fixture(scope="module")
def world(tmp_path_factory, write_tar, jpeg):
    """Two datastores of 12 images each, and a folder with the images of the first."""
    root = tmp_path_factory.mktemp("world")
    for name, first in (("one", 0), ("two", 100)):
        members = []
        for number in range(12):
            data = jpeg(first + number)
            caption = f"a {WORDS[number % 6]} and a {WORDS[(number + 1) % 6]}"
            members += [(f"{number}.jpg", data), (f"{number}.txt", caption.encode())]
            photo = root / "images" / f"{name}-{number}.jpg"
            photo.parent.mkdir(exist_ok=True)
            photo.write_bytes(data)
        shard = str(write_tar(root / name / "0.tar", members))
        line = ["build", shard, "--out", str(root / f"{name}-store"), "--clip-model", "demo"]
        assert main(line) == 0
    return root


@pytest.fixture(scope="module")
def images(world):
    return [Image.open(world / f"images/one-{n}.jpg").convert("RGB") for n in range(12)]


@pytest.fixture(scope="module")
def stored(world):
    """Retrievals for the images of the first, from the first, copies kept; and a broken one."""
    rows = [{"image": f"one-{n}.jpg"} for n in range(12)] + [{"image": "gone.jpg"}, {"id": "text"}]
    source = world / "train.json"
    source.write_text(json.dumps(rows))
    line = ["retrieve", str(source), "--image-folder", str(world / "images"), "-k", "3"]
    line += ["--datastore", str(world / "one-store"), "--out", str(world / "stored")]
    assert main([*line, "--exclude-above", "off", "--max-tags", "4"]) == 0
    return world / "stored"


def test_a_datastore_answers_for_pictures_in_order(world, images):
    retriever = DatastoreRetriever(world / "one-store", k=3, max_tags=2)
    found = retriever.retrieve(images)
    for number, retrieval in enumerate(found):
        assert retrieval.neighbours[0].key == f"one/0/{number}"
        assert retrieval.neighbours[0].score > 0.999 and len(retrieval.neighbours) == 3
        assert len(retrieval.tags) == 2 and 0 in retrieval.tags[0].neighbours
    assert retriever.retrieve(images[3:5]) == found[3:5]
    assert retriever.retrieve([]) == []
    grey = images[0].convert("LA")
    assert retriever.retrieve([grey])[0].neighbours
    copies = DatastoreRetriever(retriever.datastores[0], k=3, exclude_above=0.985).retrieve(images)
    assert all(
        f"one/0/{number}" not in [n.key for n in r.neighbours] for number, r in enumerate(copies)
    )


def test_several_datastores_answer_as_one(world, images):
    both = DatastoreRetriever([world / "one-store", str(world / "two-store")], k=6)
    alone = [DatastoreRetriever(store, k=6).retrieve(images) for store in both.datastores]
    for one, two, merged in zip(*alone, both.retrieve(images), strict=True):
        near = sorted((*one.neighbours, *two.neighbours), key=lambda n: -n.score)[:6]
        assert merged.neighbours == tuple(near)
        assert {n.source for n in merged.neighbours} <= {"one/0", "two/0"}
        top = merged.tags[0]
        total = sum(n.score for n in near)
        assert top.score == pytest.approx(sum(near[p].score for p in top.neighbours) / total)


def test_weights_and_shares_reach_the_model_live_and_stored(world, images, tmp_path):
    words = [f"{world}/one-store=25%", f"{world}/two-store=75%"]
    source = tmp_path / "train.json"
    source.write_text(json.dumps([{"image": f"one-{n}.jpg"} for n in range(12)]))
    line = ["retrieve", str(source), "--image-folder", str(world / "images"), "-k", "4"]
    line += ["--datastore", words[0], "--datastore", words[1], "--exclude-above", "off"]
    assert main([*line, "--out", str(tmp_path / "stored")]) == 0
    stored = StoredRetrievals(tmp_path / "stored")
    assert stored.pin.datastore == "one-store+two-store"
    options = SourceOptions(tuple(words), k=4)
    live = open_retriever(CONTROLS["tuna"], options).retrieve(images)
    for number, found in enumerate(live):
        kept = stored.lookup(f"one-{number}.jpg")
        assert [n.datastore for n in found.neighbours].count("two-store") == 3
        assert {(n.datastore, n.key) for n in kept.neighbours} == {
            (n.datastore, n.key) for n in found.neighbours
        }
    with pytest.raises(ConfigurationError, match="add up to 50%"):
        SourceOptions((f"{world}/one-store=25%", f"{world}/two-store=25%"))
    weighted = DatastoreRetriever(parse_stack([f"{world}/one-store=0.1", words[1][:-4]]), k=6)
    assert {n.datastore for r in weighted.retrieve(images) for n in r.neighbours} == {"two-store"}


def test_an_image_that_several_datastores_have_counts_once(
    world, images, tmp_path, write_tar, jpeg
):
    one = world / "one-store"
    alone = DatastoreRetriever(one, k=5).retrieve(images)
    assert DatastoreRetriever([one, one], k=5).retrieve(images) == alone
    # Another datastore that has half of the images, under the same keys.
    members = []
    for number in range(6):
        caption = f"a {WORDS[number]} and a {WORDS[(number + 1) % 6]}"
        members += [(f"{number}.jpg", jpeg(number)), (f"{number}.txt", caption.encode())]
    shard = str(write_tar(tmp_path / "one" / "0.tar", members))
    assert main(["build", shard, "--out", str(tmp_path / "half"), "--clip-model", "demo"]) == 0
    both = DatastoreRetriever([one, tmp_path / "half", one], k=5).retrieve(images)
    for found, expected in zip(both, alone, strict=True):
        assert [n.key for n in found.neighbours] == [n.key for n in expected.neighbours]
        assert [(t.text, t.votes) for t in found.tags] == [(t.text, t.votes) for t in expected.tags]


def test_no_datastore_and_no_neighbours_are_refused(world, tmp_path):
    with pytest.raises(ValueError, match="got none"):
        DatastoreRetriever([])
    with pytest.raises(DatastoreError, match="no such folder"):
        DatastoreRetriever(tmp_path / "none")
    with pytest.raises(ValueError, match="at least 1"):
        DatastoreRetriever(world / "one-store", k=0)


def test_what_is_stored_is_what_the_datastore_says(world, stored, images):
    lookup = StoredRetrievals(stored)
    live = DatastoreRetriever(world / "one-store", k=3, max_tags=4)
    assert len(lookup) == 12 and lookup.pin.k == 3
    for number in (7, 0, 11, 7):
        found = lookup.lookup(f"one-{number}.jpg")
        assert len(found.tags) <= 4
        # A JPEG is decoded at reduced size there, so that scores differ in the last digits.
        assert [n.id for n in found.neighbours] == [
            n.id for n in live.retrieve([images[number]])[0].neighbours
        ]


def test_text_rows_and_rejects_have_nothing_and_strangers_are_named(stored):
    lookup = StoredRetrievals(stored)
    assert lookup.lookup(None) == EMPTY == lookup.lookup("gone.jpg")
    assert "gone.jpg" in lookup and "one-1.jpg" in lookup and "one-1" not in lookup
    for key in ("one-1", "", "\ud800", "zzz"):
        with pytest.raises(UnknownImageError) as caught:
            lookup.lookup(key)
        assert isinstance(caught.value, KeyError) and repr(key) in str(caught.value)


def test_it_may_be_pickled_for_the_workers_of_a_loader(stored):
    copy = pickle.loads(pickle.dumps(StoredRetrievals(stored)))
    assert copy.lookup("one-4.jpg") == StoredRetrievals(stored).lookup("one-4.jpg")


def test_one_file_over_many_row_groups(tmp_path):
    def retrieval(number: int) -> Retrieval:
        return Retrieval((RetrievedTag(f"tag {number}", "object", 0, 1.0, ()),), ())

    rows = [(f"é{number * 7919 % 1009}.jpg", retrieval(number)) for number in range(1009)]
    path = tmp_path / "r.parquet"
    write_retrievals(path, rows)
    lookup = StoredRetrievals(path)
    assert len(lookup) == 1009 > 7 * GROUP_ROWS and lookup.pin is None
    for key, expected in rows:
        assert lookup.lookup(key) == expected
    write_retrievals(path, [*rows, rows[3]])
    with pytest.raises(DatastoreError, match=f"'{rows[3][0]}' twice"):
        StoredRetrievals(path)
    write_retrievals(path, [])
    assert len(StoredRetrievals(path)) == 0 and "a" not in StoredRetrievals(path)


def test_folders_that_are_refused(stored, tmp_path):
    with pytest.raises(ConfigurationError, match="there are no retrievals"):
        StoredRetrievals(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="no finished retrievals"):
        StoredRetrievals(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    summary = json.loads((copy / "retrievals.json").read_text())
    for change, says in (
        ({"pin": summary["pin"] | {"k": 4}}, "not those that its summary speaks of"),
        ({"pin": summary["pin"] | {"format_version": 9}}, "format version 9"),
        ({"more": 1}, "is damaged"),
    ):
        (copy / "retrievals.json").write_text(json.dumps(summary | change))
        with pytest.raises(DatastoreError, match=says):
            StoredRetrievals(copy)
    (copy / "retrievals.json").write_text(json.dumps(summary))
    assert len(StoredRetrievals(copy)) == 12
    (copy / "parts/part-00000.parquet").unlink()
    with pytest.raises(DatastoreError, match="cannot be read"):
        StoredRetrievals(copy)


def test_random_tags_depend_on_the_picture_and_the_seed_alone(images):
    vocabulary = [f"tag {number}" for number in range(500)]
    found = RandomTags(vocabulary, 8, seed=1).retrieve(images)
    assert RandomTags(vocabulary, 8, seed=1).retrieve(images[::-1]) == found[::-1]
    assert RandomTags(vocabulary, 8, seed=2).retrieve(images) != found
    drawn = [tag.text for retrieval in found for tag in retrieval.tags]
    assert len(set(drawn)) > 60 and set(drawn) <= set(vocabulary)
    for retrieval in found:
        assert len({tag.text for tag in retrieval.tags}) == 8 and retrieval.neighbours == ()
        assert {(tag.kind, tag.score) for tag in retrieval.tags} == {("random", 1 / 8)}
    for count in (0, 501):
        with pytest.raises(ValueError, match="1 to 500"):
            RandomTags(vocabulary, count, seed=0)


def test_random_tags_are_as_many_as_another_finds_and_none_of_them(images):
    vocabulary = [f"tag {number}" for number in range(15)]

    class Found:
        def retrieve(self, pictures):
            return [
                Retrieval(
                    tuple(RetrievedTag(f"TAG {i}", "object", 1, 0.5, ()) for i in range(n)), ()
                )
                for n in range(len(pictures))
            ]

    found = RandomTags(vocabulary, 8, seed=1, like=Found()).retrieve(images)
    assert [len(one.tags) for one in found] == [min(n, 8, 15 - n) for n in range(len(images))]
    for number, one in enumerate(found):
        texts = {tag.text for tag in one.tags}
        assert texts <= set(vocabulary[number:]) and len(texts) == len(one.tags)


def test_a_tagger_names_what_clip_finds_in_the_drawn_world(world):
    from demo.world import all_kinds, draw, sample_scene
    from index import load_encoder

    kinds = all_kinds()[:20]
    names = [kind.name for kind in kinds]
    scenes = [sample_scene(kind.domain, 5, main=kind, count=1) for kind in kinds]
    tagger = ClipTagger(names, load_encoder("demo"), 3, "a photo of a {}")
    found = tagger.retrieve([draw(scene) for scene in scenes])
    right = [name in [t.text for t in r.tags] for name, r in zip(names, found, strict=True)]
    assert np.mean(right) > 0.6  # chance: 0.15
    scores = [tag.score for tag in found[0].tags]
    assert scores == sorted(scores, reverse=True) and found[0].tags[0].kind == "tagger"
    assert tagger.retrieve([]) == []
    with pytest.raises(ValueError, match="1 to 20"):
        ClipTagger(names, load_encoder("demo"), 21)


def test_the_commonest_tags_of_a_datastore(world):
    from index import open_datastore

    vocabulary = open_datastore(world / "one-store").vocabulary
    tags = commonest_tags(vocabulary, 5)
    assert len(tags) == 5
    everything = commonest_tags(vocabulary, 1000)
    assert everything[:5] == tags and len({t.casefold() for t in everything}) == len(everything)
    rows = pq.read_table(world / "one-store/tags").to_pylist()
    texts = {tag["text"] for row in rows for tag in row["tags"]}
    assert texts >= set(tags) and "red car" in everything
