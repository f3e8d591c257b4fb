"""Parts and images that one datastore has and another has not."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.manifest import Manifest, PartCard

if TYPE_CHECKING:
    from index.diff import Side


@dataclasses.dataclass(frozen=True, slots=True)
class PartChange:
    """A part that differs; parts are the same part when their sources have one name.

    Attributes:
        source: the input shard, `dataset/shard`.
        state: "added", "removed", "other shard" where the input shard has other bytes now,
            "renumbered" where the same shard and options gave a part of another number, whose
            ids differ for that alone, or "made anew" where the files differ for another reason.
        before, after: images in the index.
        gained, lost: images by key that only one of them has in the index.
    """

    source: str
    state: Literal["added", "removed", "other shard", "renumbered", "made anew"]
    before: int
    after: int
    gained: int
    lost: int


@dataclasses.dataclass(frozen=True, slots=True)
class PartChanges:
    """All parts.

    Attributes:
        before, after: how many there are.
        same: how many have the same tags, vectors and images in the index in both.
        gained, lost: images by key, over all parts.
        changes: the parts that differ, by source.
    """

    before: int
    after: int
    same: int
    gained: int
    lost: int
    changes: tuple[PartChange, ...]


def compare_parts(before: Side, after: Side) -> PartChanges:
    """Compare the parts of two datastores, reading keys of those alone that differ.

    Raises:
        DatastoreError: when a part that has to be read is damaged.
    """
    first, second = ({p.source: p for p in side.manifest.parts} for side in (before, after))
    changes = []
    for source in sorted({*first, *second}):
        old, new = first.get(source), second.get(source)
        if old is None:
            images = new.stages["index"].written
            changes.append(PartChange(source, "added", 0, images, images, 0))
        elif new is None:
            images = old.stages["index"].written
            changes.append(PartChange(source, "removed", images, 0, 0, images))
        elif _content(before.manifest, old) != _content(after.manifest, new):
            changes.append(_change(before, old, after, new))
    return PartChanges(
        len(first),
        len(second),
        len({*first, *second}) - len(changes),
        sum(change.gained for change in changes),
        sum(change.lost for change in changes),
        tuple(changes),
    )


def _content(manifest: Manifest, part: PartCard) -> tuple[object, ...]:
    """All that decides which images of a part are in the index, and with what tags."""
    # Not the rejects of the index: their file names the index shard, which other parts decide.
    hashes = part.source_sha256, part.tags.sha256, part.embeddings.sha256
    return *hashes, manifest.index.min_clip_score


def _change(before: Side, old: PartCard, after: Side, new: PartCard) -> PartChange:
    keys, others = _indexed_keys(before.path, old), _indexed_keys(after.path, new)
    if old.source_sha256 != new.source_sha256:
        state = "other shard"
    elif old.part != new.part and _makers(before.manifest) == _makers(after.manifest):
        state = "renumbered"
    else:
        state = "made anew"
    counts = len(keys), len(others), len(others - keys), len(keys - others)
    return PartChange(old.source, state, *counts)


def _makers(manifest: Manifest) -> tuple[object, ...]:
    return manifest.tagger.maker, manifest.encoder.maker, manifest.index.min_clip_score


def _indexed_keys(root: Path, part: PartCard) -> set[str]:
    """Keys of the part's images that are in the index: embedded, and not rejected after that."""
    embedded = open_embeddings(root / part.embeddings.path)
    path = root / next(file.path for file in part.rejects if "/index/" in file.path)
    try:
        rejected = pq.read_table(path, columns=["id"], page_checksum_verification=True)
        ids = rejected.column("id").to_numpy()
        kept = embedded.keys().filter(pa.array(~np.isin(embedded.ids, ids)))
    except (OSError, pa.ArrowException) as error:
        raise DatastoreError(
            f"{path}, or the keys beside it, cannot be read ({error}). Run tagmine verify "
            f"{shlex.quote(str(root))} to see what is wrong."
        ) from error
    return set(kept.to_pylist())
