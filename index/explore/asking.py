"""What a model must be able to do to answer questions on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import PIL.Image

    from index.pooling import Answer


class PhotoAnswerer(Protocol):
    """A model that answers a question about a photo.

    Attributes:
        name: as the page calls it.
    """

    name: str

    def answer(self, photo: PIL.Image.Image, question: str, found: Answer | None) -> str:
        """The answer, with the tags of what was found, or without any for None.

        Raises:
            TagmineError: for a question that it cannot be asked.
        """
        ...
