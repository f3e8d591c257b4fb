"""Mine one shard: its captions become one part of the tag table."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.caption_filters import (
    NO_FILTERS,
    CaptionFilters,
    CaptionJudge,
    keep_captions,
    load_judge,
)
from tagmine.captions import (
    MAX_CAPTION_CHARACTERS,
    MAX_CAPTIONS,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    SampleRejected,
    read_captions,
    read_fields,
)
from tagmine.errors import DatastoreError
from tagmine.field_tags import field_tags
from tagmine.layout import atomic_path, tags_path
from tagmine.manifest import fingerprint
from tagmine.parts import PartFooter, TagRow, TagTableWriter, read_tags_footer
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
class _Pending:
    id: int
    key: str
    captions: tuple[str, ...]
    field_tags: tuple[Tag, ...]


def mine_fingerprint(
    tagger: Tagger, fields: SampleFields, filters: CaptionFilters = NO_FILTERS
) -> str:
    """Fingerprint of all that decides a tags part, its shard aside."""
    limits = (MAX_CAPTION_CHARACTERS, MAX_CAPTIONS, MAX_TEXT_BYTES, MAX_JSON_BYTES)
    made_with = (tagger.fingerprint, dataclasses.asdict(fields), limits)
    return fingerprint(STAGE, *made_with, *([filters.fingerprint] if filters.active else []))


def mine_part(
    root: Path,
    source: Source,
    fields: SampleFields,
    tagger: Tagger,
    report: ReportProgress = ignore_progress,
    filters: CaptionFilters = NO_FILTERS,
) -> PartResult:
    """Make the tags part of a shard, unless a current one is there already.

    Args:
        root: the datastore's folder.
        source: the shard.
        fields: where captions and structured fields are.
        tagger: what mines the captions.
        report: told of the progress.
        filters: which captions are mined.

    Returns:
        The part's footer, and whether it was made now.

    Raises:
        SourceError: when the shard cannot be read.
    """
    target = root / tags_path(source.part)
    maker = mine_fingerprint(tagger, fields, filters)
    finished = _finished_footer(target)
    if finished and is_current(finished, root, source, maker, report):
        return PartResult(source.part, False, finished)
    judge = load_judge(filters) if filters.active else None
    ledger = PartLedger(root, source, STAGE, fields, maker)
    limits = {fields.caption_member: MAX_TEXT_BYTES}
    if fields.needs_json:
        limits[fields.json_key] = MAX_JSON_BYTES
    with open_source(source) as stream, atomic_path(target) as temporary:
        writer = TagTableWriter(temporary)
        samples = _report_each(read_samples(stream, fields, limits), stream, report)
        for row in _tag_samples(samples, source, fields, judge, tagger, ledger):
            writer.add(row)
        footer = ledger.close(stream, writer.added)
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


def _tag_samples(
    samples: Iterator[Sample],
    source: Source,
    fields: SampleFields,
    judge: CaptionJudge | None,
    tagger: Tagger,
    ledger: PartLedger,
) -> Iterator[TagRow]:
    """Rows in the order of the shard; the tagger reads ahead by its batch."""
    pending: deque[_Pending] = deque()

    def captions() -> Iterator[str]:
        for sample in samples:
            image = _prepare(sample, fields, judge, ledger)
            if image is not None:
                pending.append(image)
                yield from image.captions

    tagged: list[list[Tag]] = []
    for tags in tagger.tag(captions()):
        tagged.append(tags)
        if len(tagged) == len(pending[0].captions):
            image = pending.popleft()
            merged = merge_captions([*tagged, image.field_tags] if image.field_tags else tagged)
            yield TagRow(image.id, image.key, source.name, image.captions, tuple(merged))
            tagged = []


def _prepare(
    sample: Sample, fields: SampleFields, judge: CaptionJudge | None, ledger: PartLedger
) -> _Pending | None:
    row_id, key = ledger.identify(sample.position, sample.key)
    if sample.problem:
        ledger.reject(row_id, key, *sample.problem)
        return None
    try:
        record = read_fields(sample, fields)
        captions = tuple(read_captions(sample, fields, record))
        values = tuple(field_tags(record, fields.tag_fields)) if fields.tag_fields else ()
    except SampleRejected as rejected:
        ledger.reject(row_id, key, rejected.reason, rejected.detail)
        return None
    except ValueError as error:
        ledger.reject(row_id, key, "bad_json", str(error))
        return None
    if judge is not None:
        captions, faults = keep_captions(judge, captions)
        if not captions:
            ledger.reject(row_id, key, *faults[0])
            return None
        ledger.drop_captions(reason for reason, _ in faults)
    return _Pending(row_id, key, captions, values)
