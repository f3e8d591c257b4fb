"""The job that mines captions: every shard becomes a part of the tag table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared
from rich.console import Console

from pipelines.code_version import check_code, code_version
from pipelines.options import MineOptions
from pipelines.progress import count_cut, record_cut
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
from pipelines.summary import print_annotations, print_stage
from tagmine.annotations import (
    AnnotationTable,
    index_annotations,
    look_up_table,
    open_annotations,
)
from tagmine.caption_filters import CaptionFilters, load_judge
from tagmine.domain_vocabulary import load_vocabulary
from tagmine.errors import ConfigurationError, TagmineError
from tagmine.layout import (
    TAGGER_PIN,
    locked,
    rejects_path,
    remove_leftovers,
    tags_path,
    temporary_path,
)
from tagmine.manifest import TaggerPin, write_pin
from tagmine.mine import mine_fingerprint, mine_part
from tagmine.mirror import address_of, bring_back
from tagmine.parts import read_tags_footer
from tagmine.removed import newest_record
from tagmine.samples import SampleFields
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress
from tagmine.stores import is_remote
from tagmine.tag_policy import load_policy
from tagmine.tagger import TaggerInputs


@dataclasses.dataclass(frozen=True, slots=True)
class MineJob:
    """What a worker needs to mine a shard.

    Attributes:
        root: the datastore's folder.
        fields: where captions are.
        tagger: what the worker loads its tagger from.
        maker: fingerprint that the worker's own tagger must have.
        progress: folder for heartbeats, if the worker shares it with the launcher.
        filters: which captions are mined; the blocklist's words and not its path.
        annotations: the index of further annotations, in the datastore's folder.
        removed: the record of what was taken out, in the datastore's folder.
        code: what the launcher runs, and the worker must, too.
    """

    root: str
    fields: SampleFields
    tagger: TaggerInputs
    maker: str
    progress: str | None
    filters: CaptionFilters
    annotations: str | None = None
    removed: str | None = None
    code: str = dataclasses.field(default_factory=code_version)


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
        check_code(job.code)
        files = (TAGGER_PIN, tags_path(source.part), rejects_path("mine", source.part))
        root, removed = worker_folder(job.root, files, job.removed)
        check_pin(root, TAGGER_PIN, TaggerPin, "mine", job.maker)
        tagger = shared.acquire(lambda: job.tagger.load())
        index = Path(job.annotations) if job.annotations else None
        before = tagger.cut
        with open_annotations(index) as annotations:
            sha256 = annotations and annotations.sha256
            if mine_fingerprint(tagger, job.fields, job.filters, sha256) != job.maker:
                raise TagmineError(
                    "a worker's tagger or filters differ from the launcher's: tagmine, spaCy, the "
                    "pipeline or py3langid has another version there. Install the same ones "
                    "everywhere and start again."
                )
            made_with = (tagger, report, job.filters, annotations, removed)
            result = mine_part(root, source, job.fields, *made_with)
        Metrics.counter("mine", "captions_cut").inc(tagger.cut - before)
        record_cut(job.progress, tagger.cut)
        return result

    return process_part("mine", source, job.progress, make)


def build(root: beam.Pipeline, sources: Sequence[Source], job: MineJob) -> beam.PCollection:
    """The pipeline: every source as a part; yields `PartResult`s."""
    return root | "List shards" >> beam.Create(sources) | "Mine shards" >> MineShards(job)


def tagger_inputs(options: MineOptions) -> TaggerInputs:
    """What the options say of the tagger, with the files they name read.

    Raises:
        ConfigurationError: for a policy folder or vocabulary file that cannot be used.
    """
    return TaggerInputs(
        spacy_model=options.spacy_model,
        policy=load_policy(*options.tag_policies),
        vocabulary=load_vocabulary(options.vocabularies),
        relations=options.relations,
        scene_graph=options.scene_graph,
    )


def prepare(options: MineOptions) -> TaggerPin:
    """Load the tagger, so that a wrong one stops the command before any shard is opened.

    Raises:
        ConfigurationError: for a pipeline or annotations that are not there or cannot be used, or
            a language that cannot be told.
    """
    table = annotation_table(options)
    sha256 = table and table.sha256
    filters = options.filters
    load_judge(filters)
    tagger = tagger_inputs(options).load()
    card = tagger.card
    fields = options.inputs.fields
    return TaggerPin(
        pipeline=card.pipeline,
        version=card.version,
        spacy=card.spacy,
        backend=card.backend,
        policy=card.policy,
        vocabularies=card.vocabularies,
        relations=card.relations,
        fingerprint=card.fingerprint,
        image_keys=fields.image_keys,
        caption_key=fields.caption_key,
        json_key=fields.json_key,
        caption_json_fields=fields.caption_json_fields,
        tag_fields=fields.tag_fields,
        maker=mine_fingerprint(tagger, fields, filters, sha256),
        min_caption_words=filters.min_words,
        max_caption_words=filters.max_words,
        language=filters.language,
        blocklist_sha256=filters.blocklist_sha256,
        annotations_sha256=sha256,
        annotations_key=fields.annotations_key,
    )


def refuse_far_annotations(options: MineOptions) -> None:
    """Stop where the index of the annotations would be out of the workers' reach.

    Raises:
        ConfigurationError: for annotations with a URL as --out and workers on other machines.
    """
    if options.annotations and is_remote(options.out) and not is_local(options.runner):
        raise ConfigurationError(
            f"--annotations {options.annotations}: with a URL as --out they are joined by the "
            "local runner. Give a folder that all workers see as --out, and tagmine push it "
            "afterwards."
        )


def run(options: MineOptions, console: Console) -> None:
    """`tagmine mine`: plan, mine every shard, say what was read, written and rejected."""
    check_runner(options.runner)
    refuse_far_annotations(options)
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
        _mine_all(options, plan, pin, console, str(index))
    print_annotations(console, plan.root, plan.sources, table, counts)


def _mine_all(
    options: MineOptions, plan: Plan, pin: TaggerPin, console: Console, index: str | None
) -> None:
    write_pin(plan.root / TAGGER_PIN, pin)
    files = PartFiles(tags_path, read_tags_footer)
    with watch_job(plan.root, options.runner, console, "mine", plan.sources, files=files) as watch:
        fields = options.inputs.fields
        inputs = tagger_inputs(options)
        made_with = (pin.maker, watch.folder, options.filters, index, newest_record(plan.root))
        job = MineJob(address_of(plan.root), fields, inputs, *made_with)
        run_job(options.runner, lambda p: build(p, plan.sources, job), watch)
        kept, cut = watch.kept, count_cut(watch.folder)
    # Of workers that were lost on the way, and whose work others did; not while the record of the
    # job is still being written.
    remove_leftovers(plan.root)
    bring_back(plan.root, "tags/", "rejects/mine/")
    print_stage(console, plan.root, "mine", plan.sources, kept)
    if cut:
        console.print(
            f"         {cut:,} captions were cut at a limit of the scene graph parser; some of "
            "their tags may be missing",
            soft_wrap=True,
        )
