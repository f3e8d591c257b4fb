"""Weights of tags, the cross-attention at step 0, and the text tower's memory."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPModel

from tagmine.errors import ConfigurationError
from tuna_model.answering import Decoding
from tuna_model.clip_keys import start_from_clip
from tuna_model.configuration_tuna import TunaConfig
from tuna_model.controls import Tuner
from tuna_model.tag_encoder import CachedTextTower, TagCrossAttention
from tuna_model.train_options import DataOptions, TrainOptions
from tuna_model.weighting import WEIGHTINGS, tag_weights

COSINES = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8)


@given(cosines=COSINES, temperature=st.floats(0.1, 50), hidden=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_weights_follow_their_formulas(cosines, temperature, hidden):
    count = len(cosines)
    padded = torch.tensor([[*cosines, *[0.9] * hidden]])
    mask = torch.arange(count + hidden)[None] < count
    highest = max(cosines)
    powers = [math.exp(temperature * (c - highest)) for c in cosines]
    expected = {
        "none": [1.0] * count,
        "softmax": [p / sum(powers) for p in powers],
        "softmax_times_n": [count * p / sum(powers) for p in powers],
        "exponential": powers,
    }
    assert set(expected) == set(WEIGHTINGS)
    for name, values in expected.items():
        weights = tag_weights(padded, mask, name, temperature)[0].tolist()
        assert weights[:count] == pytest.approx(values, rel=1e-4, abs=1e-6)
        assert weights[count:] == [0.0] * hidden


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_row_without_tags_has_no_weights(weighting):
    weights = tag_weights(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool), weighting)
    assert weights.tolist() == [[0.0] * 3] * 2


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ConfigurationError, match="'hard' is unknown; expected one of none, soft"):
        tag_weights(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), "hard")
    for number in (0, math.inf, math.nan):
        with pytest.raises(ConfigurationError, match=f"temperature is {number}; expected a num"):
            tag_weights(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), "softmax", number)


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_a_temperature_that_is_no_number_is_refused_wherever_it_is_given(number):
    for make in (
        lambda: TunaConfig(temperature=number),
        lambda: Tuner(temperature=number),
        lambda: Decoding(temperature=number),
        lambda: TrainOptions("model", "output", DataOptions("rows.json"), temperature=number),
    ):
        with pytest.raises(ConfigurationError, match=f"temperature (is )?{number}"):
            make()


def test_step_0_is_a_mean_of_the_grid_weighted_by_attention(tiny_tuna):
    attention = tiny_tuna.model.cross_attention
    queries, grid = torch.randn(2, 3, 16), torch.randn(2, 16, 20)
    seen, weights = attention(queries, grid)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3), atol=1e-6)
    assert torch.equal(seen, weights @ grid)


def test_step_0_compares_tags_with_cells_as_clip_does(llava_parts, tiny_tuna, tools):
    """MaskCLIP's dense embeddings, step by step through CLIP's own modules."""
    clip: CLIPModel = llava_parts.clip
    with torch.no_grad():
        pixels = torch.randn(2, 3, 32, 32)
        states = clip.vision_model(pixels, output_hidden_states=True).hidden_states
        grid = states[-2][:, 1:]
        block = clip.vision_model.encoder.layers[-1]
        values = block.self_attn.out_proj(block.self_attn.v_proj(block.layer_norm1(grid)))
        dense = clip.visual_projection(clip.vision_model.post_layernorm(values))
        queries = torch.randn(2, 5, 16)
        cosines = torch.cosine_similarity(queries[:, :, None], dense[:, None], dim=-1)
        _, attention = tiny_tuna.model.cross_attention(queries, grid)
    scale = clip.logit_scale.exp().item()
    assert torch.allclose(attention, (scale * cosines).softmax(-1), atol=1e-4)


def test_the_keys_are_close_where_the_norms_have_biases():
    torch.manual_seed(3)
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    vision = CLIPVisionModel(config).eval()
    projection = torch.nn.Linear(64, 24, bias=False)
    attention = TagCrossAttention(24, 64)
    with torch.no_grad():
        for module in vision.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.uniform_(0.5, 2)
                module.bias.normal_(std=0.5)
        assert start_from_clip(attention, vision, projection, 2.0, -2)
        grid = torch.randn(1, 200, 64)
        block = vision.encoder.layers[-1]
        values = block.self_attn.out_proj(block.self_attn.v_proj(block.layer_norm1(grid)))
        dense = projection(vision.post_layernorm(values))
        keys = attention.key(attention.key_norm(grid))
    assert torch.cosine_similarity(dense, keys, dim=-1).min() > 0.97


def test_another_layer_leaves_the_keys_to_be_learned(llava_parts):
    attention = TagCrossAttention(16, 20)
    before = attention.key.weight.clone()
    clip = llava_parts.clip
    assert not start_from_clip(attention, clip.vision_model, clip.visual_projection, 4.6, -3)
    assert torch.equal(attention.key.weight, before)
    assert start_from_clip(attention, clip.vision_model, clip.visual_projection, 4.6, -1)
    assert torch.equal(attention.key.weight, clip.visual_projection.weight)


def texts(*rows):
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[2] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def test_the_memory_of_the_text_tower_is_bounded_and_exact(llava_parts):
    config = llava_parts.clip.config.text_config
    tower = CachedTextTower(config, cache_size=2).eval()
    runs = []
    tower.tower.register_forward_pre_hook(
        lambda _, __, kwargs: runs.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    a, b, c = [0, 8, 1], [0, 9, 10, 11, 1], [0, 12, 1]
    fresh = {}
    for name, row in {"a": a, "b": b, "c": c}.items():
        ids, mask = texts(row)
        output = tower.tower(input_ids=ids, attention_mask=mask).text_embeds[0]
        fresh[name] = output / output.norm()
    runs.clear()
    found = tower(*texts(a, b, a))
    assert runs == [2]
    assert torch.allclose(found, torch.stack([fresh[n] for n in "aba"]), atol=1e-6)
    assert not found.requires_grad
    tower(*texts(a))
    tower(*texts(c))
    assert runs == [2, 1]
    # b was used least recently, and is out.
    tower(*texts(a, c))
    assert runs == [2, 1]
    tower(*texts(b))
    assert runs == [2, 1, 1]
    # More tags at once than are kept.
    assert torch.allclose(tower(*texts(a, b, c)), torch.stack([*fresh.values()]), atol=1e-6)


def test_padding_of_a_text_is_no_part_of_it(llava_parts):
    tower = CachedTextTower(llava_parts.clip.config.text_config, cache_size=8).eval()
    short = tower(*texts([0, 8, 1]))
    tower.clear()
    assert torch.allclose(tower(*texts([0, 8, 1], [0, 9, 9, 9, 9, 1]))[:1], short, atol=1e-6)


def test_moving_the_tower_forgets(llava_parts):
    tower = CachedTextTower(llava_parts.clip.config.text_config, cache_size=8).eval()
    exact = tower(*texts([0, 8, 1]))
    half = tower.to(torch.bfloat16)(*texts([0, 8, 1]))
    assert half.dtype == torch.float32
    assert not torch.equal(exact, half)
    assert torch.allclose(exact, half, atol=0.05)
