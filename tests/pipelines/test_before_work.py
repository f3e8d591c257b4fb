"""What stops a job before any work, and what it says."""

from __future__ import annotations

import json

import pytest

from pipelines.main import main


@pytest.fixture
def odd_shard(tmp_path, write_tar, jpeg):
    record = json.dumps({"title": "a red car", "texts": ["a red car"]}).encode()
    members = [("0.jpg", jpeg(0)), ("0.cap", b"a red car"), ("0.json", record)]
    return write_tar(tmp_path / "in" / "odd.tar", members)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "no sample has a caption member (.txt); the first samples have .cap, .jpg, .json"),
        (["--caption-key", "cap", "--image-key", "png"], "no sample has an image member (.png)"),
        (
            ["--caption-json-field", "captions"],
            "has the field 'captions' that --caption-json-field",
        ),
        (
            ["--caption-key", "cap", "--tag-fields", "brand"],
            "none of the first 1 samples has the field 'brand' that --tag-fields names in its "
            ".json; they have texts, title",
        ),
    ],
)
def test_a_member_or_field_that_is_missing_is_named(odd_shard, tmp_path, capfd, flags, says):
    out = tmp_path / "store"
    assert main(["mine", str(odd_shard), "--out", str(out), *flags]) == 1
    assert says in capfd.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("mine {in}/*.zip --out {out}", "0 shards were found"),
        ("embed {in}/*.zip --out {out} --clip-model nope", "0 shards were found"),
        ("mine {in}/odd.tar --out {out} --caption-key cap --spacy-model xx_none", "xx_none"),
        ("embed {in}/odd.tar --out {out} --caption-key cap --clip-model nope", "nope"),
        ("embed {in}/odd.tar --out {out} --caption-key cap --clip-model ViT-B-99/x", "ViT-B-99"),
        ("build {in}/odd.tar --out {out} --caption-key cap --max-index-memory-usage big", "'big'"),
        ("index {out}", "nothing to index"),
        ("verify {out}", "no such folder"),
        ("query {out} x.jpg", "no such folder"),
    ],
)
def test_other_mistakes_are_one_sentence_and_no_stack(odd_shard, tmp_path, capfd, line, says):
    words = line.replace("{in}", str(odd_shard.parent)).replace("{out}", str(tmp_path / "store"))
    assert main(words.split()) == 1
    printed = capfd.readouterr().err
    assert printed.splitlines()[-1].startswith("tagmine: ") and says in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "store").exists()


def test_a_hub_that_cannot_be_reached_is_one_sentence(odd_shard, tmp_path, tagmine, monkeypatch):
    # In a process of its own: the hub's library reads its environment once, when imported.
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    # Opening this shard would be an error of its own.
    odd_shard.write_bytes(b"no tar")
    out = str(tmp_path / "store")
    printed = tagmine(
        "embed", str(odd_shard), "--out", out, "--caption-key", "cap", expect=1
    ).stderr
    assert "ViT-B-32/laion2b_s34b_b79k" in printed and "--clip-model demo" in printed
    assert "Traceback" not in printed and not (tmp_path / "store").exists()


def test_a_shard_that_vanishes_after_the_first_look(tmp_path, shards, capfd):
    import shutil

    folder = tmp_path / "toys"
    shutil.copytree(shards, folder)
    out = tmp_path / "store"
    assert main(["mine", f"{folder}/0000[01].tar", "--out", str(out)]) == 0
    (folder / "00001.tar").unlink()
    capfd.readouterr()
    listing = tmp_path / "list.txt"
    listing.write_text(f"{folder}/00000.tar\n{folder}/00001.tar\n")
    assert main(["mine", f"@{listing}", "--out", str(out)]) == 1
    assert "00001.tar: there is no such file" in capfd.readouterr().err
