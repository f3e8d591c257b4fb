"""Where a model's tags come from: a datastore, what was retrieved before, or a control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from index.retrievals import Retrieval

if TYPE_CHECKING:
    import PIL.Image


class Retriever(Protocol):
    """Tags and neighbours for pictures."""

    def retrieve(self, images: Sequence[PIL.Image.Image]) -> list[Retrieval]:
        """One retrieval for each picture, in order."""
        ...
