"""`tagmine diff` over real datastores, against plain counts of their tables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.report import (
    Gate,
    NearDuplicates,
    RecallAt,
    Report,
    ShardHealth,
    SweepPoint,
    TagHealth,
)
from index.report_file import write_report
from pipelines.main import main

FIELDS = ["--caption-json-field", "captions", "--tag-fields", "brand"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory, shards, tiny_clip, write_tar, jpeg) -> tuple[Path, Path]:
    """Shard 1 in both, 2 in both with another number, 3 in both but altered, 4 and 5 in one."""
    folder = tmp_path_factory.mktemp("diff")
    other = folder / "toys/00003.tar"
    members = [
        ("0000.jpg", jpeg(12)),
        ("0000.json", b'{"captions": ["a <b>purple</b> kite over Paris"], "brand": "Zed"}'),
        ("0001.jpg", b"no picture"),
        ("0001.json", b'{"captions": ["a green boat"]}'),
        ("new.jpg", jpeg(99)),
        ("new.json", b'{"captions": ["a green boat on a lake"], "brand": "Zed"}'),
    ]
    write_tar(other, members)
    lost = folder / "toys/00004.tar"
    captions = b'{"captions": ["a silver train in Tokyo", "a train"], "brand": "Old"}'
    write_tar(lost, [("0.jpg", jpeg(70)), ("0.json", captions), ("1.jpg", jpeg(71))])
    inputs = {
        "first": [f"{shards}/00001.tar", str(lost), f"{shards}/0000[23].tar"],
        "second": [f"{shards}/00001.tar", f"{shards}/00002.tar", str(other), f"{shards}/00005.tar"],
    }
    for name, tars in inputs.items():
        command = ["build", *tars, "--out", str(folder / name), "--clip-model", tiny_clip, *FIELDS]
        assert main(command) == 0
    return folder / "first", folder / "second"


def indexed_rows(root: Path) -> dict[str, dict]:
    """Rows of the tag table by key, less those that a later stage rejected."""
    gone = {
        row["id"]
        for stage in ("embed", "index")
        for path in root.glob(f"rejects/{stage}/*")
        for row in pq.read_table(path).to_pylist()
    }
    rows = [row for path in root.glob("tags/*") for row in pq.read_table(path).to_pylist()]
    return {row["key"]: row for row in rows if row["id"] not in gone}


def frequencies(root: Path) -> Counter:
    tags = [tag for row in indexed_rows(root).values() for tag in row["tags"]]
    return Counter((tag["kind"], tag["label"], tag["lemma"]) for tag in tags)


def shown(capsys, *arguments: str | Path) -> dict:
    capsys.readouterr()
    assert main(["diff", *map(str, arguments), "--json", "-n", "1000"]) == 0
    return json.loads(capsys.readouterr().out)


def make_report(root: Path, **changes) -> Report:
    manifest = (root / "manifest.json").read_bytes()
    report = Report(
        format_version=1,
        tagmine="0.1",
        name="toys",
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        images=18,
        dim=64,
        encoder="tiny",
        tagger="en_caption_sm",
        index_key="Flat",
        index_bytes=5_000,
        predicted_bytes=5_000,
        drift=None,
        tuned=None,
        nprobe=0,
        rerank=0,
        queries=400,
        held_out=True,
        recall=(RecallAt(5, 0.99, 0.96, 0.95, 0.97),),
        sweep_k=5,
        sweep=(SweepPoint(0, 0, 0.96, 1.0),),
        score_error=None,
        lists=None,
        shards=(ShardHealth("index/shard-00000.faiss", 3, 18, 1.0, 0.25),),
        tags=TagHealth(20, 9, 4.0, 4.0, 6.0, 0.9),
        agreement=None,
        duplicates=NearDuplicates(0.98, 0, 0, 0, ()),
        rejected={},
        gates=(
            Gate("overlap of the 5 nearest", 0.96, 0.95, True, True),
            Gate("self-lookup", 1.0, 0.99, True, True),
        ),
        passed=True,
        gallery=(),
    )
    return dataclasses.replace(report, **changes)


def worse_report(root: Path) -> Report:
    return make_report(
        root,
        images=36,
        recall=(RecallAt(5, 0.98, 0.90, 0.89, 0.91),),
        sweep=(SweepPoint(0, 0, 0.90, 1.1),),
        shards=(ShardHealth("index/shard-00000.faiss", 3, 14, 1.0, 0.5),),
        gates=(
            Gate("overlap of the 5 nearest", 0.90, 0.95, True, False, "Raise nprobe."),
            Gate("self-lookup", 1.0, 0.99, True, True),
            Gate("<b>new</b>", 1.0, 0.5, True, True),
        ),
        passed=False,
    )


@pytest.fixture
def reported(stores, tmp_path) -> tuple[Path, Path]:
    """Copies with reports, the second's the worse."""
    roots = tmp_path / "first", tmp_path / "second"
    for root, copy, make in zip(stores, roots, (make_report, worse_report), strict=True):
        shutil.copytree(root, copy)
        write_report(copy / "report/report.json", make(copy))
    return roots


def test_tags_are_those_of_a_plain_count(stores, capsys):
    found = shown(capsys, *stores)["tags"]
    first, second = map(frequencies, stores)
    gained, lost = second.keys() - first.keys(), first.keys() - second.keys()
    assert gained and lost and first.keys() & second.keys()
    assert [found[n] for n in ("before", "after", "gained", "lost")] == [
        len(first),
        len(second),
        len(gained),
        len(lost),
    ]
    for name, keys, counts in (("top_gained", gained, second), ("top_lost", lost, first)):
        images = [tag["before"] + tag["after"] for tag in found[name]]
        assert images == sorted((counts[key] for key in keys), reverse=True)
        assert Counter((tag["kind"], tag["label"]) for tag in found[name]) == Counter(
            key[:2] for key in keys
        )
    for kind in found["kinds"]:
        of_kind = [{key for key in c if key[0] == kind["kind"]} for c in (first, second)]
        assert (kind["before"], kind["after"]) == tuple(map(len, of_kind))
        assert kind["gained"] == len(of_kind[1] - of_kind[0])
        assert kind["lost"] == len(of_kind[0] - of_kind[1])
    totals = sum(first.values()), sum(second.values())
    shares = [abs(first[k] / totals[0] - second[k] / totals[1]) for k in {*first, *second}]
    assert found["shift"] == pytest.approx(sum(shares) / 2)


def test_tags_that_moved_are_in_order_of_their_shares(stores, capsys):
    found = shown(capsys, *stores)["tags"]
    first, second = map(frequencies, stores)
    sizes = [len(indexed_rows(root)) for root in stores]
    assert [found["images_before"], found["images_after"]] == sizes
    moved = [abs(t["after"] / sizes[1] - t["before"] / sizes[0]) for t in found["top_moved"]]
    expected = [abs(second[k] / sizes[1] - first[k] / sizes[0]) for k in first if k in second]
    assert moved == pytest.approx(sorted((m for m in expected if m), reverse=True))


def test_images_and_parts_are_those_of_the_tables(stores, capsys):
    found = shown(capsys, *stores)["parts"]
    first, second = map(indexed_rows, stores)
    assert (found["gained"], found["lost"]) == (
        len(second.keys() - first.keys()),
        len(first.keys() - second.keys()),
    )
    assert (found["before"], found["after"], found["same"]) == (4, 4, 1)
    rows = [tuple(part.values()) for part in found["changes"]]
    assert rows == [
        ("toys/00002", "renumbered", 6, 6, 0, 0),
        ("toys/00003", "other shard", 6, 2, 1, 5),
        ("toys/00004", "removed", 1, 0, 0, 1),
        ("toys/00005", "added", 0, 6, 6, 0),
    ]


def test_a_datastore_does_not_differ_from_its_copy(stores, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(stores[0], copy)
    found = shown(capsys, stores[0], copy)
    assert found["pins"] == [] and found["parts"]["changes"] == []
    tags = found["tags"]
    assert (tags["gained"], tags["lost"], tags["shift"], tags["top_moved"]) == (0, 0, 0.0, [])
    assert all(one["before"] == one["after"] for one in found["measures"])
    capsys.readouterr()
    assert main(["diff", str(stores[0]), str(copy)]) == 0
    assert "Made with the same pins." in capsys.readouterr().out


def test_the_floor_for_rare_tags_and_other_pins_show(stores, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(stores[0], copy)
    assert main(["index", str(copy), "--min-tag-images", "10"]) == 0
    found = shown(capsys, stores[0], copy)
    pins = [tuple(pin.values()) for pin in found["pins"]]
    assert pins == [("vocabulary", "min_tag_images", "1", "10")]
    counts = frequencies(copy)
    rare = [k for k, n in counts.items() if n < 10 and k[0] not in ("entity", "field")]
    assert rare and found["tags"]["lost"] == len(rare) and found["tags"]["gained"] == 0
    assert found["parts"]["changes"] == []


def test_recall_and_gates_come_from_the_reports(reported, capsys):
    found = shown(capsys, *reported)
    measures = {one["name"]: (one["before"], one["after"]) for one in found["measures"]}
    assert measures["overlap at k = 5"] == (0.96, 0.90)
    assert measures["quantization error"] == (0.25, 0.5)
    assert measures["images without tags"] == (0.5, 0.25)
    assert measures["images"] == tuple(float(len(indexed_rows(root))) for root in reported)
    manifests = [json.loads((root / "manifest.json").read_text()) for root in reported]
    assert measures["index"] == tuple(
        float(sum(shard["file"]["bytes"] for shard in m["index"]["shards"])) for m in manifests
    )
    assert [gate["name"] for gate in found["gates"]] == ["overlap of the 5 nearest", "<b>new</b>"]
    assert found["notes"] == []
    capsys.readouterr()
    assert main(["diff", *map(str, reported)]) == 0
    text = capsys.readouterr().out
    assert "Gates: 1 fail that did not, 0 hold that did not." in text
    # 1-recall and the time moved, but not beyond chance.
    assert "Worse: overlap at k = 5, quantization error." in text
    assert "Better: images without tags." in text
    assert "✓ holds: 0.96, at least 0.95" in text and "✗ fails: 0.9, at least 0.95" in text


def test_one_or_both_may_have_no_report(reported, stores, capsys):
    found = shown(capsys, stores[0], reported[1])
    assert found["gates"] is None and found["parts"] is not None
    assert [found["before"]["report"], found["after"]["report"]] == ["none", "current"]
    assert "has no report" in found["notes"][0] and len(found["notes"]) == 1
    overlap = next(one for one in found["measures"] if one["name"] == "overlap at k = 5")
    assert (overlap["before"], overlap["after"]) == (None, 0.90)


def test_an_outdated_report_is_left_out(reported, capsys):
    write_report(reported[0] / "report/report.json", make_report(reported[1]))
    found = shown(capsys, *reported)
    assert found["before"]["report"] == "outdated" and found["gates"] is None
    assert "has changed since its report was made" in found["notes"][0]


def test_reports_alone_can_be_compared(reported, capsys):
    files = [root / "report/report.json" for root in reported]
    found = shown(capsys, *files)
    assert found["tags"] is None and found["parts"] is None and len(found["gates"]) == 2
    assert sum("a report alone" in note for note in found["notes"]) == 2
    mixed = shown(capsys, files[0], reported[1])
    assert mixed["tags"] is None and len(mixed["gates"]) == 2
    other = make_report(reported[1], queries=10, index_key="IVF4,Flat", nprobe=2)
    write_report(files[1], other)
    found = shown(capsys, *files)
    assert any("other queries" in note for note in found["notes"])
    assert [tuple(pin.values()) for pin in found["pins"]] == [
        ("index", "index_key", "Flat", "IVF4,Flat"),
        ("index", "nprobe", "0", "2"),
    ]


def test_the_page_says_what_the_terminal_says(reported, tmp_path, capsys):
    path = tmp_path / "diff.html"
    assert main(["diff", *map(str, reported), "--html", str(path)]) == 0
    assert f"written: {path}" in capsys.readouterr().out
    page = path.read_text()
    assert "<b>" not in page and "&lt;b&gt;new&lt;/b&gt;" in page
    assert "http://" not in page and "https://" not in page and "<script" not in page
    for text in ("−0.0600 worse", "purple kite", "toys/00005", "1 fail that did not", "<th"):
        assert text in page, text
    found = shown(capsys, *reported)
    for name, value in (("gained", found["tags"]["gained"]), ("lost", found["tags"]["lost"])):
        assert f"{value} tags were {name}" in page or f"{value} {name}" in page
    assert main(["diff", *map(str, reported), "--html", str(tmp_path / "none/x.html")]) == 1
    assert "--html" in capsys.readouterr().err


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_no_datastore_is_named(stores, tmp_path, capsys, which):
    text = tmp_path / "text.json"
    text.write_text("{}")
    (tmp_path / "empty").mkdir()
    cases = {
        tmp_path / "nowhere": "there is no such folder",
        tmp_path / "empty": "has no manifest.json",
        text: "is no tagmine report",
        stores[0] / "manifest.json": "give its folder",
    }
    for path, message in cases.items():
        sides = [stores[0], stores[0]]
        sides[which] = path
        assert main(["diff", *map(str, sides)]) == 1
        error = capsys.readouterr().err
        assert message in error and str(path) in error


def test_damage_is_named(reported, capsys):
    sides = list(map(str, reported))
    part = next(reported[1].glob("rejects/index/part-00001.parquet"))
    part.write_bytes(b"nothing")
    assert main(["diff", *sides]) == 1
    assert part.name in capsys.readouterr().err
    vocabulary = reported[1] / "vocabulary/tags.arrow"
    vocabulary.write_bytes(vocabulary.read_bytes()[:-100])
    assert main(["diff", *sides]) == 1
    assert "tags.arrow" in capsys.readouterr().err
    with pa.OSFile(str(reported[0] / "report/report.json"), "wb") as file:
        file.write(b'{"format_version": 1, "name": 7}')
    assert main(["diff", *sides]) == 1
    assert "report.json is damaged" in capsys.readouterr().err


def test_a_count_below_0_is_refused(stores, capsys):
    assert main(["diff", *map(str, stores), "-n", "-1"]) == 1
    assert "-n -1" in capsys.readouterr().err
    assert main(["diff", *map(str, stores), "-n", "0", "--json"]) == 0
    tags = json.loads(capsys.readouterr().out)["tags"]
    assert tags["top_gained"] == tags["top_moved"] == [] and tags["gained"] > 0
