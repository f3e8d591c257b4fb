"""The flags that decide what is a tag, through the command line into the tag table and its pin."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from pipelines.main import main

CAPTIONS = ["a velora dress beside an actor", "a woman riding a red bicycle"]


@pytest.fixture
def shard(tmp_path, write_tar, jpeg):
    members = [
        (f"{i}.{extension}", data)
        for i, caption in enumerate(CAPTIONS)
        for extension, data in (("jpg", jpeg(i)), ("txt", caption.encode()))
    ]
    return write_tar(tmp_path / "in" / "0.tar", members)


@pytest.fixture
def flags(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "stop_heads.txt").write_text("bicycle\n")
    (tmp_path / "brand.txt").write_text("Velora\n")
    lists = ["--tag-policy", "cc3m", "--tag-policy", str(tmp_path / "lists")]
    return [*lists, "--vocabulary", str(tmp_path / "brand.txt"), "--relations"]


def tags(root):
    rows = pq.read_table(root / "tags/part-00000.parquet").to_pylist()
    return [{(tag["lemma"], tag["kind"], tag["label"]) for tag in row["tags"]} for row in rows]


def test_the_flags_reach_the_tags_and_the_pin(tmp_path, shard, flags):
    assert main(["mine", str(shard), "--out", str(tmp_path / "plain")]) == 0
    assert main(["mine", str(shard), "--out", str(tmp_path / "own"), *flags]) == 0
    first, second = tags(tmp_path / "plain")
    assert ("actor", "object", "") in first
    assert ("red bicycle", "attribute", "") in second
    first, second = tags(tmp_path / "own")
    assert ("Velora", "entity", "BRAND") in first
    assert "actor" not in {lemma for lemma, _, _ in first}
    assert "bicycle" not in {lemma.split()[-1] for lemma, kind, _ in second if kind != "relation"}
    pins = [json.loads((tmp_path / d / "tagger.json").read_text()) for d in ("plain", "own")]
    assert pins[0]["policy"] != pins[1]["policy"]
    assert [name for name, _ in pins[1]["vocabularies"]] == ["brand.txt"]
    assert pins[1]["relations"]


def test_relations_become_tags(tmp_path, shard):
    assert main(["mine", str(shard), "--out", str(tmp_path / "own"), "--relations"]) == 0
    assert ("woman ride bicycle", "relation", "") in tags(tmp_path / "own")[1]


def test_other_lists_are_not_mixed_into_a_folder(tmp_path, shard, flags, write_tar, jpeg, capsys):
    out = ["--out", str(tmp_path / "own")]
    assert main(["mine", str(shard), *out]) == 0
    other = write_tar(tmp_path / "in" / "1.tar", [("a.jpg", jpeg(9)), ("a.txt", b"a dog")])
    assert main(["mine", str(other), *out, *flags]) == 1
    assert "policy was" in capsys.readouterr().err
    assert main(["mine", str(shard), str(other), *out, *flags]) == 0
