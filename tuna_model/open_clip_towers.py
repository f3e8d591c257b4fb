"""Towers of open_clip as models of transformers, so that a datastore's encoder can be a tower."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.clip.modeling_clip import CLIPTextModelOutput

from tagmine.errors import ConfigurationError
from tuna_model.open_clip_configuration import OpenClipTextConfig, OpenClipVisionConfig

if TYPE_CHECKING:
    from index.encoder import Encoder

_RESNET_LAYERS = ("layer1", "layer2", "layer3", "layer4")


@dataclasses.dataclass
class OpenClipVisionOutput(BaseModelOutputWithPooling):
    """Adds `image_embeds` [b, projection_dim], the global embedding, not normalised.

    `hidden_states` has one entry, the grid [b, cells, hidden_size], row by row, with no class
    token: a LLaVA over it has vision_feature_layer -1 and vision_feature_select_strategy "full".
    """

    image_embeds: torch.FloatTensor | None = None


class OpenClipVisionModel(PreTrainedModel):
    """An image tower of open_clip: a ModifiedResNet or a VisionTransformer."""

    config_class = OpenClipVisionConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    base_model_prefix = "visual_tower"

    def __init__(self, config: OpenClipVisionConfig) -> None:
        super().__init__(config)
        from open_clip.model import _build_vision_tower

        arguments = _tower_arguments(config, "vision_cfg", "timm_model_name")
        self.visual = _build_vision_tower(*arguments, config.quick_gelu)
        self._is_resnet = hasattr(self.visual, "attnpool")
        _check_grid_layer(config.grid_layer, self._is_resnet)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> OpenClipVisionOutput:
        """Grid and global embedding of pictures [b, 3, side, side], from one pass."""
        pixels = pixel_values.to(self.dtype)
        if self._is_resnet:
            grid, embeds = self._forward_resnet(pixels)
        else:
            grid, embeds = self._forward_transformer(pixels)
        return OpenClipVisionOutput(
            last_hidden_state=grid, pooler_output=embeds, hidden_states=(grid,), image_embeds=embeds
        )

    def _forward_resnet(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.visual.stem(pixels)
        grid = features
        for name in _RESNET_LAYERS:
            features = getattr(self.visual, name)(features)
            if name == self.config.grid_layer:
                grid = features
        return grid.flatten(2).transpose(1, 2), self.visual.attnpool(features)

    def _forward_transformer(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        blocks = len(self.visual.transformer.resblocks)
        index = blocks + int(self.config.grid_layer)
        found = self.visual.forward_intermediates(pixels, indices=[index], output_fmt="NLC")
        return found["image_intermediates"][0], found["image_features"]

    @torch.no_grad()
    def cell_embeds(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What each cell of the grid alone says in the space of texts [b, cells, projection_dim].

        The last attention's value and output path without its attention (MaskCLIP, arXiv
        2112.01071); a coarser last layer is spread over the grid's cells.
        """
        pixels, visual = pixel_values.to(self.dtype), self.visual
        if self._is_resnet:
            cells = visual.forward_intermediates(pixels, intermediates_only=True)
            last = cells["image_intermediates"][-1].flatten(2).transpose(1, 2)
            embeds = visual.attnpool.c_proj(visual.attnpool.v_proj(last))
        else:
            found = visual.forward_intermediates(pixels, indices=[-2], output_fmt="NLC")
            block, last = visual.transformer.resblocks[-1], found["image_intermediates"][0]
            weight, bias = (
                block.attn.in_proj_weight.chunk(3)[2],
                block.attn.in_proj_bias.chunk(3)[2],
            )
            values = block.attn.out_proj(nn.functional.linear(block.ln_1(last), weight, bias))
            embeds = visual.ln_post(values) @ visual.proj
        side = round(embeds.shape[1] ** 0.5)
        square = embeds.transpose(1, 2).unflatten(2, (side, side))
        wanted = self.config.image_size // self.config.patch_size
        return nn.functional.interpolate(square, (wanted, wanted)).flatten(2).transpose(1, 2)


class OpenClipTextModel(PreTrainedModel):
    """A text tower of open_clip."""

    config_class = OpenClipTextConfig
    main_input_name = "input_ids"
    input_modalities = ("text",)
    base_model_prefix = "text_tower"

    def __init__(self, config: OpenClipTextConfig) -> None:
        super().__init__(config)
        from open_clip.model import _build_text_tower

        arguments = _tower_arguments(config, "text_cfg", "hf_model_name")
        self.text = _build_text_tower(*arguments, config.quick_gelu)
        self.text.output_tokens = False
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        # Not in a saved state, so loading leaves it without values.
        if module is self.text and module.attn_mask is not None:
            module.attn_mask = module.build_causal_mask().to(module.positional_embedding.device)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> CLIPTextModelOutput:
        """Embeddings [b, projection_dim], not normalised, of token ids [b, t].

        The tower reads its whole context length; ids are filled up to it.
        """
        length = self.text.context_length
        if attention_mask is not None:
            input_ids = input_ids.masked_fill(attention_mask == 0, self.text.pad_id)
        missing = length - input_ids.shape[1]
        if missing < 0:
            raise ValueError(
                f"a text of {input_ids.shape[1]} tokens is longer than the {length} that the text "
                f"tower reads; let the tokenizer cut texts at {length}"
            )
        filled = nn.functional.pad(input_ids, (0, missing), value=self.text.pad_id)
        return CLIPTextModelOutput(text_embeds=self.text(filled))


def towers_of_encoder(
    encoder: Encoder, grid_layer: str | None = None
) -> tuple[OpenClipVisionModel, OpenClipTextModel]:
    """Both towers of a datastore's encoder, with copies of its weights.

    Args:
        encoder: what `index.encoder.load_encoder` gives.
        grid_layer: see `OpenClipVisionConfig`; by default "layer3" of a ResNet, else "-2".

    Raises:
        ConfigurationError: for an architecture with towers of timm or of the hub.
    """
    from index.clip_sources import resolve_clip_source

    model_config = resolve_clip_source(encoder.card.clip_model).model_config
    model, quick = encoder.model, encoder.card.activation == "quickgelu"
    vision_config = _vision_config(model, model_config, quick, grid_layer)
    text_config = OpenClipTextConfig(
        model_config=model_config, quick_gelu=quick, projection_dim=encoder.dim
    )
    vision, text = OpenClipVisionModel(vision_config), OpenClipTextModel(text_config)
    vision.visual.load_state_dict(model.visual.state_dict())
    # CLIP of open_clip takes its text tower apart; the parts keep their names.
    text_state = getattr(model, "text", model).state_dict()
    text.text.load_state_dict({name: text_state[name] for name in text.text.state_dict()})
    return vision.eval(), text.eval()


def _vision_config(
    model: nn.Module, model_config: dict[str, Any], quick_gelu: bool, grid_layer: str | None
) -> OpenClipVisionConfig:
    visual, vision = model.visual, model_config["vision_cfg"]
    is_resnet = hasattr(visual, "attnpool")
    layer = grid_layer or ("layer3" if is_resnet else "-2")
    _check_grid_layer(layer, is_resnet)
    if is_resnet:
        number = _RESNET_LAYERS.index(layer)
        # Bottlenecks widen fourfold; stem and pooling halve the picture twice, then each layer.
        hidden, patch = vision["width"] * 2**number * 4, 4 * 2**number
    else:
        hidden, patch = vision["width"], vision["patch_size"]
    side = visual.image_size
    return OpenClipVisionConfig(
        model_config=model_config,
        quick_gelu=quick_gelu,
        grid_layer=layer,
        hidden_size=hidden,
        patch_size=patch,
        image_size=side if isinstance(side, int) else side[0],
        projection_dim=model_config["embed_dim"],
    )


def _check_grid_layer(layer: str, is_resnet: bool) -> None:
    if layer in _RESNET_LAYERS if is_resnet else layer.startswith("-") and layer[1:].isdigit():
        return
    expected = ", ".join(_RESNET_LAYERS) if is_resnet else 'a block from the end, such as "-2"'
    raise ConfigurationError(f"grid_layer is {layer!r}; expected {expected}.")


def _tower_arguments(config: Any, tower: str, borrowed: str) -> tuple[int, dict[str, Any]]:
    model_config = config.model_config or {}
    if tower not in model_config or "embed_dim" not in model_config:
        raise ConfigurationError(
            f"model_config of {config.model_type} lacks embed_dim or {tower}; expected open_clip's "
            "model_cfg. Make the towers with towers_of_encoder."
        )
    name = model_config[tower].get(borrowed)
    if name:
        raise ConfigurationError(
            f"the encoder's {tower} is {name!r} of another library, whose grid features are not "
            "known here; expected a ModifiedResNet or VisionTransformer of open_clip."
        )
    return model_config["embed_dim"], model_config[tower]


AutoModel.register(OpenClipVisionConfig, OpenClipVisionModel)
AutoModel.register(OpenClipTextConfig, OpenClipTextModel)
