"""The tag: what a caption says of its image, in the form that a datastore keeps."""

from __future__ import annotations

import dataclasses
from collections import Counter
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
        attributes: each modifier as said, case-folded, in its canonical form, in the order said.
        label: entity type ("GPE"), name of the structured field ("brand"), else "".
        count: how many of the image's captions and answers said it, at least 1.

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


def merge_captions(
    captions: Sequence[Iterable[Tag]], votes: Sequence[int] | None = None
) -> list[Tag]:
    """Merge what an image's captions say into one list of tags.

    Every caption votes for its tags. Tags that complement each other stay side by side, and so do
    those that contradict each other: the counts say what most saw. Who says "red car" says "car":
    an object that some caption names bare counts those captions too that name it with modifiers.

    Args:
        captions: the tags of each caption of one image, each tag once a caption.
        votes: what each caption weighs, by default 1: how many people gave that answer.

    Returns:
        Each tag once, in order of first mention. `count` is the sum of the votes of the captions
        that said it; `text` is the wording with the most votes, among equals the first.

    Raises:
        ValueError: for another number of votes than of captions.
    """
    wordings: dict[tuple[str, str, str], dict[str, Tag]] = {}
    wording_votes: Counter[tuple[tuple[str, str, str], str]] = Counter()
    tag_votes: Counter[tuple[str, str, str]] = Counter()
    head_votes: Counter[str] = Counter()
    for tags, vote in zip(captions, votes or [1] * len(captions), strict=True):
        said = {tag.merge_key: tag for tag in reversed(list(tags))}
        for key, tag in reversed(said.items()):
            wordings.setdefault(key, {}).setdefault(tag.text, tag)
            wording_votes[key, tag.text] += vote
            tag_votes[key] += vote
        for head in {tag.head for tag in said.values() if tag.kind in ("object", "attribute")}:
            head_votes[head] += vote
    merged = []
    for key, texts in wordings.items():
        # max() gives the first of equals.
        tag = max(texts.values(), key=lambda tag: wording_votes[key, tag.text])
        count = head_votes[tag.head] if tag.kind == "object" else tag_votes[key]
        merged.append(dataclasses.replace(tag, count=count))
    return merged
