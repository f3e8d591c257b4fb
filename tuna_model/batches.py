"""Rows of unequal length as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from tagmine.errors import ConfigurationError

IGNORED = -100
"""The label of a token that is not learned."""
_LONGEST_CLIP_TEXT = 4096


def fill(rows: list[list[int]], lengths: list[int], value: int, side: str) -> list[list[int]]:
    """Rows filled up to their lengths with `value`, on the side "left" or "right"."""
    fills = [[value] * (n - len(row)) for row, n in zip(rows, lengths, strict=True)]
    return [f + row if side == "left" else row + f for f, row in zip(fills, rows, strict=True)]


def clip_inputs(
    tokenizer: PreTrainedTokenizerBase, tags: Sequence[Sequence[str]]
) -> dict[str, list]:
    """tag_clip_ids and tag_clip_mask [b, n, t] of the tags of rows, as nested lists.

    A tag is cut at the tokenizer's model_max_length; a row with fewer tags is filled with tags
    of no token.
    """
    at = {tag: number for number, tag in enumerate(dict.fromkeys(t for row in tags for t in row))}
    encoded = tokenizer(
        list(at),
        padding=True,
        padding_side="right",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="np",
    )
    shape = (len(tags), max(map(len, tags)), encoded["input_ids"].shape[1])
    found = {}
    for name in ("input_ids", "attention_mask"):
        found[name] = np.zeros(shape, np.int64)
        for row, row_tags in enumerate(tags):
            found[name][row, : len(row_tags)] = encoded[name][[at[tag] for tag in row_tags]]
    return {
        "tag_clip_ids": found["input_ids"].tolist(),
        "tag_clip_mask": found["attention_mask"].tolist(),
    }


def check_context_length(tokenizer: Any) -> None:
    """Check that the tokenizer of a CLIP says where its text tower ends.

    Raises:
        ConfigurationError: where it says nothing, or a length that no tower has.
    """
    length = getattr(tokenizer, "model_max_length", None)
    if length is None or length > _LONGEST_CLIP_TEXT:
        raise ConfigurationError(
            f"clip_tokenizer {type(tokenizer).__name__} has model_max_length {length}; expected "
            "the context length of the CLIP text tower (77 for OpenAI's). Load it with "
            "model_max_length=77"
        )
