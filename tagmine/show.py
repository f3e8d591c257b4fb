"""What the miner sees: captions with the places where their tags are said, and the tags as kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tagmine.captions import Caption, SampleRejected
from tagmine.image_text import ImageReader, merge_image
from tagmine.printable import printable
from tagmine.samples import read_samples
from tagmine.sources import Source
from tagmine.stage import open_source
from tagmine.tags import Tag

if TYPE_CHECKING:
    from spacy.tokens import Doc

    from tagmine.tag_rules import Mention
    from tagmine.tagger import Tagger

# Said of a phrase and no part of its tag: "the dog", "his dog".
_DETERMINERS = frozenset({"DT", "PDT", "PRP$", "WDT", "WP$"})

KIND_MEANINGS = {
    "object": "a thing, named bare",
    "attribute": "a thing with what is said of it",
    "entity": "a name, with its type",
    "relation": "two things and what joins them",
    "field": "a value of a structured field",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A place in a caption where a tag is said.

    Attributes:
        start: its first character.
        end: one past its last character.
        tag: the tag.
        kept: whether the image keeps it; "car" is not kept beside "red car".
    """

    start: int
    end: int
    tag: Tag
    kept: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ShownCaption:
    """One caption as it was parsed, with its spans by place, outer before inner.

    Attributes:
        text: its characters, none of which steers a terminal or the direction of writing.
        source: where it is from.
        votes: how many people said so.
        spans: where its tags are said; none where it repeats another caption and does not vote.
        repeats: whether it does.
    """

    text: str
    source: str
    votes: int
    spans: tuple[Span, ...]
    repeats: bool = False

    @property
    def notes(self) -> list[str]:
        """What there is to say of it besides its text."""
        notes = [self.source]
        if self.votes > 1:
            notes.append(f"{self.votes} votes")
        if self.repeats:
            notes.append("said before: no vote")
        if not self.text:
            notes.append("nothing in it can be read")
        return notes


@dataclasses.dataclass(frozen=True, slots=True)
class ShownImage:
    """One sample: its captions and tags, or why it is rejected.

    Attributes:
        key: its namespaced key.
        captions: its captions, those first that are mined.
        tags: the tags as they are kept, structured fields last.
        rejected: (reason, detail) when it is a reject, else None.
    """

    key: str
    captions: tuple[ShownCaption, ...] = ()
    tags: tuple[Tag, ...] = ()
    rejected: tuple[str, str] | None = None


def show_samples(
    sources: Sequence[Source], reader: ImageReader, tagger: Tagger
) -> Iterator[ShownImage]:
    """The samples of the shards in order, mined as a job would mine them.

    Raises:
        SourceError: when a shard cannot be read.
    """
    for source in sources:
        with open_source(source) as stream:
            for sample in read_samples(stream, reader.fields, reader.limits):
                key = printable(f"{source.name}/{sample.key}")
                try:
                    text = reader.read(sample, source)
                except SampleRejected as rejected:
                    reason = (rejected.reason, printable(" ".join(rejected.detail.split())))
                    yield ShownImage(key, rejected=reason)
                    continue
                # The same calls as the job's, so that what is shown is what would be kept.
                tags = merge_image(text, list(tagger.tag(c.text for c in text.voices)))
                kept = {tag.merge_key for tag in tags}
                shown = [_show_caption(caption, tagger, kept) for caption in text.voices]
                shown += _repeats(text.captions, text.voices)
                yield ShownImage(key, tuple(shown), tuple(tags))


def label(tag: Tag) -> str:
    """What a tag is marked with: the type of a name, the field of a value, else its kind."""
    return printable(tag.label) if tag.label else tag.kind.upper()


def _show_caption(caption: Caption, tagger: Tagger, kept: set[tuple]) -> ShownCaption:
    doc, mentions = tagger.mentions(caption.text)
    # Mining says a tag once a caption; a thing said again is the same tag.
    spans = {_span(doc, mention, kept) for mention in mentions if mention.start < mention.end}
    ordered = sorted(spans, key=lambda s: (s.start, -s.end, s.tag.kind, s.tag.label, s.tag.lemma))
    return ShownCaption(
        printable(doc.text), printable(caption.source), caption.votes, tuple(ordered)
    )


def _repeats(captions: Sequence[Caption], voices: Sequence[Caption]) -> list[ShownCaption]:
    # A voice may have taken its votes from a later copy, but never its text.
    voiced = {(caption.text, caption.source) for caption in voices}
    found = []
    for caption in captions:
        if (caption.text, caption.source) in voiced:
            voiced.discard((caption.text, caption.source))
            continue
        source = printable(caption.source)
        found.append(ShownCaption(printable(caption.text), source, caption.votes, (), True))
    return found


def _span(doc: Doc, mention: Mention, kept: set[tuple]) -> Span:
    start, end = mention.start, mention.end
    while start < end - 1 and doc[start].tag_ in _DETERMINERS:
        start += 1
    last = doc[end - 1]
    place = (doc[start].idx, last.idx + len(last))
    return Span(*place, mention.tag, mention.tag.merge_key in kept)


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A span as it is drawn, with what is drawn inside it.

    Attributes:
        start: its first character.
        end: one past its last.
        span: the span that it belongs to.
        inner: the pieces inside it, in order, none crossing another.
        last: whether the span ends with it; one that crosses another is drawn in several pieces,
            and labelled at the last.
    """

    start: int
    end: int
    span: Span
    inner: tuple[Piece, ...]
    last: bool


def nest(spans: Sequence[Span]) -> list[Piece]:
    """Spans as pieces within pieces: one that crosses the end of another is cut there.

    Args:
        spans: by start, longer ones first.
    """
    bounds = [(span.start, span.end, span) for span in spans]
    return _nest(bounds)


def _nest(bounds: list[tuple[int, int, Span]]) -> list[Piece]:
    pieces = []
    while bounds:
        start, end, span = bounds[0]
        inside, after = [], []
        for first, last, other in bounds[1:]:
            if first >= end:
                after.append((first, last, other))
                continue
            inside.append((first, min(last, end), other))
            if last > end:
                after.append((end, last, other))
        pieces.append(Piece(start, end, span, tuple(_nest(inside)), end == span.end))
        bounds = sorted(after, key=lambda bound: (bound[0], -bound[1]))
    return pieces
