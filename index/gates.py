"""The verdict: conditions that a datastore must meet, each a threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from index.report import (
    Gate,
    ListBalance,
    NearDuplicates,
    RecallAt,
    ShardHealth,
    TagAgreement,
    TagHealth,
)
from index.thresholds import Thresholds


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """What the gates judge.

    Attributes:
        images: images in the index.
        trouble: why the datastore could not be opened or searched, "" where it could.
        parts: what is wrong with parts of the embeddings.
        shards: health of each index shard.
        encoder: what is wrong with the encoder, "" where it is the datastore's.
        same_embedding: least mean cosine, over parts, of stored vectors with new ones; None where
            no picture could be embedded again, with `not_embedded` saying why.
        worst_part: the source of that part.
        recall: at the k of the verdict; None where nothing could be searched.
        agreement: of tags; None where queries have none.
        lists: balance of inverted lists; None where there are none.
        tags: what there is to retrieve.
        duplicates: near-duplicate clusters; None where nothing could be searched.
    """

    images: int
    trouble: str
    parts: tuple[str, ...]
    shards: tuple[ShardHealth, ...]
    encoder: str
    same_embedding: float | None
    worst_part: str
    not_embedded: str
    recall: RecallAt | None
    agreement: TagAgreement | None
    lists: ListBalance | None
    tags: TagHealth
    duplicates: NearDuplicates | None


def judge(found: Findings, limits: Thresholds) -> tuple[Gate, ...]:
    """The conditions, in the order in which one would read them."""
    return (
        _sound("the datastore opens and answers", [found.trouble] if found.trouble else []),
        _sound("parts of sound vectors", found.parts),
        _sound("index shards as they should be", _shard_problems(found.shards)),
        _encoder(found, limits),
        *_searched(found, limits),
        *_content(found, limits),
    )


def _sound(name: str, problems: Sequence[str]) -> Gate:
    """A condition without degrees: its value is the number of problems."""
    shown = "; ".join(problems[:5])
    more = f"; and {len(problems) - 5:,} more" if len(problems) > 5 else ""
    value = float(len(problems))
    return Gate(name, value, 0.0, False, not problems, shown + more, counts=True)


def _shard_problems(shards: Sequence[ShardHealth]) -> list[str]:
    problems = [f"{shard.path}: {problem}" for shard in shards for problem in shard.problems]
    if problems:
        problems[-1] += ". Run tagmine index again"
    return problems


def _at_least(name: str, value: float, limit: float, advice: str) -> Gate:
    # Not the other way round: a NaN compares false with everything.
    passed = value >= limit
    return Gate(name, value, limit, True, passed, "" if passed else advice)


def _at_most(name: str, value: float, limit: float, advice: str) -> Gate:
    passed = value <= limit
    return Gate(name, value, limit, False, passed, "" if passed else advice)


def _encoder(found: Findings, limits: Thresholds) -> Gate:
    name = "the encoder gives the stored vectors again"
    limit = limits.min_same_embedding
    if found.encoder:
        return Gate(name, found.same_embedding, limit, True, False, found.encoder)
    if found.same_embedding is None:
        return Gate(name, None, limit, True, True, f"not measured: {found.not_embedded}")
    return _at_least(
        name,
        found.same_embedding,
        limit,
        f"another encoder made the vectors of {found.worst_part} than the one that the manifest "
        "names (swapped encoder): its pictures, embedded again, are not where they were. Run "
        "tagmine embed again with all shards",
    )


def _searched(found: Findings, limits: Thresholds) -> list[Gate]:
    self_lookup = min((shard.self_lookup for shard in found.shards), default=1.0)
    gates = [
        _at_least(
            "stored vectors find themselves",
            self_lookup,
            limits.min_self_lookup,
            "a shard does not find what it holds: its ids or vectors are wrong, or its codes are "
            "too coarse. Run tagmine index again, with longer codes if it is whole",
        )
    ]
    if found.recall is None:
        detail = "not measured, since there was nothing to search with; see the other gates"
        return [
            *gates,
            Gate("overlap with exact search", None, limits.min_recall, True, False, detail),
        ]
    gates.append(
        _at_least(
            f"overlap of the {found.recall.k} nearest with exact search",
            found.recall.overlap,
            limits.min_recall,
            "the index misses true neighbours: raise nprobe or the re-rank depth, or run tagmine "
            "index with an --index-key of longer codes",
        )
    )
    return [*gates, _agreement(found.agreement, limits)]


def _agreement(agreement: TagAgreement | None, limits: Thresholds) -> Gate:
    name, limit = "own tags found, against exact search", limits.min_tag_agreement
    if agreement is None:
        return Gate(name, None, limit, True, True, "not measured: no query has tags of its own")
    if not agreement.exact:
        detail = "not measured: no true neighbour has a tag of its query, so there is none to find"
        return Gate(name, None, limit, True, True, detail)
    return _at_least(
        name,
        agreement.approximate / agreement.exact,
        limit,
        "the neighbours that the index finds say less of the query than the true ones; raise its "
        "recall",
    )


def _content(found: Findings, limits: Thresholds) -> list[Gate]:
    gates = []
    if found.lists is not None:
        gates.append(
            _at_most(
                "imbalance of the inverted lists",
                found.lists.imbalance,
                limits.max_imbalance,
                "a few lists hold most vectors, which makes search slow; train the index again on "
                "the present data, or with fewer lists",
            )
        )
    untagged = found.tags.images_without_tags / found.images if found.images else 0.0
    gates.append(
        _at_most(
            "share of images without tags",
            untagged,
            limits.max_untagged,
            "too many images have nothing to say; look at their captions with tagmine mine --show",
        )
    )
    if found.duplicates is not None and found.duplicates.looked_at:
        share = min(1.0, found.duplicates.images / found.duplicates.looked_at)
        gates.append(
            _at_most(
                "share of near-duplicate images",
                share,
                limits.max_duplicates,
                "many images are copies of each other and fill the neighbours of a query",
            )
        )
    return gates
