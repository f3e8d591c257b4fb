"""Starting from a LLaVA, keeping a TUNA, and towers of open_clip."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPModel,
)

from demo.world import draw, sample_scene
from index.retrievals import Retrieval, RetrievedTag
from tagmine.errors import ConfigurationError
from tuna_model.clip_keys import fit_keys
from tuna_model.configuration_tuna import TunaConfig
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.open_clip_towers import towers_of_encoder
from tuna_model.processing_tuna import TunaProcessor

QUESTION = "USER: <image> what is this ? ASSISTANT:"


def inputs_of(processor, tools, *tags, seed=0):
    return processor(
        images=[tools.picture(seed)],
        text=QUESTION,
        retrievals=[tools.retrieval(*tags)],
        return_tensors="pt",
    )


def test_a_saved_llava_and_clip_become_a_tuna(llava_parts, tiny_processor, tools, tmp_path):
    llava_parts.llava.save_pretrained(tmp_path / "llava")
    llava_parts.clip.save_pretrained(tmp_path / "clip")
    tuna = TunaForConditionalGeneration.from_llava(
        tmp_path / "llava",
        tmp_path / "clip",
        processor=tiny_processor,
        weighting="exponential",
        temperature=20.0,
    )
    assert (tuna.config.weighting, tuna.config.temperature) == ("exponential", 20.0)
    # Rows are spare, so that the vocabulary stays.
    assert tuna.lm_head.weight.shape[0] == tuna.config.text_config.vocab_size == 96
    inputs = inputs_of(tiny_processor, tools, "red car", "dog")
    features = tuna.explain(**inputs)
    pixels, clip = inputs["pixel_values"], llava_parts.clip
    cosines = (
        clip(
            pixel_values=pixels,
            input_ids=inputs["tag_clip_ids"][0],
            attention_mask=inputs["tag_clip_mask"][0],
        ).logits_per_image
        / clip.logit_scale.exp()
    )
    assert torch.allclose(features.cosines, cosines, atol=1e-5)
    expected = torch.exp(20 * (cosines - cosines.max()))
    assert torch.allclose(features.weights, expected, atol=1e-4)


def test_a_tuna_is_kept_as_any_model_of_transformers(tiny_tuna, tiny_processor, tools, tmp_path):
    torch.nn.init.normal_(tiny_tuna.model.cross_attention.value.weight)
    tiny_tuna.config.cross_attention_trainable = False
    tiny_tuna.freeze()
    tiny_tuna.save_pretrained(tmp_path)
    tiny_processor.retriever = object()
    tiny_processor.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is TunaConfig
    assert {**config.to_dict(), "_name_or_path": ""} == tiny_tuna.config.to_dict()
    model = AutoModelForImageTextToText.from_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert type(model) is TunaForConditionalGeneration and type(processor) is TunaProcessor
    assert processor.retriever is None
    inputs = inputs_of(tiny_processor, tools, "red car", "dog")
    again = inputs_of(processor, tools, "red car", "dog")
    assert all(torch.equal(inputs[name], again[name]) for name in inputs)
    assert torch.equal(model(**inputs).logits, tiny_tuna(**inputs).logits)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {n for n, p in tiny_tuna.named_parameters() if p.requires_grad}
    assert not any("cross_attention" in n or "vision_tower" in n for n in trained)
    half = TunaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half(**inputs.to(torch.bfloat16)).logits.dtype == torch.bfloat16


def test_a_tuna_may_be_random(tiny_tuna, tiny_processor, tools):
    """From a configuration alone: identity projections, towers frozen, rows as configured."""
    tuna = TunaForConditionalGeneration(copy.deepcopy(tiny_tuna.config)).eval()
    attention = tuna.model.cross_attention
    assert torch.equal(attention.value.weight, torch.eye(20))
    assert torch.equal(attention.output.bias, torch.zeros(20))
    assert not any(p.requires_grad for p in tuna.model.vision_tower.parameters())
    assert tuna(**inputs_of(tiny_processor, tools, "dog")).logits.isfinite().all()


def test_the_llava_is_not_changed(llava_parts, tiny_tuna):
    with torch.no_grad():
        tiny_tuna.lm_head.weight.zero_()
    assert llava_parts.llava.lm_head.weight.abs().sum() > 0
    assert all(p.requires_grad for p in llava_parts.llava.parameters())


@pytest.mark.parametrize("tied", [False, True])
def test_rows_that_are_added_leave_the_logits(llava_parts, tiny_processor, tools, tied):
    llava, clip = tools.tiny_llava_and_clip(vocab_size=54)
    if tied:
        llava.config.tie_word_embeddings = llava.config.text_config.tie_word_embeddings = True
        llava.tie_weights()
    tuna = TunaForConditionalGeneration.from_llava(llava, clip, processor=tiny_processor)
    assert tiny_processor.tag_token_id == 54
    assert tuna.config.text_config.vocab_size == tuna.lm_head.weight.shape[0] == 56
    plain = inputs_of(tiny_processor, tools)
    ours, theirs = tuna(**plain).logits, llava(**plain).logits
    assert torch.equal(ours[..., :54], theirs)
    # Each new logit is the mean of the others: never the one that is chosen.
    assert torch.allclose(ours[..., 54:], theirs.mean(-1, keepdim=True).expand(1, -1, 2), atol=1e-5)
    assert tuna(**inputs_of(tiny_processor, tools, "dog")).logits.isfinite().all()


def test_a_clip_of_another_tower_is_refused(llava_parts, tiny_processor):
    other = copy.deepcopy(llava_parts.clip)
    with torch.no_grad():
        other.vision_model.post_layernorm.weight.mul_(2)
    with pytest.raises(ConfigurationError, match="other weights than the CLIP, first in post_lay"):
        TunaForConditionalGeneration.from_llava(llava_parts.llava, other, processor=tiny_processor)
    config = copy.deepcopy(llava_parts.clip.config)
    config.vision_config.num_hidden_layers = 1
    with pytest.raises(ConfigurationError, match="is not that of the CLIP"):
        TunaForConditionalGeneration.from_llava(
            llava_parts.llava, CLIPModel(config), processor=tiny_processor
        )


def test_what_cannot_be_loaded_says_what_to_do(llava_parts, tiny_processor, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for llava, clip, words in (
        ("llava-hf/llava-1.5-7b-hf", llava_parts.clip, "LLaVA 'llava-hf/llava-1.5-7b-hf' cannot"),
        (llava_parts.llava, "openai/clip-vit-large-patch14-336", "CLIP 'openai/clip-vit-large"),
        (tmp_path, llava_parts.clip, "LLaVA .* cannot be loaded"),
    ):
        with pytest.raises(ConfigurationError, match=words) as refused:
            TunaForConditionalGeneration.from_llava(llava, clip, processor=tiny_processor)
        assert "download it on a connected machine" in str(refused.value)
    with pytest.raises(ConfigurationError, match="pass processor=, a TunaProcessor"):
        TunaForConditionalGeneration.from_llava(llava_parts.llava, llava_parts.clip)


@pytest.mark.parametrize(
    ("layer", "cells", "channels"), [(None, 16, 384), ("layer4", 4, 768), ("layer2", 64, 192)]
)
def test_a_datastores_encoder_is_a_vision_tower(demo_encoder, layer, cells, channels, tmp_path):
    vision, _ = towers_of_encoder(demo_encoder, layer)
    pixels = torch.randn(2, 3, 64, 64)
    found = vision(pixels)
    config = vision.config
    assert found.hidden_states[0].shape == (2, cells, channels)
    assert (config.image_size // config.patch_size) ** 2 == cells
    assert config.hidden_size == channels
    assert torch.allclose(found.image_embeds, demo_encoder.model.encode_image(pixels), atol=1e-6)
    visual = demo_encoder.model.visual
    features = visual.layer2(visual.layer1(visual.stem(pixels)))
    features = features if layer == "layer2" else visual.layer3(features)
    features = visual.layer4(features) if layer == "layer4" else features
    cell = found.hidden_states[0][1, 1]
    assert torch.allclose(cell, features[1, :, 0, 1], atol=1e-6)
    vision.save_pretrained(tmp_path)
    kept = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(kept(pixels).hidden_states[0], found.hidden_states[0])
    assert torch.equal(kept(pixels).image_embeds, found.image_embeds)


def test_a_datastores_encoder_is_a_text_tower(demo_encoder, tmp_path):
    _, text = towers_of_encoder(demo_encoder)
    ids = torch.from_numpy(demo_encoder.tokenize(["striped red car", "Lisbon"]))
    expected = demo_encoder.model.encode_text(ids)
    mask = (ids != 0).long()
    assert torch.allclose(text(ids, mask).text_embeds, expected, atol=1e-6)
    assert torch.allclose(text(ids[:, :9], mask[:, :9]).text_embeds, expected, atol=1e-6)
    with pytest.raises(ValueError, match="a text of 25 tokens is longer than the 24"):
        text(torch.zeros(1, 25, dtype=torch.long))
    text.save_pretrained(tmp_path)
    assert torch.equal(AutoModel.from_pretrained(tmp_path)(ids).text_embeds, text(ids).text_embeds)


def test_a_vision_transformer_of_open_clip_is_a_tower():
    import open_clip

    from tuna_model.open_clip_configuration import OpenClipVisionConfig
    from tuna_model.open_clip_towers import OpenClipVisionModel

    vision_cfg = {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8}
    text_cfg = {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}
    clip = open_clip.model.CLIP(16, vision_cfg, text_cfg).eval()
    config = OpenClipVisionConfig(
        model_config={"embed_dim": 16, "vision_cfg": vision_cfg, "text_cfg": text_cfg},
        grid_layer="-2",
        hidden_size=32,
        patch_size=8,
        image_size=32,
        projection_dim=16,
    )
    tower = OpenClipVisionModel(config).eval()
    tower.visual.load_state_dict(clip.visual.state_dict())
    pixels = torch.randn(2, 3, 32, 32)
    blocks = []
    clip.visual.transformer.resblocks[1].register_forward_hook(lambda _, __, o: blocks.append(o))
    expected = clip.encode_image(pixels)
    found = tower(pixels)
    assert torch.allclose(found.image_embeds, expected, atol=1e-6)
    assert torch.allclose(found.hidden_states[0], blocks[0][:, 1:], atol=1e-6)
    # One step at a time through open_clip's own modules.
    block, visual = clip.visual.transformer.resblocks[2], clip.visual
    normed = block.ln_1(blocks[0][:, 1:])
    values = torch.nn.functional.linear(normed, block.attn.in_proj_weight[64:])
    dense = visual.ln_post(block.attn.out_proj(values + block.attn.in_proj_bias[64:])) @ visual.proj
    assert torch.allclose(tower.cell_embeds(pixels), dense, atol=1e-6)
    with pytest.raises(ConfigurationError, match="grid_layer is 'layer3'; expected a block from"):
        config.grid_layer = "layer3"
        OpenClipVisionModel(config)


def test_the_demo_encoder_is_tower_of_a_tuna(demo_encoder, demo_parts, tools, tmp_path):
    tuna, processor = demo_parts
    picture = tools.picture(4, 64)
    inputs = processor(
        images=[picture],
        text=QUESTION,
        retrievals=[tools.retrieval("red car", "dog")],
        return_tensors="pt",
    )
    # As the datastore's own search measures them.
    image = demo_encoder.embed_images(demo_encoder.preprocess(picture)[None]).astype(np.float32)
    tags = demo_encoder.embed_texts(["red car", "dog"]).astype(np.float32)
    found = tuna.explain(**inputs)
    assert found.cosines[0].numpy() == pytest.approx((tags @ image[0]), abs=2e-3)
    assert found.attention.shape == (1, 2, 16)
    tuna.train()
    before = {n: b.clone() for n, b in tuna.named_buffers()}
    tuna(**inputs, labels=inputs["input_ids"]).loss.backward()
    # Batch norms of a frozen tower keep their statistics.
    assert all(torch.equal(b, before[n]) for n, b in tuna.named_buffers())
    tuna.eval()
    tuna.save_pretrained(tmp_path)
    kept = TunaForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(kept(**inputs).logits, tuna(**inputs).logits)
    answer = kept.generate(**inputs, max_new_tokens=3)
    assert torch.equal(answer, tuna.generate(**inputs, max_new_tokens=3))


def test_keys_fitted_to_pictures_look_where_the_object_is(demo_encoder, demo_parts):
    """In the demo world: of two objects, one on the other, the upper is looked for above."""
    tuna, processor = demo_parts
    pixels = processor.image_processor(
        [draw(sample_scene("street", seed), 64) for seed in range(60)], return_tensors="pt"
    )["pixel_values"]
    assert fit_keys(tuna, demo_encoder, pixels) > 0.8
    scenes = [sample_scene("street", seed, count=2) for seed in range(1000, 1150)]
    scenes = [scene for scene in scenes if scene.relation == "on"]
    assert len(scenes) > 8
    height = []
    for scene in scenes:
        inputs = processor(
            images=[draw(scene, 64)],
            text=QUESTION,
            retrievals=[retrieval_of([o.kind.name for o in scene.objects])],
            return_tensors="pt",
        )
        attention = tuna.explain(**inputs).attention[0].unflatten(-1, (4, 4)).sum(-1)
        height.append(attention @ torch.arange(4.0))
    upper, lower = torch.stack(height).T
    assert (upper < lower).float().mean() > 0.7
    queries, grid = torch.randn(1, 3, 128), torch.randn(1, 16, 384)
    seen, weights = tuna.model.cross_attention(queries, grid)
    assert torch.allclose(seen, weights @ grid, atol=1e-5)


def test_keys_are_fitted_to_enough_pictures_of_open_clip(demo_encoder, demo_parts, tiny_tuna):
    with pytest.raises(ConfigurationError, match="16 cells of 1 pictures are too few"):
        fit_keys(demo_parts[0], demo_encoder, torch.randn(1, 3, 64, 64))
    with pytest.raises(ConfigurationError, match="CLIPVisionModel needs none"):
        fit_keys(tiny_tuna, demo_encoder, torch.randn(1, 3, 32, 32))


def retrieval_of(texts):
    return Retrieval(tuple(RetrievedTag(text, "object", 1, 0.5, ()) for text in texts), ())


def test_another_kind_of_model_is_not_drawn_anew(llava_parts, tmp_path):
    """transformers would warn, and make up all the weights that have another name there."""
    llava_parts.llava.save_pretrained(tmp_path / "llava")
    llava_parts.processor.save_pretrained(tmp_path / "llava")
    llava_parts.clip.save_pretrained(tmp_path / "clip")
    for load, folder, kind in (
        (TunaForConditionalGeneration, "llava", "model_type is 'llava'"),
        (TunaForConditionalGeneration, "clip", "model_type is 'clip'"),
        (TunaConfig, "llava", "model_type is 'llava'"),
        (TunaProcessor, "llava", "processor_class is 'LlavaProcessor'"),
    ):
        with pytest.raises(ConfigurationError, match=f"no TUNA model: its {kind}"):
            load.from_pretrained(tmp_path / folder)


def test_a_tuna_without_all_of_its_weights_is_refused(tiny_tuna, tmp_path):
    tiny_tuna.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    kept = load_file(weights)
    gone = next(name for name in kept if "language_model" in name and "q_proj" in name)
    del kept[gone]
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"lacks 1 of the weights .*q_proj"):
        TunaForConditionalGeneration.from_pretrained(tmp_path)
