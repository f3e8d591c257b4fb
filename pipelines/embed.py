"""The job that embeds images: every shard becomes a part of the embeddings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.utils.shared import Shared
from rich.console import Console

from index.embed import EmbedOptions as PartOptions
from index.embed import embed_fingerprint, embed_part
from index.encoder import load_encoder
from pipelines.code_version import check_code, code_version
from pipelines.options import DATAFLOW, DEFAULT_ACCELERATOR, EmbedOptions, RunnerOptions
from pipelines.runner import check_runner, is_local, run_job
from pipelines.seen_parts import PartFiles
from pipelines.shards import (
    Plan,
    check_pin,
    look_inside,
    open_output,
    plan_inputs,
    process_part,
    refuse_mixing,
    watch_job,
    worker_folder,
)
from pipelines.summary import print_clip_scores, print_stage
from tagmine.embeddings import open_embeddings
from tagmine.errors import TagmineError
from tagmine.layout import (
    ENCODER_PIN,
    embeddings_path,
    locked,
    rejects_path,
    remove_leftovers,
)
from tagmine.manifest import EncoderPin, read_pin, write_pin
from tagmine.mirror import address_of, bring_back
from tagmine.removed import newest_record
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress


@dataclasses.dataclass(frozen=True, slots=True)
class EmbedJob:
    """What a worker needs to embed a shard.

    Attributes:
        root: the datastore's folder.
        clip_model: the encoder.
        options: which member is the image, and how images are batched.
        maker: fingerprint that the worker's own encoder must have.
        num_threads: forward passes side by side on a CPU, None for one a core.
        progress: folder for heartbeats, if the worker shares it with the launcher.
        removed: the record of what was taken out, in the datastore's folder.
        code: what the launcher runs, and the worker must, too.
    """

    root: str
    clip_model: str
    options: PartOptions
    maker: str
    num_threads: int | None
    progress: str | None
    removed: str | None = None
    code: str = dataclasses.field(default_factory=code_version)


class EmbedShards(beam.PTransform):
    """`Source` in, `PartResult` out: each shard's images as a part of the embeddings.

    Args:
        job: what a worker needs.
        accelerator: Beam's resource hint for the workers that embed, None for no hint.
    """

    def __init__(self, job: EmbedJob, accelerator: str | None = None) -> None:
        super().__init__()
        self._job = job
        self._accelerator = accelerator

    def expand(self, sources: beam.PCollection) -> beam.PCollection:
        embedding = beam.Map(_embed, self._job, Shared())
        if self._accelerator:
            embedding = embedding.with_resource_hints(accelerator=self._accelerator)
        return sources | "Spread shards" >> beam.Reshuffle() | "Embed images" >> embedding


def _embed(source: Source, job: EmbedJob, shared: Shared) -> PartResult:
    def make(report: ReportProgress) -> PartResult:
        check_code(job.code)
        files = (ENCODER_PIN, embeddings_path(source.part), rejects_path("embed", source.part))
        root, removed = worker_folder(job.root, files, job.removed)
        check_pin(root, ENCODER_PIN, EncoderPin, "embed", job.maker)
        encoder = shared.acquire(lambda: load_encoder(job.clip_model, num_threads=job.num_threads))
        if embed_fingerprint(encoder, job.options) != job.maker:
            raise TagmineError(
                "a worker's encoder differs from the launcher's: tagmine, open_clip or the weights "
                "have another version there. Install the same ones everywhere and start again."
            )
        return embed_part(root, source, job.options, encoder, report, removed)

    return process_part("embed", source, job.progress, make)


def build(
    root: beam.Pipeline, sources: Sequence[Source], job: EmbedJob, accelerator: str | None = None
) -> beam.PCollection:
    """The pipeline: every source as a part; yields `PartResult`s."""
    shards = root | "List shards" >> beam.Create(sources)
    return shards | "Embed shards" >> EmbedShards(job, accelerator)


def accelerator_hint(options: EmbedOptions) -> str | None:
    """What the runner is asked for: Dataflow alone makes machines to order."""
    if options.runner.runner != DATAFLOW or options.accelerator == "none":
        return None
    return options.accelerator or DEFAULT_ACCELERATOR


def prepare(options: EmbedOptions) -> EncoderPin:
    """Load the encoder, so that a wrong one stops the command before any shard is opened.

    Raises:
        ConfigurationError: for a model that is unknown, or whose weights cannot be had.
    """
    encoder = load_encoder(options.clip_model)
    part_options = _part_options(options)
    maker = embed_fingerprint(encoder, part_options)
    card = dataclasses.asdict(encoder.card)
    return EncoderPin(
        **card,
        fingerprint=encoder.card.fingerprint,
        maker=maker,
        clip_scores=options.clip_scores,
    )


def keep_scores(options: EmbedOptions, root: Path) -> EmbedOptions:
    """The options, with scores measured where the folder's parts have them.

    Without it, the same command less a flag would embed everything again to lose them.
    """
    path = root / ENCODER_PIN
    if options.clip_scores or not path.is_file():
        return options
    measured = read_pin(path, EncoderPin, "embed").clip_scores
    return dataclasses.replace(options, clip_scores=measured)


def _part_options(options: EmbedOptions) -> PartOptions:
    return PartOptions(
        options.inputs.fields,
        options.batch_size,
        options.num_prepro_workers,
        clip_scores=options.clip_scores,
    )


def threads_per_worker(runner: RunnerOptions) -> int | None:
    """Share the cores out among several local processes; one alone has them all."""
    if runner.num_workers == 1 or not is_local(runner):
        return None
    return max(1, len(os.sched_getaffinity(0)) // runner.num_workers)


def run(options: EmbedOptions, console: Console) -> None:
    """`tagmine embed`: plan, embed every shard, say what was read, written and rejected."""
    check_runner(options.runner)
    plan = plan_inputs(options.out, options.inputs)
    options = keep_scores(options, plan.root)
    pin = prepare(options)
    refuse_mixing(plan, ENCODER_PIN, pin, "embed")
    look_inside(plan, options.inputs, console)
    with locked(plan.root):
        open_output(plan)
        embed(options, plan, pin, console)


def embed(options: EmbedOptions, plan: Plan, pin: EncoderPin, console: Console) -> None:
    """Run the job over a planned, locked output folder."""
    write_pin(plan.root / ENCODER_PIN, pin)
    files = PartFiles(embeddings_path, lambda path: open_embeddings(path).footer)
    with watch_job(plan.root, options.runner, console, "embed", plan.sources, files=files) as watch:
        part_options = _part_options(options)
        threads = threads_per_worker(options.runner)
        made_with = (options.clip_model, part_options, pin.maker, threads, watch.folder)
        job = EmbedJob(address_of(plan.root), *made_with, newest_record(plan.root))
        hint = accelerator_hint(options)
        run_job(options.runner, lambda p: build(p, plan.sources, job, hint), watch)
        kept = watch.kept
    # Of workers that were lost on the way, and whose work others did; not while the record of the
    # job is still being written.
    remove_leftovers(plan.root)
    bring_back(plan.root, "embeddings/", "rejects/embed/")
    print_stage(console, plan.root, "embed", plan.sources, kept)
    if options.clip_scores:
        print_clip_scores(console, plan.root, plan.sources)
