"""Gather what the stages made into a manifest, and so make the folder a datastore."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

from index.build import ShardPlan
from index.factory import create_index
from index.files import read_card
from index.live import indexed_rows
from index.shards import inverted_lists_of
from index.thumbnails import thumbnails_card
from index.vocabulary import publish_vocabulary
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import (
    ENCODER_PIN,
    FORMAT_VERSION,
    TAGGER_PIN,
    TRAINED_INDEX,
    card_path,
    embeddings_path,
    index_shard_path,
    part_of,
    rejects_path,
    tags_path,
)
from tagmine.manifest import (
    EncoderPin,
    FileCard,
    IndexCard,
    IndexShardCard,
    Manifest,
    PartCard,
    RemovedCard,
    StageCount,
    TaggerPin,
    read_pin,
    sum_counts,
)
from tagmine.parts import PartFooter, file_sha256, read_tags_footer
from tagmine.rejects import STAGES
from tagmine.removed import newest_record, read_removed
from tagmine.row_origins import origins_path, read_origins_footer
from tagmine.sources import Source

# Candidates that the compressed index proposes for exact scoring: where 0.99 of the true five are
# found in docs/index-choice.md, a millisecond or less. Short codes blur more, so they go deeper.
RERANK_DEPTH = 200
RERANK_DEPTH_OF_SHORT_CODES = 800
_SHORT_CODE_BYTES = 48
# nprobe for each square root of the number of lists: 64 of 1,024, where recall levels off there.
_ROOTS_PROBED = 2


def assemble_manifest(
    root: Path,
    sources: Sequence[Source],
    plans: Sequence[ShardPlan],
    index_key: str,
    min_clip_score: float | None = None,
    min_tag_images: int = 1,
) -> Manifest:
    """The manifest of what lies in `root`; the vocabulary is counted unless it is current.

    Args:
        root: the datastore's folder, with tags, embeddings and index finished.
        sources: every shard of the datastore, by part.
        plans: the index shards.
        index_key: FAISS factory string of the index.
        min_clip_score: the limit that the index was filled with.
        min_tag_images: readers leave out tags of fewer images, names and fields excepted.

    Raises:
        DatastoreError: when a part is missing, or two stages saw different shards or options.
    """
    tagger = read_pin(root / TAGGER_PIN, TaggerPin, "mine")
    encoder = read_pin(root / ENCODER_PIN, EncoderPin, "embed")
    with ThreadPoolExecutor() as pool:
        parts = tuple(
            pool.map(lambda source: _part_card(root, source, tagger.maker, encoder.maker), sources)
        )
    index = _index_card(root, plans, index_key, encoder.dim, min_clip_score)
    removed = removed_card(root, parts)
    return Manifest(
        format="tagmine-datastore",
        format_version=FORMAT_VERSION,
        name=root.name,
        images=index.vectors,
        tagger=tagger,
        encoder=encoder,
        index=index,
        vocabulary=publish_vocabulary(root, parts, min_tag_images, removed and removed.file.path),
        totals={s: sum_counts([part.stages[s] for part in parts]) for s in STAGES},
        parts=parts,
        removed=removed,
    )


def removed_card(root: Path, parts: Sequence[PartCard]) -> RemovedCard | None:
    """The record of what was taken out, and how many images of the index it hides."""
    path = newest_record(root)
    if path is None:
        return None
    removed = read_removed(root / path)
    reached = {*part_of(removed.pending).tolist()}
    pending = 0
    for part in parts:
        if part.part in reached:
            pending += int(indexed_rows(root, part).sum())
            pending -= int(indexed_rows(root, part, removed).sum())
    return RemovedCard(_parquet_card(root, path), pending)


def _part_card(root: Path, source: Source, tagger: str, encoder: str) -> PartCard:
    tags = read_tags_footer(root / tags_path(source.part))
    embeddings = open_embeddings(root / embeddings_path(source.part)).footer
    _check_footer(tags, source, tagger, "mine")
    _check_footer(embeddings, source, encoder, "embed")
    if tags.source_sha256 != embeddings.source_sha256:
        raise DatastoreError(
            f"{source.url} changed between mining and embedding, so its ids may not agree. Run "
            "tagmine build again; it makes the part anew."
        )
    if (tags.samples, tags.read) != (embeddings.samples, embeddings.read):
        raise DatastoreError(
            f"part {source.part} ({source.name}) was mined and embedded with different member "
            "options (--image-key, --caption-key, --caption-json-field, --tag-fields), so the same "
            "id may mean two samples. Run tagmine embed again with the options of mine."
        )
    rejects = tuple(_parquet_card(root, rejects_path(s, source.part)) for s in STAGES)
    left_out = _count_reasons(root / rejects_path("index", source.part))
    indexed = embeddings.written - sum(left_out.values())
    return PartCard(
        part=source.part,
        source=source.name,
        source_sha256=tags.source_sha256,
        source_bytes=tags.source_bytes,
        tags=_file_card(root, tags_path(source.part), tags.written),
        embeddings=_file_card(root, embeddings_path(source.part), embeddings.written),
        rejects=rejects,
        stages={
            "mine": StageCount(tags.read, tags.written, tags.rejected),
            "embed": StageCount(embeddings.read, embeddings.written, embeddings.rejected),
            "index": StageCount(embeddings.written, indexed, left_out),
        },
        captions_dropped=tags.captions_dropped,
        origins=_origins_card(root, tags),
        thumbnails=thumbnails_card(root, embeddings),
    )


def _origins_card(root: Path, tags: PartFooter) -> FileCard | None:
    """The origins of a part that was copied, unless it was made anew of its shard since."""
    path = origins_path(tags.part)
    if not (root / path).exists():
        return None
    footer = read_origins_footer(root / path)
    if (footer.source_sha256, footer.tags_maker) != (tags.source_sha256, tags.maker):
        (root / path).unlink()
        return None
    return _parquet_card(root, path)


def _count_reasons(path: Path) -> dict[str, int]:
    reasons = pq.read_table(path, columns=["reason"]).column("reason").to_pylist()
    return dict(sorted(Counter(reasons).items()))


def _check_footer(footer: PartFooter, source: Source, maker: str, stage: str) -> None:
    if (footer.part, footer.source, footer.stage) != (source.part, source.name, stage):
        raise DatastoreError(
            f"part {source.part} of {stage} says it is part {footer.part} of {footer.source}, not "
            f"of {source.name}. Run tagmine {stage} again."
        )
    if footer.maker != maker:
        raise DatastoreError(
            f"part {source.part} ({source.name}) was made with other options or another model "
            f"than the last tagmine {stage}. Run tagmine {stage} again with all shards."
        )


def _index_card(
    root: Path,
    plans: Sequence[ShardPlan],
    index_key: str,
    dim: int,
    min_clip_score: float | None,
) -> IndexCard:
    trained = read_card(root / TRAINED_INDEX)
    if trained is None:
        raise DatastoreError(f"{root / TRAINED_INDEX} is missing or damaged; run tagmine index.")
    shards = []
    for plan in plans:
        path = index_shard_path(plan.shard)
        card = read_card(root / path)
        if card is None or card.parts != plan.parts:
            raise DatastoreError(f"{root / path} is missing or damaged; run tagmine index again.")
        files = _file_card(root, path, card.vectors), _file_card(root, card_path(path), 0)
        shards.append(IndexShardCard(*files, plan.parts))
    nprobe, rerank = search_defaults(index_key, dim)
    return IndexCard(
        index_key=index_key,
        metric="ip",
        dim=dim,
        vectors=sum(shard.file.rows for shard in shards),
        trained_on=trained.vectors,
        nprobe=nprobe,
        rerank=rerank,
        trained=_file_card(root, TRAINED_INDEX, 0),
        trained_card=_file_card(root, card_path(TRAINED_INDEX), 0),
        shards=tuple(shards),
        min_clip_score=min_clip_score,
    )


def search_defaults(index_key: str, dim: int) -> tuple[int, int]:
    """nprobe (0 without inverted lists) and re-rank depth (0 for exact codes) of an index."""
    inverted = inverted_lists_of(create_index(index_key, dim))
    exact = index_key.endswith("Flat") and not re.search("PCA|OPQ|ITQ", index_key)
    if inverted is None:
        return 0, 0 if exact else RERANK_DEPTH
    nprobe = min(inverted.nlist, max(16, round(_ROOTS_PROBED * inverted.nlist**0.5)))
    if exact:
        return nprobe, 0
    short = inverted.code_size <= _SHORT_CODE_BYTES
    return nprobe, RERANK_DEPTH_OF_SHORT_CODES if short else RERANK_DEPTH


def _file_card(root: Path, path: str, rows: int) -> FileCard:
    file = root / path
    return FileCard(path, rows, file.stat().st_size, file_sha256(file))


def _parquet_card(root: Path, path: str) -> FileCard:
    return _file_card(root, path, pq.read_metadata(root / path).num_rows)
