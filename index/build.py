"""Train one index, and fill each index shard from it."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.factory import VECTORS_PER_SHARD, create_index, list_count
from index.spec import training_size
from tagmine.embeddings import EmbeddingsPart, open_embeddings
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import (
    FORMAT_VERSION,
    TRAINED_INDEX,
    atomic_path,
    card_path,
    embeddings_path,
    index_shard_path,
    rejects_path,
    tags_path,
    write_atomically,
)
from tagmine.manifest import fingerprint
from tagmine.parts import file_sha256, rejects_made_by, write_rejects
from tagmine.rejects import Reject

logger = logging.getLogger(__name__)

_ADD_ROWS = 1 << 16
_SEED = 20240610


@dataclasses.dataclass(frozen=True, slots=True)
class IndexFileCard:
    """What an index file was made from; it stands beside the file, as JSON.

    Attributes:
        format_version: the format that it follows.
        index_key: FAISS factory string.
        parts: numbers of the parts whose vectors it holds; for the trained index, those that
            its sample was drawn from.
        vectors: how many it holds; for the trained index, how many it was trained on.
        maker: fingerprint of all that decides the file's bytes.
        sha256: hash of the index file.
    """

    format_version: int
    index_key: str
    parts: tuple[int, ...]
    vectors: int
    maker: str
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class ShardPlan:
    """Which parts go into which index shard."""

    shard: int
    parts: tuple[int, ...]


def plan_shards(rows: Sequence[tuple[int, int]], limit: int = VECTORS_PER_SHARD) -> list[ShardPlan]:
    """Group parts into index shards of up to `limit` vectors, in order.

    Args:
        rows: (part, number of its embeddings), by part.
        limit: vectors a shard; a part larger than that has a shard of its own.
    """
    groups: list[list[int]] = []
    held = limit
    for part, count in rows:
        if not groups or held + count > limit:
            groups.append([])
            held = 0
        groups[-1].append(part)
        held += count
    return [ShardPlan(number, tuple(parts)) for number, parts in enumerate(groups)]


def train_index(root: Path, parts: Sequence[int], index_key: str) -> bool:
    """Make `index/trained.faiss`, unless a current one is there.

    The training sample is uniform over the rows of all parts, and seeded.

    Args:
        root: the datastore's folder.
        parts: the parts to sample.
        index_key: FAISS factory string.

    Returns:
        Whether it was trained now.

    Raises:
        ConfigurationError: for an index that cannot be made, or too few vectors to train it.
    """
    opened = [open_embeddings(root / embeddings_path(part)) for part in parts]
    hashes = [part.footer.rows_sha256 for part in opened]
    maker = fingerprint("train", index_key, list(parts), hashes, _SEED, faiss.__version__)
    target = root / TRAINED_INDEX
    if read_card(target, maker):
        return False
    count = sum(len(part.ids) for part in opened)
    index = create_index(index_key, opened[0].dim)
    size = training_size(index_key, list_count(index), count)
    if size:
        _use_gpu_for_clustering(index)
        index.train(_sample_rows(opened, size))
        _forget_gpu(index)
    if not index.is_trained:
        raise ConfigurationError(f"--index-key {index_key}: FAISS did not train this index.")
    _write_index(
        target, index, IndexFileCard(FORMAT_VERSION, index_key, tuple(parts), size, maker, "")
    )
    return True


def _sample_rows(parts: Sequence[EmbeddingsPart], size: int) -> np.ndarray:
    """A uniform sample of rows without replacement, float32 [size, dim]."""
    ends = np.cumsum([len(part.ids) for part in parts])
    rng = np.random.default_rng(_SEED)
    chosen = np.sort(rng.choice(ends[-1], size=size, replace=False, shuffle=False))
    sample = np.empty((size, parts[0].dim), np.float32)
    filled = 0
    for part, end in zip(parts, ends, strict=True):
        stop = np.searchsorted(chosen, end)
        rows = chosen[filled:stop] - (end - len(part.ids))
        sample[filled:stop] = part.vectors[rows]
        filled = stop
    return sample


def _use_gpu_for_clustering(index: faiss.Index) -> None:
    if faiss.get_num_gpus() == 0:
        return
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        flat = faiss.IndexFlatIP(inverted.d)
        inverted.clustering_index = faiss.index_cpu_to_all_gpus(flat)
        logger.info("training the coarse quantizer on %d GPU(s)", faiss.get_num_gpus())


def _forget_gpu(index: faiss.Index) -> None:
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        inverted.clustering_index = None


def fill_shard(
    root: Path, plan: ShardPlan, index_key: str, min_clip_score: float | None = None
) -> bool:
    """Fill one index shard from the trained index, unless a current one is there.

    A vector whose image has no row in the tag table, or a CLIP score below the limit, is left out
    and recorded as a reject.

    Returns:
        Whether it was filled now.

    Raises:
        DatastoreError: when a part or the trained index is missing or damaged.
    """
    target = root / index_shard_path(plan.shard)
    opened = [open_embeddings(root / embeddings_path(part)) for part in plan.parts]
    known = [read_tag_ids(root / tags_path(part)) for part in plan.parts]
    trained_sha256 = file_sha256(root / TRAINED_INDEX)
    hashes = [part.footer.rows_sha256 for part in opened]
    kept = [fingerprint(ids.tolist()) for ids in known]
    limit = [] if min_clip_score is None else [min_clip_score]
    maker = fingerprint("fill", trained_sha256, list(plan.parts), hashes, kept, *limit)
    rejects = [rejects_made_by(root / rejects_path("index", p), maker) for p in plan.parts]
    if read_card(target, maker) and None not in rejects:
        return False
    index = faiss.read_index(str(root / TRAINED_INDEX))
    for part, ids in zip(opened, known, strict=True):
        left_out = find_left_out(part, ids, min_clip_score)
        _write_index_rejects(root, part, left_out, maker)
        _add_rows(index, part, np.delete(np.arange(len(part.ids)), [*left_out]))
    card = IndexFileCard(FORMAT_VERSION, index_key, plan.parts, index.ntotal, maker, "")
    _write_index(target, index, card)
    return True


def _add_rows(index: faiss.Index, part: EmbeddingsPart, rows: np.ndarray) -> None:
    for start in range(0, len(rows), _ADD_ROWS):
        chosen = rows[start : start + _ADD_ROWS]
        index.add_with_ids(part.vectors[chosen].astype(np.float32), part.ids[chosen])


def find_left_out(
    part: EmbeddingsPart, tag_ids: np.ndarray, min_clip_score: float | None
) -> dict[int, tuple[str, str]]:
    """Rows of an embeddings part that are not indexed, in order, each with reason and detail.

    Args:
        part: the embeddings.
        tag_ids: int64 [n], the ids that have a row in the tag table.
        min_clip_score: lowest CLIP score of an image that is indexed, None for no limit.

    Raises:
        DatastoreError: for a limit where the part has no scores.
    """
    untagged = ~np.isin(part.ids, tag_ids, assume_unique=True)
    found = dict.fromkeys(np.flatnonzero(untagged).tolist(), ("no_tags_row", ""))
    if min_clip_score is None:
        return found
    scores = part.clip_scores()
    if scores is None:
        raise DatastoreError(f"{part.path} has no CLIP scores; run tagmine embed --clip-scores.")
    # In double precision, as the limit is, and as other readers of the column compare.
    low = ~untagged & ~(scores.astype(np.float64) >= min_clip_score)
    for row in np.flatnonzero(low).tolist():
        known = not np.isnan(scores[row])
        detail = f"{scores[row]:.4f}, below {min_clip_score:g}" if known else "it has none"
        found[row] = ("low_clip_score", detail)
    return dict(sorted(found.items()))


def _write_index_rejects(
    root: Path, part: EmbeddingsPart, left_out: dict[int, tuple[str, str]], maker: str
) -> None:
    keys = part.keys()
    rejects = [
        Reject(int(part.ids[row]), keys[row].as_py(), "index", reason, detail)
        for row, (reason, detail) in left_out.items()
    ]
    write_rejects(root / rejects_path("index", part.footer.part), rejects, maker)


def read_tag_ids(path: Path) -> np.ndarray:
    """The ids of a tags part, int64 [n].

    Raises:
        DatastoreError: for a file that cannot be read.
    """
    try:
        table = pq.read_table(path, columns=["id"], page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise DatastoreError(f"{path} cannot be read: {error}. Run tagmine mine again.") from error
    return table.column("id").to_numpy()


def _write_index(target: Path, index: faiss.Index, card: IndexFileCard) -> None:
    # The card last: a file whose card does not fit it is made again.
    with atomic_path(target) as temporary:
        faiss.write_index(index, str(temporary))
    card = dataclasses.replace(card, sha256=file_sha256(target))
    text = json.dumps(dataclasses.asdict(card), indent=1) + "\n"
    write_atomically(target.with_suffix(".json"), text.encode())


def read_card(index_file: Path, maker: str | None = None) -> IndexFileCard | None:
    """The card of an index file that is whole and, if given, made by `maker`; else None."""
    path = Path(card_path(str(index_file)))
    try:
        record = json.loads(path.read_bytes())
        card = IndexFileCard(**{**record, "parts": tuple(record["parts"])})
        whole = card.sha256 == file_sha256(index_file)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return card if whole and maker in (None, card.maker) else None


def remove_other_shards(root: Path, plans: Sequence[ShardPlan]) -> None:
    """Delete index shards of an earlier plan that the present one does not have."""
    wanted = {index_shard_path(plan.shard) for plan in plans}
    for path in sorted((root / "index").glob("shard-*.faiss")):
        if f"index/{path.name}" not in wanted:
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()
