"""The order of training rows: shuffled, yet with rows of one kind and length side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

# So that the next epoch is not the order of the next seed.
_PRIME = 1_000_003


class ModalityLengthSampler(Sampler[int]):
    """Rows in an order that makes batches of one modality and of similar length.

    As LLaVA's `group_by_modality_length`: rows with an image and rows without are shuffled each by
    themselves and cut into groups of one optimizer step; a group is sorted by length, longest
    first; whole groups are shuffled. What is left over of both kinds makes the last group.

    The order is a function of the seed and the epoch. An epoch's items are `epoch * rows + row`,
    so that a dataset can draw other noise for a row in each epoch, wherever it is loaded.
    """

    def __init__(
        self, lengths: Sequence[int], with_image: Sequence[bool], group: int, seed: int
    ) -> None:
        """
        Args:
            lengths: tokens of each row.
            with_image: whether each row has an image.
            group: rows of one optimizer step over all processes; 1 only shuffles.
            seed: of the order.

        Raises:
            ValueError: for no rows, unequal numbers, or a group of none.
        """
        if not len(lengths) or len(lengths) != len(with_image):
            raise ValueError(
                f"expected as many lengths as flags and at least one, got {len(lengths)} and "
                f"{len(with_image)}"
            )
        if group < 1:
            raise ValueError(f"expected a group of at least 1, got {group}")
        self._lengths = lengths
        self._places: tuple[list[int], list[int]] = ([], [])
        for place, image in enumerate(with_image):
            self._places[bool(image)].append(place)
        self._group, self._seed, self._epoch = group, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order comes next; accelerate's loaders call it."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * _PRIME + self._epoch)
        groups: list[list[int]] = []
        rest: list[int] = []
        for places in self._places:
            order = torch.randperm(len(places), generator=generator).tolist()
            shuffled = [places[i] for i in order]
            whole = len(shuffled) // self._group * self._group
            groups += [
                shuffled[start : start + self._group] for start in range(0, whole, self._group)
            ]
            rest += shuffled[whole:]
        order = torch.randperm(len(groups), generator=generator).tolist()
        for group in [*(groups[i] for i in order), rest]:
            group.sort(key=lambda place: -self._lengths[place])
            yield from (self._epoch * len(self) + place for place in group)
