"""Small true files of every kind, for the fuzzers to begin with."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa

from campaigns.targets import text_seeds
from index.files import IndexFileCard, write_index
from tagmine.embeddings import write_embeddings
from tagmine.parts import PartFooter, TagRow, TagTableWriter
from tagmine.sources import Source, write_sources
from tagmine.tags import Tag
from tagmine.vocabulary import VOCABULARY_SCHEMA, VocabularyFooter, key_hash

_HASH = hashlib.sha256(b"").hexdigest()


def make_seeds(folder: Path, manifest: Path | None = None) -> dict[str, list[bytes]]:
    """Contents to begin with, by the name of the target.

    Args:
        folder: an empty folder to make them in.
        manifest: a true manifest, if there is one.
    """
    write_sources(folder, [Source(0, "d/s", "/d/s.tar")])
    tags, embeddings = folder / "part.parquet", folder / "part.arrow"
    _write_part(tags, embeddings)
    index = faiss.index_factory(4, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    index.add_with_ids(np.eye(4, dtype=np.float32), np.arange(4))
    write_index(folder / "flat.faiss", index, IndexFileCard(1, "Flat", (0,), 4, _HASH, ""))
    records = [folder / "sources.json", folder / "flat.json", *([manifest] if manifest else [])]
    return {
        "shard": [_tar()],
        "text": text_seeds(),
        "caption": text_seeds(),
        "json": [path.read_bytes() for path in records],
        "parquet": [tags.read_bytes()],
        "arrow": [embeddings.read_bytes(), _vocabulary(folder / "tags.arrow")],
        "faiss": [(folder / "flat.faiss").read_bytes()],
    }


def _write_part(tags: Path, embeddings: Path) -> None:
    base = (0, "d/s", _HASH, 10, _HASH, _HASH, 2, 2, {})
    writer = TagTableWriter(tags)
    tag = Tag("red car", "red car", "attribute", "car", ("red",))
    for row_id in (0, 1):
        writer.add(TagRow(row_id, f"d/s/{row_id}", "d/s", ("a red car",), (tag,), ("txt",)))
    writer.finish(PartFooter(1, "mine", *base))
    vectors = np.eye(2, 4, dtype=np.float16)
    ids = np.arange(2, dtype=np.int64)
    write_embeddings(embeddings, ids, ["d/s/0", "d/s/1"], vectors, PartFooter(1, "embed", *base))


def _vocabulary(path: Path) -> bytes:
    key = ("object", "", "car")
    row = dict(zip(("kind", "label", "lemma"), key, strict=True))
    row |= {"hash": key_hash(key), "text": "car", "head": "car", "attributes": []}
    metadata = VocabularyFooter(1, _HASH, 1, ((1, 1),)).to_metadata()
    table = pa.Table.from_pylist([row | {"images": 1, "mentions": 1}], schema=VOCABULARY_SCHEMA)
    with pa.OSFile(str(path), "wb") as sink:
        schema = VOCABULARY_SCHEMA.with_metadata(metadata)
        with pa.ipc.new_file(sink, schema) as writer:
            writer.write_table(table.replace_schema_metadata(metadata))
    return path.read_bytes()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("0.jpg", b"JPEG"), ("0.txt", b"a red car"), ("1.jpg", b"JPEG")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
