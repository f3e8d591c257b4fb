"""The ablation's switch, and noise in tags."""

from __future__ import annotations

import random

import pytest

from index.retrievals import EMPTY
from tagmine.errors import ConfigurationError
from tuna_model.controls import CONTROLS, Control, control_named
from tuna_model.noise import TagNoise


def test_each_control_changes_one_thing_of_tuna():
    tuna = Control()
    assert CONTROLS["tuna"] == tuna == Control("retrieved", "pairs", "softmax", True)
    for name, control in CONTROLS.items():
        fields = ("source", "form", "weighting", "tags_in_training")
        changed = {f for f in fields if getattr(control, f) != getattr(tuna, f)}
        # Captions have no pairs.
        assert len(changed) == {"tuna": 0, "captions": 2}.get(name, 1), name
    assert len(set(CONTROLS.values())) == len(CONTROLS) == 9


def test_another_weighting_leaves_a_control_without_tuner_alone():
    assert control_named("tuna", "exponential") == Control(weighting="exponential")
    assert control_named("no_tuner", "exponential") == CONTROLS["no_tuner"]
    assert control_named("random_tags") is CONTROLS["random_tags"]


def test_unknown_values_are_refused_with_what_is_known():
    with pytest.raises(ConfigurationError, match=r"'no_tag' is unknown \(nearest: no_tags\)"):
        control_named("no_tag")
    with pytest.raises(ConfigurationError, match="source of a control is 'web'; expected one of"):
        Control(source="web")
    with pytest.raises(ConfigurationError, match="captions have no form 'pairs'"):
        Control(source="captions")
    with pytest.raises(ConfigurationError, match="weighting 'hard' is unknown"):
        control_named("tuna", "hard")


def texts(retrieval):
    return [tag.text for tag in retrieval.tags]


def test_noise_drops_and_replaces_at_its_rates(tools):
    found = tools.retrieval(*(f"tag {n}" for n in range(10)))
    noise = TagNoise(dropout=0.3, injection=0.25, vocabulary=tuple(f"odd {n}" for n in range(500)))
    rng = random.Random(0)
    rows = [texts(noise.disturb(found, rng)) for _ in range(400)]
    kept = [text for row in rows for text in row]
    assert len(kept) == pytest.approx(4000 * 0.7, rel=0.05)
    assert sum(t.startswith("odd") for t in kept) == pytest.approx(len(kept) * 0.25, rel=0.12)
    assert all(len(set(row)) == len(row) for row in rows)
    assert noise.disturb(found, rng).neighbours == found.neighbours


def test_noise_is_the_seeds(tools):
    found = tools.retrieval("red car", "dog", "lisbon")
    noise = TagNoise(0.5, 0.5, ("house", "boat", "tree"))
    once = noise.disturb(found, random.Random(5))
    assert once == noise.disturb(found, random.Random(5))
    assert TagNoise().disturb(found, random.Random(5)) == found
    assert texts(TagNoise(dropout=1).disturb(found, random.Random(5))) == []
    assert noise.disturb(EMPTY, random.Random(5)) == EMPTY


def test_a_random_tag_is_none_that_the_image_has(tools):
    found = tools.retrieval("Dog", "cat")
    noise = TagNoise(injection=1, vocabulary=("dog", "CAT"))
    assert noise.disturb(found, random.Random(1)) == found
    injected = TagNoise(injection=1, vocabulary=("dog", "boat")).disturb(found, random.Random(1))
    assert texts(injected) in (["boat", "cat"], ["Dog", "boat"])
    assert [t.kind for t in injected.tags if t.text == "boat"] == ["random"]


def test_noise_that_cannot_be_is_refused():
    with pytest.raises(ConfigurationError, match="tag dropout is 1.5"):
        TagNoise(dropout=1.5)
    with pytest.raises(ConfigurationError, match="no vocabulary"):
        TagNoise(injection=0.5)
