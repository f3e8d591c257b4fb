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
from tagmine.parts import ROW_GROUP_ROWS, TAG_TYPE, TAGS_SCHEMA, PartFooter, write_rejects
from tagmine.sources import Source, write_sources

_HASH = hashlib.sha256(b"benchmark").hexdigest()
_NAMES, _MANY_NAMES = 7, 50_000
_TAGGER = TaggerPin(
    "benchmark", "1", "3.8", "none", _HASH, (), False, _HASH, ("jpg",), "txt", "json", (), (), _HASH
)
_ENCODER = ("benchmark/none", "none", _HASH, "gelu", "{}")


@dataclasses.dataclass(frozen=True, slots=True)
class FolderPart:
    """A part of the folder: its number, its rows, and how many tags each has."""

    number: int
    rows: int
    tags: int = 1

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
    count = part.rows * part.tags
    names = _NAMES if part.tags == 1 else _MANY_NAMES
    words = [f"kind{row % names}" for row in range(count)]
    text, empty = pa.array(words), pa.array([""] * count)
    kind, none = pa.array(["object"] * count), pa.array([[]] * count, pa.list_(pa.string()))
    once = pa.array(np.ones(count, np.int32))
    tag = pa.StructArray.from_arrays(
        [text, text, kind, text, none, empty, once], fields=list(TAG_TYPE)
    )
    each = pa.array(np.arange(0, count + 1, part.tags, dtype=np.int32))
    nothing = none.slice(0, part.rows)
    columns = {
        "id": ids,
        "key": keys,
        "source": [part.source.name] * part.rows,
        "caption": [" and a ".join(words[i : i + part.tags]) for i in range(0, count, part.tags)],
        "more_captions": nothing,
        "tags": pa.ListArray.from_arrays(each, tag),
        "caption_sources": nothing,
    }
    schema = TAGS_SCHEMA.with_metadata(_footer(part, "mine").to_metadata())
    path = root / tags_path(part.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    pq.write_table(
        table, path, compression="zstd", write_page_checksum=True, row_group_size=ROW_GROUP_ROWS
    )


def finish_folder(root: Path, parts: Sequence[FolderPart], dim: int) -> None:
    """Write what says where the parts come from and what made them."""
    write_sources(root, [part.source for part in parts])
    write_pin(root / TAGGER_PIN, _TAGGER)
    pin = EncoderPin(*_ENCODER, dim, "float32", _HASH, _HASH)
    write_pin(root / ENCODER_PIN, pin)
