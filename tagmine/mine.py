"""Mine one shard: its captions become one part of the tag table."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.annotations import AnnotationIndex
from tagmine.caption_filters import NO_FILTERS, CaptionFilters, load_judge
from tagmine.captions import (
    MAX_CAPTION_CHARACTERS,
    MAX_CAPTIONS,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    SampleRejected,
)
from tagmine.errors import DatastoreError
from tagmine.image_text import ImageReader, ImageText, merge_image
from tagmine.layout import atomic_path, tags_path
from tagmine.manifest import fingerprint
from tagmine.parts import PartFooter, TagRow, TagTableWriter, read_tags_footer
from tagmine.questions import QUESTION_RULES
from tagmine.removed import NOTHING, Identities
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
from tagmine.tags import Tag

if TYPE_CHECKING:
    from tagmine.tagger import Tagger

STAGE = "mine"


@dataclasses.dataclass(frozen=True, slots=True)
class _Pending:
    id: int
    key: str
    text: ImageText


def mine_fingerprint(
    tagger: Tagger,
    fields: SampleFields,
    filters: CaptionFilters = NO_FILTERS,
    annotations_sha256: str | None = None,
) -> str:
    """Fingerprint of all that decides a tags part, its shard aside."""
    limits = (MAX_CAPTION_CHARACTERS, MAX_CAPTIONS, MAX_TEXT_BYTES, MAX_JSON_BYTES)
    made_with = (tagger.fingerprint, dataclasses.asdict(fields), limits, QUESTION_RULES)
    chosen = (filters.fingerprint if filters.active else None, annotations_sha256)
    return fingerprint(STAGE, *made_with, *chosen)


def mine_part(
    root: Path,
    source: Source,
    fields: SampleFields,
    tagger: Tagger,
    report: ReportProgress = ignore_progress,
    filters: CaptionFilters = NO_FILTERS,
    annotations: AnnotationIndex | None = None,
    removed: Identities = NOTHING,
) -> PartResult:
    """Make the tags part of a shard, unless a current one is there already.

    Args:
        root: the datastore's folder.
        source: the shard.
        fields: where captions and structured fields are.
        tagger: what mines the captions.
        report: told of the progress.
        filters: which captions are mined.
        annotations: further annotations of the images.
        removed: samples that were taken out and are left out.

    Returns:
        The part's footer, and whether it was made now.

    Raises:
        SourceError: when the shard cannot be read.
    """
    target = root / tags_path(source.part)
    maker = mine_fingerprint(tagger, fields, filters, annotations and annotations.sha256)
    finished = _finished_footer(target)
    if finished and is_current(finished, root, source, maker, report):
        return PartResult(source.part, False, finished)
    judge = load_judge(filters) if filters.active else None
    reader = ImageReader(fields, judge, annotations)
    ledger = PartLedger(root, source, STAGE, fields, maker)
    joined: set[str] = set()
    with open_source(source) as stream, atomic_path(target) as temporary:
        writer = TagTableWriter(temporary)
        limits = removed.limits(fields) | reader.limits
        samples = _report_each(read_samples(stream, fields, limits), stream, report)
        images = _read_images(samples, source, reader, ledger, removed)
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


def _read_images(
    samples: Iterator[Sample],
    source: Source,
    reader: ImageReader,
    ledger: PartLedger,
    removed: Identities,
) -> Iterator[_Pending]:
    for sample in samples:
        row_id, key = ledger.identify(sample.position, sample.key)
        if removed.found_in(key, sample.members, reader.fields):
            ledger.leave_out()
            continue
        try:
            text = reader.read(sample, source)
        except SampleRejected as rejected:
            ledger.reject(row_id, key, rejected.reason, rejected.detail)
            continue
        ledger.drop_captions(text.dropped)
        yield _Pending(row_id, key, text)


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
