"""Configurations of towers that open_clip builds, in transformers' form."""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig


@strict
class OpenClipVisionConfig(PreTrainedConfig):
    """An image tower of open_clip.

    Attributes:
        model_config: open_clip's `model_cfg`: embed_dim, vision_cfg, text_cfg.
        quick_gelu: whether it has QuickGELU.
        grid_layer: where grid features come from: "layer1" to "layer4" of a ResNet, or the block
            of a vision transformer, counted from the end ("-2" is the last but one).
        hidden_size: channels of a grid feature.
        patch_size: pixels of a grid cell's side.
        image_size: pixels of the picture's side.
        projection_dim: dimension of the embedding.
    """

    model_type = "open_clip_vision_model"

    model_config: dict[str, Any] | None = None
    quick_gelu: bool = False
    grid_layer: str = "layer3"
    hidden_size: int = 384
    patch_size: int = 16
    image_size: int = 64
    projection_dim: int = 128


@strict
class OpenClipTextConfig(PreTrainedConfig):
    """A text tower of open_clip; attributes as for `OpenClipVisionConfig`."""

    model_type = "open_clip_text_model"

    model_config: dict[str, Any] | None = None
    quick_gelu: bool = False
    projection_dim: int = 128


AutoConfig.register("open_clip_vision_model", OpenClipVisionConfig)
AutoConfig.register("open_clip_text_model", OpenClipTextConfig)
