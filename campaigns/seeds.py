"""Small true files of every kind, for the fuzzers to begin with."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from campaigns.targets import text_seeds
from index.files import IndexFileCard, write_index
from tagmine.embeddings import write_embeddings
from tagmine.layout import FORMAT_VERSION
from tagmine.manifest import (
    DriftCard,
    EncoderPin,
    FileCard,
    IndexCard,
    IndexShardCard,
    Manifest,
    PartCard,
    RemovedCard,
    StageCount,
    TaggerPin,
    TuningCard,
    VocabularyCard,
)
from tagmine.parts import PartFooter, TagRow, TagTableWriter
from tagmine.sources import Source, write_sources
from tagmine.tags import Tag
from tagmine.vocabulary import VOCABULARY_SCHEMA, VocabularyFooter, key_hash

_HASH = hashlib.sha256(b"").hexdigest()
_STAGES = {
    "mine": StageCount(2, 1, {"no_caption": 1}),
    "embed": StageCount(2, 2, {}),
    "index": StageCount(2, 1, {"no_tags_row": 1}),
}
_TAGGER = TaggerPin(
    "p", "1", "3.8", "dependency", _HASH, (("brands", _HASH),), False, _HASH, ("jpg",), "txt",
    "json", ("captions",), ("brand",), _HASH, 1, 50, "en", _HASH, _HASH, "id",
)  # fmt: skip
_ENCODER = EncoderPin("demo", "a", _HASH, "gelu", "p", 4, "float32", _HASH, _HASH, True)


def make_seeds(folder: Path) -> dict[str, list[bytes]]:
    """Contents to begin with, by the name of the target.

    Args:
        folder: an empty folder to make them in.
    """
    write_sources(folder, [Source(0, "d/s", "/d/s.tar")])
    tags, embeddings = folder / "part.parquet", folder / "part.arrow"
    _write_part(tags, embeddings)
    index = faiss.index_factory(4, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    index.add_with_ids(np.eye(4, dtype=np.float32), np.arange(4))
    write_index(folder / "flat.faiss", index, IndexFileCard(1, "Flat", (0,), 4, _HASH, ""))
    return {
        "shard": [_tar()],
        "text": text_seeds(),
        "caption": text_seeds(),
        "json": [
            (folder / "sources.json").read_bytes(),
            (folder / "flat.json").read_bytes(),
            _manifest(),
        ],
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


def _manifest() -> bytes:
    """Without the hash that it ends with, at which every change of it would stop."""
    index = IndexCard(
        "IVF1,Flat", "ip", 4, 1, 1, 1, 0, _card("index/trained.faiss"), _card("index/trained.json"),
        (IndexShardCard(_card("index/shard-00000.faiss"), _card("index/shard-00000.json"), (0,)),),
        0.2, TuningCard(0.95, 5, 0.96, 1, True), DriftCard(1, 0.1, 0.2, 1.0, 1.5),
        (_card("index/merged.faiss"),),
    )  # fmt: skip
    part = PartCard(
        0, "d/s", _HASH, 10, _card("tags/part-00000.parquet"),
        _card("embeddings/part-00000.arrow"), (_card("rejects/mine/part-00000.parquet"),),
        _STAGES, {"too_long": 1}, _card("origins/part-00000.parquet"),
        _card("thumbnails/part-00000.arrow"),
    )  # fmt: skip
    manifest = Manifest(
        "tagmine-datastore", FORMAT_VERSION, "store", 1, _TAGGER, _ENCODER, index,
        VocabularyCard(_card("vocabulary/tags.arrow"), _HASH, 1), _STAGES, (part,),
        RemovedCard(_card("removed/ids.arrow"), 1),
    )  # fmt: skip
    return TypeAdapter(Manifest).dump_json(manifest, indent=1, exclude_defaults=True)


def _card(path: str) -> FileCard:
    return FileCard(path, 1, 10, _HASH)


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("0.jpg", b"JPEG"), ("0.txt", b"a red car"), ("1.jpg", b"JPEG")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
