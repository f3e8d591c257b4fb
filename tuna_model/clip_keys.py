"""Where the cross-attention starts: keys that CLIP already places beside its texts.

Two ways: `start_from_clip` reads them off the weights of CLIP of transformers, `fit_keys` learns
them from some pictures, without labels, for towers of open_clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import CLIPVisionModel

from tagmine.errors import ConfigurationError
from tuna_model.image_features import grid_features
from tuna_model.open_clip_towers import OpenClipVisionModel
from tuna_model.tag_encoder import TagCrossAttention

if TYPE_CHECKING:
    from index.encoder import Encoder
    from tuna_model.modeling_tuna import TunaForConditionalGeneration

# Of the mean square of the cells: enough to keep channels that hardly vary from growing.
_RIDGE = 1e-3


@torch.no_grad()
def start_from_clip(
    attention: TagCrossAttention,
    vision: nn.Module,
    projection: nn.Linear | None,
    logit_scale: float,
    layer: int | list[int],
) -> bool:
    """Set the keys so that step 0's scores are CLIP's cosines of a tag with each grid cell.

    Raw cells of CLIP are no neighbours of texts, but what the last block's attention would add of
    a cell is (MaskCLIP, arXiv 2112.01071): its value and output projections, then the final norm
    and `visual_projection`. All of it is linear after the block's first norm, but for the final
    norm's division, which a cosine does not see; only its bias needs an estimate of the divisor.
    At layer -1 the final norm and `visual_projection` alone are the key.

    Args:
        attention: whose key_norm, key and logit_scale are set.
        vision: the vision tower.
        projection: its `visual_projection`, where it is CLIP's of transformers.
        logit_scale: CLIP's, a logarithm.
        layer: LLaVA's vision_feature_layer.

    Returns:
        Whether it could be done: for CLIP of transformers at layer -2 or -1. Otherwise the keys
        stay random and are learned.
    """
    if not isinstance(vision, CLIPVisionModel) or projection is None or layer not in (-1, -2):
        return False
    final = vision.post_layernorm
    if layer == -1:
        norm, weight, bias = final, projection.weight, torch.zeros_like(attention.key.bias)
    else:
        block = vision.encoder.layers[-1]
        norm = block.layer_norm1
        weight, bias = _folded(block.self_attn, norm, final, projection)
    attention.key_norm.load_state_dict(norm.state_dict())
    attention.key_norm.eps = norm.eps
    attention.key.weight.copy_(weight)
    attention.key.bias.copy_(bias)
    attention.logit_scale.fill_(logit_scale)
    return True


def _folded(
    block: nn.Module, norm: nn.LayerNorm, final: nn.LayerNorm, projection: nn.Linear
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [clip, vision] and bias [clip] of value, output, final norm and projection in one."""
    value, output = block.v_proj, block.out_proj
    weight = output.weight.float() @ value.weight.float()
    bias = output.weight.float() @ value.bias.float() + output.bias.float()
    # Taking the mean away is linear.
    weight, bias = weight - weight.mean(dim=0), bias - bias.mean()
    # The divisor: root mean square over inputs of unit variance before the first norm's scale.
    spread = (weight * norm.weight.float()).square().sum()
    centre = (weight @ norm.bias.float() + bias).square().sum()
    divisor = ((spread + centre) / len(bias) + final.eps).sqrt()
    scaled = projection.weight.float() * final.weight.float()
    return scaled @ weight, scaled @ bias + divisor * (
        projection.weight.float() @ final.bias.float()
    )


@torch.no_grad()
def fit_keys(
    model: TunaForConditionalGeneration, encoder: Encoder, pixel_values: torch.Tensor
) -> float:
    """Fit the keys to what the tower's last layer says of each cell, by ridge regression.

    A tower of open_clip may give its grid from any layer, of which no linear map to the space of
    texts is known beforehand. Pictures without labels tell it: the target of a cell is the
    embedding that the tower itself has for that place (`OpenClipVisionModel.cell_embeds`).

    Args:
        model: with a vision tower of open_clip; its keys and their scale are set.
        encoder: the encoder that the tower comes from; for the scale of its cosines.
        pixel_values: [m, 3, side, side]; 200 pictures are enough for a grid of 16 cells.

    Returns:
        The mean cosine of keys with their targets, on the same pictures.

    Raises:
        ConfigurationError: for another tower, or fewer cells than channels.
    """
    inner, attention = model.model, model.model.cross_attention
    if not isinstance(inner.vision_tower, OpenClipVisionModel):
        raise ConfigurationError(
            f"keys are fitted for towers of open_clip; {type(inner.vision_tower).__name__} needs "
            "none, from_llava reads them off its weights"
        )
    outputs = inner.get_image_features(pixel_values, return_dict=True)
    grid = grid_features(model.config, outputs)
    cells = attention.key_norm(grid.to(attention.key.weight.dtype)).flatten(0, 1).double()
    if len(cells) < cells.shape[1]:
        raise ConfigurationError(
            f"{len(cells)} cells of {len(pixel_values)} pictures are too few to fit keys of "
            f"{cells.shape[1]} channels; pass at least {cells.shape[1] // grid.shape[1] + 1}"
        )
    target = inner.vision_tower.cell_embeds(pixel_values).flatten(0, 1).double()
    target = nn.functional.normalize(target, dim=-1)
    weight, bias = _ridge(cells, target)
    attention.key.weight.copy_(weight)
    attention.key.bias.copy_(bias)
    attention.logit_scale.fill_(encoder.model.logit_scale.item())
    return torch.cosine_similarity(cells @ weight.T + bias, target, dim=-1).mean().item()


def _ridge(inputs: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [k, d] and bias [k] of the linear map from inputs [m, d] to target [m, k]."""
    centre, middle = inputs.mean(dim=0), target.mean(dim=0)
    moved = inputs - centre
    gram = moved.T @ moved
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype).to(gram.device)
    weight = torch.linalg.solve(gram, moved.T @ (target - middle)).T
    return weight, middle - weight @ centre
