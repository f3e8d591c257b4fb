"""Where the cross-attention starts: keys that CLIP already places beside its texts."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPVisionModel

from tuna_model.tag_encoder import TagCrossAttention


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
