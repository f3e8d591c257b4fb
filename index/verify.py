"""Check that a datastore is what its manifest says, and that its index finds what it holds."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.build import find_left_out
from index.files import read_index
from index.live import removed_of
from index.ondisk import open_merged
from index.opening import NORM_TOLERANCE, check_folders
from index.publish import removed_card
from index.search import Datastore
from index.shard_health import check_shard, searched_files
from index.shards import stored_ids
from index.thumbnails import check_thumbnails
from index.vocabulary import check_vocabulary
from tagmine.embeddings import EmbeddingsPart, open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import (
    ENCODER_PIN,
    SOURCES,
    TAGGER_PIN,
    TRAINED_INDEX,
    is_leftover,
    part_of,
    sample_id,
)
from tagmine.manifest import Manifest, PartCard, pin_bytes, read_manifest
from tagmine.parts import REJECTS_SCHEMA, TAGS_SCHEMA, file_sha256, read_tags_footer
from tagmine.rejects import REMOVED
from tagmine.removed import Removed, identify
from tagmine.row_origins import read_origins
from tagmine.sources import read_sources
from tagmine.staging import is_staged

SELF_LOOKUPS = 256
_SAME_SCORE = 1e-3
# What verify asks is whether the datastore is what it says. Codes are compared before, so a vector
# that is lost then is lost to a coarse key, which may be what its owner chose: validate measures
# what that costs. Only an index that finds next to nothing cannot be what anyone meant.
_LEAST_FOUND = 0.05
_FOLDERS = (
    "tags",
    "embeddings",
    "rejects",
    "index",
    "vocabulary",
    "origins",
    "removed",
    "thumbnails",
)

ReportCheck = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What was checked and found true.

    Attributes:
        files: files whose size and hash were recomputed.
        bytes: their size together.
        images: vectors in the index.
        self_lookups: stored vectors that were looked up.
        found: how many of them found themselves, or as many copies of themselves as were asked for.
        index_key: of the index, which decides how many can.
    """

    files: int
    bytes: int
    images: int
    self_lookups: int
    found: int
    index_key: str


def verify_datastore(root: Path, report: ReportCheck = lambda check: None) -> Verdict:
    """Recompute every hash, count and id range; look up stored vectors in the index.

    Args:
        root: the datastore's folder.
        report: told of each check before it starts.

    Raises:
        DatastoreError: at the first thing that is not as the manifest says.
    """
    try:
        return _verify(root, report)
    # Files of strangers with true hashes may still be junk to Arrow and FAISS.
    except (pa.ArrowException, RuntimeError, OSError, ValueError, KeyError) as error:
        raise DatastoreError(
            f"{root} holds a file that cannot be read: {type(error).__name__}: {error}"
        ) from error


def _verify(root: Path, report: ReportCheck) -> Verdict:
    manifest = read_manifest(root)
    if is_staged(manifest):
        raise DatastoreError(
            f"{root} is whole, but a tagmine remove or compact was interrupted at its end. Run "
            "tagmine compact; it finishes what is left."
        )
    report("file sizes and hashes")
    _check_files(root, manifest)
    _check_sources(root, manifest)
    report("tag table, embeddings and rejects")
    removed = removed_of(root, manifest)
    expected = [_check_part(root, manifest, part, removed) for part in manifest.parts]
    if manifest.removed != removed_card(root, manifest.parts):
        raise DatastoreError(
            f"{root}: the manifest is not of the newest record of what was taken out. Run tagmine "
            "compact; it finishes what was interrupted."
        )
    report("the vocabulary, counted again")
    check_vocabulary(root, manifest)
    report("ids in the index")
    _check_index_ids(root, manifest, expected)
    report("codes in the index")
    _check_codes(root, manifest)
    report("stored vectors find themselves")
    held = np.concatenate([[], *expected]).astype(np.int64)
    looked_up = _check_self_lookup(Datastore(root, manifest), held[~removed.hides(held)])
    cards = manifest.files()
    size = sum(card.bytes for card in cards)
    return Verdict(len(cards), size, manifest.images, *looked_up, manifest.index.index_key)


def _check_files(root: Path, manifest: Manifest) -> None:
    cards = manifest.files()
    check_folders(root, cards)
    for card in cards:
        path = root / card.path
        if not path.is_file() or path.is_symlink():
            raise DatastoreError(f"{card.path} is missing from {root}, or is no plain file.")
        if path.stat().st_size != card.bytes:
            size = path.stat().st_size
            raise DatastoreError(f"{card.path} has {size:,} bytes, not {card.bytes:,}.")
        if file_sha256(path) != card.sha256:
            raise DatastoreError(f"{card.path} has been altered: its sha256 is not the manifest's.")
    known = {card.path for card in cards}
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not is_leftover(path) and name not in known:
                raise DatastoreError(f"{name} is not in the manifest. Remove it.")
    for path, pin in ((TAGGER_PIN, manifest.tagger), (ENCODER_PIN, manifest.encoder)):
        if not (root / path).is_file() or (root / path).read_bytes() != pin_bytes(pin):
            raise DatastoreError(f"{path} is missing, or differs from the manifest.")


def _check_sources(root: Path, manifest: Manifest) -> None:
    named = {source.part: source.name for source in read_sources(root)}
    pinned = {part.part: part.source for part in manifest.parts}
    if named != pinned:
        raise DatastoreError(f"{SOURCES} is missing, or names other shards than the manifest.")


def _check_part(root: Path, manifest: Manifest, part: PartCard, removed: Removed) -> np.ndarray:
    """Check one part; returns the ids that the index must hold."""
    embeddings = open_embeddings(root / part.embeddings.path)
    tag_ids, tag_keys = _check_tags(root, manifest, part)
    _check_embeddings(manifest, part, embeddings)
    _check_same_samples(part, (tag_ids, tag_keys), (embeddings.ids, embeddings.keys()))
    for ids, keys in ((tag_ids, tag_keys), (embeddings.ids, embeddings.keys())):
        _check_removed(part, removed, ids, keys)
    rejected = {
        stage: _check_rejects(root, part, number)
        for number, stage in enumerate(("mine", "embed", "index"))
    }
    _check_every_sample(part, "mine", tag_ids, rejected["mine"])
    _check_every_sample(part, "embed", embeddings.ids, rejected["embed"])
    _check_origins(root, part, np.union1d(tag_ids, embeddings.ids))
    if part.thumbnails is not None:
        check_thumbnails(root, part.thumbnails, embeddings.ids)
    left_out = find_left_out(embeddings, tag_ids, manifest.index.min_clip_score)
    reasons = Counter(reason for reason, _ in left_out.values())
    same_ids = np.array_equal(np.sort(rejected["index"]), embeddings.ids[[*left_out]])
    if not same_ids or reasons != Counter(part.stages["index"].rejected):
        raise DatastoreError(
            f"part {part.part}: the index rejects are not the images without tags or of too low a "
            "CLIP score."
        )
    return np.delete(embeddings.ids, [*left_out])


def _check_tags(root: Path, manifest: Manifest, part: PartCard) -> tuple[np.ndarray, pa.Array]:
    path = root / part.tags.path
    footer = read_tags_footer(path)
    table = pq.read_table(path, page_checksum_verification=True)
    if not table.schema.remove_metadata().equals(TAGS_SCHEMA):
        raise DatastoreError(f"{part.tags.path} has another schema than the format's.")
    if table.num_rows != part.tags.rows:
        raise DatastoreError(f"{part.tags.path} has {table.num_rows} rows, not {part.tags.rows}.")
    made_by = (footer.part, footer.source, footer.source_sha256, footer.maker)
    pinned = (part.part, part.source, part.source_sha256, manifest.tagger.maker)
    if (*made_by, footer.captions_dropped) != (*pinned, part.captions_dropped):
        raise DatastoreError(f"{part.tags.path}: its footer does not agree with the manifest.")
    ids = table.column("id").to_numpy()
    _check_ids(part, part.tags.path, ids)
    keys = table.column("key").combine_chunks()
    _check_keys(part, part.tags.path, keys)
    return ids, keys


def _check_same_samples(
    part: PartCard, tags: tuple[np.ndarray, pa.Array], embeddings: tuple[np.ndarray, pa.Array]
) -> None:
    _, in_tags, in_embeddings = np.intersect1d(
        tags[0], embeddings[0], assume_unique=True, return_indices=True
    )
    if not tags[1].take(pa.array(in_tags)).equals(embeddings[1].take(pa.array(in_embeddings))):
        raise DatastoreError(
            f"part {part.part}: the same id has one key in the tag table and another in the "
            "embeddings, so captions and images do not belong together."
        )


def _check_removed(part: PartCard, removed: Removed, ids: np.ndarray, keys: pa.Array) -> None:
    known = removed.identities.of_kind("key")
    shown = keys.filter(pa.array(~removed.hides(ids))).to_pylist() if known else []
    back = next((key for key in shown if identify("key", key) in known), None)
    if back is not None:
        raise DatastoreError(
            f"part {part.part}: {back} was taken out, but is here and not hidden. Run tagmine "
            "remove with it again."
        )


def _check_embeddings(manifest: Manifest, part: PartCard, embeddings: EmbeddingsPart) -> None:
    path = part.embeddings.path
    footer = embeddings.footer
    embeddings.check_rows()
    if (len(embeddings.ids), embeddings.dim) != (part.embeddings.rows, manifest.encoder.dim):
        raise DatastoreError(f"{path} has {len(embeddings.ids)} rows of {embeddings.dim} values.")
    made_by = (footer.part, footer.source, footer.source_sha256, footer.maker)
    if made_by != (part.part, part.source, part.source_sha256, manifest.encoder.maker):
        raise DatastoreError(f"{path}: its footer does not agree with the manifest.")
    _check_ids(part, path, embeddings.ids)
    _check_keys(part, path, embeddings.keys())
    norms = np.linalg.norm(embeddings.vectors.astype(np.float32), axis=1)
    # Not the other way round: a NaN compares false with everything.
    if not np.all(np.abs(norms - 1) < NORM_TOLERANCE):
        raise DatastoreError(f"{path} has vectors that are not of unit norm.")
    scores = embeddings.clip_scores()
    if (scores is not None) != manifest.encoder.clip_scores:
        raise DatastoreError(f"{path} has CLIP scores where the manifest has none, or none.")
    if scores is not None and np.any(np.abs(scores) > 1 + 2 * NORM_TOLERANCE):
        raise DatastoreError(f"{path} has CLIP scores that are no cosines.")


def _check_ids(part: PartCard, path: str, ids: np.ndarray) -> None:
    if len(ids) and (np.any(np.diff(ids) <= 0) or np.any(part_of(ids) != part.part)):
        raise DatastoreError(f"{path}: its ids do not ascend, or lie outside part {part.part}.")


def _check_keys(part: PartCard, path: str, keys: pa.Array) -> None:
    import pyarrow.compute as pc

    if not pc.all(pc.starts_with(keys, part.source + "/"), min_count=0).as_py():
        raise DatastoreError(f"{path} has keys outside the namespace {part.source}/.")


def _check_rejects(root: Path, part: PartCard, number: int) -> np.ndarray:
    card = part.rejects[number]
    stage = ("mine", "embed", "index")[number]
    table = pq.read_table(root / card.path, page_checksum_verification=True)
    if not table.schema.remove_metadata().equals(REJECTS_SCHEMA) or table.num_rows != card.rows:
        raise DatastoreError(f"{card.path} has another schema or row count than the manifest says.")
    reasons = Counter(table.column("reason").to_pylist())
    counted = part.stages[stage].rejected.items()
    if dict(reasons) != {reason: n for reason, n in counted if n and reason != REMOVED}:
        raise DatastoreError(f"{card.path}: its reasons do not add up to the manifest's counts.")
    return table.column("id").to_numpy()


def _check_every_sample(part: PartCard, stage: str, rows: np.ndarray, rejected: np.ndarray) -> None:
    count = part.stages[stage]
    accounted = np.sort(np.concatenate([rows, rejected]))
    every = sample_id(part.part, 0) + np.arange(count.read, dtype=np.int64)
    # What was taken out has no row anywhere; what is left of it is its place.
    missing = np.setdiff1d(every, accounted)
    found = len(accounted) + len(missing) == len(every) and np.isin(accounted, every).all()
    if len(rows) != count.written or not found or len(missing) != count.rejected.get(REMOVED, 0):
        raise DatastoreError(
            f"part {part.part}: {stage} read {count.read} samples, but rows and rejects together "
            f"account for {len(np.unique(accounted))} of them."
        )


def _check_origins(root: Path, part: PartCard, rows: np.ndarray) -> None:
    if part.origins is None:
        return
    ids = read_origins(root / part.origins.path).column("id").to_numpy()
    if not np.array_equal(ids, rows):
        raise DatastoreError(f"{part.origins.path} does not have one row for each of the part's.")


def _check_index_ids(root: Path, manifest: Manifest, expected: list[np.ndarray]) -> None:
    by_part = dict(zip([part.part for part in manifest.parts], expected, strict=True))
    held: list[int] = []
    for card in manifest.index.shards:
        index = read_index(root / card.file.path, faiss.IO_FLAG_MMAP)
        ids = np.sort(stored_ids(index))
        wanted = np.concatenate([[], *(by_part[part] for part in card.parts)])
        if not np.array_equal(ids, np.sort(wanted).astype(np.int64)):
            raise DatastoreError(f"{card.file.path} does not hold the ids of its parts.")
        if ids.shape[0] != card.file.rows:
            raise DatastoreError(f"{card.file.path} has {ids.shape[0]} ids, not {card.file.rows}.")
        held += card.parts
    if sorted(held) != sorted(by_part):
        raise DatastoreError("the index shards do not cover every part exactly once.")
    if manifest.index.merged:
        merged = np.sort(stored_ids(open_merged(root / manifest.index.merged[0].path)))
        if not np.array_equal(merged, np.sort(np.concatenate(expected)).astype(np.int64)):
            raise DatastoreError("the merged index does not hold the ids of the parts.")
    trained = read_index(root / TRAINED_INDEX)
    if not trained.is_trained or trained.ntotal:
        raise DatastoreError(f"{TRAINED_INDEX} is not a trained and empty index.")


def _check_codes(root: Path, manifest: Manifest) -> None:
    """A sample of what each index file keeps must be what its quantizers make of the embeddings."""
    for card in searched_files(manifest):
        problems = check_shard(root, manifest, card).problems
        if problems:
            raise DatastoreError(f"{card.file.path}: {problems[0]}. Run tagmine index again.")


def _check_self_lookup(datastore: Datastore, ids: np.ndarray) -> tuple[int, int]:
    """Look up a sample of stored vectors: how many were, and how many of them found themselves.

    A coarse index may lose some; what it keeps of them has been checked before.
    """
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(ids), size=min(SELF_LOOKUPS, len(ids)), replace=False)
    wanted = ids[np.sort(chosen)].astype(np.int64)
    if not len(wanted):
        return 0, 0
    vectors = np.stack([_stored_vector(datastore, int(row_id)) for row_id in wanted])
    found, scores = datastore.search(vectors, min(10, len(datastore)))
    # More copies of one picture than are returned leave the vector itself out, rightly.
    copies = scores[:, -1] > 1 - _SAME_SCORE
    kept = (found == wanted[:, None]).any(axis=1) | copies
    if kept.mean() < _LEAST_FOUND:
        raise DatastoreError(
            f"{int(kept.sum()):,} of {len(wanted):,} stored vectors find themselves among their 10 "
            f"nearest, although the index holds them as {datastore.manifest.index.index_key} "
            "should: this key is too coarse to find anything. Run tagmine index again with an "
            "--index-key of longer codes, or without one."
        )
    return len(wanted), int(kept.sum())


def _stored_vector(datastore: Datastore, row_id: int) -> np.ndarray:
    part = datastore.embeddings(part_of(row_id))
    row = int(part.rows_of(np.array([row_id]))[0])
    vector = part.vectors[row].astype(np.float32)
    return vector / np.linalg.norm(vector)
