"""What a tag looks like in an image: CLIP's text embedding asks the grid features."""

from __future__ import annotations

import collections
import dataclasses

import torch
from torch import nn
from transformers import CLIPTextModelWithProjection, PreTrainedConfig

_MAX_LOGIT_SCALE = 100.0


@dataclasses.dataclass(frozen=True, slots=True)
class TagFeatures:
    """What tags look like in their images; made by `TunaModel.encode_tags`.

    Attributes:
        vectors: H_v [b, n, hidden_size], not weighted.
        weights: w float32 [b, n]; 0 where there is no tag.
        cosines: c float32 [b, n]; 0 where there is no tag.
        attention: float32 [b, n, cells]: where each tag looked, row by row of the grid; 0 where
            there is no tag.
    """

    vectors: torch.Tensor
    weights: torch.Tensor
    cosines: torch.Tensor
    attention: torch.Tensor


class TagCrossAttention(nn.Module):
    """Z_i = CrossAttention(query Q_i, keys and values Z_v), one head.

    Scores are a scaled cosine, as CLIP's own: exp(logit_scale) · cos(q(Q_i), k(LN(Z_v))). One head
    and identity value and output projections make step 0's Z_i a mean of Z_v, weighted by
    attention, which the connector knows how to read. Keys without a start from CLIP (see
    `tuna_model.clip_keys`) are random with scale 1, so that the mean is nearly uniform.
    """

    def __init__(self, text_dim: int, vision_dim: int) -> None:
        super().__init__()
        self.text_dim, self.vision_dim = text_dim, vision_dim
        self.key_norm = nn.LayerNorm(vision_dim)
        self.query = nn.Linear(text_dim, text_dim)
        self.key = nn.Linear(vision_dim, text_dim)
        self.value = nn.Linear(vision_dim, vision_dim)
        self.output = nn.Linear(vision_dim, vision_dim)
        # DeepSpeed can neither send nor share out a weight without a dimension.
        self.logit_scale = nn.Parameter(torch.zeros(1))

    def forward(
        self, queries: torch.Tensor, grid: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attend.

        Args:
            queries: Q [b, n, text_dim].
            grid: Z_v [b, g, vision_dim].

        Returns:
            Z [b, n, vision_dim], and the attention float32 [b, n, g], each row of sum 1.
        """
        grid = grid.to(self.value.weight.dtype)
        asked = nn.functional.normalize(self.query(queries.to(grid.dtype)).float(), dim=-1)
        keys = nn.functional.normalize(self.key(self.key_norm(grid)).float(), dim=-1)
        # In bfloat16 a cosine has two digits, too few for a scale of 100.
        with torch.autocast(grid.device.type, enabled=False):
            scale = self.logit_scale.float().exp().clamp(max=_MAX_LOGIT_SCALE)
            attention = (scale * asked @ keys.transpose(1, 2)).softmax(dim=-1)
        # The value projection of a mean is the mean of projections, and there are fewer tags than
        # cells.
        looked = attention.to(grid.dtype) @ grid
        return self.output(self.value(looked)), attention


def is_partitioned(module: nn.Module) -> bool:
    """Whether DeepSpeed's ZeRO-3 has shared out the module's weights among processes."""
    return hasattr(next(module.parameters(), None), "ds_id")


class CachedTextTower(nn.Module):
    """A frozen CLIP text tower that embeds each tag once, least recently used out first."""

    def __init__(self, config: PreTrainedConfig, cache_size: int) -> None:
        super().__init__()
        self.tower = _build_text_tower(config)
        self._cache_size = cache_size
        self._cache: collections.OrderedDict[tuple[int, ...], torch.Tensor] = (
            collections.OrderedDict()
        )

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Unit-norm embeddings float32 [m, dim] of token ids [m, t], without gradients."""
        rows = [
            tuple(number for number, kept in zip(row, keep, strict=True) if kept)
            for row, keep in zip(ids.tolist(), mask.tolist(), strict=True)
        ]
        unique = {key: number for number, key in enumerate(dict.fromkeys(rows))}
        missing = [key for key in unique if key not in self._cache]
        if not missing and is_partitioned(self.tower):
            # Each process has a cache of its own, but all must run the tower together.
            missing = rows[:1]
        if missing:
            device = next(self.tower.parameters()).device
            self._cache.update(zip(missing, self._embed(missing, device), strict=True))
        embeds = torch.stack([self._cache[key] for key in unique])
        for key in unique:
            self._cache.move_to_end(key)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return embeds[torch.tensor([unique[key] for key in rows], device=embeds.device)]

    @torch.no_grad()
    def _embed(self, texts: list[tuple[int, ...]], device: torch.device) -> torch.Tensor:
        lengths = torch.tensor([len(text) for text in texts], device=device)
        ids = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
        mask = torch.arange(ids.shape[1], device=device) < lengths[:, None]
        # The cached value must not depend on who asks first, within autocast or outside.
        with torch.autocast(device.type, enabled=False):
            embeds = self.tower(input_ids=ids.to(device), attention_mask=mask.long()).text_embeds
        return nn.functional.normalize(embeds.float(), dim=-1)

    def clear(self) -> None:
        """Forget all embeddings; moving or loading the tower does so."""
        self._cache.clear()

    def _apply(self, *args, **kwargs):  # noqa: ANN002, ANN003
        self.clear()
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args, **kwargs) -> None:  # noqa: ANN002, ANN003
        self.clear()
        super()._load_from_state_dict(*args, **kwargs)


def _build_text_tower(config: PreTrainedConfig) -> nn.Module:
    from tuna_model.open_clip_towers import OpenClipTextConfig, OpenClipTextModel

    if isinstance(config, OpenClipTextConfig):
        return OpenClipTextModel._from_config(config)
    return CLIPTextModelWithProjection._from_config(config)
