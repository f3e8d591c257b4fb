"""The tag: what a caption says of its image, in the form that a datastore keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

KINDS = ("object", "attribute", "entity", "relation", "field")


@dataclasses.dataclass(frozen=True, slots=True)
class Tag:
    """One tag of one image.

    Attributes:
        text: what was said, less articles ("colorful facades").
        lemma: the key under which tags merge: case-folded lemma phrase for objects and
            attributes ("colorful facade"), original case for entities and fields.
        kind: "object" (a bare noun), "attribute" (an object with its modifiers), "entity"
            (a named entity), "relation", or "field" (a value of a structured field).
        head: lemma of the object that the tag is about ("facade"); the lemma itself for
            entities and fields.
        attributes: lemma of each modifier, in the order said.
        label: entity type ("GPE"), name of the structured field ("brand"), else "".
        count: how many of the image's captions said it, at least 1.

    Raises:
        ValueError: for an empty text or lemma, an unknown kind, or a count below 1.
    """

    text: str
    lemma: str
    kind: str
    head: str
    attributes: tuple[str, ...] = ()
    label: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        if not self.text or not self.lemma:
            raise ValueError(f"a tag needs a text and a lemma, got {self!r}")
        if self.kind not in KINDS:
            raise ValueError(f"tag kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.count < 1:
            raise ValueError(f"tag count {self.count} is below 1")

    @property
    def merge_key(self) -> tuple[str, str, str]:
        """Tags that agree in this are the same tag."""
        return (self.kind, self.label, self.lemma)


def merge_captions(captions: Sequence[Iterable[Tag]]) -> list[Tag]:
    """Merge the tags of an image's captions into one list.

    Args:
        captions: the tags of each caption of one image.

    Returns:
        Each tag once, in order of first mention, `count` being the number of captions that
        said it and `text` its first wording.
    """
    merged: dict[tuple[str, str, str], Tag] = {}
    votes: dict[tuple[str, str, str], int] = {}
    for tags in captions:
        for key in {tag.merge_key: tag for tag in reversed(list(tags))}:
            votes[key] = votes.get(key, 0) + 1
        for tag in tags:
            merged.setdefault(tag.merge_key, tag)
    return [dataclasses.replace(tag, count=votes[key]) for key, tag in merged.items()]
