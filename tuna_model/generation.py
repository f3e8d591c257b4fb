"""How tags take part in generation: encoded once, before the first token, for any beams."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from tuna_model.placeholders import check_no_placeholders, fit_tag_index
from tuna_model.tag_encoder import TagFeatures

_TAG_INPUTS = ("tag_index", "tag_clip_ids", "tag_clip_mask", "tag_features")


class TagGeneration:
    """What `TunaForConditionalGeneration` adds to transformers' `GenerationMixin`."""

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: Any = None,
        *args: Any,
        tag_clip_ids: torch.LongTensor | None = None,
        tag_clip_mask: torch.LongTensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As of any model that generates. Tags are encoded once, whatever the number of beams."""
        input_ids = kwargs.get("input_ids") if inputs is None else inputs
        if tag_clip_ids is None:
            check_no_placeholders(self.config, input_ids)
        else:
            images = self._image_outputs(
                kwargs.pop("pixel_values", None), kwargs.pop("mm_encoder_outputs", None)
            )
            kwargs["tag_features"] = self._encode(
                input_ids, images, kwargs.get("tag_index"), tag_clip_ids, tag_clip_mask
            )
            kwargs["mm_encoder_outputs"] = {"image": images}
        return super().generate(inputs, generation_config, *args, **kwargs)

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, **kwargs: Any
    ) -> tuple[torch.LongTensor, dict[str, Any]]:
        input_ids, kwargs = super()._expand_inputs_for_generation(expand_size, **kwargs)
        tags = kwargs.get("tag_features")
        if tags is not None and expand_size > 1:
            fields = {
                field.name: getattr(tags, field.name).repeat_interleave(expand_size, dim=0)
                for field in dataclasses.fields(tags)
            }
            kwargs["tag_features"] = TagFeatures(**fields)
        return input_ids, kwargs

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        next_sequence_length: int | None = None,
        past_key_values: Any = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Tags enter the prefill only; the cache holds what they said."""
        if not is_first_iteration and kwargs.get("use_cache", True):
            for name in _TAG_INPUTS:
                kwargs.pop(name, None)
        prepared = super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            is_first_iteration=is_first_iteration,
            **kwargs,
        )
        if prepared.get("tag_index") is not None:
            past = 0 if past_key_values is None else past_key_values.get_seq_length()
            ids = prepared["input_ids"]
            prepared["tag_index"] = fit_tag_index(prepared["tag_index"], past, ids.shape[1])
        return prepared
