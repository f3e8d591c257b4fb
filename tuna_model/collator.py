"""Rows of unequal length, with and without image and tags, as one batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from tuna_model.processing_tuna import TunaProcessor


@dataclasses.dataclass(frozen=True, slots=True)
class TunaCollator:
    """Pads rows of `RowLoader.load` and stacks the images of those that have one."""

    processor: TunaProcessor

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """One batch.

        Returns:
            input_ids, attention_mask and labels [b, s]; where a row has an image, pixel_values
            [images, 3, height, width] in the order of the rows that have one; where a row has
            tags, tag_index [b, s], tag_clip_ids and tag_clip_mask [b, n, t].
        """
        batch = dict(self.processor.pad(rows, return_tensors="pt"))
        pixels = [row["pixel_values"] for row in rows if "pixel_values" in row]
        if pixels:
            batch["pixel_values"] = torch.stack(pixels)
        return batch
