"""A datastore's folder around ready vectors: everything that indexing and opening ask for."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.embeddings import write_embeddings
from tagmine.layout import (
    ENCODER_PIN,
    TAGGER_PIN,
    embeddings_path,
    rejects_path,
    sample_id,
    tags_path,
)
from tagmine.manifest import EncoderPin, TaggerPin, write_pin
from tagmine.parts import TAG_TYPE, TAGS_SCHEMA, PartFooter, write_rejects
from tagmine.sources import Source, write_sources

_HASH = hashlib.sha256(b"benchmark").hexdigest()
_NAMES = 7
_TAGGER = TaggerPin(
    "benchmark", "1", "3.8", "none", _HASH, (), False, _HASH, ("jpg",), "txt", "json", (), (), _HASH
)
_ENCODER = ("benchmark/none", "none", _HASH, "gelu", "{}")


@dataclasses.dataclass(frozen=True, slots=True)
class FolderPart:
    """A part of the folder: its number and its rows."""

    number: int
    rows: int

    @property
    def source(self) -> Source:
        return Source(self.number, f"bench/{self.number:05d}", f"/bench/{self.number:05d}.tar")


def write_part(root: Path, part: FolderPart, vectors: np.ndarray) -> None:
    """Write the tags, embeddings and empty rejects of a part.

    Args:
        root: the datastore's folder.
        part: which part.
        vectors: float16 [part.rows, dim], unit norm.
    """
    ids = np.arange(part.rows, dtype=np.int64) + sample_id(part.number, 0)
    keys = [f"{part.source.name}/{position:06d}" for position in range(part.rows)]
    write_embeddings(
        root / embeddings_path(part.number), ids, keys, vectors, _footer(part, "embed")
    )
    _write_tags(root, part, ids, keys)
    for stage in ("mine", "embed"):
        write_rejects(root / rejects_path(stage, part.number), [], _HASH)


def _footer(part: FolderPart, stage: str) -> PartFooter:
    origin = (part.number, part.source.name, _HASH, 1, _HASH, _HASH)
    return PartFooter(1, stage, *origin, part.rows, part.rows, {})


def _write_tags(root: Path, part: FolderPart, ids: np.ndarray, keys: list[str]) -> None:
    names = pa.array([f"kind{row % _NAMES}" for row in range(part.rows)])
    empty, once = pa.array([""] * part.rows), pa.array(np.ones(part.rows, np.int32))
    none = pa.array([[]] * part.rows, pa.list_(pa.string()))
    kind = pa.array(["object"] * part.rows)
    tag = pa.StructArray.from_arrays(
        [names, names, kind, names, none, empty, once], fields=list(TAG_TYPE)
    )
    each = pa.array(np.arange(part.rows + 1, dtype=np.int32))
    columns = {
        "id": ids,
        "key": keys,
        "source": [part.source.name] * part.rows,
        "caption": names,
        "more_captions": none,
        "tags": pa.ListArray.from_arrays(each, tag),
        "caption_sources": none,
    }
    schema = TAGS_SCHEMA.with_metadata(_footer(part, "mine").to_metadata())
    path = root / tags_path(part.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def finish_folder(root: Path, parts: Sequence[FolderPart], dim: int) -> None:
    """Write what says where the parts come from and what made them."""
    write_sources(root, [part.source for part in parts])
    write_pin(root / TAGGER_PIN, _TAGGER)
    pin = EncoderPin(*_ENCODER, dim, "float32", _HASH, _HASH)
    write_pin(root / ENCODER_PIN, pin)
