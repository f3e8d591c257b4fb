"""Tiny random models and the processors that go with them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from index.encoder import load_encoder
from index.retrievals import Retrieval, RetrievedNeighbour, RetrievedTag
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.open_clip_towers import towers_of_encoder
from tuna_model.processing_tuna import TunaProcessor

SIDE, PATCH = 32, 8
SPARE = 54
CELLS = (SIDE // PATCH) ** 2
TEXT = """a an the red blue green striped car dog cat boat tree house lisbon porto what is this it
of in picture answer user : assistant ? . , yes no USER ASSISTANT Tags Captions According to you are
allowed use or partially following tags [ ] | image"""


def word_tokenizer(special: list[str], end: str, length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words that begins texts with the first special token."""
    names = dict.fromkeys([*special, *TEXT.split()])
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(names)}, special[-1]))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    single = f"{special[0]} $A {end}" if end else f"{special[0]} $A"
    numbers = [(t, tokenizer.token_to_id(t)) for t in special]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=numbers)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=special[0],
        eos_token=special[1],
        pad_token=special[2],
        unk_token=special[-1],
        model_max_length=length,
    )


def tiny_clip_config() -> CLIPConfig:
    return CLIPConfig(
        text_config=CLIPTextConfig(
            vocab_size=80,
            hidden_size=24,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=12,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
            projection_dim=16,
        ).to_dict(),
        vision_config=CLIPVisionConfig(
            hidden_size=20,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=16,
        ).to_dict(),
        projection_dim=16,
    )


def tiny_llava_config(vocab_size: int = 96) -> LlavaConfig:
    return LlavaConfig(
        vision_config=tiny_clip_config().vision_config,
        text_config=LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        ),
        image_token_index=3,
        image_seq_length=CELLS,
    )


def tiny_llava_and_clip(vocab_size: int = 96) -> tuple[LlavaForConditionalGeneration, CLIPModel]:
    """A random LLaVA and the CLIP whose vision tower it has; weights large enough to matter."""
    torch.manual_seed(0)
    clip = CLIPModel(tiny_clip_config()).eval()
    llava = LlavaForConditionalGeneration(tiny_llava_config(vocab_size)).eval()
    llava.model.vision_tower.load_state_dict(clip.vision_model.state_dict())
    with torch.no_grad():
        llava.get_input_embeddings().weight.normal_()
        # A model does not say what it never answered: images, padding, LLaVA-1.5's spare rows.
        llava.lm_head.weight[[2, 3, *range(SPARE, vocab_size)]] = llava.lm_head.weight.mean(dim=0)
    return llava, clip


@pytest.fixture(scope="session")
def llava_parts() -> SimpleNamespace:
    """A LLaVA, its CLIP and its processor; tests do not change them."""
    llava, clip = tiny_llava_and_clip()
    tokenizer = word_tokenizer(["<s>", "</s>", "<pad>", "<image>", "<unk>"], "", 512)
    images = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    clip_tokenizer = word_tokenizer(["<s>", "</s>", "<pad>", "<unk>"], "</s>", 12)
    return SimpleNamespace(
        llava=llava, clip=clip, processor=processor, clip_tokenizer=clip_tokenizer
    )


@pytest.fixture
def tiny_processor(llava_parts: SimpleNamespace) -> TunaProcessor:
    return TunaProcessor.from_llava(
        llava_parts.processor, llava_parts.clip_tokenizer, system_prompt=""
    )


@pytest.fixture
def tiny_tuna(
    llava_parts: SimpleNamespace, tiny_processor: TunaProcessor
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
