"""Tuning, merging and growing from the command line."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from index import open_datastore
from index.publish import search_defaults
from index.tuning import tune
from pipelines.main import main


def index_of(root):
    return json.loads((root / "manifest.json").read_text())["index"]


def test_an_index_is_tuned_merged_and_grows(tmp_path, write_tar, jpeg, tiny_clip, capfd):
    root = tmp_path / "store"
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
    assert "on the CPU, since FAISS sees no GPU" in capfd.readouterr().err
    trained = (root / "index/trained.faiss").stat().st_ino
    assert main(["build", f"{shards}/00002.tar", *model]) == 0
    printed = capfd.readouterr().err
    assert "drift  quantization error" in printed and "train again" not in printed
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
    # Also when it was trained on all of them: no flag for one thing undoes another.
    capfd.readouterr()
    assert main(["index", str(root), "--min-tag-images", "2", "--merge-ondisk"]) == 0
    assert index_of(root)["index_key"] == "IVF1,Flat" and index_of(root)["merged"]
    assert "IVF1,Flat: kept as trained on these shards" in capfd.readouterr().err
    assert main(["index", str(root)]) == 0
    assert "merged" not in index_of(root)
    assert "the one-file index of before is left out" in capfd.readouterr().err
    assert main(["verify", str(root)]) == 0


@pytest.mark.parametrize(
    ("key", "goal", "trained"),
    [
        ("IVF16,PQ16x4", 0.8, "trained on nearly all images, also these"),
        ("IVF4,Flat", 0.6, "not trained on them"),
    ],
)
def test_what_was_tuned_is_what_is_searched_by(copied_store, capfd, key, goal, trained):
    flags = ["--index-key", key, "--recall", str(goal), "--at", "5"]
    assert main(["index", str(copied_store), *flags]) == 0
    index = index_of(copied_store)
    found = tune(open_datastore(copied_store), goal, 5)
    setting = found.setting
    assert (index["nprobe"], index["rerank"]) == (setting.nprobe, setting.rerank)
    assert (index["nprobe"], index["rerank"]) != search_defaults(key, index["dim"])
    assert index["tuned"]["recall"] == found.card.recall >= goal
    assert index["tuned"].get("held_out", False) == found.card.held_out == (key == "IVF4,Flat")
    said = (
        f"tuned  nprobe {setting.nprobe}, re-rank {setting.rerank}: finds "
        f"{found.card.recall:.3f} of the 5 nearest (goal {goal:g}), measured on "
        f"{found.card.queries:,} images of the datastore, each left out of its own answer; "
        f"the index was {trained}"
    )
    assert said in capfd.readouterr().err


def test_other_pictures_print_the_advice_to_train_again(
    tmp_path, write_tar, jpeg, tiny_clip, capfd
):
    root = tmp_path / "store"
    folder = tmp_path / "in"
    pictures = [jpeg(n) for n in range(45)], [plain_jpeg(10 * n) for n in range(25)]
    for shard, drawn in enumerate(pictures):
        members = [(f"{n}.jpg", data) for n, data in enumerate(drawn)]
        members += [(f"{n}.txt", b"a car and a boat") for n in range(len(drawn))]
        write_tar(folder / f"{shard}.tar", sorted(members))
    model = ["--out", str(root), "--clip-model", tiny_clip, "--index-key", "IVF1,Flat"]
    printed = []
    for shard in range(2):
        assert main(["build", str(folder / f"{shard}.tar"), *model]) == 0
        # Lines are folded at the width of the terminal.
        printed.append(" ".join(capfd.readouterr().err.split()))
    assert "quantization error" not in printed[0]
    drift = index_of(root)["drift"]
    assert (
        f"drift quantization error {drift['trained_error']:.4f} in the 1 parts that the index was "
        f"trained on, {drift['added_error']:.4f} in those added since; imbalance 1.00, now 1.00"
    ) in printed[1]
    higher = drift["added_error"] / drift["trained_error"] - 1
    assert higher > 0.25
    assert (
        f"drift the quantization error of the added parts is {higher:.0%} higher: train again "
        f"with tagmine index {root} --retrain"
    ) in printed[1]


def plain_jpeg(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (96, 80), (shade, shade, 255 - shade)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--recall", "1.5"], "--recall 1.5"),
        (["--at", "5"], "give --recall"),
        (["--recall", "0.9", "--at", "0"], "--at 0"),
        (["--max-training-memory", "much"], "--max-training-memory 'much' is not a size"),
        (["--index-key", "Flat", "--merge-ondisk"], "--merge-ondisk: Flat"),
        (["--runner", "Banana"], "--runner Banana: Beam has no such runner"),
    ],
)
def test_flags_that_cannot_be(tmp_path, shards, tiny_clip, capfd, flags, says):
    out = str(tmp_path / "store")
    command = ["build", f"{shards}/00000.tar", "--out", out, "--clip-model", tiny_clip, *flags]
    assert main(command) == 1
    assert says in capfd.readouterr().err
