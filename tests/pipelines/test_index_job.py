"""Tuning, merging and growing from the command line."""

from __future__ import annotations

import json
import shlex

import pytest

from index import open_datastore
from pipelines.main import main


def index_of(root):
    return json.loads((root / "manifest.json").read_text())["index"]


def test_an_index_is_tuned_merged_and_grows(tmp_path, write_tar, jpeg, tiny_clip, capfd):
    # A name that a shell would take apart, and a terminal with markup.
    root = tmp_path / "it's a [b]store"
    for shard, numbers in enumerate((range(25), range(25, 50), range(50, 60))):
        members = [(f"{n}.jpg", jpeg(n)) for n in numbers]
        members += [(f"{n}.txt", f"a car and {n} boats".encode()) for n in numbers]
        write_tar(tmp_path / "in" / f"0000{shard}.tar", sorted(members))
    shards = tmp_path / "in"
    model = ["--out", str(root), "--clip-model", tiny_clip, "--index-key", "IVF1,Flat"]
    flags = ["--recall", "0.9", "--at", "3", "--merge-ondisk"]
    assert main(["build", f"{shards}/0000[01].tar", *model, *flags]) == 0
    first = index_of(root)
    assert first["tuned"]["goal"] == 0.9 and first["tuned"]["at"] == 3
    assert first["tuned"]["recall"] == 1 and (first["nprobe"], first["rerank"]) == (1, 0)
    assert len(first["merged"]) == 2 and len(open_datastore(root).shards) == 1
    said = capfd.readouterr().err
    assert "on the CPU, since FAISS sees no GPU" in said
    shown = said.split("Look at it: ")[1].splitlines()[0]
    assert shlex.split(shown)[:4] == ["tagmine", "query", str(root), "PHOTO.jpg"]
    trained = (root / "index/trained.faiss").stat().st_ino
    assert main(["build", f"{shards}/00002.tar", *model]) == 0
    grown = index_of(root)
    assert (root / "index/trained.faiss").stat().st_ino == trained
    assert grown["drift"]["trained_parts"] == 2 and grown["tuned"]["goal"] == 0.9
    assert [shard["file"]["path"] for shard in grown["shards"]] == ["index/shard-00001.faiss"]
    assert sorted(path.name for path in (root / "index").glob("*.*")) == [
        "shard-00001.faiss",
        "shard-00001.json",
        "trained.faiss",
        "trained.json",
    ]
    # Without a key, what was trained is kept; asked to, it is trained on every shard.
    assert main(["index", str(root)]) == 0
    assert index_of(root)["index_key"] == "IVF1,Flat"
    assert main(["index", str(root), "--index-key", "IVF1,Flat", "--retrain"]) == 0
    assert "drift" not in index_of(root)
    capfd.readouterr()
    assert main(["index", str(root), "--recall", "0.9", "--at", "100000"]) == 0
    assert "59 nearest, all there are beside a query, not 100,000 (goal" in capfd.readouterr().err
    assert index_of(root)["tuned"]["at"] == 59
    assert main(["verify", str(root)]) == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--recall", "1.5"], "--recall 1.5"),
        (["--at", "5"], "give --recall"),
        (["--recall", "0.9", "--at", "0"], "--at 0"),
        (["--max-training-memory", "much"], "--max-training-memory 'much' is not a size"),
        (["--index-key", "Flat", "--merge-ondisk"], "--merge-ondisk: Flat"),
    ],
)
def test_flags_that_cannot_be(tmp_path, shards, tiny_clip, capfd, flags, says):
    out = str(tmp_path / "store")
    command = ["build", f"{shards}/00000.tar", "--out", out, "--clip-model", tiny_clip, *flags]
    assert main(command) == 1
    assert says in capfd.readouterr().err
