"""TUNA: LLaVA that reads retrieved tags (arXiv 2406.10839)."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText, Cache, LlavaForConditionalGeneration
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava.modeling_llava import (
    LlavaCausalLMOutputWithPast,
    LlavaModel,
    LlavaModelOutputWithPast,
    LlavaPreTrainedModel,
)

from tagmine.errors import ConfigurationError
from tuna_model import open_clip_towers  # noqa: F401 - registers towers that a config may name
from tuna_model.configuration_tuna import TunaConfig
from tuna_model.controls import Control
from tuna_model.every_module import zero_of_tag_modules
from tuna_model.generation import TagGeneration
from tuna_model.image_features import global_embedding, grid_features, images_of_rows
from tuna_model.placeholders import check_no_placeholders, check_tags
from tuna_model.tag_encoder import CachedTextTower, TagCrossAttention, TagFeatures
from tuna_model.weighting import tag_weights


@dataclasses.dataclass
class TunaCausalLMOutputWithPast(LlavaCausalLMOutputWithPast):
    """LLaVA's output, and for tags: weights and cosines [b, n], attention [b, n, cells]."""

    tag_weights: torch.FloatTensor | None = None
    tag_cosines: torch.FloatTensor | None = None
    tag_attention: torch.FloatTensor | None = None


class TunaPreTrainedModel(LlavaPreTrainedModel):
    config_class = TunaConfig
    config: TunaConfig

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, TagCrossAttention):
            for linear in (module.query, module.value, module.output):
                init.eye_(linear.weight)
            for linear in (module.query, module.key, module.value, module.output):
                init.zeros_(linear.bias)
            init.orthogonal_(module.key.weight)
            init.zeros_(module.logit_scale)


class TunaModel(TunaPreTrainedModel, LlavaModel):
    """LLaVA's model with a CLIP text tower and a cross-attention between tags and image."""

    def __init__(self, config: TunaConfig) -> None:
        super().__init__(config)
        layers = config.vision_feature_layer
        count = 1 if isinstance(layers, int) else len(layers)
        vision_dim = config.vision_config.hidden_size
        self.clip_text = CachedTextTower(config.clip_text_config, config.text_cache_size)
        if not isinstance(self.vision_tower, open_clip_towers.OpenClipVisionModel):
            self.visual_projection = nn.Linear(vision_dim, config.clip_embedding_dim, bias=False)
        self.cross_attention = TagCrossAttention(config.clip_embedding_dim, vision_dim * count)
        self.soft_token = nn.Embedding(1, config.text_config.hidden_size)
        self.post_init()
        self.freeze()

    def frozen_modules(self) -> list[nn.Module]:
        """The towers, which no training updates."""
        frozen = [self.vision_tower, self.clip_text]
        return frozen + ([self.visual_projection] if hasattr(self, "visual_projection") else [])

    def freeze(self) -> None:
        """Freeze the towers; the cross-attention and LION's token as the configuration says."""
        for module in self.frozen_modules():
            module.requires_grad_(False)
        self.cross_attention.requires_grad_(self.config.cross_attention_trainable)
        self.soft_token.requires_grad_(self.config.soft_token_trainable)

    def train(self, mode: bool = True) -> TunaModel:
        """As any module, but the frozen towers stay in eval mode: batch norms, dropout."""
        super().train(mode)
        for module in self.frozen_modules():
            module.eval()
        return self

    def _soft_vector(self) -> torch.Tensor:
        """LION's learned vector [hidden_size]."""
        # By a call, as DeepSpeed puts a shared weight together for a module that is called.
        number = torch.zeros((), dtype=torch.long, device=self.device)
        return self.soft_token(number)

    def encode_tags(
        self,
        input_ids: torch.LongTensor,
        image_outputs: BaseModelOutputWithPooling,
        tag_clip_ids: torch.LongTensor,
        tag_clip_mask: torch.LongTensor,
    ) -> TagFeatures:
        """Look for tags in their images: the first image of each row.

        Args:
            input_ids: [b, s].
            image_outputs: what `get_image_features` gave for the batch.
            tag_clip_ids: [b, n, t].
            tag_clip_mask: [b, n, t]; a tag without a token is none.
        """
        mask = tag_clip_mask.any(dim=-1)
        grid = grid_features(self.config, image_outputs)
        rows = images_of_rows(input_ids, mask, self.config.image_token_id, grid)
        queries = grid.new_zeros((*mask.shape, self.config.clip_embedding_dim), dtype=torch.float32)
        queries[mask] = self.clip_text(tag_clip_ids[mask], tag_clip_mask[mask]).to(queries.device)
        image = nn.functional.normalize(global_embedding(self, image_outputs).float(), dim=-1)
        cosines = (queries * image[rows, None]).sum(dim=-1)
        seen, attention = self.cross_attention(queries, grid[rows])
        vectors = self.multi_modal_projector(seen)
        weights = tag_weights(cosines, mask, self.config.weighting, self.config.temperature)
        return TagFeatures(vectors, weights, cosines, attention * mask[..., None])

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        *,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        inputs_embeds: torch.Tensor | None = None,
        tag_index: torch.LongTensor | None = None,
        tag_features: TagFeatures | None = None,
        image_sizes: torch.Tensor | None = None,
        vision_feature_layer: int | list[int] | None = None,
        vision_feature_select_strategy: str | None = None,
        **kwargs: Any,
    ) -> tuple | LlavaModelOutputWithPast:
        if tag_features is None and not self._reads_soft_token(input_ids):
            return super().forward(
                input_ids=input_ids,
                pixel_values=pixel_values,
                mm_encoder_outputs=mm_encoder_outputs,
                inputs_embeds=inputs_embeds,
                image_sizes=image_sizes,
                vision_feature_layer=vision_feature_layer,
                vision_feature_select_strategy=vision_feature_select_strategy,
                **kwargs,
            )
        images = (mm_encoder_outputs or {}).get("image")
        if images is None and pixel_values is not None:
            images = self.get_image_features(pixel_values, return_dict=True)
        embeds = self._embed(input_ids, images, tag_index, tag_features)
        outputs = super().forward(inputs_embeds=embeds, **kwargs)
        if images is not None and not isinstance(outputs, tuple):
            outputs.image_hidden_states = torch.cat(list(images.pooler_output))
        return outputs

    def _reads_soft_token(self, input_ids: torch.LongTensor | None) -> bool:
        # A single token comes of decoding, where it costs a wait for the device at each step.
        if input_ids is None or input_ids.shape[1] == 1:
            return False
        # Where it trains it is read by every pass; see `tuna_model.every_module`.
        if self.training and self.config.soft_token_trainable:
            return True
        return bool((input_ids == self.config.soft_token_id).any())

    def _embed(
        self,
        input_ids: torch.LongTensor,
        images: BaseModelOutputWithPooling | None,
        tag_index: torch.LongTensor | None,
        tags: TagFeatures | None,
    ) -> torch.Tensor:
        """Word embeddings [b, s, hidden_size]; images, tags and LION's token in their places."""
        embeds = self.get_input_embeddings()(input_ids)
        if images is not None:
            features = torch.cat(list(images.pooler_output)).to(embeds.device, embeds.dtype)
            places = self.get_placeholder_mask(input_ids, embeds, features)
            embeds = embeds.masked_scatter(places, features)
        if self._reads_soft_token(input_ids):
            soft = (input_ids == self.config.soft_token_id)[..., None]
            embeds = torch.where(soft, self._soft_vector().to(embeds.dtype), embeds)
        if tags is None:
            return embeds
        is_picture = input_ids == self.config.tag_token_id
        rows, columns = is_picture.nonzero(as_tuple=True)
        pictures = tags.vectors[rows, tag_index[rows, columns] - 1].to(embeds.dtype)
        embeds = embeds.masked_scatter(is_picture[..., None], pictures)
        # What is no tag has weight 1, which changes no bit.
        weights = nn.functional.pad(tags.weights, (1, 0), value=1.0).gather(1, tag_index)
        return embeds * weights[..., None].to(embeds.dtype)


class TunaForConditionalGeneration(
    TagGeneration, TunaPreTrainedModel, LlavaForConditionalGeneration
):
    """LLaVA that reads retrieved tags; without any it is LLaVA, bit for bit.

    For tag i of an image, `<tag>` in the prompt is replaced by w_i·H_vi, and the words after it
    by w_i·H_i. See `TunaModel.encode_tags`. Tag inputs, which `TunaProcessor` makes:

        tag_index: [b, s]; 0 for no tag, i for the placeholder and the words of tag i of that row.
        tag_clip_ids, tag_clip_mask: [b, n, t], the tags as the CLIP text tower reads them.
    """

    def __init__(self, config: TunaConfig) -> None:
        # Not LLaVA's own, which would build a LlavaModel first.
        LlavaPreTrainedModel.__init__(self, config)
        self.model = TunaModel(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()

    def freeze(self) -> None:
        """See `TunaModel.freeze`."""
        self.model.freeze()

    def apply_control(self, control: Control) -> None:
        """Set the weighting of a control, and train LION's token where it has one."""
        self.config.weighting = control.weighting
        self.config.soft_token_trainable = control.form == "lion"
        self.freeze()

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        tag_index: torch.LongTensor | None = None,
        tag_clip_ids: torch.LongTensor | None = None,
        tag_clip_mask: torch.LongTensor | None = None,
        tag_features: TagFeatures | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> tuple | TunaCausalLMOutputWithPast:
        """LLaVA's forward; see the class for the tag inputs.

        `generate` and the Trainer read the names of this signature.

        Raises:
            ValueError: when placeholders, tag_index and tags do not fit together.
        """
        llava = {
            "input_ids": input_ids,
            "pixel_values": pixel_values,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            "inputs_embeds": inputs_embeds,
            "labels": labels,
            "logits_to_keep": logits_to_keep,
            "mm_encoder_outputs": mm_encoder_outputs,
            **kwargs,
        }
        if tag_clip_ids is None and tag_features is None:
            # While generating, which alone says use_cache, the prompt has been checked, and what
            # the model writes is its own.
            if "use_cache" not in kwargs:
                check_no_placeholders(self.config, input_ids)
            if self.training and labels is not None:
                return self._train_without_tags(llava)
            return super().forward(**llava)
        if tag_features is None:
            images = self._image_outputs(pixel_values, mm_encoder_outputs)
            tag_features = self._encode(input_ids, images, tag_index, tag_clip_ids, tag_clip_mask)
            llava.update(pixel_values=None, mm_encoder_outputs={"image": images})
        return_dict = llava.pop("return_dict", None)
        outputs = super().forward(
            **llava, tag_index=tag_index, tag_features=tag_features, return_dict=True
        )
        outputs = TunaCausalLMOutputWithPast(
            **outputs,
            tag_weights=tag_features.weights,
            tag_cosines=tag_features.cosines,
            tag_attention=tag_features.attention,
        )
        return outputs.to_tuple() if return_dict is False else outputs

    def _train_without_tags(self, llava: dict[str, Any]) -> tuple | LlavaCausalLMOutputWithPast:
        """LLaVA's loss, to which the modules of tags add 0."""
        images = (llava["mm_encoder_outputs"] or {}).get("image")
        if images is None and llava["pixel_values"] is not None:
            images = self.model.get_image_features(llava["pixel_values"], return_dict=True)
        if images is not None:
            llava.update(pixel_values=None, mm_encoder_outputs={"image": images})
        nothing = zero_of_tag_modules(self.model, images)
        return_dict = llava.pop("return_dict", None)
        outputs = super().forward(**llava, return_dict=True)
        outputs.loss = outputs.loss + nothing.to(outputs.loss.device)
        return outputs.to_tuple() if return_dict is False else outputs

    def _image_outputs(
        self,
        pixel_values: torch.Tensor | None,
        given: dict[str, BaseModelOutputWithPooling] | None,
    ) -> BaseModelOutputWithPooling:
        images = (given or {}).get("image")
        if images is None and pixel_values is None:
            raise ValueError("there are tags but no pixel_values; tags are looked for in an image")
        return images or self.model.get_image_features(pixel_values, return_dict=True)

    def _encode(
        self,
        input_ids: torch.LongTensor | None,
        images: BaseModelOutputWithPooling,
        tag_index: torch.LongTensor | None,
        tag_clip_ids: torch.LongTensor,
        tag_clip_mask: torch.LongTensor | None,
    ) -> TagFeatures:
        if tag_clip_mask is None:
            tag_clip_mask = torch.ones_like(tag_clip_ids)
        check_tags(self.config, input_ids, tag_index, tag_clip_mask)
        return self.model.encode_tags(input_ids, images, tag_clip_ids, tag_clip_mask)

    @torch.no_grad()
    def explain(
        self,
        input_ids: torch.LongTensor,
        pixel_values: torch.Tensor | None = None,
        *,
        tag_index: torch.LongTensor,
        tag_clip_ids: torch.LongTensor,
        tag_clip_mask: torch.LongTensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **_: Any,
    ) -> TagFeatures:
        """The tags' weights, cosines and attention, without running the language model."""
        images = self._image_outputs(pixel_values, mm_encoder_outputs)
        return self._encode(input_ids, images, tag_index, tag_clip_ids, tag_clip_mask)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As of any model.

        Raises:
            ConfigurationError: for another kind of model, or one whose weights are not all there.
        """
        wanted = kwargs.pop("output_loading_info", False)
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        if missing := sorted(info["missing_keys"]):
            raise ConfigurationError(
                f"{model.config._name_or_path} lacks {len(missing)} of the weights of a TUNA "
                f"model, the first {missing[0]}, so that it would answer by chance. Copy or train "
                "it again."
            )
        # Loading undoes what was frozen when the model was made.
        model.freeze()
        return (model, info) if wanted else model

    @classmethod
    def from_llava(cls, llava: Any, clip: Any, **options: Any) -> TunaForConditionalGeneration:
        """Start from a LLaVA-1.5 checkpoint; see `tuna_model.from_llava.tuna_from_llava`."""
        from tuna_model.from_llava import tuna_from_llava

        return tuna_from_llava(cls, llava, clip, **options)


AutoModelForImageTextToText.register(TunaConfig, TunaForConditionalGeneration)
