"""Noise in the tags of training, so that a model learns not to believe every tag."""

from __future__ import annotations

import dataclasses
import random

from index.retrievals import Retrieval, RetrievedTag
from tagmine.errors import ConfigurationError


@dataclasses.dataclass(frozen=True, slots=True)
class TagNoise:
    """Tag dropout and injection of random tags, as RagLLaVA (arXiv 2407.21439) injects noise.

    Attributes:
        dropout: chance that a retrieved tag is left out, in [0, 1].
        injection: chance, for each tag that stays, that a random tag takes its place, in [0, 1].
            The count of tags does not tell the model which rows were disturbed.
        vocabulary: the texts that random tags are drawn from.

    Raises:
        ConfigurationError: for a chance outside [0, 1], or injection without a vocabulary.
    """

    dropout: float = 0.0
    injection: float = 0.0
    vocabulary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("dropout", "injection"):
            value = getattr(self, field)
            if not 0 <= value <= 1:
                raise ConfigurationError(f"tag {field} is {value}; expected a chance in [0, 1].")
        if self.injection and not self.vocabulary:
            raise ConfigurationError(
                "random tags are to be injected, but there is no vocabulary to draw them from; "
                "pass the datastore's, or set the injection to 0."
            )

    def disturb(self, retrieval: Retrieval, rng: random.Random) -> Retrieval:
        """The retrieval with noise in its tags; the neighbours stay."""
        present = {tag.text.casefold() for tag in retrieval.tags}
        tags = []
        for tag in retrieval.tags:
            if rng.random() < self.dropout:
                continue
            drawn = tag
            if rng.random() < self.injection:
                drawn = self._draw(present, rng) or tag
            present.add(drawn.text.casefold())
            tags.append(drawn)
        return Retrieval(tuple(tags), retrieval.neighbours)

    def _draw(self, present: set[str], rng: random.Random) -> RetrievedTag | None:
        """A random tag that the image has not; None where the vocabulary hardly has another."""
        for _ in range(8):
            text = rng.choice(self.vocabulary)
            if text.casefold() not in present:
                return RetrievedTag(text, "random", 0, 0.0, ())
        return None
