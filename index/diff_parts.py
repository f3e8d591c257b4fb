"""Parts and images that one datastore has and another has not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.manifest import PartCard

if TYPE_CHECKING:
    from index.diff import Side


@dataclasses.dataclass(frozen=True, slots=True)
class PartChange:
    """A part that differs; parts are the same part when their sources have one name.

    Attributes:
        source: the input shard, `dataset/shard`.
        state: "added", "removed", "other shard" where the input shard has other bytes now, or
            "made anew" where the same shard gave other tags or embeddings.
        before, after: images in the index.
        gained, lost: images by key that only one of them has in the index.
    """

    source: str
    state: Literal["added", "removed", "other shard", "made anew"]
    before: int
    after: int
    gained: int
    lost: int


@dataclasses.dataclass(frozen=True, slots=True)
class PartChanges:
    """All parts.

    Attributes:
        before, after: how many there are.
        same: how many hold the same bytes in both.
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
        elif _content(old) != _content(new):
            changes.append(_change(before.path, old, after.path, new))
    return PartChanges(
        len(first),
        len(second),
        len({*first, *second}) - len(changes),
        sum(change.gained for change in changes),
        sum(change.lost for change in changes),
        tuple(changes),
    )


def _content(part: PartCard) -> tuple[str, ...]:
    files = (part.tags, part.embeddings, *part.rejects)
    return part.source_sha256, *(file.sha256 for file in files)


def _change(old_root: Path, old: PartCard, new_root: Path, new: PartCard) -> PartChange:
    keys, others = _indexed_keys(old_root, old), _indexed_keys(new_root, new)
    state = "made anew" if old.source_sha256 == new.source_sha256 else "other shard"
    counts = len(keys), len(others), len(others - keys), len(keys - others)
    return PartChange(old.source, state, *counts)


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
            f"{path}, or the keys beside it, cannot be read ({error}). Run tagmine verify {root} "
            "to see what is wrong."
        ) from error
    return set(kept.to_pylist())
