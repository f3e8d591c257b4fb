"""--annotations: other datasets' annotations of the same images, merged before mining."""

from __future__ import annotations

import json
import tarfile

import pyarrow.parquet as pq
import pytest

from pipelines.main import main


@pytest.fixture
def table(tmp_path):
    rows = [
        {"key": "toys/00000/0000", "question": "Is there a giraffe?", "answer": "yes"},
        {"key": "0001", "caption": "a giraffe in a hat", "source": "other"},
        {"key": "toys/00009/0001", "caption": "nobody"},
    ]
    path = tmp_path / "more.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tags_of(root, key) -> dict[str, int]:
    rows = pq.read_table(root / "tags").to_pylist()
    row = next(row for row in rows if row["key"] == key)
    return {tag["lemma"]: tag["count"] for tag in row["tags"]}


def test_annotations_become_tags_and_are_counted(shards, tmp_path, table, read_folder, capfd):
    out = tmp_path / "store"
    command = ["mine", f"{shards}/0000[012].tar", "--annotations", str(table), "--out"]
    assert main([*command, str(out)]) == 0
    assert "3 rows; 3 keys, of which 0 match no sample" in capfd.readouterr().err
    assert tags_of(out, "toys/00000/0000")["giraffe"] == 1
    assert tags_of(out, "toys/00002/0001")["giraffe"] == 1
    assert "giraffe" not in tags_of(out, "toys/00002/0000")
    rows = pq.read_table(out / "tags/part-00000.parquet").to_pylist()
    assert rows[0]["caption_sources"] == ["txt", "more"]
    assert rows[1]["caption_sources"] == ["txt", "other"]
    assert rows[2]["caption_sources"] == ["txt"]
    before = read_folder(out)
    assert not any("annotations" in name for name in before)
    assert main([*command, str(out)]) == 0
    assert "3 of 3 parts were finished before" in capfd.readouterr().err
    assert read_folder(out) == before
    # Two processes write what one does.
    assert main([*command, str(tmp_path / "wide"), "--num-workers", "2"]) == 0
    wide = read_folder(tmp_path / "wide")
    assert {k: v for k, v in wide.items() if k != "sources.json"} == {
        k: v for k, v in before.items() if k != "sources.json"
    }


def test_another_table_into_the_same_folder_is_refused(shards, tmp_path, table, capfd):
    out = str(tmp_path / "store")
    both, first = f"{shards}/0000[01].tar", f"{shards}/00000.tar"
    assert main(["mine", both, "--out", out, "--annotations", str(table)]) == 0
    table.write_text(table.read_text() + '{"key": "0002", "caption": "a hat"}\n')
    assert main(["mine", first, "--out", out, "--annotations", str(table)]) == 1
    assert "annotations_sha256 was" in capfd.readouterr().err
    assert main(["mine", first, "--out", out]) == 1
    # With every shard, all parts are made anew, and none is of the old table.
    assert main(["mine", both, "--out", out, "--annotations", str(table)]) == 0
    assert "hat" in tags_of(tmp_path / "store", "toys/00001/0002")


def test_a_join_by_a_field_of_the_json(tmp_path, write_tar, jpeg, capfd):
    members = []
    for number in range(3):
        record = json.dumps({"image_id": 70 + number}).encode()
        members += [(f"{number}.jpg", jpeg(number)), (f"{number}.json", record)]
        members += [(f"{number}.txt", b"a red car")] * (number < 2)
    shard = str(write_tar(tmp_path / "in" / "a.tar", members))
    table = tmp_path / "vqa.csv"
    table.write_text(
        "image_id,question,answer\n71,What color is the car?,red\n72,Is there a dog?,yes\n"
        "72,Is there a cow?,no\n99,Is there a cat?,yes\n"
    )
    out = tmp_path / "store"
    line = ["mine", shard, "--out", str(out), "--annotations", str(table)]
    assert main([*line, "--annotations-key", "image_id"]) == 0
    printed = capfd.readouterr().err
    assert "4 rows, 1 of them answers that say nothing" in printed
    assert "3 keys, of which 1 match no sample" in printed
    assert tags_of(out, "in/a/0") == {"red car": 1}
    assert tags_of(out, "in/a/1") == {"red car": 2}
    # It has no caption of its own.
    assert tags_of(out, "in/a/2") == {"dog": 1}
    pin = json.loads((out / "tagger.json").read_text())
    assert pin["annotations_key"] == "image_id" and len(pin["annotations_sha256"]) == 64


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--annotations", "{dir}/gone.csv"], "no such file"),
        (["--annotations", "{dir}/bad.csv"], "there is no column key"),
        (["--annotations", "{table}", "--annotations-key", "nope"], "field 'nope' that --annot"),
        (["--annotations-key", "brand"], "give --annotations FILE too"),
    ],
)
def test_what_stops_before_any_work(shards, tmp_path, table, capfd, flags, says):
    (tmp_path / "bad.csv").write_text("id,caption\n1,x\n")
    flags = [flag.format(dir=tmp_path, table=table) for flag in flags]
    out = tmp_path / "store"
    assert main(["mine", f"{shards}/00000.tar", "--out", str(out), *flags]) == 1
    assert says in capfd.readouterr().err
    assert not out.exists()


def test_a_table_that_matches_nothing_is_an_error(shards, tmp_path, table, capfd):
    table.write_text('{"key": "89232", "caption": "a dog"}\n')
    line = ["mine", f"{shards}/00000.tar", "--out", str(tmp_path / "store")]
    assert main([*line, "--annotations", str(table)]) == 1
    printed = capfd.readouterr().err
    assert "none of its keys matches" in printed and "'89232'" in printed


def test_several_fields_by_comma_and_by_repetition(tmp_path, write_tar, jpeg):
    record = {
        "captions": ["a red car"],
        "qa": {"question": "Is there a dog?", "answers": ["yes", "yes", "no"]},
        "title": "a hat",
    }
    members = [("0.jpg", jpeg(0)), ("0.json", json.dumps(record).encode())]
    shard = str(write_tar(tmp_path / "in" / "a.tar", members))
    flags = ["--caption-json-field", "captions,qa", "--caption_json_field=title"]
    assert main(["mine", shard, "--out", str(tmp_path / "store"), *flags]) == 0
    assert tags_of(tmp_path / "store", "in/a/0") == {"red car": 1, "dog": 2, "hat": 1}


def test_real_captions_agree(shared_data, tmp_path):
    """Five people name one thing: its count is never below that of a thing said of it."""
    shard = shared_data / "shards/coco-mini/coco-mini-train-0001.tar"
    out = tmp_path / "store"
    line = ["mine", str(shard), "--out", str(out), "--caption-json-field", "captions"]
    assert main(line) == 0
    rows = pq.read_table(out / "tags").to_pylist()
    with tarfile.open(shard) as archive:
        assert len(rows) == sum(name.endswith(".json") for name in archive.getnames())
    backed = 0
    for row in rows:
        voices = 1 + len(row["more_captions"])
        bare = {tag["head"]: tag["count"] for tag in row["tags"] if tag["kind"] == "object"}
        for tag in row["tags"]:
            assert tag["count"] <= voices
            if tag["kind"] == "attribute" and tag["head"] in bare:
                assert tag["count"] <= bare[tag["head"]]
                backed += 1
    assert backed > 10
