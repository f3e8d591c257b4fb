"""A tiny random LLaVA and its CLIP: commands of docs/tuna.md run with them, and answer nonsense.

    python -m demo.tiny_models [--out tiny-models]

They take the place of weights that a hub would have, to see the form of each step in seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
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

from tuna_model.modeling_tuna import TunaForConditionalGeneration
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


@dataclasses.dataclass(frozen=True, slots=True)
class TinyParts:
    """A LLaVA with its processor, and the CLIP of its vision tower with its tokenizer."""

    llava: LlavaForConditionalGeneration
    clip: CLIPModel
    processor: LlavaProcessor
    clip_tokenizer: PreTrainedTokenizerFast

    def save(self, llava: Path, clip: Path) -> None:
        """Write both as folders that `from_pretrained` opens."""
        for part in (self.llava, self.processor):
            part.save_pretrained(llava)
        for part in (self.clip, self.clip_tokenizer):
            part.save_pretrained(clip)


def tiny_parts() -> TinyParts:
    """The same parts at each call."""
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
    return TinyParts(
        llava, clip, processor, word_tokenizer(["<s>", "</s>", "<pad>", "<unk>"], "</s>", 12)
    )


def write_models(out: Path) -> None:
    """Write the folders `llava`, `clip`, and `tuna`, which is of both and not trained."""
    parts = tiny_parts()
    parts.save(out / "llava", out / "clip")
    processor = TunaProcessor.from_llava(parts.processor, parts.clip_tokenizer)
    tuna = TunaForConditionalGeneration.from_llava(parts.llava, parts.clip, processor=processor)
    tuna.save_pretrained(out / "tuna")
    processor.save_pretrained(out / "tuna")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0."""
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m demo.tiny_models", description=summary)
    parser.add_argument("--out", type=Path, default=Path("tiny-models"), metavar="DIR")
    out = parser.parse_args(argv).out
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    write_models(out)
    print(f"{out} has llava, clip and tuna: random weights, whose answers mean nothing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
