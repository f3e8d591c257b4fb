"""Means over seeds and how sure they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

# Quantile 0.975 of Student's t for 1, 2, ... degrees of freedom; beyond the last, the normal's.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
_NORMAL = 1.96


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: the mean.
        half: half the width of its 95 % interval (Student's t over seeds); infinite for one seed.
        seeds: how many.
    """

    mean: float
    half: float
    seeds: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and interval of one value for each seed.

    Raises:
        ValueError: for no values.
    """
    if not values:
        raise ValueError("no seeds to take a mean of")
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, math.inf, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    quantile = _T[count - 2] if count - 2 < len(_T) else _NORMAL
    return Estimate(mean, quantile * math.sqrt(variance / count), count)


def paired(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Mean and interval of first minus second, seed by seed."""
    return estimate([a - b for a, b in zip(first, second, strict=True)])
