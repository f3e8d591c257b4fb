"""A datastore of a stranger: nothing is executed, read elsewhere, or allocated on its word."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index import open_datastore
from index.files import read_index
from index.ondisk import merge_on_disk
from index.search import Datastore
from index.shard_health import check_shard
from index.verify import verify_datastore
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.manifest import read_manifest
from tagmine.parts import TAGS_SCHEMA, read_tags_footer

SHARD = "index/shard-00000.faiss"
PART = "embeddings/part-00000.arrow"
TAGS = "tags/part-00000.parquet"


@pytest.mark.parametrize("path", ["manifest.json", TAGS, PART, SHARD, "vocabulary/tags.arrow"])
def test_a_link_is_not_followed(make_datastore, tmp_path, path):
    root = make_datastore(sizes=(60,)).root
    outside = tmp_path / "outside"
    shutil.move(root / path, outside)
    (root / path).symlink_to(outside)
    with pytest.raises(DatastoreError, match="is a link.* nothing outside of its folder"):
        open_datastore(root)


@pytest.mark.parametrize("place", ["store/encoder", "encoder", "ViT-B-32/openai"])
def test_a_name_of_an_encoder_that_finds_something_here_is_not_opened(
    make_datastore, tmp_path, monkeypatch, place
):
    name = place if "/" in place else f"ViT-B-32/{place}"
    root = make_datastore(sizes=(60,)).root
    manifest = read_manifest(root)
    encoder = dataclasses.replace(manifest.encoder, clip_model=name)
    named = dataclasses.replace(manifest, encoder=encoder)
    (tmp_path / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatastoreError, match="a local checkpoint.* not opened unasked"):
        _ = Datastore(root, named).encoder


def test_a_folder_that_is_a_link_and_a_pipe_are_refused(make_datastore, tmp_path):
    root = make_datastore(sizes=(60,)).root
    shutil.move(root / "tags", tmp_path / "outside")
    (root / "tags").symlink_to(tmp_path / "outside")
    for read in (open_datastore, verify_datastore):
        with pytest.raises(DatastoreError, match="tags is a link"):
            read(root)
    (root / "tags").unlink()
    shutil.move(tmp_path / "outside", root / "tags")
    open_datastore(root)
    (root / TAGS).unlink()
    os.mkfifo(root / TAGS)
    # Opening a pipe would wait for its writer.
    with pytest.raises(DatastoreError, match="no plain file"):
        open_datastore(root)


@pytest.mark.parametrize("path", ["/etc/passwd", "../store/manifest.json", "tags/../../x", "tags"])
def test_a_path_that_leads_outside_is_refused(make_datastore, path):
    root = make_datastore(sizes=(60,)).root
    record = json.loads((root / "manifest.json").read_text())
    record["parts"][0]["tags"]["path"] = path
    (root / "manifest.json").write_text(json.dumps(record))
    what = "no path of a file in a folder" if path == "tags" else "a path that leads out of"
    with pytest.raises(DatastoreError, match=rf"parts\.0\.tags\.path: '{path}' is {what}"):
        open_datastore(root)


def test_an_index_whose_lists_are_in_another_file_is_refused(make_datastore, repin):
    made = make_datastore(sizes=(900,), index_key="IVF4,PQ8x4")
    merge_on_disk(made.root, [SHARD])
    shutil.move(made.root / "index/merged.faiss", made.root / SHARD)
    repin(made.root, SHARD)
    with pytest.raises(DatastoreError, match=r"shard-00000\.faiss cannot be opened by FAISS"):
        open_datastore(made.root)
    (made.root / "index/merged.ivfdata").unlink()
    with pytest.raises(DatastoreError, match="its lists are in another file"):
        verify_datastore(made.root)
    manifest = read_manifest(made.root)
    (problem,) = check_shard(made.root, manifest, manifest.index.shards[0]).problems
    assert "its lists are in another file" in problem


@pytest.mark.parametrize("key", ["Flat", "IVF4,PQ8x4", "HNSW8"])
def test_what_an_index_claims_costs_no_memory(make_datastore, repin, key):
    """Each place of the header in turn says that something there has 2^34 elements."""
    made = make_datastore(sizes=(700,), index_key=key)
    data = (made.root / SHARD).read_bytes()
    vectors = made.vectors[:2].astype(np.float32)
    open_datastore(made.root).search(vectors, 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for place in range(0, 120, 3):
        claim = data[:place] + (1 << 34).to_bytes(8, "little") + data[place + 8 :]
        (made.root / SHARD).write_bytes(claim)
        repin(made.root, SHARD)
        try:
            open_datastore(made.root).search(vectors, 2)
        except DatastoreError:
            refused += 1
    assert refused > 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10


def test_the_limits_hold_while_a_file_is_read_and_no_longer(make_datastore, monkeypatch):
    made = make_datastore(sizes=(60,))
    before = (
        faiss.get_deserialization_vector_byte_limit(),
        faiss.get_deserialization_loop_limit(),
    )
    held, read = [], faiss.read_index

    def watched(*arguments):
        held.append(faiss.get_deserialization_vector_byte_limit())
        held.append(faiss.get_deserialization_loop_limit())
        return read(*arguments)

    monkeypatch.setattr(faiss, "read_index", watched)
    read_index(made.root / SHARD)
    size = (made.root / SHARD).stat().st_size
    assert held == [max(size, 1 << 20)] * 2 and max(held) < before[0]
    after = (
        faiss.get_deserialization_vector_byte_limit(),
        faiss.get_deserialization_loop_limit(),
    )
    assert after == before


def test_a_compressed_part_is_refused_unread(make_datastore, repin):
    root = make_datastore(sizes=(60,)).root
    with pa.ipc.open_file(str(root / PART)) as reader:
        batch, schema = reader.get_batch(0), reader.schema
    bomb = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        pa.OSFile(str(root / PART), "wb") as sink,
        pa.ipc.new_file(sink, schema, options=bomb) as writer,
    ):
        writer.write_batch(batch)
    repin(root, PART)
    with pytest.raises(DatastoreError, match="it is compressed"):
        open_embeddings(root / PART)
    with pytest.raises(DatastoreError, match="it is compressed"):
        open_datastore(root)


def test_a_tag_table_that_unpacks_to_too_much_is_refused_by_its_footer(make_datastore, repin):
    made = make_datastore(sizes=(60,))
    path = made.root / TAGS
    footer = read_tags_footer(path)
    row = pq.read_table(path).slice(0, 1)
    bomb = pa.concat_tables([row] * 9000).combine_chunks().cast(TAGS_SCHEMA)
    pq.write_table(bomb.replace_schema_metadata(footer.to_metadata()), path, row_group_size=9000)
    repin(made.root, TAGS)
    store = open_datastore(made.root)
    with pytest.raises(DatastoreError, match="says that it has 9,000 rows"):
        store.rows([0])


def test_numbers_of_a_manifest_are_bounded(make_datastore):
    root = make_datastore(sizes=(60,)).root
    original = json.loads((root / "manifest.json").read_text())
    for number in (1 << 63, 1 << 200, -1, 1e308, True, "9"):
        record = json.loads(json.dumps(original))
        record["index"]["dim"] = number
        (root / "manifest.json").write_text(json.dumps(record))
        with pytest.raises(DatastoreError, match=r"index\.dim"):
            open_datastore(root)
    (root / "manifest.json").write_text("[" * 500_000)
    with pytest.raises(DatastoreError, match="no tagmine manifest"):
        open_datastore(root)
