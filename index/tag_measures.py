"""What there is to retrieve, and whether retrieved tags fit their queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from index.report import TagAgreement, TagHealth
from tagmine.vocabulary import MergeKey, Vocabulary

NO_TAGS = TagHealth(0, 0, 0.0, 0.0, 0.0, 0.0)


def tag_keys(row: dict | None) -> frozenset[MergeKey]:
    """The tags of a row of the tag table, by the key under which they merge."""
    tags = row["tags"] if row else ()
    return frozenset((tag["kind"], tag["label"], tag["lemma"]) for tag in tags)


def pool_keys(rows: dict[int, dict], ids: Iterable[int]) -> frozenset[MergeKey]:
    """The tags of several images together."""
    return frozenset().union(*(tag_keys(rows.get(row_id)) for row_id in ids))


def tag_health(vocabulary: Vocabulary, retrieved: frozenset[MergeKey]) -> TagHealth:
    """Numbers of the vocabulary, and how much of it the queries reached.

    Args:
        vocabulary: the datastore's.
        retrieved: tags of the neighbours of all queries.
    """
    pairs = vocabulary.footer.tags_an_image
    sizes = np.repeat([size for size, _ in pairs], [images for _, images in pairs])
    unique = len(vocabulary)
    if not len(sizes):
        return NO_TAGS
    return TagHealth(
        unique=unique,
        images_without_tags=int((sizes == 0).sum()),
        mean=float(sizes.mean()),
        median=float(np.median(sizes)),
        p95=float(np.quantile(sizes, 0.95)),
        reachable=len(retrieved) / unique if unique else 0.0,
    )


def agreement_of(own: frozenset[MergeKey], pooled: frozenset[MergeKey]) -> float:
    """Share of a query's own tags that are among those of its neighbours."""
    return len(own & pooled) / len(own)


def tag_agreement(
    own: Sequence[frozenset[MergeKey]],
    exact: Sequence[frozenset[MergeKey]],
    approximate: Sequence[frozenset[MergeKey]],
    k: int,
) -> TagAgreement | None:
    """How well pools of k neighbours' tags fit the queries that have tags; None if none has.

    Args:
        own: tags of each query.
        exact: tags of its true neighbours together.
        approximate: tags of the neighbours that the index finds.
        k: how many neighbours were pooled.
    """
    tagged = [pools for pools in zip(own, exact, approximate, strict=True) if pools[0]]
    if not tagged:
        return None
    return TagAgreement(
        k=k,
        exact=float(np.mean([agreement_of(mine, true) for mine, true, _ in tagged])),
        approximate=float(np.mean([agreement_of(mine, found) for mine, _, found in tagged])),
        same=float(np.mean([_jaccard(true, found) for _, true, found in tagged])),
    )


def _jaccard(one: frozenset[MergeKey], other: frozenset[MergeKey]) -> float:
    either = one | other
    return len(one & other) / len(either) if either else 1.0
