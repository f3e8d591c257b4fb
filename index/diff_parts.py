"""Parts and images that one datastore has and another has not."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from index.live import indexed_rows, removed_of
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import part_of
from tagmine.manifest import Manifest, PartCard
from tagmine.rejects import STAGES
from tagmine.removed import Removed

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
    hidden = removed_of(before.path, before.manifest), removed_of(after.path, after.manifest)
    changes = []
    for source in sorted({*first, *second}):
        old, new = first.get(source), second.get(source)
        if old is None:
            images = _live_images(after, new, hidden[1])
            changes.append(PartChange(source, "added", 0, images, images, 0))
        elif new is None:
            images = _live_images(before, old, hidden[0])
            changes.append(PartChange(source, "removed", images, 0, 0, images))
        elif _content(before.manifest, old, hidden[0]) != _content(after.manifest, new, hidden[1]):
            changes.append(_change((before, old, hidden[0]), (after, new, hidden[1])))
    return PartChanges(
        len(first),
        len(second),
        len({*first, *second}) - len(changes),
        sum(change.gained for change in changes),
        sum(change.lost for change in changes),
        tuple(changes),
    )


def _live_images(side: Side, part: PartCard, removed: Removed) -> int:
    if not _pending(part, removed):
        return part.stages["index"].written
    return int(indexed_rows(side.path, part, removed).sum())


def _pending(part: PartCard, removed: Removed) -> list[int]:
    return removed.pending[part_of(removed.pending) == part.part].tolist()


def _content(manifest: Manifest, part: PartCard, removed: Removed) -> tuple[object, ...]:
    """All that decides which images of a part are in the index, and with what tags."""
    # Not the rejects of the index: their file names the index shard, which other parts decide.
    hashes = part.source_sha256, part.tags.sha256, part.embeddings.sha256
    return *hashes, manifest.index.min_clip_score, *_pending(part, removed)


def _change(
    first: tuple[Side, PartCard, Removed], second: tuple[Side, PartCard, Removed]
) -> PartChange:
    (before, old, _), (after, new, _) = first, second
    keys, others = _indexed_keys(*first), _indexed_keys(*second)
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


def _indexed_keys(side: Side, part: PartCard, removed: Removed) -> set[str]:
    """Keys of the part's images that can be found: in the index, and not taken out."""
    root = side.path
    embedded = open_embeddings(root / part.embeddings.path)
    path = root / part.rejects[STAGES.index("index")].path
    try:
        kept = embedded.keys().filter(pa.array(indexed_rows(root, part, removed)))
    except (DatastoreError, pa.ArrowException) as error:
        raise DatastoreError(
            f"{path}, or the keys beside it, cannot be read ({error}). Run tagmine verify "
            f"{shlex.quote(str(root))} to see what is wrong."
        ) from error
    return set(kept.to_pylist())
