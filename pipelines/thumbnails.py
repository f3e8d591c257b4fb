"""The job that keeps small pictures of embedded images, where `build` is asked to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import apache_beam as beam
from rich.console import Console

from index.thumbnails import make_thumbnails, read_thumbnails_footer
from pipelines.code_version import check_code, code_version
from pipelines.options import RunnerOptions
from pipelines.runner import run_job
from pipelines.seen_parts import PartFiles
from pipelines.shards import Plan, process_part, watch_job
from tagmine.layout import embeddings_path, thumbnails_path
from tagmine.mirror import address_of, bring_back, working_folder
from tagmine.samples import SampleFields
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress


@dataclasses.dataclass(frozen=True, slots=True)
class ThumbnailsJob:
    """What a worker needs: the datastore's folder, pixels a side, image members, heartbeats, and
    what code the launcher runs.
    """

    root: str
    side: int
    fields: SampleFields
    progress: str | None
    code: str = dataclasses.field(default_factory=code_version)


def _shrink(source: Source, job: ThumbnailsJob) -> PartResult:
    def make(report: ReportProgress) -> PartResult:
        check_code(job.code)
        needed = (embeddings_path(source.part), thumbnails_path(source.part))
        root = working_folder(job.root, needed)
        return make_thumbnails(root, source, job.side, job.fields, report)

    return process_part("thumbnails", source, job.progress, make)


def build(root: beam.Pipeline, sources: Sequence[Source], job: ThumbnailsJob) -> beam.PCollection:
    """The pipeline: every source as a file of thumbnails; yields `PartResult`s."""
    return (
        root
        | "List shards" >> beam.Create(sources)
        | "Spread shards" >> beam.Reshuffle()
        | "Shrink pictures" >> beam.Map(_shrink, job)
    )


def keep_thumbnails(
    side: int, fields: SampleFields, runner: RunnerOptions, plan: Plan, console: Console
) -> None:
    """Run the job over a planned, locked output folder whose shards are embedded."""
    files = PartFiles(thumbnails_path, read_thumbnails_footer)
    with watch_job(plan.root, runner, console, "thumbnails", plan.sources, files=files) as watch:
        job = ThumbnailsJob(address_of(plan.root), side, fields, watch.folder)
        run_job(runner, lambda p: build(p, plan.sources, job), watch)
        kept = watch.kept
    bring_back(plan.root, "thumbnails/")
    size = sum((plan.root / thumbnails_path(s.part)).stat().st_size for s in plan.sources)
    before = f"; {kept:,} of {len(plan.sources):,} parts were finished before" if kept else ""
    console.print(f"thumbnails {side} pixels a side, {size / 2**20:,.1f} MiB{before}")
