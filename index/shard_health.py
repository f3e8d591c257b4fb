"""Whether an index shard is what its datastore says: filled from these vectors, under these ids."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np

from index.factory import cause_of, list_count, metric_name, metrics_of
from index.files import open_index, read_index
from index.live import indexed_rows
from index.ondisk import open_merged
from index.report import ShardHealth
from index.stored_codes import StoredCodes, trained_state
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import MERGED_INDEX
from tagmine.manifest import IndexShardCard, Manifest

SAMPLED = 256
_SEED = 20240610
# Another BLAS or a GPU tips a few codes to their second best.
_LEAST_SAME = 0.9
_SAME_CODE = 1e-3
# A second best code is hardly farther from its vector; that of another image is.
_FARTHER = 1.5
_MOST_FARTHER = 0.005
# Codes that are too short for a longer vector turn it a little.
_DIRECTION = 0.8
# How many vectors are looked for under other ids, and among how many candidates each.
_TRACED = 32
_CANDIDATES = 200
_SAME_SCORE = 1e-6
# Of an index whose codes cannot be read: among how many nearest a vector should find itself. Under
# ids that are shuffled, one in fifty would be there by chance.
_NEAREST, _MOST_NEAREST, _NEAREST_SHARE = 10, 10_000, 50
_MOST_LOST = 0.5
# Of one picture, that may all come before it where nothing is scored again.
_COPIES = 100


def check_shard(root: Path, manifest: Manifest, card: IndexShardCard) -> ShardHealth:
    """Examine one index shard with a seeded sample of its vectors.

    Nothing of it is trusted, true hashes included: whoever altered a file may have hashed it again.
    """
    try:
        shard = _open(root, card)
    except RuntimeError as error:
        return _unusable(
            card, f"it is truncated or damaged: FAISS cannot read it ({cause_of(error)})"
        )
    problem = _form_problem(manifest, card, shard)
    if problem:
        return _unusable(card, problem)
    try:
        return _check_contents(root, manifest, card, shard)
    except DatastoreError as error:
        return _unusable(card, f"its parts cannot be read: {error}")
    except RuntimeError as error:
        return _unusable(card, f"FAISS cannot work with it ({cause_of(error)})")


def searched_files(manifest: Manifest) -> tuple[IndexShardCard, ...]:
    """Every index file that can answer: the shards and, as one of all parts, the merged index."""
    index = manifest.index
    if not index.merged:
        return index.shards
    header, lists = index.merged
    whole = IndexShardCard(header, lists, tuple(part.part for part in manifest.parts))
    return (*index.shards, whole)


def _open(root: Path, card: IndexShardCard) -> faiss.Index:
    path = root / card.file.path
    if card.file.path == MERGED_INDEX:
        return open_merged(path)
    # Not as a datastore opens it: that takes a file that lacks its last byte for whole.
    return read_index(path, faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)


def _unusable(card: IndexShardCard, problem: str) -> ShardHealth:
    return ShardHealth(card.file.path, len(card.parts), 0, 0.0, 0.0, (problem,))


def _form_problem(manifest: Manifest, card: IndexShardCard, shard: faiss.Index) -> str | None:
    for metric in metrics_of(shard):
        if metric != faiss.METRIC_INNER_PRODUCT:
            name = metric_name(metric)
            return f"its metric is {name}, not inner product, so its scores are no cosines"
    inverted = faiss.try_extract_index_ivf(shard)
    if shard.d != manifest.index.dim:
        return f"its vectors have {shard.d} dimensions, the manifest says {manifest.index.dim}"
    if inverted is None and not isinstance(faiss.downcast_index(shard), faiss.IndexIDMap2):
        return "it keeps no ids of its own (neither inverted lists nor IDMap2)"
    return None


def _check_contents(
    root: Path, manifest: Manifest, card: IndexShardCard, shard: faiss.Index
) -> ShardHealth:
    codes = StoredCodes(shard)
    wanted = _wanted_ids(root, manifest, card)
    problems = _id_problems(codes.ids, wanted, card.file.rows)
    if not _same_training(root, manifest, card):
        problems.append(
            "it was filled from another training: its quantizers are not those of "
            f"{manifest.index.trained.path}"
        )
    shared = np.intersect1d(codes.ids, wanted)
    parts, error = len(card.parts), None
    if not len(shared):
        return ShardHealth(card.file.path, parts, shard.ntotal, 1.0, 0.0, (*problems,))
    rng = np.random.default_rng(_SEED)
    chosen = np.sort(rng.choice(shared, size=min(SAMPLED, len(shared)), replace=False))
    vectors = _stored_vectors(root, manifest, chosen)
    if codes.readable:
        kept = codes.stored(chosen)
        problems += _code_problems(shard, codes, chosen, vectors, kept)
        error = _squared_distance(codes.transform(vectors), kept).mean()
        error = round(float(error), 6) if np.isfinite(error) else 0.0
    else:
        problems += _search_problems(manifest, shard, chosen, vectors)
    found = _self_lookup(manifest, shard, chosen, vectors)
    return ShardHealth(card.file.path, parts, shard.ntotal, found, error, (*problems,))


def _wanted_ids(root: Path, manifest: Manifest, card: IndexShardCard) -> np.ndarray:
    by_number = {part.part: part for part in manifest.parts}
    wanted = [np.empty(0, np.int64)]
    for number in card.parts:
        if number not in by_number:
            raise DatastoreError(f"part {number} is not in the manifest")
        part = by_number[number]
        ids = open_embeddings(root / part.embeddings.path).ids
        wanted.append(ids[indexed_rows(root, part)])
    return np.sort(np.concatenate(wanted))


def _id_problems(ids: np.ndarray, wanted: np.ndarray, pinned: int) -> list[str]:
    problems = []
    missing = len(np.setdiff1d(wanted, ids))
    strange = len(np.setdiff1d(ids, wanted))
    repeated = len(ids) - len(np.unique(ids))
    if missing:
        problems.append(f"it is truncated: {missing:,} of the {len(wanted):,} vectors are missing")
    if strange:
        problems.append(f"it holds {strange:,} ids that are not of its parts")
    if repeated:
        problems.append(f"it holds {repeated:,} ids twice")
    if len(ids) != pinned:
        problems.append(f"it has {len(ids):,} vectors, the manifest says {pinned:,}")
    return problems


def _same_training(root: Path, manifest: Manifest, card: IndexShardCard) -> bool:
    if manifest.index.trained_on == 0 and manifest.index.nprobe == 0:
        return True
    trained = trained_state(open_index(root / manifest.index.trained.path))
    return trained_state(_open(root, card)) == trained


def _stored_vectors(root: Path, manifest: Manifest, ids: np.ndarray) -> np.ndarray:
    """The embeddings of ids, float32 [n, dim], as they are: not normalised."""
    vectors = np.empty((len(ids), manifest.index.dim), np.float32)
    by_number = {part.part: part for part in manifest.parts}
    for number in np.unique(ids >> 32).tolist():
        part = open_embeddings(root / by_number[number].embeddings.path)
        chosen = np.flatnonzero(ids >> 32 == number)
        vectors[chosen] = part.vectors[part.rows_of(ids[chosen])]
    return vectors


def _code_problems(
    shard: faiss.Index, codes: StoredCodes, ids: np.ndarray, vectors: np.ndarray, kept: np.ndarray
) -> list[str]:
    if not np.isfinite(kept).all():
        return ["it holds values that are no numbers"]
    problem = _code_problem(shard, codes, ids, vectors, kept)
    return [problem] if problem else []


def _code_problem(
    shard: faiss.Index, codes: StoredCodes, ids: np.ndarray, vectors: np.ndarray, kept: np.ndarray
) -> str | None:
    """Why what is stored of the vectors is not what the shard's quantizers make of them."""
    transformed = codes.transform(vectors)
    expected = codes.expected(transformed)
    other = ~np.isclose(kept, expected, atol=_SAME_CODE).all(axis=1)
    least = _FARTHER * _squared_distance(transformed, expected) + _SAME_CODE
    farther = other & (_squared_distance(transformed, kept) > least)
    if other.mean() <= 1 - _LEAST_SAME and farther.mean() <= _MOST_FARTHER:
        return None
    wrong = other if other.mean() > 1 - _LEAST_SAME else farther
    said = f"of {len(ids):,} sampled vectors {wrong.sum():,}"
    if _only_longer(kept, expected, codes.transform(vectors)):
        lengths = np.linalg.norm(kept, axis=1) / np.linalg.norm(expected, axis=1)
        return (
            f"its vectors are not normalised: {said} are stored {lengths.min():.2f} to "
            f"{lengths.max():.2f} times as long as they should be"
        )
    if _stored_elsewhere(shard, codes, vectors[wrong][:_TRACED], expected[wrong][:_TRACED]) > 0.5:
        return f"its ids are shuffled: {said} are stored under the id of another image"
    return (
        f"it was filled with other vectors than the embeddings: {said} are stored as something "
        "else, as by another training or encoder"
    )


def _search_problems(
    manifest: Manifest, shard: faiss.Index, ids: np.ndarray, vectors: np.ndarray
) -> list[str]:
    """What can be said of ids where the codes cannot be read, by the index's own scores."""
    _probe(shard, manifest.index.nprobe)
    depth = min(max(_NEAREST, shard.ntotal // _NEAREST_SHARE), _MOST_NEAREST, shard.ntotal)
    _, near = shard.search(vectors, depth)
    lost = int((near != ids[:, None]).all(axis=1).sum())
    if lost <= _MOST_LOST * len(ids):
        return []
    return [
        f"of {len(ids):,} sampled vectors {lost:,} do not find themselves among their "
        f"{depth:,} nearest: its ids are shuffled, or it was filled with other vectors"
    ]


def _probe(shard: faiss.Index, nprobe: int) -> None:
    inverted = faiss.try_extract_index_ivf(shard)
    if inverted is not None:
        inverted.nprobe = max(nprobe, 1)


def _squared_distance(vectors: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return np.square(vectors.astype(np.float64) - kept).sum(axis=1)


def _only_longer(kept: np.ndarray, expected: np.ndarray, vectors: np.ndarray) -> bool:
    """Whether what is stored points where it should, but is of another length."""
    lengths, right = np.linalg.norm(kept, axis=1), np.linalg.norm(expected, axis=1)
    if not (np.isfinite(kept).all() and lengths.all() and right.all()):
        return False
    spread = right.std() / right.mean()
    of_kept = np.einsum("nd,nd->n", kept, vectors) / lengths
    of_expected = np.einsum("nd,nd->n", expected, vectors) / right
    ratios = lengths / right
    other_length = np.abs(ratios - 1).mean() > 2 * spread + 0.03 or abs(ratios.mean() - 1) > 0.05
    return bool(other_length and np.median(of_kept) > _DIRECTION * np.median(of_expected))


def _stored_elsewhere(
    shard: faiss.Index, codes: StoredCodes, vectors: np.ndarray, expected: np.ndarray
) -> float:
    """Share of vectors whose own code the shard holds, under whatever id."""
    _probe(shard, list_count(shard))
    _, near = shard.search(vectors, min(_CANDIDATES, shard.ntotal))
    found = 0
    for ids, code in zip(near, expected, strict=True):
        held = codes.stored(ids[np.isin(ids, codes.ids)])
        found += bool(len(held) and np.isclose(held, code, atol=_SAME_CODE).all(axis=1).any())
    return found / len(vectors)


def _self_lookup(
    manifest: Manifest, shard: faiss.Index, ids: np.ndarray, vectors: np.ndarray
) -> float:
    """Share of vectors that find themselves first, or beside copies of equal score."""
    _probe(shard, manifest.index.nprobe)
    depth = manifest.index.rerank or _COPIES
    scores, near = shard.search(vectors, min(depth, shard.ntotal))
    own = near == ids[:, None]
    # Scored exactly, nothing comes before the vector itself, once it is among the candidates.
    if not manifest.index.rerank:
        own &= scores >= scores[:, :1] - _SAME_SCORE
    return float(own.any(axis=1).mean())
