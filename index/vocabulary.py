"""Publish the vocabulary of a datastore, and check that it counts what the datastore holds."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tagmine.count_tags import write_vocabulary
from tagmine.errors import DatastoreError
from tagmine.layout import VOCABULARY
from tagmine.manifest import (
    FileCard,
    Manifest,
    PartCard,
    VocabularyCard,
    fingerprint,
    read_manifest,
)
from tagmine.parts import file_sha256
from tagmine.rejects import STAGES
from tagmine.removed import read_removed
from tagmine.vocabulary import Vocabulary, open_vocabulary

# An image with a tags row is in the index unless one of these stages rejected it.
_LEFT_OUT_BY = ("embed", "index")


def publish_vocabulary(
    root: Path, parts: Sequence[PartCard], min_tag_images: int, removed: str | None = None
) -> VocabularyCard:
    """Count the tags of the images in the index, unless the present vocabulary is of them.

    Args:
        root: the datastore's folder.
        parts: its parts.
        min_tag_images: the floor that the card is to carry; the file does not depend on it.
        removed: the record of what was taken out, if there is one.

    Raises:
        DatastoreError: when a part cannot be read.
    """
    maker = vocabulary_maker(root, parts, removed)
    kept = _kept_card(root, maker)
    if kept is not None:
        return VocabularyCard(kept, maker, min_tag_images)
    target = root / VOCABULARY
    _count(root, parts, removed, target, maker)
    rows = len(open_vocabulary(target))
    card = FileCard(VOCABULARY, rows, target.stat().st_size, file_sha256(target))
    return VocabularyCard(card, maker, min_tag_images)


def _kept_card(root: Path, maker: str) -> FileCard | None:
    """The card of the present file, if the present manifest vouches for it."""
    try:
        pinned = read_manifest(root).vocabulary
    except DatastoreError:
        return None
    path = root / pinned.file.path
    if pinned.maker != maker or not path.is_file() or file_sha256(path) != pinned.file.sha256:
        return None
    return pinned.file


def vocabulary_maker(root: Path, parts: Sequence[PartCard], removed: str | None) -> str:
    """Fingerprint of all that a vocabulary counts."""
    counted = [[part.tags.sha256, *(card.sha256 for card in _left_out(part))] for part in parts]
    pending = read_removed(root / removed).pending if removed else ()
    # As it was before anything was taken out, once it is compacted.
    hidden = [hashlib.sha256(pending.tobytes()).hexdigest()] if len(pending) else []
    return fingerprint("vocabulary", counted, *hidden)


def _left_out(part: PartCard) -> list[FileCard]:
    return [part.rejects[STAGES.index(stage)] for stage in _LEFT_OUT_BY]


def _count(
    root: Path, parts: Sequence[PartCard], removed: str | None, target: Path, maker: str
) -> None:
    tags = [root / part.tags.path for part in parts]
    left_out = [root / card.path for part in parts for card in _left_out(part)]
    write_vocabulary(target, tags, left_out, maker, removed=root / removed if removed else None)


def check_vocabulary(root: Path, manifest: Manifest) -> None:
    """Count the tags again and compare, row by row.

    Raises:
        DatastoreError: when the vocabulary is not that of the datastore's images.
    """
    pinned = manifest.vocabulary
    present = open_vocabulary(root / pinned.file.path, pinned.maker)
    if len(present) != pinned.file.rows:
        raise DatastoreError(f"{VOCABULARY} has {len(present)} rows, not {pinned.file.rows}.")
    removed = manifest.removed.file.path if manifest.removed else None
    if pinned.maker != vocabulary_maker(root, manifest.parts, removed):
        raise DatastoreError(
            f"{VOCABULARY} was made of other parts than the manifest's, or before something was "
            "taken out. Run the tagmine index, remove or compact again that was interrupted."
        )
    if present.footer.images != manifest.live_images:
        raise DatastoreError(
            f"{VOCABULARY} counts {present.footer.images:,} images, the datastore shows "
            f"{manifest.live_images:,}."
        )
    with tempfile.TemporaryDirectory(prefix="tagmine-verify-") as scratch:
        target = Path(scratch) / "tags.arrow"
        _count(root, manifest.parts, removed, target, pinned.maker)
        _compare(present, open_vocabulary(target))


def _compare(present: Vocabulary, counted: Vocabulary) -> None:
    if present.footer != counted.footer:
        raise DatastoreError(f"{VOCABULARY}: its tags an image are not those of the tag table.")
    pairs = itertools.zip_longest(present.batches(), counted.batches())
    for number, (ours, theirs) in enumerate(pairs):
        if ours is None or theirs is None or not ours.equals(theirs):
            raise DatastoreError(
                f"{VOCABULARY}: batch {number} does not count what the tag table holds. Run "
                "tagmine index again."
            )
