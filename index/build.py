"""Which vectors go into which index shard, and filling it from the trained index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from faiss.contrib.ivf_tools import add_preassigned

from index.factory import VECTORS_PER_SHARD, list_count
from index.files import IndexFileCard, read_card, read_index, write_index
from index.gpu import ListAssigner, plan_gpus
from index.shards import inverted_lists_of, transform
from tagmine.embeddings import EmbeddingsPart, EmbeddingsParts
from tagmine.errors import DatastoreError
from tagmine.layout import (
    FORMAT_VERSION,
    TRAINED_INDEX,
    index_shard_path,
    rejects_path,
    remove_file,
    tags_path,
)
from tagmine.manifest import fingerprint
from tagmine.parts import file_sha256, rejects_made_by, write_rejects
from tagmine.rejects import Reject

_ADD_ROWS = 1 << 16

CopyVectors = Callable[[faiss.Index], bool]
"""Fills an empty index from an earlier one; False where it cannot, with nothing done."""


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


def keep_shards(
    plans: Sequence[ShardPlan], published: Sequence[tuple[int, tuple[int, ...]]]
) -> list[ShardPlan]:
    """The same plans under numbers that leave the files of a published index alone.

    A shard that is published with the very parts of a plan keeps its number, and so its file. A
    group of parts that was not published before gets a number that no published shard has: so a
    crash before the next manifest is written leaves the datastore as it was.

    Args:
        plans: the wanted groups of parts.
        published: number and parts of each index shard of the manifest, if there is one.
    """
    numbers = {parts: number for number, parts in published}
    unused = max(numbers.values(), default=-1) + 1
    kept = []
    for plan in plans:
        number = numbers.get(plan.parts)
        if number is None:
            number, unused = unused, unused + 1
        kept.append(ShardPlan(number, plan.parts))
    return kept


def fill_shard(
    root: Path,
    plan: ShardPlan,
    index_key: str,
    min_clip_score: float | None = None,
    copy: CopyVectors | None = None,
) -> bool:
    """Fill one index shard from the trained index, unless a current one is there.

    A vector whose image has no row in the tag table, or a CLIP score below the limit, is left out
    and recorded as a reject.

    Args:
        root: the datastore's folder.
        plan: which shard, and of which parts.
        index_key: FAISS factory string.
        min_clip_score: the limit, None for none.
        copy: fills the empty index with the codes of an earlier one, where it can.

    Returns:
        Whether it was filled now.

    Raises:
        DatastoreError: when a part or the trained index is missing or damaged.
    """
    target = root / index_shard_path(plan.shard)
    opened = EmbeddingsParts(root, plan.parts)
    known = [read_tag_ids(root / tags_path(part)) for part in plan.parts]
    trained_sha256 = file_sha256(root / TRAINED_INDEX)
    hashes = [footer.rows_sha256 for footer in opened.footers]
    kept = [fingerprint(ids.tolist()) for ids in known]
    limit = [] if min_clip_score is None else [min_clip_score]
    maker = fingerprint("fill", trained_sha256, list(plan.parts), hashes, kept, *limit)
    left_out = [
        _find_rejects(root, part, ids, min_clip_score)
        for part, ids in zip(opened, known, strict=True)
    ]
    if read_card(target, maker):
        return False
    index = read_index(root / TRAINED_INDEX)
    if copy is None or not copy(index):
        add = _make_adder(index)
        for part, rows in zip(opened, left_out, strict=True):
            _add_rows(add, part, np.delete(np.arange(len(part.ids)), rows))
    card = IndexFileCard(FORMAT_VERSION, index_key, plan.parts, index.ntotal, maker, "")
    write_index(target, index, card)
    return True


def _make_adder(index: faiss.Index) -> Callable[[np.ndarray, np.ndarray], None]:
    """`index.add_with_ids`, with the lists found on GPUs where there are some."""
    plan = plan_gpus(list_count(index), index.d)
    if not plan.gpus:
        return index.add_with_ids
    inverted = inverted_lists_of(index)
    assigner = ListAssigner(inverted, plan)

    def add(vectors: np.ndarray, ids: np.ndarray) -> None:
        turned = transform(index, vectors)
        add_preassigned(inverted, turned, assigner.assign(turned), ids)
        # A transform in front counts for itself.
        index.ntotal = inverted.ntotal

    return add


def _add_rows(
    add: Callable[[np.ndarray, np.ndarray], None], part: EmbeddingsPart, rows: np.ndarray
) -> None:
    for start in range(0, len(rows), _ADD_ROWS):
        chosen = rows[start : start + _ADD_ROWS]
        add(part.vectors[chosen].astype(np.float32), part.ids[chosen])


def _find_rejects(
    root: Path, part: EmbeddingsPart, tag_ids: np.ndarray, min_clip_score: float | None
) -> list[int]:
    """Rows of a part that are left out; they are recorded, unless they are already.

    The record depends on the part alone: growing refills shards, and a datastore that is open
    meanwhile, or after a crash, keeps the files that its manifest names.
    """
    limit = [] if min_clip_score is None else [min_clip_score]
    maker = fingerprint("leave out", part.footer.rows_sha256, fingerprint(tag_ids.tolist()), *limit)
    left_out = find_left_out(part, tag_ids, min_clip_score)
    if rejects_made_by(root / rejects_path("index", part.footer.part), maker) is None:
        _write_index_rejects(root, part, left_out, maker)
    return list(left_out)


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


def remove_other_shards(root: Path, plans: Sequence[ShardPlan]) -> None:
    """Delete index shards of an earlier plan that the present one does not have."""
    wanted = {index_shard_path(plan.shard) for plan in plans}
    for path in sorted((root / "index").glob("shard-*.faiss")):
        if f"index/{path.name}" not in wanted:
            remove_file(path.with_suffix(".json"))
            remove_file(path)
