"""The validation report of a datastore: every number that was measured, as it is in report.json."""

from __future__ import annotations

import dataclasses
from typing import Literal

from pydantic import ConfigDict

from tagmine.manifest import DriftCard, TuningCard

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclasses.dataclass(frozen=True, slots=True)
class RecallAt:
    """Agreement of what the index finds with the exact neighbours.

    Attributes:
        k: how many neighbours are looked at.
        one_recall: 1-recall@k, the share of queries whose true nearest is among the k found.
        overlap: k-in-k, the mean share of the true k that is among the k found.
        low, high: 95 % interval of the overlap over queries.
    """

    __pydantic_config__ = _STRICT

    k: int
    one_recall: float
    overlap: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class SweepPoint:
    """Recall and time at one setting of the search.

    Attributes:
        nprobe: inverted lists visited, 0 where the index has none.
        rerank: candidates that are scored exactly, 0 for none.
        overlap: k-in-k at `Report.sweep_k`.
        milliseconds: mean time of a query, all cores, in batches.
    """

    __pydantic_config__ = _STRICT

    nprobe: int
    rerank: int
    overlap: float
    milliseconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreError:
    """How far the compressed scores are from the exact cosines.

    Attributes:
        mean, p95, largest: absolute error over the candidates of all queries.
        ceiling: k-in-k at `Report.sweep_k` of the compressed scores alone, every list visited:
            what the codes can reach without re-rank.
    """

    __pydantic_config__ = _STRICT

    mean: float
    p95: float
    largest: float
    ceiling: float


@dataclasses.dataclass(frozen=True, slots=True)
class ListBalance:
    """How evenly vectors lie in the inverted lists.

    Attributes:
        lists: how many there are.
        empty: how many hold nothing.
        largest: vectors in the fullest.
        imbalance: FAISS's imbalance factor, 1 for lists of one size.
        histogram: (upper bound of a size, how many lists are of at most that size and above the
            bound before).
    """

    __pydantic_config__ = _STRICT

    lists: int
    empty: int
    largest: int
    imbalance: float
    histogram: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ShardHealth:
    """One index shard.

    Attributes:
        path: its file.
        parts: how many parts it holds.
        vectors: how many vectors.
        self_lookup: share of sampled stored vectors that find themselves first with re-rank.
        quantization_error: mean squared distance of sampled vectors to what is stored of them;
            None where the codes of a fast scan hide it.
        problems: what is wrong with it, empty where nothing is.
    """

    __pydantic_config__ = _STRICT

    path: str
    parts: int
    vectors: int
    self_lookup: float
    quantization_error: float | None
    problems: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class TagHealth:
    """What there is to retrieve.

    Attributes:
        unique: different tags.
        images_without_tags: images of the index that have none.
        mean, median, p95: tags an image.
        reachable: share of the unique tags that are on at least one neighbour of a query.
    """

    __pydantic_config__ = _STRICT

    unique: int
    images_without_tags: int
    mean: float
    median: float
    p95: float
    reachable: float


@dataclasses.dataclass(frozen=True, slots=True)
class TagAgreement:
    """How well retrieved tags fit the query's own, which is what a model reads.

    Attributes:
        k: neighbours whose tags are pooled.
        exact: mean share of the query's own tags among the pooled ones, with exact search.
        approximate: the same with the index.
        same: mean overlap (Jaccard) of the two pools.
    """

    __pydantic_config__ = _STRICT

    k: int
    exact: float
    approximate: float
    same: float


@dataclasses.dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Images that are all but the same.

    Attributes:
        cosine: from which cosine on two images are counted as copies.
        clusters: groups of two or more.
        images: images in them.
        largest: size of the largest.
        examples: keys of up to five groups, up to five each.
        looked_at: images whose 10 nearest were compared with them; where that is fewer than the
            datastore holds, the counts are of those and their copies alone.
    """

    __pydantic_config__ = _STRICT

    cosine: float
    clusters: int
    images: int
    largest: int
    examples: tuple[tuple[str, ...], ...]
    looked_at: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """One condition of the verdict.

    Attributes:
        name: what is asked, as one would say it ("overlap of the 5 nearest").
        value: what was measured, None where it could not be.
        limit: what was asked for.
        at_least: whether the value must reach the limit, or else stay below it.
        passed: whether it does.
        detail: what is wrong and what to do, where it fails.
    """

    __pydantic_config__ = _STRICT

    name: str
    value: float | None
    limit: float
    at_least: bool
    passed: bool
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class GalleryTag:
    """A pooled tag of a gallery query: its text, kind, weight in [0, 1], and whether the query's
    own captions have it, too."""

    __pydantic_config__ = _STRICT

    text: str
    kind: str
    score: float
    own: bool


@dataclasses.dataclass(frozen=True, slots=True)
class GalleryNeighbour:
    """A neighbour of a gallery query.

    Attributes:
        id, key, source: which image it is.
        score: cosine.
        captions: what was said of it.
        exact: whether exact search has it among the same k.
        thumbnail: JPEG as base64, "" where the source shard is out of reach.
    """

    __pydantic_config__ = _STRICT

    id: int
    key: str
    source: str
    score: float
    captions: tuple[str, ...]
    exact: bool
    thumbnail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class GalleryEntry:
    """A query with its neighbours, nearest first, and its pooled tags, heaviest first."""

    __pydantic_config__ = _STRICT

    key: str
    captions: tuple[str, ...]
    neighbours: tuple[GalleryNeighbour, ...]
    tags: tuple[GalleryTag, ...]
    thumbnail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """A validation of one datastore.

    Attributes:
        format_version: version of this form.
        tagmine: version that made it.
        name: the datastore's name.
        manifest_sha256: which state of the datastore it speaks of.
        images: vectors in the index.
        dim: dimensions of a vector.
        encoder, tagger, index_key: what the datastore was made with.
        index_bytes: size of the index files.
        predicted_bytes: what their size is by the index key and the number of vectors, as it was
            predicted before they were made.
        drift: how added parts differ from those it was trained on; None where none were added.
        tuned: what `nprobe` and `rerank` were tuned to; None where they are the defaults.
        nprobe, rerank: the search that was measured.
        queries: how many queries there were.
        held_out: whether they are from outside the datastore; else stored images with their own
            match left out.
        recall: agreement with exact search, for several k.
        sweep_k: the k of `sweep` and of `score_error.ceiling`.
        sweep: recall and time at several settings.
        score_error: of the compressed scores, None for an index that does not compress.
        lists: balance of the inverted lists, None where there are none.
        shards: health of each index shard.
        tags: what there is to retrieve.
        agreement: of retrieved tags with the queries' own; None where the queries have none.
        duplicates: near-duplicate clusters.
        rejected: samples left out, by stage and reason.
        gates: the conditions of the verdict.
        passed: whether all hold.
        gallery: queries with their neighbours, as pictures.
        notes: what was not measured and why, and what else a reader should know.
    """

    __pydantic_config__ = _STRICT

    format_version: Literal[1]
    tagmine: str
    name: str
    manifest_sha256: str
    images: int
    dim: int
    encoder: str
    tagger: str
    index_key: str
    index_bytes: int
    predicted_bytes: int
    drift: DriftCard | None
    tuned: TuningCard | None
    nprobe: int
    rerank: int
    queries: int
    held_out: bool
    recall: tuple[RecallAt, ...]
    sweep_k: int
    sweep: tuple[SweepPoint, ...]
    score_error: ScoreError | None
    lists: ListBalance | None
    shards: tuple[ShardHealth, ...]
    tags: TagHealth
    agreement: TagAgreement | None
    duplicates: NearDuplicates
    rejected: dict[str, dict[str, int]]
    gates: tuple[Gate, ...]
    passed: bool
    gallery: tuple[GalleryEntry, ...]
    notes: tuple[str, ...] = ()
