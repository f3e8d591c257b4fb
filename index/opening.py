"""Open and check the files of a datastore: sizes, hashes, dimension, metric, norms."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import faiss
import numpy as np

from index.factory import cause_of, metric_name, metrics_of
from index.files import open_index
from index.ondisk import open_merged
from tagmine.embeddings import EmbeddingsPart
from tagmine.errors import DatastoreError
from tagmine.manifest import FileCard, Manifest
from tagmine.parts import file_sha256

# Up to this total, opening hashes every file: about 25 ms. Above it, the cards only.
FULL_CHECK_BYTES = 32 << 20
# Half precision rounds each value of a unit vector by at most 2^-11 of itself.
NORM_TOLERANCE = 2e-3
REPAIR = "Run tagmine build again with the same shards to mend it; finished parts are kept."
_ROWS_CHECKED = 8
_LINK = (
    "is a link or another thing that is no plain file or folder, and a datastore reads nothing "
    "outside of its folder. Copy it with what its links lead to, as cp -rL does."
)


def check_files(root: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest: size and, in a small datastore, hash.

    Raises:
        DatastoreError: for a file that is missing or altered.
    """
    cards = manifest.files()
    check_folders(root, cards)
    for card in cards:
        size = plain_size(root, card.path)
        if size != card.bytes:
            raise DatastoreError(
                f"{root}: {card.path} has {size:,} bytes, the manifest says {card.bytes:,}. "
                f"{REPAIR}"
            )
    if sum(card.bytes for card in cards) > FULL_CHECK_BYTES:
        removed = manifest.removed and manifest.removed.file
        cards = [card for card in cards if card.path.endswith(".json") or card == removed]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda card: file_sha256(root / card.path), cards)
        for card, sha256 in zip(cards, found, strict=True):
            if sha256 != card.sha256:
                raise DatastoreError(
                    f"{root}: {card.path} has been altered: its sha256 is {sha256[:12]}…, the "
                    f"manifest says {card.sha256[:12]}…. {REPAIR}"
                )


def check_folders(root: Path, cards: Sequence[FileCard]) -> None:
    """Refuse folders that are links.

    A link of a stranger leads to any file that we can read, or to a pipe that never ends.

    Raises:
        DatastoreError: naming the folder.
    """
    inner = {str(parent) for card in cards for parent in PurePosixPath(card.path).parents} - {"."}
    for folder in sorted(inner):
        if (root / folder).is_symlink():
            raise DatastoreError(f"{root}: {folder} {_LINK}")


def plain_size(root: Path, path: str) -> int:
    """Bytes of a file of a datastore.

    Raises:
        DatastoreError: when it is missing, or is a link or another thing that is no plain file.
    """
    try:
        found = (root / path).lstat()
    except OSError as error:
        raise DatastoreError(f"{root}: {path} is missing. {REPAIR}") from error
    if not stat.S_ISREG(found.st_mode):
        raise DatastoreError(f"{root}: {path} {_LINK}")
    return found.st_size


def open_shards(root: Path, manifest: Manifest) -> list[faiss.Index]:
    """The index files that a search uses, memory-mapped: the shards, or the merged index.

    Raises:
        DatastoreError: for one that FAISS cannot read, or that is not what the manifest says.
    """
    if manifest.index.merged:
        return [_open_shard(root, manifest, manifest.index.merged[0], open_merged)]
    return [_open_shard(root, manifest, card.file, open_index) for card in manifest.index.shards]


def open_trained(root: Path, manifest: Manifest) -> faiss.Index:
    """A handle of its own, memory-mapped: the search stacks the lists of all shards in it."""
    card = dataclasses.replace(manifest.index.trained, rows=0)
    return _open_shard(root, manifest, card, open_index)


def _open_shard(
    root: Path, manifest: Manifest, card: FileCard, open_file: Callable[[Path], faiss.Index]
) -> faiss.Index:
    path = root / card.path
    try:
        shard = open_file(path)
    except RuntimeError as error:
        raise DatastoreError(
            f"{path} cannot be opened by FAISS: {cause_of(error)}. {REPAIR}"
        ) from error
    expected = (manifest.index.dim, card.rows)
    if (shard.d, shard.ntotal) != expected:
        raise DatastoreError(
            f"{path} has {shard.ntotal:,} vectors of {shard.d} dimensions; the manifest says "
            f"{card.rows:,} of {manifest.index.dim}. {REPAIR}"
        )
    other = [metric for metric in metrics_of(shard) if metric != faiss.METRIC_INNER_PRODUCT]
    if other:
        raise DatastoreError(
            f"{path}: its metric is {metric_name(other[0])}, not inner product, so its scores are "
            f"no cosines. {REPAIR}"
        )
    inverted = faiss.try_extract_index_ivf(shard)
    if not (shard.is_trained and (inverted is None or inverted.is_trained)):
        raise DatastoreError(f"{path} says that it is not trained, so it cannot answer. {REPAIR}")
    if inverted is not None:
        inverted.nprobe = manifest.index.nprobe
    return shard


def check_unit_norm(part: EmbeddingsPart) -> None:
    """A few rows; `tagmine verify` looks at all."""
    count = len(part.ids)
    rows = np.linspace(0, count - 1, min(_ROWS_CHECKED, count)).astype(int)
    norms = np.linalg.norm(part.vectors[rows].astype(np.float32), axis=1)
    # Not the other way round: a NaN compares false with everything.
    if not np.all(np.abs(norms - 1) < NORM_TOLERANCE):
        raise DatastoreError(
            f"{part.path} has vectors that are not of unit norm (norms {norms.min():.3f} to "
            f"{norms.max():.3f}), so inner products are no cosines. Embed the shards again."
        )
