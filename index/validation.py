"""Measure a datastore against the exact neighbours of some queries, and write the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from index.duplicates import find_duplicates
from index.exact import Neighbours, leave_out, score_pairs
from index.factory import predict_bytes
from index.gallery import choose_queries, make_entry, neighbours_of
from index.gates import Findings, judge
from index.queries import Queries, sample_images
from index.recall import hits_at, list_balance, recall_at
from index.report import (
    GalleryEntry,
    ListBalance,
    NearDuplicates,
    RecallAt,
    Report,
    ScoreError,
    ShardHealth,
    SweepPoint,
    TagAgreement,
    TagHealth,
)
from index.report_file import REPORT_VERSION
from index.search import Datastore
from index.shard_health import searched_files
from index.sweep import run_sweep
from index.tag_measures import (
    NO_TAGS,
    agreement_of,
    pool_keys,
    tag_agreement,
    tag_health,
)
from index.thresholds import Thresholds
from tagmine import __version__
from tagmine.manifest import Manifest

SWEEP_QUERIES = 256
DUPLICATE_SAMPLE = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How a datastore is validated.

    Attributes:
        ks: numbers of neighbours, ascending.
        at: the one of them that the verdict, the sweep and the tags are about.
        limits: the thresholds of the verdict.
        duplicate_cosine: from which cosine on two images are copies.
        gallery: how many queries are shown.
        seed: of every draw.
    """

    ks: tuple[int, ...] = (1, 5, 10)
    at: int = 5
    limits: Thresholds = Thresholds()
    duplicate_cosine: float = 0.985
    gallery: int = 12
    seed: int = 0

    @property
    def depth(self) -> int:
        """Neighbours to be found for each query, its own match among them."""
        return max(self.ks) + 1


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """What searching gave; the default is of a datastore that cannot be searched.

    Attributes:
        recall, sweep, score_error, agreement, duplicates, gallery: as in the report.
        lists: balance of the inverted lists.
        tags: what there is to retrieve.
        query_rows: which query each entry of the gallery is.
        copies: queries that are all but identical to a stored image.
    """

    recall: tuple[RecallAt, ...] = ()
    sweep: tuple[SweepPoint, ...] = ()
    score_error: ScoreError | None = None
    agreement: TagAgreement | None = None
    duplicates: NearDuplicates | None = None
    gallery: tuple[GalleryEntry, ...] = ()
    lists: ListBalance | None = None
    tags: TagHealth = NO_TAGS
    query_rows: tuple[int, ...] = ()
    copies: int = 0


def measure(
    datastore: Datastore, queries: Queries, truth: Neighbours, settings: Settings
) -> Measured:
    """Search for every query and compare with the truth.

    Args:
        datastore: what is measured.
        queries: at least one.
        truth: the `settings.depth` exact neighbours of each, own matches among them.
        settings: what is measured, and how.

    Raises:
        DatastoreError: when the datastore cannot answer.
    """
    ids, _ = datastore.search(queries.vectors, settings.depth)
    scores = score_pairs(datastore, queries.vectors, ids)
    found = Neighbours(ids, scores)
    if queries.own is not None:
        truth = leave_out(truth, queries.own, settings.depth - 1)
        found = leave_out(found, queries.own, settings.depth - 1)
    sweep, error = _sweep(datastore, queries, truth, settings)
    shown = (truth.ids[:, : settings.at], found.ids[:, : settings.at])
    rows = datastore.rows(np.unique(np.concatenate(shown)[np.concatenate(shown) >= 0]).tolist())
    pools = [[pool_keys(rows, near) for near in of_all.tolist()] for of_all in shown]
    rank = _ranks(queries, pools[1], hits_at(truth, found.scores, settings.at), settings)
    return Measured(
        recall=tuple(recall_at(truth, found.scores, k) for k in settings.ks),
        sweep=sweep,
        score_error=error,
        agreement=tag_agreement(queries.tags, *pools, settings.at),
        duplicates=_duplicates(datastore, settings),
        gallery=tuple(
            _entry(datastore, queries, row, rows, truth, found, settings) for row in rank
        ),
        lists=list_balance(datastore.shards),
        tags=tag_health(datastore.vocabulary, frozenset().union(*pools[1])),
        query_rows=tuple(rank),
        copies=int((truth.scores[:, 0] >= settings.duplicate_cosine).sum()),
    )


def _sweep(
    datastore: Datastore, queries: Queries, truth: Neighbours, settings: Settings
) -> tuple[tuple[SweepPoint, ...], ScoreError | None]:
    rng = np.random.default_rng(settings.seed)
    rows = np.sort(rng.choice(len(queries), min(SWEEP_QUERIES, len(queries)), replace=False))
    own = None if queries.own is None else queries.own[rows]
    chosen = Neighbours(truth.ids[rows], truth.scores[rows])
    return run_sweep(datastore, queries.vectors[rows], own, chosen, settings.at)


def _ranks(
    queries: Queries, pooled: Sequence[frozenset], overlap: np.ndarray, settings: Settings
) -> list[int]:
    agreement = np.array(
        [
            agreement_of(own, pool) if own else 0.0
            for own, pool in zip(queries.tags, pooled, strict=True)
        ]
    )
    return choose_queries(overlap, agreement, settings.gallery, settings.seed)


def _entry(
    datastore: Datastore,
    queries: Queries,
    row: int,
    rows: dict[int, dict],
    truth: Neighbours,
    found: Neighbours,
    settings: Settings,
) -> GalleryEntry:
    near = found.ids[row, : settings.at].tolist()
    neighbours = neighbours_of(rows, near, found.scores[row, : settings.at].tolist())
    true_ids = frozenset(truth.ids[row, : settings.at].tolist())
    about = (queries.keys[row], queries.captions[row], queries.tags[row])
    return make_entry(*about, neighbours, true_ids, datastore.vocabulary)


def _duplicates(datastore: Datastore, settings: Settings) -> NearDuplicates:
    ids, vectors = sample_images(datastore, DUPLICATE_SAMPLE, settings.seed)
    return find_duplicates(datastore, ids, vectors, settings.duplicate_cosine)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """All that a validation found out, before the verdict.

    Attributes:
        manifest: the datastore's.
        manifest_sha256: hash of its file.
        queries: the queries; None where there could be none.
        held_out: whether they are, or were to be, from outside the datastore.
        measured: what searching gave.
        shards: health of each index shard.
        trouble, parts, encoder, same_embedding, worst_part, not_embedded: as in `Findings`.
        notes, cautions: as in the report.
    """

    manifest: Manifest
    manifest_sha256: str
    queries: Queries | None
    held_out: bool
    measured: Measured
    shards: tuple[ShardHealth, ...]
    trouble: str
    parts: tuple[str, ...]
    encoder: str
    same_embedding: float | None
    worst_part: str
    not_embedded: str
    notes: tuple[str, ...]
    cautions: tuple[str, ...] = ()


def make_report(outcome: Outcome, settings: Settings) -> Report:
    """The report, with its verdict."""
    manifest, measured = outcome.manifest, outcome.measured
    index, encoder, tagger = manifest.index, manifest.encoder, manifest.tagger
    gates = judge(_findings(outcome, settings), settings.limits)
    return Report(
        format_version=REPORT_VERSION,
        tagmine=__version__,
        name=manifest.name,
        manifest_sha256=outcome.manifest_sha256,
        images=manifest.live_images,
        dim=index.dim,
        encoder=f"{encoder.clip_model} ({encoder.weights_sha256[:12]})",
        tagger=f"{tagger.pipeline} {tagger.version}, {tagger.backend}",
        index_key=index.index_key,
        index_bytes=sum(card.file.bytes for card in searched_files(manifest))
        + sum(card.bytes for card in index.merged[1:]),
        predicted_bytes=_predicted(manifest),
        drift=index.drift,
        tuned=index.tuned,
        nprobe=index.nprobe,
        rerank=index.rerank,
        queries=len(outcome.queries) if outcome.queries is not None else 0,
        held_out=outcome.held_out,
        recall=measured.recall,
        sweep_k=settings.at,
        sweep=measured.sweep,
        score_error=measured.score_error,
        lists=measured.lists,
        shards=outcome.shards,
        tags=measured.tags,
        agreement=measured.agreement,
        duplicates=measured.duplicates or NearDuplicates(settings.duplicate_cosine, 0, 0, 0, ()),
        rejected={stage: count.rejected for stage, count in manifest.totals.items()},
        gates=gates,
        passed=all(gate.passed for gate in gates),
        gallery=measured.gallery,
        cautions=outcome.cautions,
        notes=outcome.notes,
        queries_sha256=outcome.queries.sha256 if outcome.queries is not None else "",
    )


def _findings(outcome: Outcome, settings: Settings) -> Findings:
    measured = outcome.measured
    return Findings(
        images=outcome.manifest.live_images,
        trouble=outcome.trouble,
        parts=outcome.parts,
        shards=outcome.shards,
        encoder=outcome.encoder,
        same_embedding=outcome.same_embedding,
        worst_part=outcome.worst_part,
        not_embedded=outcome.not_embedded,
        recall=next((recall for recall in measured.recall if recall.k == settings.at), None),
        agreement=measured.agreement,
        lists=measured.lists,
        tags=measured.tags,
        duplicates=measured.duplicates,
    )


def _predicted(manifest: Manifest) -> int:
    """What the index was to take, computed from its key and the numbers of vectors and files."""
    index = manifest.index
    files = predict_bytes(index.index_key, index.dim, index.vectors, len(index.shards))
    merged = predict_bytes(index.index_key, index.dim, index.vectors) if index.merged else 0
    return files + merged
