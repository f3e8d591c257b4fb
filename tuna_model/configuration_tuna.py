"""The configuration of TUNA: LLaVA's, with a CLIP text tower and how tags are weighted."""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, LlavaConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from tagmine.errors import ConfigurationError

# Registers the towers of open_clip, which a saved configuration may name.
from tuna_model import open_clip_configuration  # noqa: F401
from tuna_model.weighting import check_weighting


@strict
class TunaConfig(LlavaConfig):
    """The configuration of `TunaForConditionalGeneration`.

    Attributes beyond those of LlavaConfig:
        clip_text_config: the frozen text tower: a CLIPTextConfig or an OpenClipTextConfig.
        clip_embedding_dim: dimension of the space that pictures and texts share.
        tag_token_id: the placeholder that stands for the picture of a tag.
        soft_token_id: the placeholder of LION's learned vector.
        weighting: see `tuna_model.weighting.tag_weights`.
        temperature: τ of the weighting.
        cross_attention_trainable: whether instruction tuning updates the cross-attention.
        soft_token_trainable: whether it updates LION's learned vector.
        max_tags: most tags that an image may have.
        text_cache_size: most CLIP embeddings of tags that are kept, each once per tag.
    """

    model_type = "tuna"
    sub_configs_defaults = {
        **LlavaConfig.sub_configs_defaults,
        "clip_text_config": SubConfigSpec(config_class=AutoConfig, model_type="clip_text_model"),
    }

    clip_text_config: dict | PreTrainedConfig | None = None
    clip_embedding_dim: int = 768
    tag_token_id: int = 32002
    soft_token_id: int = 32003
    weighting: str = "softmax"
    temperature: float = 1.0
    cross_attention_trainable: bool = True
    soft_token_trainable: bool = False
    max_tags: int = 24
    text_cache_size: int = 16384

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        check_weighting(self.weighting, self.temperature)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As of any configuration.

        Raises:
            ConfigurationError: for that of another kind of model, which transformers only warns of,
                and then draws at random what it lacks.
        """
        found, _ = cls.get_config_dict(pretrained_model_name_or_path, **kwargs)
        # Of a folder without any, transformers says so when it looks for the weights.
        if found:
            check_is_tuna(pretrained_model_name_or_path, found, "model_type", cls.model_type)
        return super().from_pretrained(pretrained_model_name_or_path, **kwargs)


def check_is_tuna(name: object, found: dict, field: str, expected: str) -> None:
    """Raises ConfigurationError unless what a folder says of itself in `field` is `expected`."""
    if found.get(field) != expected:
        raise ConfigurationError(
            f"{name} is no TUNA model: its {field} is {found.get(field)!r}, expected {expected!r}. "
            "Give a folder that tagmine-tuna train wrote; with --model LLAVA --clip CLIP it starts "
            "from a LLaVA-1.5 checkpoint. To ask or measure a LLaVA as it is, join it with its "
            'CLIP as docs/tuna.md shows under "LLaVA as it is", and give --control no_tags.'
        )


AutoConfig.register("tuna", TunaConfig)
