"""Mine one shard: its captions become one part of the tag table."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.annotations import AnnotationIndex, join_key
from tagmine.captions import (
    MAX_CAPTION_CHARACTERS,
    MAX_CAPTIONS,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    Caption,
    SampleRejected,
    distinct_captions,
    read_captions,
    read_fields,
)
from tagmine.errors import DatastoreError
from tagmine.layout import atomic_path, tags_path
from tagmine.manifest import fingerprint
from tagmine.parts import PartFooter, TagRow, TagTableWriter, read_tags_footer
from tagmine.questions import QUESTION_RULES
from tagmine.samples import Sample, SampleFields, read_samples
from tagmine.sources import Source
from tagmine.stage import (
    PartLedger,
    PartResult,
    ReportProgress,
    ignore_progress,
    is_current,
    open_source,
)
from tagmine.tags import Tag, merge_captions

if TYPE_CHECKING:
    from tagmine.tagger import Tagger

STAGE = "mine"


@dataclasses.dataclass(frozen=True, slots=True)
class ImageText:
    """All that is said of one image, before it is mined.

    Attributes:
        captions: every caption, and every statement that a question and its answer make.
        voices: those that are mined and vote: each text once.
        field_tags: tags of the structured fields.
        joined_by: the keys of the annotations that were found for it.
    """

    captions: tuple[Caption, ...]
    voices: tuple[Caption, ...]
    field_tags: tuple[Tag, ...]
    joined_by: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Pending:
    id: int
    key: str
    text: ImageText


def mine_fingerprint(
    tagger: Tagger, fields: SampleFields, annotations_sha256: str | None = None
) -> str:
    """Fingerprint of all that decides a tags part, its shard aside."""
    limits = (MAX_CAPTION_CHARACTERS, MAX_CAPTIONS, MAX_TEXT_BYTES, MAX_JSON_BYTES)
    rules = (limits, QUESTION_RULES)
    options = dataclasses.asdict(fields)
    return fingerprint(STAGE, tagger.fingerprint, options, rules, annotations_sha256)


def read_image(
    sample: Sample,
    source: Source,
    fields: SampleFields,
    annotations: AnnotationIndex | None = None,
) -> ImageText:
    """What a sample, and the annotations that belong to it, say of their image.

    Raises:
        SampleRejected: when there is nothing to mine, or something that cannot be read.
    """
    from tagmine.tagger import field_tags

    if sample.problem:
        raise SampleRejected(*sample.problem)
    record = read_fields(sample, fields)
    more: list[Caption] = []
    joined_by: list[str] = []
    for key in _join_keys(sample, source, fields, record) if annotations else ():
        if found := annotations.find(key):
            more += found
            joined_by.append(key)
    captions = tuple(read_captions(sample, fields, record, more))
    try:
        values = tuple(field_tags(record, fields.tag_fields)) if fields.tag_fields else ()
    except ValueError as error:
        raise SampleRejected("bad_json", str(error)) from error
    return ImageText(captions, tuple(distinct_captions(captions)), values, tuple(joined_by))


def _join_keys(
    sample: Sample, source: Source, fields: SampleFields, record: Mapping[str, Any]
) -> list[str]:
    if fields.annotations_key is not None:
        key = join_key(record.get(fields.annotations_key))
        return [key] if key else []
    return [sample.key, f"{source.name}/{sample.key}"]


def merge_image(text: ImageText, tagged: Sequence[list[Tag]]) -> list[Tag]:
    """The tags of an image, from those of each of its voices and its structured fields."""
    votes = [caption.votes for caption in text.voices]
    if text.field_tags:
        return merge_captions([*tagged, text.field_tags], [*votes, 1])
    return merge_captions(tagged, votes)


def mine_part(
    root: Path,
    source: Source,
    fields: SampleFields,
    tagger: Tagger,
    report: ReportProgress = ignore_progress,
    annotations: AnnotationIndex | None = None,
) -> PartResult:
    """Make the tags part of a shard, unless a current one is there already.

    Args:
        root: the datastore's folder.
        source: the shard.
        fields: where captions and structured fields are.
        tagger: what mines the captions.
        report: told of the progress.
        annotations: further annotations of the images.

    Returns:
        The part's footer, and whether it was made now.

    Raises:
        SourceError: when the shard cannot be read.
    """
    target = root / tags_path(source.part)
    maker = mine_fingerprint(tagger, fields, annotations and annotations.sha256)
    finished = _finished_footer(target)
    if finished and is_current(finished, root, source, maker, report):
        return PartResult(source.part, False, finished)
    ledger = PartLedger(root, source, STAGE, fields, maker)
    joined: set[str] = set()
    with open_source(source) as stream, atomic_path(target) as temporary:
        writer = TagTableWriter(temporary)
        samples = read_samples(stream, fields, read_limits(fields))
        images = _read_images(
            _report_each(samples, stream, report), source, fields, annotations, ledger
        )
        for image, tags in _tag_images(images, tagger):
            joined.update(image.text.joined_by)
            writer.add(_row(image, source, tags))
        footer = ledger.close(stream, writer.added)
        footer = dataclasses.replace(footer, annotated=len(joined))
        writer.finish(footer)
        report(stream.bytes_read, ledger.read)
    return PartResult(source.part, True, footer)


def _finished_footer(path: Path) -> PartFooter | None:
    """The footer of a part whose every page is sound, or None when it must be made."""
    try:
        footer = read_tags_footer(path)
        rows = pq.read_table(path, page_checksum_verification=True).num_rows
    except (DatastoreError, OSError, pa.ArrowException):
        return None
    return footer if rows == footer.written and footer.stage == STAGE else None


def _report_each(samples: Iterator[Sample], stream, report: ReportProgress) -> Iterator[Sample]:
    for count, sample in enumerate(samples, start=1):
        yield sample
        report(stream.bytes_read, count)


def read_limits(fields: SampleFields) -> dict[str, int]:
    """The members that mining reads, each with the most bytes that are read of it."""
    limits = {fields.caption_member: MAX_TEXT_BYTES}
    if fields.needs_json:
        limits[fields.json_key] = MAX_JSON_BYTES
    return limits


def _read_images(
    samples: Iterator[Sample],
    source: Source,
    fields: SampleFields,
    annotations: AnnotationIndex | None,
    ledger: PartLedger,
) -> Iterator[_Pending]:
    for sample in samples:
        row_id, key = ledger.identify(sample.position, sample.key)
        try:
            yield _Pending(row_id, key, read_image(sample, source, fields, annotations))
        except SampleRejected as rejected:
            ledger.reject(row_id, key, rejected.reason, rejected.detail)


def _tag_images(images: Iterator[_Pending], tagger: Tagger) -> Iterator[tuple[_Pending, list[Tag]]]:
    """Each image with its tags, in the order of the shard; the tagger reads ahead by its batch."""
    pending: deque[_Pending] = deque()

    def voices() -> Iterator[str]:
        for image in images:
            pending.append(image)
            yield from (caption.text for caption in image.text.voices)

    tagged: list[list[Tag]] = []
    for tags in tagger.tag(voices()):
        tagged.append(tags)
        if len(tagged) == len(pending[0].text.voices):
            image = pending.popleft()
            yield image, merge_image(image.text, tagged)
            tagged = []


def _row(image: _Pending, source: Source, tags: Sequence[Tag]) -> TagRow:
    captions = image.text.captions
    return TagRow(
        image.id,
        image.key,
        source.name,
        tuple(caption.text for caption in captions),
        tuple(tags),
        tuple(caption.source for caption in captions),
    )
