"""The job that mines captions: every shard becomes a part of the tag table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.utils.shared import Shared
from rich.console import Console

from pipelines.options import MineOptions
from pipelines.progress import count_kept
from pipelines.runner import check_runner, run_job
from pipelines.shards import (
    Plan,
    look_inside,
    open_output,
    plan_inputs,
    process_part,
    progress_for,
    refuse_mixing,
)
from pipelines.summary import print_annotations, print_stage
from tagmine.annotations import (
    AnnotationTable,
    index_annotations,
    look_up_table,
    open_annotations,
)
from tagmine.errors import TagmineError
from tagmine.layout import TAGGER_PIN, locked, temporary_path
from tagmine.manifest import TaggerPin, write_pin
from tagmine.mine import mine_fingerprint, mine_part
from tagmine.samples import SampleFields
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress
from tagmine.tagger import load_tagger


@dataclasses.dataclass(frozen=True, slots=True)
class MineJob:
    """What a worker needs to mine a shard.

    Attributes:
        root: the datastore's folder.
        fields: where captions are.
        spacy_model: the pipeline, None for the embedded one.
        maker: fingerprint that the worker's own tagger must have.
        progress: folder for heartbeats, if the worker shares it with the launcher.
        annotations: the index of further annotations, in the datastore's folder.
    """

    root: str
    fields: SampleFields
    spacy_model: str | None
    maker: str
    progress: str | None
    annotations: str | None = None


class MineShards(beam.PTransform):
    """`Source` in, `PartResult` out: each shard's captions as a part of the tag table."""

    def __init__(self, job: MineJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, sources: beam.PCollection) -> beam.PCollection:
        return (
            sources
            | "Spread shards" >> beam.Reshuffle()
            | "Mine captions" >> beam.Map(_mine, self._job, Shared())
        )


def _mine(source: Source, job: MineJob, shared: Shared) -> PartResult:
    def make(report: ReportProgress) -> PartResult:
        tagger = shared.acquire(lambda: load_tagger(job.spacy_model))
        path = Path(job.annotations) if job.annotations else None
        with open_annotations(path) as annotations:
            sha256 = annotations and annotations.sha256
            if mine_fingerprint(tagger, job.fields, sha256) != job.maker:
                raise TagmineError(
                    "a worker's tagger differs from the launcher's: tagmine, spaCy or the pipeline "
                    "has another version there. Install the same ones everywhere and start again."
                )
            return mine_part(Path(job.root), source, job.fields, tagger, report, annotations)

    return process_part("mine", source, job.progress, make)


def build(root: beam.Pipeline, sources: Sequence[Source], job: MineJob) -> beam.PCollection:
    """The pipeline: every source as a part; yields `PartResult`s."""
    return root | "List shards" >> beam.Create(sources) | "Mine shards" >> MineShards(job)


def prepare(options: MineOptions) -> TaggerPin:
    """Load the tagger, so that a wrong one stops the command before any shard is opened.

    Raises:
        ConfigurationError: for a pipeline or a table of annotations that is not there or cannot be
            used.
    """
    table = annotation_table(options)
    sha256 = table and table.sha256
    tagger = load_tagger(options.spacy_model)
    card = tagger.card
    fields = options.inputs.fields
    return TaggerPin(
        pipeline=card.pipeline,
        version=card.version,
        spacy=card.spacy,
        backend=card.backend,
        fingerprint=card.fingerprint,
        image_keys=fields.image_keys,
        caption_key=fields.caption_key,
        json_key=fields.json_key,
        caption_json_fields=fields.caption_json_fields,
        tag_fields=fields.tag_fields,
        maker=mine_fingerprint(tagger, fields, sha256),
        annotations_sha256=sha256,
        annotations_key=fields.annotations_key,
    )


def run(options: MineOptions, console: Console) -> None:
    """`tagmine mine`: plan, mine every shard, say what was read, written and rejected."""
    check_runner(options.runner)
    plan = plan_inputs(options.out, options.inputs)
    pin = prepare(options)
    refuse_mixing(plan, TAGGER_PIN, pin, "mine")
    look_inside(plan, options.inputs, console)
    with locked(plan.root):
        open_output(plan)
        mine(options, plan, pin, console)


def annotation_table(options: MineOptions) -> AnnotationTable | None:
    """The table of further annotations, looked into; None where there is none."""
    if options.annotations is None:
        return None
    return look_up_table(options.annotations, options.inputs.fields.annotations_key)


def mine(options: MineOptions, plan: Plan, pin: TaggerPin, console: Console) -> None:
    """Run the job over a planned, locked output folder."""
    table = annotation_table(options)
    if table is None:
        _mine_all(options, plan, pin, console, None)
        return
    # The one that was pinned, or none: it may have changed since.
    table = dataclasses.replace(table, sha256=pin.annotations_sha256)
    # Where the workers can read it: they write their parts to the same folder.
    with temporary_path(plan.root / "annotations") as index:
        counts = index_annotations(table, index)
        _mine_all(options, plan, pin, console, index)
    print_annotations(console, plan.root, plan.sources, table, counts)


def _mine_all(
    options: MineOptions, plan: Plan, pin: TaggerPin, console: Console, index: Path | None
) -> None:
    write_pin(plan.root / TAGGER_PIN, pin)
    with progress_for(options.runner, console, "mine", plan.sources) as progress:
        job = MineJob(
            str(plan.root),
            options.inputs.fields,
            options.spacy_model,
            pin.maker,
            progress,
            str(index) if index else None,
        )
        run_job(options.runner, lambda p: build(p, plan.sources, job), progress)
        kept = count_kept(progress)
    print_stage(console, plan.root, "mine", plan.sources, kept)
