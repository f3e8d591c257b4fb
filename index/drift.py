"""How far parts that were added have drifted from those that the index was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from index.factory import list_count
from index.files import read_card, read_index
from index.shards import inverted_lists_of, transform
from index.training import sample_rows
from tagmine.embeddings import EmbeddingsParts
from tagmine.layout import TRAINED_INDEX
from tagmine.manifest import DriftCard

SAMPLED = 8192
# Above these, recall at the same effort drops by more than a point or two.
WORSE_ERROR = 1.25
WORSE_IMBALANCE = 1.5
# A list of eight times as many vectors takes eight times as long to search.
_GROWN = 8
_LOSSLESS = 1e-5


def measure_drift(root: Path, parts: Sequence[int]) -> DriftCard | None:
    """Compare samples of the parts that the index was trained on with samples of the others.

    Args:
        root: the datastore's folder, with the trained index current.
        parts: every part.

    Returns:
        None where it was trained on all parts, or where there is nothing to compare.
    """
    trained = read_card(root / TRAINED_INDEX)
    if trained is None or not trained.vectors or set(trained.parts) == set(parts):
        return None
    known = set(trained.parts)
    old = _sample(EmbeddingsParts(root, [part for part in parts if part in known]))
    added = _sample(EmbeddingsParts(root, [part for part in parts if part not in known]))
    everything = _sample(EmbeddingsParts(root, parts))
    if not len(added):
        return None
    index = read_index(root / TRAINED_INDEX)
    # Of equal size, since a sample spread over many lists looks uneven the smaller it is.
    size = min(len(old), len(everything))
    return DriftCard(
        trained_parts=len(trained.parts),
        trained_error=round(quantization_error(index, old), 6),
        added_error=round(quantization_error(index, added), 6),
        trained_imbalance=round(imbalance(index, old[:size]), 4),
        imbalance=round(imbalance(index, everything[:size]), 4),
    )


def advise(drift: DriftCard, trained_rows: int, rows: int) -> str | None:
    """Why the index should be trained again, as one line; None when it need not be.

    Args:
        drift: what was measured.
        trained_rows: embeddings of the parts that it was trained on.
        rows: embeddings of all parts.
    """
    reasons = []
    if drift.added_error > WORSE_ERROR * drift.trained_error:
        more = drift.added_error / max(drift.trained_error, 1e-9) - 1
        reasons.append(f"the quantization error of the added parts is {more:.0%} higher")
    if drift.imbalance > WORSE_IMBALANCE * drift.trained_imbalance:
        reasons.append(
            f"lists have become uneven (imbalance {drift.trained_imbalance:.2f} to "
            f"{drift.imbalance:.2f})"
        )
    if rows > _GROWN * trained_rows:
        reasons.append(f"there are {rows / trained_rows:.0f} times as many vectors as then")
    return "; ".join(reasons) or None


def _sample(parts: EmbeddingsParts) -> np.ndarray:
    count = sum(parts.rows)
    if not count:
        return np.empty((0, 0), np.float32)
    sample = sample_rows(parts, min(SAMPLED, count))
    # In no order, so that a part of it is a sample too.
    return np.random.default_rng(0).permutation(sample)


def quantization_error(index: faiss.Index, vectors: np.ndarray) -> float:
    """Mean squared distance of vectors to what the index keeps of them.

    Where it keeps them whole, or cannot tell what it keeps, the distance to the centroid of their
    list, after the index's transforms; 0 without lists.
    """
    inner = index.index if isinstance(index, faiss.IndexIDMap) else index
    try:
        kept = inner.sa_decode(inner.sa_encode(vectors))
        error = float(((vectors - kept) ** 2).sum(axis=1).mean())
    except RuntimeError:
        # FAISS has no such codec for this type.
        error = 0.0
    inverted = inverted_lists_of(index)
    if error > _LOSSLESS or inverted is None:
        return error
    turned = transform(index, vectors)
    _, lists = inverted.quantizer.search(turned, 1)
    centroids = np.stack([inverted.quantizer.reconstruct(int(n)) for n in lists[:, 0]])
    return float(((turned - centroids) ** 2).sum(axis=1).mean())


def imbalance(index: faiss.Index, vectors: np.ndarray) -> float:
    """FAISS's imbalance factor of the lists that vectors fall into; 1 for lists of one size."""
    nlist = list_count(index)
    if not nlist:
        return 1.0
    _, lists = inverted_lists_of(index).quantizer.search(transform(index, vectors), 1)
    sizes = np.bincount(lists[:, 0], minlength=nlist).astype(float)
    return float(nlist * (sizes**2).sum() / sizes.sum() ** 2)
