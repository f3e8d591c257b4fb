"""The job that builds the index: train once, fill every index shard, publish the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
from rich.console import Console

from index.build import (
    ShardPlan,
    fill_shard,
    plan_shards,
    remove_other_shards,
    train_index,
)
from index.factory import create_index, list_count
from index.publish import assemble_manifest
from index.spec import choose_spec, parse_bytes, training_size
from pipelines.options import IndexOptions
from pipelines.runner import check_runner, run_job
from pipelines.summary import print_count, print_vocabulary
from tagmine.embeddings import EmbeddingsPart, open_embeddings
from tagmine.errors import ConfigurationError
from tagmine.layout import (
    ENCODER_PIN,
    TAGGER_PIN,
    embeddings_path,
    locked,
    output_folder,
    tags_path,
)
from tagmine.manifest import EncoderPin, Manifest, TaggerPin, read_pin, write_manifest
from tagmine.sources import Source, read_sources


@dataclasses.dataclass(frozen=True, slots=True)
class IndexJob:
    """What a worker needs to train or fill.

    Attributes:
        root: the datastore's folder.
        index_key: FAISS factory string.
        parts: every part, in order.
        shards: which parts go into which index shard.
        min_clip_score: lowest CLIP score of an image that is indexed, None for no limit.
    """

    root: str
    index_key: str
    parts: tuple[int, ...]
    shards: tuple[ShardPlan, ...]
    min_clip_score: float | None


def build(root: beam.Pipeline, job: IndexJob) -> beam.PCollection:
    """The pipeline: train the index once, then fill each shard from it; yields shard numbers."""
    return (
        root
        | "Start once" >> beam.Create([job])
        | "Train index" >> beam.Map(_train)
        | "List index shards" >> beam.FlatMap(_list_shards)
        | "Spread index shards" >> beam.Reshuffle()
        | "Fill index shards" >> beam.Map(_fill, job)
    )


def _train(job: IndexJob) -> IndexJob:
    train_index(Path(job.root), job.parts, job.index_key)
    return job


def _list_shards(job: IndexJob) -> Iterator[ShardPlan]:
    yield from job.shards


def _fill(plan: ShardPlan, job: IndexJob) -> int:
    fill_shard(Path(job.root), plan, job.index_key, job.min_clip_score)
    return plan.shard


def check(options: IndexOptions) -> int:
    """The allowed bytes, so that a wrong option stops the command before any work.

    Raises:
        ConfigurationError: for a size that is none.
    """
    check_runner(options.runner)
    return parse_bytes(options.max_index_memory_usage)


def run(options: IndexOptions, console: Console) -> None:
    """`tagmine index`: choose, train, fill, and write the manifest."""
    check(options)
    root = output_folder(options.out)
    sources = read_sources(root)
    if not sources:
        raise ConfigurationError(f"{root}: there is nothing to index; run mine and embed first.")
    with locked(root):
        index(options, root, sources, console)


def index(
    options: IndexOptions, root: Path, sources: Sequence[Source], console: Console
) -> Manifest:
    """Run the job over a locked folder whose parts are finished; returns the manifest."""
    allowed = check(options)
    read_pin(root / TAGGER_PIN, TaggerPin, "mine")
    read_pin(root / ENCODER_PIN, EncoderPin, "embed")
    _check_stages(root, sources)
    parts = [open_embeddings(root / embeddings_path(source.part)) for source in sources]
    rows = [(part.footer.part, part.footer.written) for part in parts]
    count = sum(written for _, written in rows)
    if count == 0:
        raise ConfigurationError(
            f"{root}: no image could be embedded, so there is nothing to index. The reasons are in "
            f"{root / 'rejects' / 'embed'}."
        )
    _check_scores(options, root, parts)
    index_key, reason = _choose(options, count, parts[0].dim, allowed)
    console.print(f"index  {reason}", highlight=False)
    plans = plan_shards(rows)
    limit = options.min_clip_score
    job = IndexJob(str(root), index_key, tuple(part for part, _ in rows), tuple(plans), limit)
    run_job(options.runner, lambda p: build(p, job), None)
    remove_other_shards(root, plans)
    manifest = assemble_manifest(root, sources, plans, index_key, limit, options.min_tag_images)
    if manifest.images == 0:
        raise ConfigurationError(
            f"{root}: no image has both an embedding and a caption"
            f"{'' if limit is None else ' and a CLIP score of at least ' + format(limit, 'g')}, "
            f"so there is nothing to find. The reasons are in {root / 'rejects'}."
        )
    write_manifest(root, manifest)
    print_count(console, "index", manifest.totals["index"])
    print_vocabulary(console, root, manifest.vocabulary)
    return manifest


def _check_stages(root: Path, sources: Sequence[Source]) -> None:
    for stage, path_of in (("mine", tags_path), ("embed", embeddings_path)):
        missing = [source for source in sources if not (root / path_of(source.part)).exists()]
        if missing:
            raise ConfigurationError(
                f"{root}: {len(missing):,} of {len(sources):,} shards have not been through "
                f"tagmine {stage}, the first being {missing[0].name} ({missing[0].url}). Run "
                f"tagmine {stage} with them first."
            )


def _check_scores(options: IndexOptions, root: Path, parts: Sequence[EmbeddingsPart]) -> None:
    if options.min_clip_score is None:
        return
    unmeasured = [part.footer.source for part in parts if part.clip_scores() is None]
    if unmeasured:
        raise ConfigurationError(
            f"--min-clip-score {options.min_clip_score:g}: the CLIP scores of {len(unmeasured):,} "
            f"of {len(parts):,} shards of {root} were not measured, the first being "
            f"{unmeasured[0]}. Run tagmine embed --clip-scores with every shard first; it embeds "
            "them again."
        )


def _choose(options: IndexOptions, count: int, dim: int, allowed: int) -> tuple[str, str]:
    if options.index_key is None:
        spec = choose_spec(count, dim, allowed)
        return spec.index_key, spec.reason
    index = create_index(options.index_key, dim)
    training_size(options.index_key, list_count(index), count)
    return options.index_key, f"{options.index_key}: as --index-key asks, {count:,} vectors"
