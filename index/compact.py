"""Rewrite what holds images that were taken out, so that no file says anything of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from index.build import ShardPlan, fill_shard
from index.files import read_card
from index.ondisk import merge_on_disk, merged_cards
from index.publish import assemble_manifest
from index.strike_report import strike_report
from index.take_out import every_sample
from index.thinning import copy_without
from index.thumbnails import strike_thumbnails
from index.training import thin_training
from tagmine.errors import ConfigurationError
from tagmine.layout import TRAINED_INDEX, part_of, shard_of
from tagmine.manifest import IndexCard, Manifest
from tagmine.removed import Removed, next_record, read_newest, write_removed
from tagmine.row_origins import strike_origins
from tagmine.sources import read_sources
from tagmine.staging import finish_staged, mirror, publish_staged, remove_unnamed
from tagmine.striking import strike_part

ReportStep = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Compacted:
    """What was done.

    Attributes:
        samples: samples that no file names any more.
        parts, shards: how many parts and index shards were rewritten.
        manifest: of the datastore as it is now.
        report: "absent", "kept", "struck" where the report of a validation showed some of them, or
            "deleted" where it could not be read.
        trained: how many of the samples were in parts that the index was trained on.
    """

    samples: int
    parts: int
    shards: int
    manifest: Manifest
    report: str
    trained: int


def compact(root: Path, report: ReportStep) -> Compacted | None:
    """Take what was removed out of every file; None where there is nothing to take out.

    The datastore opens at every moment, with the files of before or those of after. Killed, the
    same call finishes. A part or an index shard is in memory at a time.

    Args:
        root: the datastore's folder, locked.
        report: told of each step.

    Raises:
        ConfigurationError: when nothing would be left.
        DatastoreError: when the datastore cannot be read, or its file system has no links.
    """
    manifest = finish_staged(root)
    removed = read_newest(root)
    if not len(removed.pending):
        remove_unnamed(root, manifest)
        return None
    keys = _keys_of(root, manifest, removed)
    staging = mirror(root, manifest)
    trained = _strike_parts(staging, manifest, removed, report)
    shards = _fill_shards(root, staging, manifest, removed, report)
    # Only here: an earlier record of the mirror is the manifest's, which may lack the newest.
    record = staging / next_record(root)
    write_removed(record, Removed(removed.identities))
    report("counting, merging, hashing")
    after = _assemble(staging, manifest)
    if not after.images:
        raise ConfigurationError(
            f"{root}: no image would be left. Delete the folder instead of compacting it."
        )
    state = strike_report(root / "report", keys)
    after = publish_staged(root, after)
    remove_unnamed(root, after)
    parts = len(np.unique(part_of(removed.pending)))
    return Compacted(len(removed.pending), parts, shards, after, state, trained)


def _pending_of(part: int, removed: Removed) -> np.ndarray:
    return removed.pending[part_of(removed.pending) == part]


def _keys_of(root: Path, manifest: Manifest, removed: Removed) -> frozenset[str]:
    keys: set[str] = set()
    for part in manifest.parts:
        if len(_pending_of(part.part, removed)):
            ids, names = every_sample(root, part)
            keys.update(names.filter(pa.array(removed.hides(ids))).to_pylist())
    return frozenset(keys)


def _strike_parts(staging: Path, manifest: Manifest, removed: Removed, report: ReportStep) -> int:
    """Strike the parts; returns how many vectors the index was trained on, or may have been."""
    card = read_card(staging / TRAINED_INDEX)
    trained = 0
    for part in manifest.parts:
        pending = _pending_of(part.part, removed)
        if len(pending):
            report(f"rewriting {part.source}")
            struck = strike_part(staging, part.part, pending)
            strike_thumbnails(staging, part.part, pending)
            strike_origins(staging, part.part, pending)
            trained += struck if card is not None and part.part in card.parts else 0
    thin_training(staging, trained)
    return trained if card is not None and card.vectors else 0


def _fill_shards(
    root: Path, staging: Path, manifest: Manifest, removed: Removed, report: ReportStep
) -> int:
    """Refill the index shards of the parts that were struck; returns how many."""
    struck = {*part_of(removed.pending).tolist()}
    index = manifest.index
    filled = 0
    for card in index.shards:
        if struck & set(card.parts):
            report(f"rewriting {card.file.path}")
            plan = ShardPlan(shard_of(card.file.path), card.parts)
            earlier = root / card.file.path
            filled += fill_shard(
                staging,
                plan,
                index.index_key,
                index.min_clip_score,
                lambda empty, earlier=earlier: copy_without(earlier, removed, empty),
            )
    return filled


def _assemble(staging: Path, before: Manifest) -> Manifest:
    """The manifest of the mirror; what was chosen and measured of the index stays as it was."""
    old = before.index
    plans = [ShardPlan(shard_of(card.file.path), card.parts) for card in old.shards]
    floor = before.vocabulary.min_tag_images
    key, limit = old.index_key, old.min_clip_score
    # A build that was killed while it grew has listed shards of which there is no part yet.
    parts = {part.part for part in before.parts}
    sources = [source for source in read_sources(staging) if source.part in parts]
    after = assemble_manifest(staging, sources, plans, key, limit, floor)
    index = dataclasses.replace(
        after.index,
        nprobe=old.nprobe,
        rerank=old.rerank,
        tuned=old.tuned,
        drift=old.drift,
        merged=_merge(staging, after.index) if old.merged else (),
    )
    return dataclasses.replace(after, name=before.name, index=index)


def _merge(staging: Path, index: IndexCard):
    merge_on_disk(staging, [card.file.path for card in index.shards])
    return merged_cards(staging, index.vectors)
