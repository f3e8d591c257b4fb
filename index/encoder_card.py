"""What an encoder is, written so that equal encoders have equal cards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import torch

_NOT_SHAPE = {
    # The activation has a field of its own, read from the model.
    "quick_gelu",
    "custom_text",
    "patch_dropout",
    "timm_model_pretrained",
    "timm_drop",
    "timm_drop_path",
    "hf_model_pretrained",
    "hf_tokenizer_name",
    "init_logit_scale",
    "init_logit_bias",
}


@dataclasses.dataclass(frozen=True, slots=True)
class EncoderCard:
    """What an encoder is, so that vectors of different encoders are never mixed.

    Attributes:
        clip_model: as it was asked for; may be a path.
        architecture: open_clip's model configuration as canonical JSON, defaults left out.
        weights_sha256: hash of the loaded tensors, whatever file they came in.
        activation: "gelu" or "quickgelu", read from the model and not from its name.
        preprocessing: size, mean, std, interpolation, resize mode and decoding rules as
            canonical JSON.
        dim: length of a vector.
        precision: what the forward pass computes in: "float32", "bfloat16" or "float16".
    """

    clip_model: str
    architecture: str
    weights_sha256: str
    activation: str
    preprocessing: str
    dim: int
    precision: str

    @property
    def fingerprint(self) -> str:
        """sha256 over all that decides a vector; not the path, nor the device's precision."""
        fields = (
            self.architecture,
            self.weights_sha256,
            self.activation,
            self.preprocessing,
            self.dim,
        )
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


def hash_weights(state: dict[str, torch.Tensor]) -> str:
    """sha256 over name, type, shape and bytes of each tensor, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def canonical_json(record: dict[str, Any]) -> str:
    """One text for equal records, whatever the order of their keys."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def canonical_architecture(config: dict[str, Any]) -> str:
    """The configuration without defaults and without what only matters in training or loading."""
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    record = {key: value for key, value in config.items() if key not in _NOT_SHAPE}
    for name, kind in (("vision_cfg", CLIPVisionCfg), ("text_cfg", CLIPTextCfg)):
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        record[name] = {
            key: value
            for key, value in config[name].items()
            if key not in _NOT_SHAPE and value != defaults.get(key)
        }
    return canonical_json(record)
