"""All that is said of one image, gathered before it is mined, and its tags merged after."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tagmine.annotations import AnnotationIndex, join_key
from tagmine.caption_filters import CaptionJudge
from tagmine.captions import (
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    Caption,
    SampleRejected,
    distinct_captions,
    read_captions,
    read_fields,
)
from tagmine.field_tags import field_tags
from tagmine.samples import Sample, SampleFields
from tagmine.sources import Source
from tagmine.tags import Tag, merge_captions


@dataclasses.dataclass(frozen=True, slots=True)
class ImageText:
    """All that is said of one image, before it is mined.

    Attributes:
        captions: every caption, and every statement that a question and its answer make.
        voices: those that are mined and vote: each text once.
        field_tags: tags of the structured fields.
        dropped: reason of each caption that a filter left out.
        joined_by: the keys of the annotations that were found for it.
    """

    captions: tuple[Caption, ...]
    voices: tuple[Caption, ...]
    field_tags: tuple[Tag, ...]
    dropped: tuple[str, ...] = ()
    joined_by: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ImageReader:
    """Gathers what is said of an image.

    Attributes:
        fields: where captions and structured fields are.
        judge: what decides which captions are mined, None for all.
        annotations: further annotations of the images.
    """

    fields: SampleFields
    judge: CaptionJudge | None = None
    annotations: AnnotationIndex | None = None

    @property
    def limits(self) -> dict[str, int]:
        """The members that are read, each with the most bytes that are read of it."""
        limits = {self.fields.caption_member: MAX_TEXT_BYTES}
        if self.fields.needs_json:
            limits[self.fields.json_key] = MAX_JSON_BYTES
        return limits

    def read(self, sample: Sample, source: Source) -> ImageText:
        """What a sample, and the annotations that belong to it, say of their image.

        Raises:
            SampleRejected: when there is nothing to mine, or something that cannot be read.
        """
        if sample.problem:
            raise SampleRejected(*sample.problem)
        record = read_fields(sample, self.fields)
        more: list[Caption] = []
        joined_by: list[str] = []
        if self.annotations is not None:
            for key in self._join_keys(sample, source, record):
                if found := self.annotations.find(key):
                    more += found
                    joined_by.append(key)
        captions = read_captions(sample, self.fields, record, more)
        try:
            values = field_tags(record, self.fields.tag_fields) if self.fields.tag_fields else ()
        except ValueError as error:
            raise SampleRejected("bad_json", str(error)) from error
        kept, dropped = self._judge(captions)
        voices = tuple(distinct_captions(kept))
        return ImageText(tuple(kept), voices, tuple(values), dropped, tuple(joined_by))

    def _judge(self, captions: list[Caption]) -> tuple[list[Caption], tuple[str, ...]]:
        if self.judge is None:
            return captions, ()
        judged = [(caption, self.judge.fault(caption.text)) for caption in captions]
        kept = [caption for caption, fault in judged if fault is None]
        faults = [fault for _, fault in judged if fault is not None]
        if not kept:
            raise SampleRejected(*faults[0])
        return kept, tuple(reason for reason, _ in faults)

    def _join_keys(self, sample: Sample, source: Source, record: Mapping[str, Any]) -> list[str]:
        if self.fields.annotations_key is not None:
            key = join_key(record.get(self.fields.annotations_key))
            return [key] if key else []
        return [sample.key, f"{source.name}/{sample.key}"]


def merge_image(text: ImageText, tagged: Sequence[list[Tag]]) -> list[Tag]:
    """The tags of an image, from those of each of its voices and its structured fields."""
    votes = [caption.votes for caption in text.voices]
    if text.field_tags:
        return merge_captions([*tagged, text.field_tags], [*votes, 1])
    return merge_captions(tagged, votes)
