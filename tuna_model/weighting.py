"""How much each tag counts: weights from the cosines of tags with the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

from tagmine.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

Weighting = Literal["none", "softmax", "softmax_times_n", "exponential"]
WEIGHTINGS: tuple[str, ...] = get_args(Weighting)


def tag_weights(
    cosines: torch.Tensor, mask: torch.Tensor, weighting: str, temperature: float = 1.0
) -> torch.Tensor:
    """The weight w_i of each tag of a row, from c_i = cos(tag, image).

    - "softmax": softmax over the row's tags of τ·c, with τ = 1 the paper's (arXiv 2406.10839).
      Cosines of CLIP differ little, so that it is nearly 1/N and shrinks embeddings N-fold.
    - "softmax_times_n": that times the row's number of tags; the mean weight is 1.
    - "exponential": exp(τ·(c_i − max c)); the best tag has weight 1, whatever its company.
    - "none": 1.

    Args:
        cosines: [b, n].
        mask: bool [b, n], true where there is a tag.
        weighting: one of `WEIGHTINGS`.
        temperature: τ; larger is sharper.

    Returns:
        float32 [b, n]; 0 where there is no tag.

    Raises:
        ConfigurationError: for another name of a weighting.
    """
    # Here, so that the flags that name the weightings need no torch.
    import torch

    check_weighting(weighting, temperature)
    weights = mask.float()
    if weighting != "none":
        scaled = (temperature * cosines.float()).masked_fill(~mask, -math.inf)
        # A row without tags has no maximum.
        best = scaled.amax(dim=-1, keepdim=True).nan_to_num(neginf=0.0)
        weights = torch.where(mask, torch.exp(scaled - best), 0.0)
    if weighting.startswith("softmax"):
        weights = weights / weights.sum(dim=-1, keepdim=True).clamp_min(1.0)
    if weighting == "softmax_times_n":
        weights = weights * mask.sum(dim=-1, keepdim=True)
    return weights


def check_weighting(weighting: str, temperature: float) -> None:
    """Raises ConfigurationError for an unknown weighting, or a temperature not within (0, inf)."""
    if weighting not in WEIGHTINGS:
        raise ConfigurationError(
            f"weighting {weighting!r} is unknown; expected one of {', '.join(WEIGHTINGS)}."
        )
    if not 0 < temperature < math.inf:
        raise ConfigurationError(f"temperature is {temperature}; expected a number above 0.")
