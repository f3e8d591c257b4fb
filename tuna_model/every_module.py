"""Every pass of a training runs every trained module, whatever its batch has.

Processes that train together wait for each other's gradients, and under ZeRO-3, where each holds a
part of every weight, for each other's modules in one order. A batch without tags, or of text alone,
must not leave out what another process runs at that moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tuna_model.image_features import global_embedding
from tuna_model.tag_encoder import is_partitioned

if TYPE_CHECKING:
    from tuna_model.modeling_tuna import TunaModel


def zero_of_tag_modules(
    model: TunaModel, images: BaseModelOutputWithPooling | None
) -> torch.Tensor:
    """0, whose gradient reaches cross-attention and connector where they train.

    Args:
        model: in the order of `encode_tags`, what that runs is run here.
        images: what `get_image_features` gave for the batch; None for a batch of text.
    """
    place = next(model.multi_modal_projector.parameters())
    config, attention = model.config, model.cross_attention
    total = torch.zeros((), device=place.device)
    if is_partitioned(model):
        side = config.vision_config.image_size
        if images is None:
            pixels = place.new_zeros((1, 3, side, side), dtype=model.dtype)
            images = model.get_image_features(pixels, return_dict=True)
            # The order backwards counts as much.
            total = total + images.pooler_output[0].sum()
        word = torch.zeros((1, 1), dtype=torch.long, device=place.device)
        model.clip_text(word, torch.ones_like(word))
        global_embedding(model, images)
    queries = torch.ones((1, 1, attention.text_dim), device=place.device)
    cells = torch.ones((1, 1, attention.vision_dim), device=place.device, dtype=model.dtype)
    seen, _ = attention(queries, cells)
    total = total + model.multi_modal_projector(seen).sum()
    return total.float() * 0.0
