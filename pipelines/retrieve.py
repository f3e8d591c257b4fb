"""The job that retrieves for a training set: every shard or chunk of images becomes a part."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.utils.shared import Shared
from rich.console import Console

from index.encoder import load_encoder
from index.retrieval_folder import (
    BAD_ROWS,
    RETRIEVAL_PIN,
    SUMMARY,
    RetrievalPin,
    RetrievalSummary,
    read_footers,
    read_summary,
    retrievals_path,
    write_summary,
)
from index.retrieve import LookUp, make_pin, retrieve_part
from index.retrieve import RetrieveOptions as PartOptions
from index.stack import Stack, open_stack
from index.stack_plan import StackPlan
from pipelines.code_version import check_code, code_version
from pipelines.embed import threads_per_worker
from pipelines.query_shards import encoder_name
from pipelines.retrieve_options import RetrieveOptions
from pipelines.retrieve_plan import RetrievePlan, check_same_datastore, plan_retrieval
from pipelines.runner import check_runner, run_job
from pipelines.seen_parts import PartFiles
from pipelines.shards import process_part, watch_job
from pipelines.summary import print_count
from tagmine.errors import ConfigurationError, DatastoreError, TagmineError
from tagmine.layout import locked, remove_leftovers
from tagmine.manifest import StageCount, read_manifest, sum_counts, write_pin
from tagmine.opened import local_folder
from tagmine.parts import write_rejects
from tagmine.rejects import RETRIEVE, Reject
from tagmine.samples import SampleFields
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress
from tagmine.stores import is_remote


@dataclasses.dataclass(frozen=True, slots=True)
class RetrieveJob:
    """What a worker needs to retrieve for a shard.

    Attributes:
        root: folder of the retrievals.
        datastores: folders of the datastores.
        clip_model: their encoder.
        options: how a part is made.
        pin: what the launcher found; the worker must find the same.
        num_threads: forward passes side by side on a CPU, None for one a core.
        progress: folder for heartbeats, if the worker shares it with the launcher.
        code: what the launcher runs, and the worker must, too.
    """

    root: str
    datastores: StackPlan
    clip_model: str
    options: PartOptions
    pin: RetrievalPin
    num_threads: int | None
    progress: str | None
    code: str = dataclasses.field(default_factory=code_version)


class RetrieveShards(beam.PTransform):
    """`Source` in, `PartResult` out: what the datastore knows of each shard's images, as a part."""

    def __init__(self, job: RetrieveJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, sources: beam.PCollection) -> beam.PCollection:
        return (
            sources
            | "Spread shards" >> beam.Reshuffle()
            | "Look images up" >> beam.Map(_retrieve, self._job, Shared())
        )


def _retrieve(source: Source, job: RetrieveJob, shared: Shared) -> PartResult:
    def make(report: ReportProgress) -> PartResult:
        check_code(job.code)
        stack = shared.acquire(
            lambda: _open(job.datastores, job.clip_model, threads=job.num_threads)
        )
        if make_pin(stack, job.options) != job.pin:
            raise TagmineError(
                "a worker's datastore or encoder differs from the launcher's: the datastore has "
                "changed since, or tagmine, open_clip or the weights have another version there. "
                "Start again when they are the same everywhere."
            )
        return retrieve_part(Path(job.root), source, job.options, stack, job.pin, report)

    return process_part(RETRIEVE, source, job.progress, make)


def build(root: beam.Pipeline, sources: Sequence[Source], job: RetrieveJob) -> beam.PCollection:
    """The pipeline: every source as a part; yields `PartResult`s."""
    return root | "List shards" >> beam.Create(sources) | "Retrieve" >> RetrieveShards(job)


def _open(plan: StackPlan, clip_model: str, threads: int | None = None) -> Stack:
    return open_stack(plan, encoder=load_encoder(clip_model, num_threads=threads))


def _part_options(options: RetrieveOptions) -> PartOptions:
    wanted = LookUp(options.k, options.max_tags, options.exclude_above, not options.keep_own_key)
    fields = SampleFields(options.image_keys)
    return PartOptions(wanted, fields, options.batch_size, options.num_prepro_workers)


def run(options: RetrieveOptions, console: Console) -> None:
    """`tagmine retrieve`: plan, look every image up, say what was read, written and rejected.

    Raises:
        ConfigurationError: for inputs or folders that cannot be used.
        DatastoreError: for a folder that is no datastore, or another encoder than its own.
    """
    check_runner(options.runner)
    part_options = _part_options(options)
    first = options.datastores.folders[0]
    name = encoder_name(first, options.clip_model, read_manifest(local_folder(first)))
    plan = plan_retrieval(options, part_options.fields)
    stack = _open(options.datastores, name)
    if not len(stack):
        raise ConfigurationError(f"--datastore {options.datastores}: it holds no image.")
    pin = make_pin(stack, part_options)
    check_same_datastore(plan.root, pin)
    console.print(plan.found, soft_wrap=True)
    with locked(plan.root):
        remove_leftovers(plan.root)
        _begin(plan, pin)
        folders = tuple(
            folder if is_remote(folder) else str(Path(folder).absolute())
            for folder in options.datastores.folders
        )
        stores = dataclasses.replace(options.datastores, folders=folders)
        threads = threads_per_worker(options.runner)
        sized = options.instructions is None
        files = PartFiles(retrievals_path, lambda path: read_footers(path)[0])
        with watch_job(
            plan.root, options.runner, console, RETRIEVE, plan.sources, sized, files=files
        ) as watch:
            job = RetrieveJob(
                str(plan.root), stores, name, part_options, pin, threads, watch.folder
            )
            run_job(options.runner, lambda p: build(p, plan.sources, job), watch)
            kept = watch.kept
        summary = _summarize(plan, pin)
        write_summary(plan.root, summary)
    _print_summary(console, plan, summary, kept)


def _begin(plan: RetrievePlan, pin: RetrievalPin) -> None:
    """Say what the parts are made with, and that they are not complete."""
    try:
        current = read_summary(plan.root).pin == pin
    except (ConfigurationError, DatastoreError):
        current = False
    if not current:
        # It speaks of parts that are replaced one by one from now on.
        (plan.root / SUMMARY).unlink(missing_ok=True)
    write_pin(plan.root / RETRIEVAL_PIN, pin)
    if plan.instructions is not None:
        bad = plan.instructions.bad_rows
        rejects = [Reject(number, "", RETRIEVE, "bad_json", why) for number, why in bad]
        write_rejects(plan.root / BAD_ROWS, rejects, pin.maker)


def _summarize(plan: RetrievePlan, pin: RetrievalPin) -> RetrievalSummary:
    found = [read_footers(plan.root / retrievals_path(source.part)) for source in plan.sources]
    counts = [StageCount(f.read, f.written, f.rejected) for f, _ in found]
    copies = sum(more.with_copies for _, more in found)
    own = [more.with_own_key for _, more in found]
    with_own_key = None if None in own else sum(own)
    return RetrievalSummary(pin, len(found), sum_counts(counts), copies, plan.rows, with_own_key)


def _print_summary(
    console: Console, plan: RetrievePlan, summary: RetrievalSummary, kept: int
) -> None:
    before = f"; {kept:,} of {summary.parts:,} parts were finished before" if kept else ""
    print_count(console, RETRIEVE, summary.images, before)
    if summary.pin.exclude_own_key and summary.with_own_key is not None:
        console.print(
            f"         {summary.with_own_key:,} images are in the datastore under their own key, "
            "which was left out",
            soft_wrap=True,
        )
    if summary.with_copies:
        console.print(
            f"         {summary.with_copies:,} images have copies in the datastore (cosine "
            f"{summary.pin.exclude_above} or more), which were left out",
            soft_wrap=True,
        )
    if summary.rows is not None:
        rows = summary.rows
        console.print(
            f"rows     {rows.read:,} read = {rows.with_image:,} with an image + "
            f"{rows.text_only:,} text only + {rows.rejected:,} rejected",
            soft_wrap=True,
        )
    console.print(f"retrievals {plan.root}", soft_wrap=True)
