"""The job that builds the index: train once, fill every index shard, publish the manifest."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
from rich.console import Console

from index.build import ShardPlan, fill_shard, keep_shards, plan_shards, remove_other_shards
from index.card import write_card
from index.factory import create_index, list_count, predict_bytes, vectors_per_shard
from index.files import read_card
from index.gpu import plan_gpus
from index.ondisk import check_mergeable, remove_unmerged
from index.publish import assemble_manifest
from index.spec import FLAT_BELOW, choose_spec, parse_bytes, training_size
from index.training import current_training, train_index
from pipelines.code_version import check_code, code_version
from pipelines.failures import explained
from pipelines.index_finish import finish
from pipelines.job_log import JobCounts, log_job
from pipelines.options import IndexOptions
from pipelines.progress import Watch, failure_folder, recorded
from pipelines.runner import check_runner, is_local, run_job
from pipelines.summary import print_count, print_vocabulary
from tagmine.embeddings import EmbeddingsParts
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import (
    ENCODER_PIN,
    MANIFEST,
    TAGGER_PIN,
    TRAINED_INDEX,
    card_path,
    embeddings_path,
    index_shard_path,
    locked,
    output_folder,
    rejects_path,
    remove_leftovers,
    shard_of,
    tags_path,
)
from tagmine.manifest import (
    EncoderPin,
    Manifest,
    TaggerPin,
    read_manifest,
    read_pin,
    write_manifest,
)
from tagmine.mirror import address_of, bring_back, working_folder
from tagmine.sources import Source, read_sources
from tagmine.staging import finish_if_staged, remove_unnamed


@dataclasses.dataclass(frozen=True, slots=True)
class IndexJob:
    """What a worker needs to train or fill.

    Attributes:
        root: the datastore's folder.
        index_key: FAISS factory string.
        parts: every part, in order.
        shards: which parts go into which index shard.
        min_clip_score: lowest CLIP score of an image that is indexed, None for no limit.
        retrain: whether an earlier training on some of the parts is made anew.
        max_training_bytes: what the training sample may take in memory.
        failures: folder that a failure is recorded in, if the worker shares it with the launcher.
        code: what the launcher runs, and the worker must, too.
    """

    root: str
    index_key: str
    parts: tuple[int, ...]
    shards: tuple[ShardPlan, ...]
    min_clip_score: float | None
    retrain: bool
    max_training_bytes: int
    failures: str | None = None
    code: str = dataclasses.field(default_factory=code_version)


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
    with recorded(job.failures), explained():
        check_code(job.code)
        needed = [embeddings_path(part) for part in job.parts]
        train_index(
            working_folder(job.root, [*needed, TRAINED_INDEX, card_path(TRAINED_INDEX)]),
            job.parts,
            job.index_key,
            retrain=job.retrain,
            max_bytes=job.max_training_bytes,
        )
    return job


def _list_shards(job: IndexJob) -> Iterator[ShardPlan]:
    yield from job.shards


def _fill(plan: ShardPlan, job: IndexJob) -> int:
    with recorded(job.failures), explained():
        check_code(job.code)
        target = index_shard_path(plan.shard)
        needed = [TRAINED_INDEX, card_path(TRAINED_INDEX), target, card_path(target)]
        for part in plan.parts:
            needed += [embeddings_path(part), tags_path(part), rejects_path("index", part)]
        folder = working_folder(job.root, needed)
        fill_shard(folder, plan, job.index_key, job.min_clip_score)
    return plan.shard


def check(options: IndexOptions) -> int:
    """The allowed bytes, so that a wrong option stops the command before any work.

    Raises:
        ConfigurationError: for a size that is none.
    """
    check_runner(options.runner)
    parse_bytes(options.max_training_memory, "--max-training-memory")
    return parse_bytes(options.max_index_memory_usage, "--max-index-memory-usage")


def run(options: IndexOptions, console: Console) -> None:
    """`tagmine index`: choose, train, fill, and write the manifest."""
    check(options)
    root = output_folder(options.out)
    sources = read_sources(root)
    if not sources:
        raise ConfigurationError(f"{root}: there is nothing to index; run mine and embed first.")
    with locked(root):
        finish_if_staged(root)
        index(options, root, sources, console)


def index(
    options: IndexOptions, root: Path, sources: Sequence[Source], console: Console
) -> Manifest:
    """Run the job over a locked folder whose parts are finished, and publish what it made.

    Args:
        options: how.
        root: the datastore's folder.
        sources: its shards, each mined and embedded.
        console: where it says what it does.

    Returns:
        The manifest that was written.

    Raises:
        ConfigurationError: for an index that cannot be, or one with nothing to find in it.
        DatastoreError: for a part that is damaged.
    """
    allowed = check(options)
    bring_back(root, "")
    read_pin(root / TAGGER_PIN, TaggerPin, "mine")
    read_pin(root / ENCODER_PIN, EncoderPin, "embed")
    _check_stages(root, sources)
    published = _published(root)
    job = _plan_job(options, root, sources, allowed, published, console)
    manifest = finish(options, root, _run(job, options, root, sources), published, console)
    write_manifest(root, manifest)
    # Not before: until then, the files of the manifest before are those that readers open.
    remove_other_shards(root, job.shards)
    remove_unmerged(root, manifest.index.merged)
    remove_unnamed(root, manifest)
    write_card(root)
    print_count(console, "index", manifest.totals["index"])
    print_vocabulary(console, root, manifest.vocabulary)
    return manifest


def _plan_job(
    options: IndexOptions,
    root: Path,
    sources: Sequence[Source],
    allowed: int,
    published: Manifest | None,
    console: Console,
) -> IndexJob:
    """Which index is made of which parts; says so before any work."""
    parts = EmbeddingsParts(root, [source.part for source in sources])
    rows = [(footer.part, footer.written) for footer in parts.footers]
    if not sum(parts.rows):
        raise ConfigurationError(
            f"{root}: no image could be embedded, so there is nothing to index. The reasons are in "
            f"{root / 'rejects' / 'embed'}."
        )
    _check_scores(options, root, parts)
    index_key, reason = _choose(options, root, parts, allowed)
    console.print(f"index  {reason}", highlight=False)
    _prepare(options, index_key, parts.dim, console)
    return IndexJob(
        address_of(root),
        index_key,
        tuple(part for part, _ in rows),
        tuple(_plan(rows, index_key, parts.dim, published)),
        options.min_clip_score,
        options.retrain,
        parse_bytes(options.max_training_memory),
    )


def _run(job: IndexJob, options: IndexOptions, root: Path, sources: Sequence[Source]) -> Manifest:
    """Train and fill; returns the manifest of what was made, which is not written yet."""
    with (
        log_job(root, "index", options.runner.runner, len(job.shards)) as log,
        failure_folder(is_local(options.runner)) as failures,
    ):
        job = dataclasses.replace(job, failures=failures)
        run_job(options.runner, lambda p: build(p, job), Watch(log, failures))
        bring_back(root, "index/", "rejects/index/")
        # Of workers that were lost on the way, and whose work others did.
        remove_leftovers(root)
        limit = job.min_clip_score
        manifest = assemble_manifest(
            root, sources, job.shards, job.index_key, limit, options.min_tag_images
        )
        total = manifest.totals["index"]
        log.update(JobCounts(len(job.shards), 0, total.read, total.written, total.rejected))
    if manifest.images == 0:
        scored = "" if limit is None else f" and a CLIP score of at least {limit:g}"
        raise ConfigurationError(
            f"{root}: no image has both an embedding and a caption{scored}, so there is nothing to "
            f"find. The reasons are in {root / 'rejects'}."
        )
    return manifest


def _published(root: Path) -> Manifest | None:
    if not (root / MANIFEST).is_file():
        return None
    try:
        return read_manifest(root)
    except DatastoreError:
        # It is about to be replaced; what it named is made again where it is not current.
        return None


def _prepare(options: IndexOptions, index_key: str, dim: int, console: Console) -> None:
    """Refuse what cannot be, and say where the work is done."""
    if options.merge_ondisk:
        check_mergeable(index_key, dim)
    lists = list_count(create_index(index_key, dim))
    if lists:
        console.print(f"index  trained and filled {plan_gpus(lists, dim).reason}", highlight=False)


def _plan(
    rows: Sequence[tuple[int, int]], index_key: str, dim: int, published: Manifest | None
) -> list[ShardPlan]:
    plans = plan_shards(rows, vectors_per_shard(index_key, dim))
    if published is None:
        return plans
    named = [(shard_of(card.file.path), card.parts) for card in published.index.shards]
    return keep_shards(plans, [(number, held) for number, held in named if number is not None])


def _check_stages(root: Path, sources: Sequence[Source]) -> None:
    for stage, path_of in (("mine", tags_path), ("embed", embeddings_path)):
        missing = [source for source in sources if not (root / path_of(source.part)).exists()]
        if missing:
            raise ConfigurationError(
                f"{root}: {len(missing):,} of {len(sources):,} shards have not been through "
                f"tagmine {stage}, the first being {missing[0].name} ({missing[0].url}). Run "
                f"tagmine {stage} with them first; to do without them, begin with the others in a "
                "new --out."
            )


def _check_scores(options: IndexOptions, root: Path, parts: EmbeddingsParts) -> None:
    if options.min_clip_score is None:
        return
    unmeasured = [part.footer.source for part in parts if part.clip_scores() is None]
    if unmeasured:
        raise ConfigurationError(
            f"--min-clip-score {options.min_clip_score:g}: the CLIP scores of {len(unmeasured):,} "
            f"of {len(parts.rows):,} shards of {root} were not measured, the first being "
            f"{unmeasured[0]}. Run tagmine embed --clip-scores with every shard first; it embeds "
            "them again."
        )


def _choose(
    options: IndexOptions, root: Path, parts: EmbeddingsParts, allowed: int
) -> tuple[str, str]:
    """The factory string, and one line that says why."""
    count, dim = sum(parts.rows), parts.dim
    training = parse_bytes(options.max_training_memory)
    if options.index_key is None:
        kept = None if options.retrain else _kept_key(root, parts, allowed)
        if kept is not None:
            return kept
        spec = choose_spec(count, dim, allowed, training)
        return spec.index_key, spec.reason
    index = create_index(options.index_key, dim)
    training_size(options.index_key, list_count(index), count, training // (4 * dim))
    shards = math.ceil(count / vectors_per_shard(options.index_key, dim))
    size = predict_bytes(options.index_key, dim, count, shards) / 2**20
    return (
        options.index_key,
        f"{options.index_key}: as --index-key asks, {count:,} vectors, about {size:,.0f} MiB",
    )


def _kept_key(root: Path, parts: EmbeddingsParts, allowed: int) -> tuple[str, str] | None:
    """The key of an index that was trained on these parts or some of them, while it still fits."""
    card = read_card(root / TRAINED_INDEX)
    numbers = [footer.part for footer in parts.footers]
    if card is None or current_training(root, numbers, card.index_key) is None:
        return None
    count, dim = sum(parts.rows), parts.dim
    shards = math.ceil(count / vectors_per_shard(card.index_key, dim))
    size = predict_bytes(card.index_key, dim, count, shards)
    outgrown = card.index_key == "Flat" and count >= FLAT_BELOW
    if size > allowed or outgrown:
        return None
    held = len(set(card.parts) & set(numbers))
    on = f"{held:,} of now {len(numbers):,} shards" if held < len(numbers) else "these shards"
    return card.index_key, (
        f"{card.index_key}: kept as trained on {on}; {count:,} vectors, about "
        f"{size / 2**20:,.0f} MiB; --retrain chooses and trains anew"
    )
