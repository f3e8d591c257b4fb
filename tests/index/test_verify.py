"""verify finds each lie that a folder can tell, even when its hashes agree."""

from __future__ import annotations

import dataclasses
import json

import faiss
import numpy as np
import pytest

from index.verify import verify_datastore
from tagmine.embeddings import open_embeddings, write_embeddings
from tagmine.errors import DatastoreError
from tagmine.parts import file_sha256


def repin(root, path):
    """Make the manifest agree with an altered file, as a liar would."""
    record = json.loads((root / "manifest.json").read_text())
    pinned = (root / path).stat().st_size, file_sha256(root / path)

    def visit(node):
        if isinstance(node, dict):
            if node.get("path") == path:
                node["bytes"], node["sha256"] = pinned
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit(record)
    (root / "manifest.json").write_text(json.dumps(record))


@pytest.mark.parametrize("key", ["Flat", "IVF16,PQ8x4", "IVF16,PQ1x4", "HNSW8"])
def test_a_good_datastore_passes(make_datastore, key):
    made = make_datastore(sizes=(900, 800), index_key=key, untagged=3)
    verdict = verify_datastore(made.root)
    assert (verdict.images, verdict.self_lookups) == (1694, 256)
    assert verdict.files > 10 and verdict.bytes > 1700 * 64


def test_every_altered_file_is_found(make_datastore):
    root = make_datastore(sizes=(60, 50)).root
    files = [p for p in root.rglob("*") if p.is_file() and p.name != "sources.json"]
    assert len(files) > 12
    for path in files:
        data = path.read_bytes()
        place = len(data) // 3
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(DatastoreError):
            verify_datastore(root)
        path.write_bytes(data)
    verify_datastore(root)


def test_a_file_that_the_manifest_does_not_know(make_datastore):
    root = make_datastore(sizes=(60,)).root
    (root / "tags" / "part-00007.parquet").touch()
    with pytest.raises(DatastoreError, match="part-00007.parquet is not in the manifest"):
        verify_datastore(root)


def test_an_index_with_shuffled_ids_is_named(make_datastore):
    made = make_datastore(sizes=(400,))
    path = made.root / "index/shard-00000.faiss"
    index = faiss.read_index(str(path))
    shuffled = faiss.index_factory(32, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    vectors = made.vectors.astype(np.float32)
    shuffled.add_with_ids(vectors, np.random.default_rng(0).permutation(made.ids))
    assert shuffled.ntotal == index.ntotal
    faiss.write_index(shuffled, str(path))
    repin(made.root, "index/shard-00000.faiss")
    with pytest.raises(DatastoreError, match="its ids are shuffled"):
        verify_datastore(made.root)


def test_an_index_that_lacks_an_id_or_has_another_metric(make_datastore):
    made = make_datastore(sizes=(400,))
    path = made.root / "index/shard-00000.faiss"
    index = faiss.read_index(str(path))
    index.remove_ids(made.ids[:1])
    index.add_with_ids(made.vectors[:1].astype(np.float32), made.ids[-1:] + 5)
    faiss.write_index(index, str(path))
    repin(made.root, "index/shard-00000.faiss")
    with pytest.raises(DatastoreError, match="does not hold the ids of its parts"):
        verify_datastore(made.root)
    other = faiss.index_factory(32, "IDMap2,Flat", faiss.METRIC_L2)
    other.add_with_ids(made.vectors.astype(np.float32), made.ids)
    faiss.write_index(other, str(path))
    repin(made.root, "index/shard-00000.faiss")
    with pytest.raises(DatastoreError, match="metric"):
        verify_datastore(made.root)


@pytest.mark.parametrize("lie", ["norm", "nan", "key"])
def test_embeddings_that_cannot_be_right(make_datastore, lie):
    made = make_datastore(sizes=(40,))
    name = "embeddings/part-00000.arrow"
    part = open_embeddings(made.root / name)
    vectors, keys = part.vectors.copy(), part.keys().to_pylist()
    if lie == "norm":
        vectors[7] *= np.float16(1.1)
    elif lie == "nan":
        vectors[7, 3] = np.nan
    else:
        keys[7] = "elsewhere/0"
    write_embeddings(made.root / name, part.ids.copy(), keys, vectors, part.footer)
    repin(made.root, name)
    with pytest.raises(DatastoreError, match="namespace" if lie == "key" else "unit norm"):
        verify_datastore(made.root)


def test_a_row_that_vanished_is_missed(make_datastore):
    made = make_datastore(sizes=(40,))
    name = "embeddings/part-00000.arrow"
    part = open_embeddings(made.root / name)
    keys = part.keys().to_pylist()[1:]
    footer = dataclasses.replace(part.footer, written=39, read=39)
    write_embeddings(made.root / name, part.ids[1:].copy(), keys, part.vectors[1:].copy(), footer)
    repin(made.root, name)
    with pytest.raises(DatastoreError, match="39 rows"):
        verify_datastore(made.root)


def test_junk_with_a_true_hash_is_no_traceback(make_datastore):
    root = make_datastore(sizes=(40,)).root
    names = ("rejects/mine/part-00000.parquet", "index/shard-00000.faiss", "index/trained.faiss")
    for name in names:
        original = (root / name).read_bytes()
        manifest = (root / "manifest.json").read_text()
        (root / name).write_bytes(b"junk" * 50)
        repin(root, name)
        with pytest.raises(DatastoreError):
            verify_datastore(root)
        (root / name).write_bytes(original)
        (root / "manifest.json").write_text(manifest)
    (root / "sources.json").unlink()
    with pytest.raises(DatastoreError, match=r"sources.json"):
        verify_datastore(root)


def test_a_vocabulary_that_counts_otherwise_is_found_though_its_hash_is_true(make_datastore):
    import pyarrow as pa

    root = make_datastore(sizes=(60, 50), untagged=4).root
    path = root / "vocabulary/tags.arrow"
    with pa.ipc.open_file(path) as reader:
        table = reader.read_all()
    assert sum(table["images"].to_pylist()) == 102
    for column, value in (("images", 17), ("text", "kind")):
        values = [value, *table[column].to_pylist()[1:]]
        place = table.schema.get_field_index(column)
        lie = table.set_column(
            place, table.schema.field(place), pa.array(values, table[column].type)
        )
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(lie)
        repin(root, "vocabulary/tags.arrow")
        with pytest.raises(DatastoreError, match="does not count what the tag table holds"):
            verify_datastore(root)
