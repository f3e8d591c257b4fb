"""Grid and global features of images, read off the one pass of the vision tower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tuna_model.configuration_tuna import TunaConfig

if TYPE_CHECKING:
    from tuna_model.modeling_tuna import TunaModel


def grid_features(config: TunaConfig, outputs: BaseModelOutputWithPooling) -> torch.Tensor:
    """Z_v [images, cells, channels], selected as LLaVA does before its connector."""
    layers = config.vision_feature_layer
    chosen = [layers] if isinstance(layers, int) else layers
    states = [outputs.hidden_states[layer] for layer in chosen]
    if config.vision_feature_select_strategy == "default":
        states = [state[:, 1:] for state in states]
    return states[0] if len(states) == 1 else torch.cat(states, dim=-1)


def global_embedding(model: TunaModel, outputs: BaseModelOutputWithPooling) -> torch.Tensor:
    """v [images, clip_embedding_dim], not normalised."""
    embeds = getattr(outputs, "image_embeds", None)
    if embeds is not None:
        return embeds
    # LLaVA overwrites the pooled output, which for CLIP is this.
    pooled = model.vision_tower.post_layernorm(outputs.last_hidden_state[:, 0])
    return model.visual_projection(pooled)


def images_of_rows(
    input_ids: torch.LongTensor, mask: torch.Tensor, image_token_id: int, grid: torch.Tensor
) -> torch.Tensor:
    """The number of the first image of each row [b]; any for a row with neither image nor tags.

    Raises:
        ValueError: for a row with tags and no image, or with part of an image's placeholders.
    """
    count, cells = grid.shape[:2]
    places = (input_ids == image_token_id).sum(dim=-1)
    images = places // cells
    wrong = (mask.any(-1) & (places == 0)) | (places % cells != 0)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"row {row} has {int(mask[row].sum())} tags and {int(places[row])} image placeholders; "
            f"expected a multiple of {cells}, the features of an image, and an image where there "
            "are tags. Make the inputs with TunaProcessor, and do not cut them"
        )
    if int(images.sum()) != count:
        raise ValueError(
            f"the rows have placeholders for {int(images.sum())} images, but pixel_values holds "
            f"{count}"
        )
    return (images.cumsum(dim=0) - images).clamp_max(count - 1)
