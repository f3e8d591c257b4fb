"""A photo is looked up by the model's own tower where that is the datastore's encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.main import main
from tuna_model.answering import Answerer, Decoding, Request
from tuna_model.controls import CONTROLS
from tuna_model.explain import explain
from tuna_model.own_tower import OwnTower
from tuna_model.tag_source import SourceOptions, open_source

SHORT = Decoding(max_new_tokens=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_tar, jpeg):
    root = tmp_path_factory.mktemp("own")
    members = [
        (f"{n}.{kind}", data)
        for n in range(6)
        for kind, data in (("jpg", jpeg(n)), ("txt", b"a red car and a dog"))
    ]
    shard = str(write_tar(root / "shards/0.tar", members))
    assert main(["build", shard, "--out", str(root / "store"), "--clip-model", "demo"]) == 0
    return str(root / "store")


@pytest.fixture
def demo_answerer(demo_parts):
    model, processor = demo_parts
    return Answerer(model.eval(), processor, CONTROLS["tuna"])


@pytest.fixture
def passes(monkeypatch):
    """Pictures of each pass of a model's vision tower."""
    counts = []

    def watch(model):
        model.model.vision_tower.register_forward_hook(lambda *a: counts.append(len(a[1][0])))
        return counts

    return watch


def test_the_tower_is_recognised_by_what_it_gives(demo_answerer, demo_encoder, tiny_tuna):
    assert demo_answerer.tower.agrees_with(demo_encoder)
    with torch.no_grad():
        other = demo_answerer.model.model.vision_tower
        next(p for p in other.parameters() if p.ndim > 1).mul_(-1)
    assert not demo_answerer.tower.agrees_with(demo_encoder)
    # Of another dimension, no picture is needed.
    assert not OwnTower(tiny_tuna, None).agrees_with(demo_encoder)


def test_a_look_up_and_the_answer_are_one_pass(demo_answerer, store, tools, passes):
    photos = [tools.picture(seed, 80) for seed in (1, 2)]
    options = SourceOptions((store,))
    own = open_source(CONTROLS["tuna"], options, demo_answerer.tower)
    counted = passes(demo_answerer.model)
    found = own.find(["a", "b"], photos)
    asked = [Request("what is this ?", (p,), r) for p, r in zip(photos, found, strict=True)]
    said = demo_answerer.answer(asked, SHORT)
    again = demo_answerer.answer(asked[1:] + asked[:1], SHORT)
    assert counted == [2] and again == said[::-1]
    assert explain(demo_answerer, photos[0], "what is this ?", found[0], answer="car").tags
    assert counted == [2]
    # Without the tower: the encoder's vectors, other passes, the same answers.
    plain = Answerer(demo_answerer.model, demo_answerer.processor, CONTROLS["tuna"])
    apart = open_source(CONTROLS["tuna"], options).find(["a", "b"], photos)
    for mine, theirs in zip(found, apart, strict=True):
        assert [n.key for n in mine.neighbours] == [n.key for n in theirs.neighbours]
        assert [t.text for t in mine.tags] == [t.text for t in theirs.tags]
    assert plain.answer(asked, SHORT) == said and counted == [2, 2]


def test_prompts_of_seen_pictures_are_the_processors(demo_answerer, tools):
    photos = [tools.picture(seed, 80) for seed in (1, 2)]
    asked = [
        Request("what is this ?", (photos[0],), tools.retrieval("red car", "dog")),
        Request("what ?", (photos[1],)),
    ]
    before = demo_answerer.inputs(asked)
    vectors = demo_answerer.tower.look(photos)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    after = demo_answerer.inputs(asked)
    assert "pixel_values" not in after
    assert set(before) - {"pixel_values"} == set(after) - {"mm_encoder_outputs"}
    for name in set(before) & set(after):
        assert torch.equal(before[name], after[name]), name
    one = demo_answerer.inputs(asked[1:])
    assert "tag_index" not in one and one["mm_encoder_outputs"]["image"] is not None


def test_few_pictures_are_remembered(demo_answerer, tools):
    photos = [tools.picture(seed, 64) for seed in range(40)]
    vectors = [demo_answerer.tower.look(photos[i : i + 20]) for i in (0, 20)]
    assert demo_answerer.tower.features(photos[:1]) is None
    assert demo_answerer.tower.features(photos[-2:]).pooler_output[0].shape[0] == 16
    assert np.allclose(demo_answerer.tower.look(photos), np.concatenate(vectors), atol=1e-5)
