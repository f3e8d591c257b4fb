"""Train the index that all shards share, on a uniform sample; keep it while a datastore grows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from index import gpu
from index.factory import create_index, list_count
from index.files import IndexFileCard, read_card, write_card, write_index
from index.spec import DEFAULT_TRAINING_BYTES, training_size
from tagmine.embeddings import EmbeddingsParts
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import FORMAT_VERSION, TRAINED_INDEX
from tagmine.manifest import fingerprint

_SEED = 20240610


def train_index(
    root: Path,
    parts: Sequence[int],
    index_key: str,
    *,
    retrain: bool = False,
    max_bytes: int = DEFAULT_TRAINING_BYTES,
) -> bool:
    """Make `index/trained.faiss`, unless a current one is there.

    The training sample is uniform over the rows of all parts, and seeded. A training belongs to
    the parts that it was sampled from: it stays current while those are unchanged, whatever parts
    are added.

    Args:
        root: the datastore's folder.
        parts: the parts to sample.
        index_key: FAISS factory string.
        retrain: sample all parts again, also where an earlier training of some would do.
        max_bytes: what the sample may take in memory, as float32.

    Returns:
        Whether it was trained now.

    Raises:
        ConfigurationError: for an index that cannot be made, or too few vectors to train it.
    """
    kept = current_training(root, parts, index_key)
    # What was taken out since changes no training; only --retrain makes one that never saw it.
    grown = kept is not None and set(kept.parts) != set(parts)
    if kept is not None and (grown or kept.thinned) and not retrain:
        return False
    opened = EmbeddingsParts(root, parts)
    dim = opened.dim
    count = sum(opened.rows)
    index = create_index(index_key, dim)
    size = training_size(index_key, list_count(index), count, max_bytes // (4 * dim))
    if kept is not None and not grown and not kept.thinned and kept.vectors == size:
        return False
    if size:
        gpu.train(index, sample_rows(opened, size), gpu.plan_gpus(list_count(index), dim))
    if not index.is_trained:
        raise ConfigurationError(f"--index-key {index_key}: FAISS did not train this index.")
    maker = _maker(index_key, opened, size)
    card = IndexFileCard(FORMAT_VERSION, index_key, tuple(parts), size, maker, "")
    write_index(root / TRAINED_INDEX, index, card)
    return True


def current_training(root: Path, parts: Sequence[int], index_key: str) -> IndexFileCard | None:
    """The card of a finished training on some of these parts as they are now, if there is one."""
    card = read_card(root / TRAINED_INDEX)
    if card is None or card.index_key != index_key or not set(card.parts) <= set(parts):
        return None
    opened = EmbeddingsParts(root, card.parts)
    return card if card.maker == _maker(index_key, opened, card.vectors) else None


def _maker(index_key: str, parts: EmbeddingsParts, size: int) -> str:
    # Not FAISS's version: a training stays valid under the next, and all shards depend on it.
    rows = [(footer.part, footer.rows_sha256) for footer in parts.footers]
    return fingerprint("train", index_key, rows, size, _SEED)


def sample_rows(parts: EmbeddingsParts, size: int, seed: int = _SEED) -> np.ndarray:
    """A uniform sample of rows without replacement, float32 [size, dim], seeded."""
    sample = np.empty((size, parts.dim), np.float32)
    filled = 0
    for part, rows in zip(parts, _draw(parts.rows, size, seed), strict=True):
        sample[filled : filled + len(rows)] = part.vectors[rows]
        filled += len(rows)
    return sample


def _draw(counts: Sequence[int], size: int, seed: int) -> list[np.ndarray]:
    """The rows of each part that are in the sample, ascending."""
    ends = np.cumsum(counts)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(ends[-1], size=size, replace=False, shuffle=False))
    starts = np.concatenate([[0], ends[:-1]])
    by_part = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    return [rows - start for rows, start in zip(by_part, starts, strict=True)]


def thin_training(root: Path, thinned: int) -> None:
    """Say that the trained index belongs to its parts also after images were taken out of them.

    Args:
        root: the folder, with the trained index, its card, and the parts as they are now.
        thinned: how many vectors were taken out of them.
    """
    card = read_card(root / TRAINED_INDEX)
    if card is None or not thinned:
        return
    opened = EmbeddingsParts(root, card.parts)
    maker = _maker(card.index_key, opened, card.vectors)
    thinner = dataclasses.replace(card, maker=maker, thinned=card.thinned + thinned)
    write_card(root / TRAINED_INDEX, thinner)


def trained_ids(root: Path) -> np.ndarray | None:
    """The ids int64 [n] of the vectors that the trained index was trained on, ascending.

    None where images were taken out since: which of the others it saw cannot be told.

    Args:
        root: the datastore's folder, with the trained index current.

    Raises:
        DatastoreError: when the trained index or a part of its sample is missing or damaged.
    """
    card = read_card(root / TRAINED_INDEX)
    if card is None:
        raise DatastoreError(f"{root / TRAINED_INDEX} is missing or damaged; run tagmine index.")
    if not card.vectors:
        return np.empty(0, np.int64)
    if card.thinned:
        return None
    opened = EmbeddingsParts(root, card.parts)
    drawn = _draw(opened.rows, card.vectors, _SEED)
    return np.sort(np.concatenate([p.ids[rows] for p, rows in zip(opened, drawn, strict=True)]))
