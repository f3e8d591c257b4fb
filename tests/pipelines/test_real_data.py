"""Real photos with captions, and real products with structured fields, from end to end."""

from __future__ import annotations

import json
import shutil
import tarfile

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.main import main

CASES = {
    "coco-mini": (119, ["--caption-json-field", "captions"]),
    "fashion": (2400, ["--tag-fields", "articleType,baseColour"]),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, shared_data, tmp_path_factory):
    name = request.param
    count, flags = CASES[name]
    folder = shared_data / "shards" / name
    root = tmp_path_factory.mktemp(name) / "store"
    command = ["build", f"{folder}/*.tar", "--out", str(root), "--clip-model", "demo", *flags]
    assert main(command) == 0
    return name, count, folder, root


def test_every_sample_is_a_row_or_a_reject(case):
    _, count, _, root = case
    totals = json.loads((root / "manifest.json").read_text())["totals"]
    for stage in ("mine", "embed"):
        assert totals[stage]["read"] == count
        assert totals[stage]["written"] + sum(totals[stage]["rejected"].values()) == count
    assert totals["index"]["written"] > 0.99 * count


def test_a_moved_folder_verifies_and_answers(case, tmp_path, capsys):
    _, _, folder, root = case
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    assert main(["verify", str(moved)]) == 0
    shard = sorted(folder.glob("*.tar"))[1]
    with tarfile.open(shard) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith(".jpg"))
        photo = tmp_path / "photo.jpg"
        photo.write_bytes(archive.extractfile(member).read())
    assert main(["query", str(moved), str(photo), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)[0]
    key = f"{folder.name}/{shard.stem}/{member.name.removesuffix('.jpg')}"
    near = [n["key"] for n in answer["neighbours"] if n["score"] > 0.9995]
    assert key in near and answer["tags"]


def test_captions_and_fields_arrive_as_tags(case):
    name, _, folder, root = case
    rows = pq.read_table(root / "tags").to_pylist()
    if name == "coco-mini":
        assert all(len(row["more_captions"]) >= 4 for row in rows)
        assert max(tag["count"] for row in rows for tag in row["tags"]) == 5
        return
    first = sorted(folder.glob("*.tar"))[0]
    with tarfile.open(first) as archive:
        record = json.loads(archive.extractfile("000000000.json").read())
    row = next(row for row in rows if row["key"] == "fashion/00000/000000000")
    fields = {tag["label"]: tag["text"] for tag in row["tags"] if tag["kind"] == "field"}
    assert fields == {key: record[key] for key in ("articleType", "baseColour")}


def test_pyarrow_and_plain_faiss_open_it(case):
    """Without a line of ours."""
    _, _, _, root = case
    ids = sorted(pq.read_table(root / "tags", columns=["id"]).column("id").to_pylist())
    found = []
    for path in sorted((root / "embeddings").glob("*.arrow")):
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        found += table.column("id").to_pylist()
        vector = np.asarray(table.column("embedding")[0].as_py(), np.float32)
        index = faiss.read_index(str(root / "index/shard-00000.faiss"))
        _, near = index.search(vector[None], 10)
        assert table.column("id")[0].as_py() in near[0]
    assert found == ids
