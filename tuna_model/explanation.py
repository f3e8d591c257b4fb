"""What there is to see of one answer: tags, weights, where each tag looked, neighbours."""

from __future__ import annotations

import dataclasses
import math

from index.retrievals import RetrievedNeighbour

FORMAT = 1
Box = tuple[float, float, float, float]
Grid = tuple[tuple[float, ...], ...]
_DIGITS = 6
# Sums of rounded float32 or bfloat16 weights.
_TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class ExplainedTag:
    """A tag as the model read it.

    Attributes:
        text: its wording.
        kind: object, attribute, entity, relation or field; "" where it did not come of a datastore.
        votes: how many neighbours have it.
        score: its weight in the retrieval, in [0, 1].
        neighbours: positions of those neighbours.
        weight: what its embeddings were multiplied by; None where the prompt has it as plain text.
        cosine: of its CLIP text embedding with the picture's; None as for the weight.
        attention: where its cross-attention looked, rows from the top of the cells from the left,
            non-negative, of sum 1; () as for the weight.

    Raises:
        ValueError: for an attention that is no such grid.
    """

    text: str
    kind: str
    votes: int
    score: float
    neighbours: tuple[int, ...]
    weight: float | None = None
    cosine: float | None = None
    attention: Grid = ()

    def __post_init__(self) -> None:
        if not self.attention:
            return
        cells = [cell for row in self.attention for cell in row]
        widths = {len(row) for row in self.attention}
        if len(widths) != 1 or not cells or not all(0 <= cell < math.inf for cell in cells):
            raise ValueError(
                f"the attention of {self.text!r} has rows of {sorted(widths)} cells; expected rows "
                "of one length, and values of 0 or more"
            )
        if abs(sum(cells) - 1) > _TOLERANCE:
            raise ValueError(
                f"the attention of {self.text!r} has the sum {sum(cells):.4f}, expected 1"
            )

    @property
    def peak(self) -> float:
        """The most that it looked at one cell, in multiples of an even look at all of them."""
        cells = [cell for row in self.attention for cell in row]
        return max(cells) * len(cells) if cells else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """One answer.

    Attributes:
        image: name of the picture.
        question: what was asked.
        answer: what the model said.
        answer_without: what it says without tags; None where that was not asked.
        model: its name or folder.
        control: which of the paper's controls it ran as; "tuna" is none of them.
        weighting: how cosines became weights, with its temperature where it has one.
        crop: the part of the picture that the model saw: left, top, right, bottom as shares of its
            width and height. The grids of attention lie on this part.
        tags: in the order of the prompt.
        neighbours: nearest first.
    """

    image: str
    question: str
    answer: str
    answer_without: str | None
    model: str
    control: str
    weighting: str
    crop: Box
    tags: tuple[ExplainedTag, ...]
    neighbours: tuple[RetrievedNeighbour, ...]

    def as_record(self) -> dict:
        """As JSON has it; docs/tuna.md describes it."""
        record = dataclasses.asdict(self)
        return _rounded({"format": FORMAT, **record})


def _rounded(value: object) -> object:
    """Without the noise of the last digits, which differ between machines; nan and inf as null,
    which JSON has no other word for."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value
