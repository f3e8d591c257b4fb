"""Which images of a datastore can be an answer: in the index, and not taken out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.manifest import Manifest, PartCard
from tagmine.rejects import STAGES
from tagmine.removed import Removed, read_removed

_NOTHING = Removed()


def removed_of(root: Path, manifest: Manifest) -> Removed:
    """What was taken out of a datastore, as its manifest says."""
    return read_removed(root / manifest.removed.file.path) if manifest.removed else Removed()


def indexed_rows(root: Path, part: PartCard, removed: Removed = _NOTHING) -> np.ndarray:
    """Which rows of a part's embeddings are in the index and not taken out, bool [n].

    Raises:
        DatastoreError: when the part cannot be read.
    """
    embeddings = open_embeddings(root / part.embeddings.path)
    card = part.rejects[STAGES.index("index")]
    try:
        table = pq.read_table(root / card.path, columns=["id"], page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise DatastoreError(f"{root / card.path} cannot be read: {error}") from error
    rejected = table.column("id").to_numpy()
    return ~np.isin(embeddings.ids, rejected) & ~removed.hides(embeddings.ids)
