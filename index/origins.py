"""From keys to ids and back: where an answer came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tagmine.embeddings import EmbeddingsPart
from tagmine.errors import DatastoreError
from tagmine.layout import part_of


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where an image came from.

    Attributes:
        id: its id.
        key: its namespaced key, `dataset/shard/sample key`.
        source: the shard, `dataset/shard`.
        part: the number of the shard's part.
    """

    id: int
    key: str
    source: str
    part: int


def find_ids(
    keys: Sequence[str | int],
    parts: Mapping[str, int],
    open_part: Callable[[int], EmbeddingsPart],
) -> np.ndarray:
    """Ids int64 [n], ascending, of those keys that exist; ids among them stand for themselves.

    Args:
        keys: namespaced keys, ids, or both.
        parts: number of each source's part.
        open_part: gives the embeddings of a part by its number.
    """
    ids = [int(key) for key in keys if not isinstance(key, str)]
    by_part: dict[int, list[str]] = {}
    for key in keys:
        if isinstance(key, str):
            part = parts.get("/".join(key.split("/", 2)[:2]))
            if part is not None:
                by_part.setdefault(part, []).append(key)
    for number, wanted in by_part.items():
        part = open_part(number)
        rows = pc.index_in(pa.array(wanted, pa.string()), value_set=part.keys())
        ids += part.ids[rows.drop_null().to_numpy(zero_copy_only=False)].tolist()
    return np.unique(np.array(ids, np.int64))


def find_origins(
    ids: Iterable[int], open_part: Callable[[int], EmbeddingsPart]
) -> dict[int, Origin]:
    """The origin of each id; -1 is left out.

    Raises:
        DatastoreError: for an id that its part does not hold.
    """
    wanted = np.unique(np.array([row_id for row_id in ids if row_id >= 0], np.int64))
    found: dict[int, Origin] = {}
    for number in np.unique(part_of(wanted)).tolist():
        part = open_part(number)
        chosen = wanted[part_of(wanted) == number]
        rows = part.rows_of(chosen)
        if np.any(rows < 0):
            raise DatastoreError(f"{part.path} does not hold the id {chosen[rows < 0][0]}.")
        keys = part.keys().take(pa.array(rows)).to_pylist()
        for row_id, key in zip(chosen.tolist(), keys, strict=True):
            found[row_id] = Origin(row_id, key, part.footer.source, number)
    return found
