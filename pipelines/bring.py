"""The job that brings a collection: every so many rows of it become a shard."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from rich.console import Console

from pipelines.bring_options import ShardsOptions
from pipelines.runner import check_runner, run_job
from pipelines.shards import process_part, watch_job
from pipelines.summary import print_count
from tagmine.bring.catalogue import open_catalogue, write_catalogue
from tagmine.bring.folder import (
    PIN,
    BringPin,
    BringSummary,
    begin,
    drop_beyond,
    read_card,
    vocabulary_path,
    write_summary,
)
from tagmine.bring.kinds import open_collection
from tagmine.bring.names import check_vocabulary_fields, write_vocabulary
from tagmine.bring.rows import Collection, Pictures
from tagmine.bring.shard import RULES, ShardRows, write_shard
from tagmine.errors import ConfigurationError, TagmineError
from tagmine.layout import (
    FORMAT_VERSION,
    job_folder,
    locked,
    remove_leftovers,
    temporary_path,
)
from tagmine.manifest import StageCount, fingerprint, sum_counts
from tagmine.rejects import BRING
from tagmine.stage import PartResult, ReportProgress


@dataclasses.dataclass(frozen=True, slots=True)
class BringJob:
    """What a worker needs to make a shard.

    Attributes:
        root: folder of the shards.
        pictures: where the collection's pictures are.
        progress: folder for heartbeats, if the worker shares it with the launcher.
    """

    root: str
    pictures: Pictures
    progress: str | None


class WriteShards(beam.PTransform):
    """`ShardRows` in, `PartResult` out: each as a shard."""

    def __init__(self, job: BringJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        return (
            rows
            | "Spread shards" >> beam.Reshuffle()
            | "Write shards" >> beam.Map(_write, self._job)
        )


def _write(rows: ShardRows, job: BringJob) -> PartResult:
    def make(report: ReportProgress) -> PartResult:
        return write_shard(Path(job.root), rows, job.pictures, report)

    return process_part(BRING, rows, job.progress, make)


def build(root: beam.Pipeline, shards: Sequence[ShardRows], job: BringJob) -> beam.PCollection:
    """The pipeline: every range of rows as a shard; yields `PartResult`s."""
    return root | "List shards" >> beam.Create(shards) | "Bring" >> WriteShards(job)


def run(options: ShardsOptions, console: Console) -> None:
    """`tagmine shards`: look, read all words once, write every shard, say what became of it.

    Raises:
        ConfigurationError: for a source or folder that cannot be used.
    """
    check_runner(options.runner)
    collection = open_collection(options.bring)
    check_vocabulary_fields(collection.vocabulary_fields)
    root = job_folder(options.out, PIN, "shards")
    console.print(collection.found, soft_wrap=True)
    with locked(root):
        remove_leftovers(root)
        pin = _pin(options, collection)
        begin(root, pin)
        # Where the workers can read it: they write their shards to the same folder.
        with temporary_path(root / "catalogue") as path:
            fields = (collection.tag_fields, collection.vocabulary_fields)
            silent = write_catalogue(collection.rows(), path, *fields)
            summary = _bring(options, collection, pin, root, path, console)
        write_summary(root, summary)
    if silent:
        console.print(
            f"note     no row has a value of {', '.join(map(repr, silent))}, which --tag-fields "
            "names",
            soft_wrap=True,
        )
    _print_next(console, options.out, collection, summary)


def _bring(
    options: ShardsOptions,
    collection: Collection,
    pin: BringPin,
    root: Path,
    path: Path,
    console: Console,
) -> BringSummary:
    with open_catalogue(path) as catalogue:
        rows, cut = catalogue.rows, catalogue.cut(options.shard_size)
        names = {
            field: write_vocabulary(root, catalogue, field)
            for field in collection.vocabulary_fields
        }
    if not cut:
        raise ConfigurationError(f"{' '.join(pin.sources)}: it has no rows.")
    drop_beyond(root, len(cut))
    shards = tuple(
        ShardRows(
            part,
            f"{root.name}/{part:05d}",
            str(path),
            start=start,
            stop=stop,
            tag_fields=collection.tag_fields,
        )
        for part, (start, stop) in enumerate(cut)
    )
    with watch_job(root, options.runner, console, BRING, shards, sized=False) as watch:
        job = BringJob(str(root), collection.pictures, watch.folder)
        run_job(options.runner, lambda p: build(p, shards, job), watch)
        kept = watch.kept
    summary = _summarize(root, pin, len(cut), rows, {field: n for field, (n, _) in names.items()})
    _print_summary(console, options.out, summary, kept, names)
    return summary


def _pin(options: ShardsOptions, collection: Collection) -> BringPin:
    asked = options.bring
    return BringPin(
        format="tagmine-shards",
        format_version=FORMAT_VERSION,
        kind=collection.kind,
        sources=tuple(Path(source).name for source in asked.sources),
        shard_size=options.shard_size,
        captions=asked.caption_columns,
        image=asked.image_column,
        key=asked.key_column,
        tag_fields=collection.tag_fields,
        vocabulary_fields=collection.vocabulary_fields,
        poses=asked.poses,
        encoding=asked.encoding,
        split=asked.split,
        maker=fingerprint(RULES),
    )


def _summarize(
    root: Path, pin: BringPin, shards: int, rows: int, vocabulary: dict[str, int]
) -> BringSummary:
    cards = [read_card(root, part) for part in range(shards)]
    missing = [part for part, card in enumerate(cards) if card is None]
    if missing:
        raise TagmineError(f"{root}: the card of shard {missing[0]} is gone; start again.")
    counts = [StageCount(c.footer.read, c.footer.written, c.footer.rejected) for c in cards]
    merged = sum(card.merged for card in cards)
    return BringSummary(pin, shards, rows, merged, sum_counts(counts), vocabulary)


def _print_summary(
    console: Console,
    out: str,
    summary: BringSummary,
    kept: int,
    names: dict[str, tuple[int, int]],
) -> None:
    before = f"; {kept:,} of {summary.shards:,} shards were finished before" if kept else ""
    print_count(console, BRING, summary.images, before)
    if summary.merged:
        console.print(
            f"         {summary.merged:,} more rows are of images that an earlier row names; their "
            "captions and fields are merged",
            soft_wrap=True,
        )
    for field, (count, left_out) in names.items():
        more = f"; {left_out:,} left out, which no caption can hold" if left_out else ""
        path = Path(out) / vocabulary_path(field)
        console.print(f"names    {count:,} of {field} in {path}{more}", soft_wrap=True)


def _print_next(console: Console, out: str, collection: Collection, summary: BringSummary) -> None:
    """Say which command makes a datastore of the shards."""
    if not summary.images.written:
        raise ConfigurationError(
            f"no sample was written; {out}/rejects/*.parquet says why of each row."
        )
    folder = out.rstrip("/")
    words = ["tagmine", "build", f"{folder}/*.tar", "--out", f"{folder}-tags"]
    words += ["--caption-json-field", "captions"]
    if collection.tag_fields:
        words += ["--tag-fields", ",".join(collection.tag_fields)]
    for field, count in summary.vocabulary.items():
        words += ["--vocabulary", f"{folder}/{vocabulary_path(field)}"] if count else []
    console.print(f"shards   {summary.shards:,} in {out}", soft_wrap=True)
    console.print(f"next     {shlex.join(words)}", soft_wrap=True)
