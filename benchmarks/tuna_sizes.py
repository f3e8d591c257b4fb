"""LLaVA-1.5 with TUNA at several sizes, random weights, and rows of the length of real ones.

What decides the share of tags in the cost is how many tokens stand beside them, and how the work is
divided among the towers. Both are LLaVA-1.5-7B's in the small preset, as far as a CPU can carry it;
`benchmarks.tuna_flops` prints both side by side. Where a small model must differ: its attention is
a larger share of its work (the share falls with the width), and so are its connector and towers.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, LlamaConfig, LlavaConfig
from transformers import LlavaForConditionalGeneration as Llava

from tuna_model.modeling_tuna import TunaForConditionalGeneration

IMAGE_SIDE, PATCH = 336, 14
CELLS = (IMAGE_SIDE // PATCH) ** 2
_IMAGE, _TAG, _SOFT, _WORDS = 5, 6, 7, 100

WORDS_OF_TAG = (2, 2, 2, 2, 2, 2, 2, 3)
"""Tokens of a tag's words. Tags that tagmine mines are 2.05 tokens of Llama's tokenizer each from
CC3M's captions and 2.09 to 2.20 from COCO's (6,000 captions)."""
CLIP_TOKENS = 5
RETRIEVED, CAP = 13, 24
"""Tags a picture. CC3M's captions have 2.6 tags each, so that five neighbours have 13.0 different
ones when they have nothing in common, and fewer as near ones do; the cap is the default."""


@dataclasses.dataclass(frozen=True, slots=True)
class Preset:
    """Sizes of a LLaVA: layers and widths of its three towers, and the datastore's dimension."""

    language: tuple[int, int, int]
    vision: tuple[int, int]
    text: tuple[int, int]
    heads: int
    dim: int
    vocabulary: int


PRESETS = {
    "tiny": Preset((2, 64, 128), (2, 32), (2, 32), 2, 32, 200),
    "small": Preset((6, 1024, 2752), (6, 192), (2, 192), 8, 768, 1500),
    "7b": Preset((32, 4096, 11008), (24, 1024), (12, 768), 32, 768, 32064),
}


def tag_tokens(tags: int) -> int:
    """Positions of a prompt that so many tags take: their pictures and their words."""
    return sum(1 + WORDS_OF_TAG[i % len(WORDS_OF_TAG)] for i in range(tags))


def make_model(preset: Preset, device: str) -> TunaForConditionalGeneration:
    """A TUNA model of random weights; bfloat16 on a GPU."""
    torch.manual_seed(0)
    clip = CLIPModel(_clip_config(preset))
    layers, width, inner = preset.language
    language = LlamaConfig(
        vocab_size=preset.vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=preset.heads,
        num_key_value_heads=preset.heads,
        max_position_embeddings=4096,
    )
    config = LlavaConfig(
        vision_config=clip.config.vision_config, text_config=language, image_token_index=_IMAGE
    )
    dtype = torch.bfloat16 if device != "cpu" else torch.float32
    with torch.device(device):
        llava = Llava._from_config(config, dtype=dtype)
    llava.model.vision_tower.load_state_dict(clip.vision_model.state_dict(), strict=False)
    return TunaForConditionalGeneration.from_llava(
        llava, clip, tag_token_id=_TAG, soft_token_id=_SOFT
    ).to(device)


def _clip_config(preset: Preset) -> CLIPConfig:
    def tower(layers: int, width: int, **more: int) -> dict:
        return {
            "num_hidden_layers": layers,
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_attention_heads": max(2, width // 64),
            "projection_dim": preset.dim,
            **more,
        }

    vision = tower(*preset.vision, image_size=IMAGE_SIDE, patch_size=PATCH)
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    text = tower(*preset.text, vocab_size=400, **special)
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=preset.dim)


def inputs(
    model: TunaForConditionalGeneration, words: int, tags: int, device: str
) -> dict[str, torch.Tensor]:
    """One row: an image, tags, so many words."""
    vocabulary = model.config.text_config.vocab_size
    ids, index = [1] + [_IMAGE] * CELLS, [0] * (1 + CELLS)
    rng = np.random.default_rng(0)
    for number in range(1, tags + 1):
        length = WORDS_OF_TAG[(number - 1) % len(WORDS_OF_TAG)]
        ids += [_TAG, *rng.integers(_WORDS, vocabulary, length).tolist()]
        index += [number] * (1 + length)
    ids += rng.integers(_WORDS, vocabulary, words).tolist()
    index += [0] * words
    data = {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "pixel_values": torch.randn(1, 3, IMAGE_SIDE, IMAGE_SIDE, dtype=model.dtype),
    }
    if tags:
        clip_ids = torch.tensor(rng.integers(3, 400, (1, tags, CLIP_TOKENS)))
        clip_ids[..., 0], clip_ids[..., -1] = 0, 1
        data["tag_index"] = torch.tensor([index])
        data["tag_clip_ids"] = clip_ids
        data["tag_clip_mask"] = torch.ones_like(clip_ids)
    return {name: value.to(device) for name, value in data.items()}


def labels_of(data: dict[str, torch.Tensor]) -> torch.Tensor:
    """What a row of `inputs` is trained to say: all but the picture."""
    return data["input_ids"].masked_fill(data["input_ids"] == _IMAGE, -100)
