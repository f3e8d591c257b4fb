"""Embed one shard: its images become one part of the embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.clip_scores import ClipScorer, read_texts, text_limits, texts_fingerprint
from index.images import ImageLimits, ImageRejected
from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import embeddings_path, under_way
from tagmine.manifest import fingerprint
from tagmine.parts import PartFooter
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

if TYPE_CHECKING:
    from index.embedding import Outcome
    from index.encoder import Encoder
    from tagmine.archive import HashingReader

STAGE = "embed"

# Id and key of a sample, and the captions that its picture is compared with.
_Origin = tuple[int, str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How images are embedded.

    Attributes:
        fields: which member is the image.
        batch_size: images a forward pass.
        num_prepro_workers: threads that decode and resize.
        limits: what an image may cost.
        clip_scores: whether each image is compared with its captions, too.
    """

    fields: SampleFields
    batch_size: int
    num_prepro_workers: int
    limits: ImageLimits = ImageLimits()
    clip_scores: bool = False


def embed_fingerprint(encoder: Encoder, options: EmbedOptions) -> str:
    """Fingerprint of all that decides an embeddings part, its shard aside.

    Raises:
        ConfigurationError: when scores are asked for and the tokenizer cannot be loaded.
    """
    card, fields = encoder.card, options.fields
    # The precision too: vectors of a GPU and of a CPU are compared, but not mixed by a resume.
    made_with = (card.fingerprint, card.precision, dataclasses.asdict(options.limits))
    texts = [texts_fingerprint(encoder, fields)] if options.clip_scores else []
    return fingerprint(STAGE, *made_with, fields.grouping, *texts)


def embed_part(
    root: Path,
    source: Source,
    options: EmbedOptions,
    encoder: Encoder,
    report: ReportProgress = ignore_progress,
    removed: Identities = NOTHING,
) -> PartResult:
    """Make the embeddings part of a shard, unless a current one is there already.

    Args:
        root: the datastore's folder.
        source: the shard.
        options: which member is the image, and how images are batched.
        encoder: the CLIP image tower.
        report: told of the progress.
        removed: samples that were taken out and are left out.

    Returns:
        The part's footer, and whether it was made now.

    Raises:
        SourceError: when the shard cannot be read.
    """
    target = root / embeddings_path(source.part)
    maker = embed_fingerprint(encoder, options)
    with under_way(target) as died:
        finished = _finished_footer(target)
        if finished and is_current(finished, root, source, maker, report):
            return PartResult(source.part, False, finished)
        footer = _make_part(root, source, options, encoder, report, removed, isolated=died)
    return PartResult(source.part, True, footer)


def _make_part(
    root: Path,
    source: Source,
    options: EmbedOptions,
    encoder: Encoder,
    report: ReportProgress,
    removed: Identities,
    isolated: bool,
) -> PartFooter:
    maker = embed_fingerprint(encoder, options)
    ledger = PartLedger(root, source, STAGE, options.fields, maker)
    limits = {key: options.limits.max_bytes for key in options.fields.image_keys}
    if options.clip_scores:
        limits |= text_limits(options.fields)
    limits = removed.limits(options.fields) | limits
    with open_source(source) as stream:
        samples = read_samples(stream, options.fields, limits)
        images = _images(samples, options, ledger, removed)
        batches = _embed(images, options, encoder, isolated)
        ids, keys, vectors, scores = _collect(batches, options, encoder, ledger, stream, report)
        footer = ledger.close(stream, len(ids))
        report(stream.bytes_read, ledger.read)
        target = root / embeddings_path(source.part)
        write_embeddings(target, ids, keys, vectors, footer, scores)
    return footer


def _finished_footer(path: Path) -> PartFooter | None:
    """The footer of a part whose rows are sound, or None when it must be made."""
    try:
        part = open_embeddings(path)
        part.check_rows()
    except DatastoreError:
        return None
    return part.footer if part.footer.stage == STAGE else None


def _images(
    samples: Iterator[Sample], options: EmbedOptions, ledger: PartLedger, removed: Identities
) -> Iterator[tuple[_Origin, bytes]]:
    fields = options.fields
    for sample in samples:
        row_id, key = ledger.identify(sample.position, sample.key)
        data = next((sample.members[k] for k in fields.image_keys if k in sample.members), None)
        if removed.found_in(key, sample.members, fields):
            ledger.leave_out()
        elif sample.problem:
            ledger.reject(row_id, key, *sample.problem)
        elif data is None:
            found = ", ".join("." + extension for extension in sample.extensions)
            wanted = ", ".join("." + extension for extension in fields.image_keys)
            ledger.reject(row_id, key, "no_image", f"none of {wanted} among {found}")
        else:
            yield (row_id, key, read_texts(sample, fields) if options.clip_scores else ()), data


def _embed(
    images: Iterator[tuple[_Origin, bytes]], options: EmbedOptions, encoder: Encoder, isolated: bool
) -> Iterator[list[tuple[_Origin, Outcome]]]:
    from index.embedding import embed_stream

    return embed_stream(
        encoder,
        images,
        batch_size=options.batch_size,
        num_prepro_workers=options.num_prepro_workers,
        limits=options.limits,
        isolated=isolated,
    )


def _collect(
    batches: Iterator[list[tuple[_Origin, Outcome]]],
    options: EmbedOptions,
    encoder: Encoder,
    ledger: PartLedger,
    stream: HashingReader,
    report: ReportProgress,
) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray | None]:
    scorer = ClipScorer(encoder) if options.clip_scores else None
    ids: list[int] = []
    keys: list[str] = []
    vectors: list[np.ndarray] = []
    for batch in batches:
        for (row_id, key, texts), outcome in batch:
            if isinstance(outcome, ImageRejected):
                ledger.reject(row_id, key, outcome.reason, outcome.detail)
            else:
                ids.append(row_id)
                keys.append(key)
                vectors.append(outcome)
                if scorer is not None:
                    scorer.add(outcome, texts)
        report(stream.bytes_read, ledger.read)
    stacked = np.stack(vectors) if vectors else np.empty((0, encoder.card.dim), np.float16)
    scores = scorer.finish() if scorer is not None else None
    return np.asarray(ids, np.int64), keys, stacked, scores
