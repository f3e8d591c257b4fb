"""A few queries of a validation for people to look at, with what was found for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from index.pooling import Neighbour, neighbour_of_row, pool_tags
from index.report import GalleryEntry, GalleryNeighbour, GalleryTag
from tagmine.vocabulary import MergeKey, Vocabulary

MAX_GALLERY = 100
_TAGS_SHOWN = 24
_CAPTIONS_SHOWN = 8


def choose_queries(overlap: np.ndarray, agreement: np.ndarray, count: int, seed: int) -> list[int]:
    """Rows of the queries to show: the best, those in the middle, and the worst, a third each.

    Args:
        overlap: float64 [q], of each query with its true neighbours; what counts first.
        agreement: float64 [q], of retrieved tags with its own; what counts among equals.
        count: how many.
        seed: decides among those that are equal in both.
    """
    lot = np.random.default_rng(seed).permutation(len(overlap))
    ranked = np.lexsort((lot, -agreement, -overlap)).tolist()
    if count >= len(ranked):
        return ranked
    best, worst = -(-count // 3), count // 3
    middle = count - best - worst
    start = max(best, (len(ranked) - middle) // 2)
    start = min(start, len(ranked) - worst - middle)
    tail = ranked[len(ranked) - worst :]
    return ranked[:best] + ranked[start : start + middle] + tail


def make_entry(
    key: str,
    captions: Sequence[str],
    own: frozenset[MergeKey],
    neighbours: Sequence[Neighbour],
    true_ids: frozenset[int],
    vocabulary: Vocabulary,
) -> GalleryEntry:
    """A query with what was found, without pictures.

    Args:
        key: the query's.
        captions: what is said of it.
        own: its tags.
        neighbours: what the index found, nearest first.
        true_ids: what exact search finds.
        vocabulary: how tags are worded.
    """
    shown = tuple(
        GalleryNeighbour(
            id=neighbour.id,
            key=neighbour.key,
            source=neighbour.source,
            score=round(neighbour.score, 6),
            captions=neighbour.captions[:_CAPTIONS_SHOWN],
            exact=neighbour.id in true_ids,
        )
        for neighbour in neighbours
    )
    tags = tuple(
        GalleryTag(
            pooled.tag.text,
            pooled.tag.kind,
            round(min(1.0, pooled.score), 6),
            pooled.tag.merge_key in own,
        )
        for pooled in pool_tags(neighbours, vocabulary)[:_TAGS_SHOWN]
    )
    return GalleryEntry(key, tuple(captions[:_CAPTIONS_SHOWN]), shown, tags)


def neighbours_of(
    rows: Mapping[int, dict], ids: Sequence[int], scores: Sequence[float]
) -> list[Neighbour]:
    """The neighbours that have a row in the tag table, in the order given."""
    pairs = zip(ids, scores, strict=True)
    return [neighbour_of_row(rows[row_id], score) for row_id, score in pairs if row_id in rows]
