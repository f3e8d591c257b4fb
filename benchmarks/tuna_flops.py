"""How much of LLaVA's arithmetic tags add, counted for any size, LLaVA-1.5-7B's among them.

    python -m benchmarks.tuna_flops [--ask-words 64] [--train-words 256]

Counts products of matrices, two operations for a multiplication and an addition, attention over all
pairs of positions; a test holds the count against what PyTorch counts of a small model. It prints
for the real model and the benchmark's small one which part does how much, and the ratio that tags
make of a first token and of a training step; then how long a row must be for a step to stay within
5 %.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from benchmarks.tuna_sizes import (
    CAP,
    CELLS,
    CLIP_TOKENS,
    PATCH,
    PRESETS,
    RETRIEVED,
    Preset,
    tag_tokens,
)

STEP_TARGET, FIRST_TARGET = 1.05, 1.10


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """Operations of one row, by part; `tags` is what only tags need, beside their tokens."""

    vision: float
    connector: float
    language: float
    head: float
    tags: float

    @property
    def total(self) -> float:
        return self.vision + self.connector + self.language + self.head + self.tags

    def shares(self) -> str:
        """Of the whole, for people."""
        named = dataclasses.asdict(self).items()
        return ", ".join(f"{name} {value / self.total:.1%}" for name, value in named)


def first_token(preset: Preset, words: int, tags: int) -> Work:
    """Of the prompt: an image, so many words, so many tags, none of them in the cache."""
    length = 1 + CELLS + words + tag_tokens(tags)
    vision, width = preset.vision[1], preset.language[1]
    pixels = 2 * CELLS * 3 * PATCH**2 * vision
    return Work(
        vision=pixels + _encoder(CELLS + 1, *preset.vision),
        connector=CELLS * _connector(vision, width),
        language=_language(length, preset),
        head=2 * width * preset.vocabulary,
        tags=_tags(preset, tags) if tags else 0.0,
    )


def training_step(preset: Preset, words: int, tags: int) -> Work:
    """Forward and backward of a row; the towers are frozen, and have no backward."""
    length = 1 + CELLS + words + tag_tokens(tags)
    once = first_token(preset, words, tags)
    vision, width = preset.vision[1], preset.language[1]
    # The first layer's input needs no gradient.
    connector = 3 * once.connector - CELLS * 2 * vision * width
    return dataclasses.replace(
        once,
        connector=connector,
        language=3 * once.language,
        head=3 * length * 2 * width * preset.vocabulary,
        tags=3 * once.tags,
    )


def _encoder(length: int, layers: int, width: int) -> float:
    return layers * (24 * length * width**2 + 4 * length**2 * width)


def _language(length: int, preset: Preset) -> float:
    layers, width, inner = preset.language
    linear = 2 * length * (4 * width**2 + 3 * width * inner)
    return layers * (linear + 4 * length**2 * width)


def _connector(vision: int, width: int) -> float:
    return 2 * vision * width + 2 * width**2


def _tags(preset: Preset, tags: int) -> float:
    vision, width, dim = preset.vision[1], preset.language[1], preset.dim
    texts = tags * (_encoder(CLIP_TOKENS, *preset.text) + 2 * preset.text[1] * dim)
    keys = 2 * CELLS * vision * dim
    asked = 2 * tags * (dim**2 + CELLS * dim + CELLS * vision + 2 * vision**2)
    return texts + keys + asked + tags * _connector(vision, width) + 2 * vision * dim


def ratio(with_tags: Work, plain: Work) -> float:
    """What tags make of it."""
    return with_tags.total / plain.total


def row_for_target(preset: Preset, tags: int) -> int:
    """The least words beside the image with which a training step stays within its target."""
    words = 0
    while ratio(training_step(preset, words, tags), training_step(preset, words, 0)) > STEP_TARGET:
        words += 1
    return words


def report(name: str, ask_words: int, train_words: int) -> None:
    """Print what a preset's tags cost."""
    preset = PRESETS[name]
    plain = first_token(preset, ask_words, 0)
    print(f"{name}: {plain.total / 1e9:,.0f} G operations to a first token: {plain.shares()}")
    for tags in (RETRIEVED, CAP):
        first = ratio(first_token(preset, ask_words, tags), plain)
        step = ratio(
            training_step(preset, train_words, tags), training_step(preset, train_words, 0)
        )
        print(
            f"  {tags} tags, {tag_tokens(tags)} tokens: first token {first:.3f} (at most "
            f"{FIRST_TARGET:.2f}), step {step:.3f} (at most {STEP_TARGET:.2f}; so from "
            f"{row_for_target(preset, tags)} words beside the image on)"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the real model's and the small one's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ask-words", type=int, default=64, help="of a question and its frame")
    parser.add_argument("--train-words", type=int, default=256, help="of a training conversation")
    options = parser.parse_args(argv)
    for name in ("7b", "small"):
        report(name, options.ask_words, options.train_words)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
