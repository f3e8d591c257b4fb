"""The model under study: a real TunaForConditionalGeneration whose vision tower has been run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    CLIPImageProcessor,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from benchmarks.study.arms import Arm
from benchmarks.study.language_model import load_tokenizer
from benchmarks.study.pictures import Features
from benchmarks.study.settings import Settings
from demo.retrieval import CLIP_FOLDER
from index.encoder import load_encoder
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.open_clip_towers import OpenClipVisionOutput, towers_of_encoder
from tuna_model.processing_tuna import TunaProcessor


class StoredTower(nn.Module):
    """Stands for the frozen vision tower: gives back what it said of a picture when it was run.

    The tower is frozen and its pictures are not altered, so that its outputs are always the same.
    In place of pixels it takes rows of `packed`.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self._cells = (config.image_size // config.patch_size) ** 2

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> OpenClipVisionOutput:
        """Grid and embeddings from packed rows [b, cells * hidden_size + projection_dim]."""
        width = self._cells * self.config.hidden_size
        grid = pixel_values[:, :width].unflatten(1, (self._cells, self.config.hidden_size))
        embeds = pixel_values[:, width:]
        return OpenClipVisionOutput(
            last_hidden_state=grid, pooler_output=embeds, hidden_states=(grid,), image_embeds=embeds
        )


def packed(features: Features, rows: Sequence[int]) -> torch.Tensor:
    """Features of pictures as `StoredTower` takes them, float32 [b, n]."""
    grid = features.grid[rows].reshape(len(rows), -1).astype(np.float32)
    return torch.from_numpy(np.concatenate([grid, features.vectors[rows]], axis=1))


def make_processor(llama: Path, settings: Settings) -> TunaProcessor:
    """The processor of the Llama in a folder, with the demo CLIP's tokenizer."""
    vision, _ = towers_of_encoder(load_encoder("demo", device="cpu"))
    side = {"height": vision.config.image_size, "width": vision.config.image_size}
    return TunaProcessor(
        CLIPImageProcessor(size=side, crop_size=side),
        load_tokenizer(llama),
        PreTrainedTokenizerFast.from_pretrained(CLIP_FOLDER),
        patch_size=vision.config.patch_size,
        vision_feature_select_strategy="full",
        max_tags=settings.max_tags,
        system_prompt="",
    )


def make_model(
    llama: Path, settings: Settings, processor: TunaProcessor, arm: Arm, seed: int
) -> TunaForConditionalGeneration:
    """A model before instruction tuning: trained Llama and CLIP, a connector drawn by the seed."""
    torch.manual_seed(seed)
    encoder = load_encoder("demo", device="cpu")
    vision, _ = towers_of_encoder(encoder)
    language = LlamaForCausalLM.from_pretrained(llama)
    config = LlavaConfig(
        vision_config=vision.config,
        text_config=language.config,
        image_token_index=processor.image_token_id,
        image_seq_length=(vision.config.image_size // vision.config.patch_size) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    llava = LlavaForConditionalGeneration(config)
    llava.model.vision_tower = vision
    llava.model.language_model = language.model
    llava.lm_head = language.lm_head
    model = TunaForConditionalGeneration.from_llava(
        llava,
        encoder,
        processor=processor,
        temperature=arm.temperature,
        max_tags=settings.max_tags,
    )
    model.apply_control(arm.control)
    model.model.vision_tower = StoredTower(vision.config)
    return model
