"""Tiny random models and the processors that go with them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from demo.tiny_models import CELLS, SIDE, TinyParts, tiny_llava_and_clip, tiny_parts
from index.encoder import load_encoder
from index.retrievals import Retrieval, RetrievedNeighbour, RetrievedTag
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.open_clip_towers import towers_of_encoder
from tuna_model.processing_tuna import TunaProcessor


@pytest.fixture(scope="session")
def llava_parts() -> TinyParts:
    """A LLaVA, its CLIP and its processor; tests do not change them."""
    return tiny_parts()


@pytest.fixture
def tiny_processor(llava_parts: TinyParts) -> TunaProcessor:
    return TunaProcessor.from_llava(
        llava_parts.processor, llava_parts.clip_tokenizer, system_prompt=""
    )


@pytest.fixture
def tiny_tuna(
    llava_parts: TinyParts, tiny_processor: TunaProcessor
) -> TunaForConditionalGeneration:
    return TunaForConditionalGeneration.from_llava(
        llava_parts.llava, llava_parts.clip, processor=tiny_processor
    )


def picture(seed: int, side: int = SIDE) -> Image.Image:
    pixels = torch.randint(256, (side, side, 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def retrieval(*texts: str) -> Retrieval:
    """What retrieval found, with these tags, from one neighbour."""
    neighbour = RetrievedNeighbour(7, "demo/train/7", "demo/0", 0.9, ("a red car in lisbon",))
    tags = tuple(RetrievedTag(text, "object", 1, 0.5, (0,)) for text in texts)
    return Retrieval(tags, (neighbour,))


@pytest.fixture(scope="session")
def demo_encoder():
    return load_encoder("demo", device="cpu", num_threads=1)


def demo_llava(encoder, processor):
    vision, _ = towers_of_encoder(encoder)
    torch.manual_seed(0)
    text = LlamaConfig(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    llava = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision.config,
            text_config=text,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            image_token_index=processor.image_token_id,
            image_seq_length=16,
        )
    )
    llava.model.vision_tower.load_state_dict(vision.state_dict())
    return llava


@pytest.fixture(scope="session")
def demo_clip_folder():
    return Path(__file__).parents[2] / "demo" / "clip"


@pytest.fixture
def demo_parts(demo_encoder, demo_clip_folder, llava_parts):
    """A TUNA over the demo encoder, and its processor."""
    images = CLIPImageProcessor(
        size={"shortest_edge": 64},
        crop_size={"height": 64, "width": 64},
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
    )
    plain = LlavaProcessor(
        images,
        llava_parts.processor.tokenizer,
        patch_size=16,
        vision_feature_select_strategy="full",
    )
    processor = TunaProcessor.from_llava(plain, AutoTokenizer.from_pretrained(demo_clip_folder))
    llava = demo_llava(demo_encoder, processor)
    return TunaForConditionalGeneration.from_llava(
        llava, demo_clip_folder, processor=processor
    ), processor


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """Functions of this file, which importlib mode lets no test import."""
    return SimpleNamespace(
        picture=picture, retrieval=retrieval, tiny_llava_and_clip=tiny_llava_and_clip, cells=CELLS
    )
