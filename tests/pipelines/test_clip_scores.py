"""--min-clip-score: wrong captions go, another limit embeds nothing, and what was not measured."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from demo.shards import sample_of
from demo.world import SPLITS, sample_scene
from index.report_file import read_report
from index.verify import verify_datastore
from pipelines.command_line import parse
from pipelines.main import main
from tagmine.captions import MAX_TEXT_BYTES
from tagmine.embeddings import open_embeddings
from tagmine.manifest import read_manifest

COUNT = 80
SHUFFLED = range(0, COUNT, 4)


@pytest.fixture(scope="module")
def world(tmp_path_factory, write_tar):
    """Two shards of drawn pictures, of which every fourth has the caption of another one."""
    scenes = [
        sample_scene("fashion" if n % 2 else "street", SPLITS["datastore"] + 1000 + n // 2)
        for n in range(COUNT)
    ]
    samples = [sample_of(scene, f"{n:05d}") for n, scene in enumerate(scenes)]
    captions = [sample["txt"] for sample in samples]
    for n in SHUFFLED:
        captions[n] = samples[(n + 13) % COUNT]["txt"]
    folder = tmp_path_factory.mktemp("world")
    for shard in range(2):
        members = []
        for n in range(shard * COUNT // 2, (shard + 1) * COUNT // 2):
            members += [(f"{n:05d}.jpg", samples[n]["jpg"]), (f"{n:05d}.txt", captions[n])]
        write_tar(folder / "in" / f"{shard}.tar", members)
    return folder / "in"


def build(world, root, *flags):
    return ["build", f"{world}/*.tar", "--out", str(root), "--clip-model", "demo", *flags]


def inodes(root, *patterns):
    return {p.name: p.stat().st_ino for pattern in patterns for p in root.glob(pattern)}


def left_out(root):
    paths = sorted((root / "rejects/index").glob("*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    return {int(row["key"].rsplit("/", 1)[1]): row["reason"] for row in rows}


@pytest.fixture(scope="module")
def built(world, tmp_path_factory):
    root = tmp_path_factory.mktemp("built") / "store"
    assert main(build(world, root, "--min-clip-score", "0.3")) == 0
    return root


def test_captions_of_other_pictures_are_found_out(built):
    found = left_out(built)
    assert set(found.values()) == {"low_clip_score"}
    wrong = found.keys() & set(SHUFFLED)
    assert len(wrong) >= 0.75 * len(SHUFFLED)
    assert len(found.keys() - wrong) <= 0.05 * (COUNT - len(SHUFFLED))
    manifest = read_manifest(built)
    assert manifest.index.min_clip_score == 0.3 and manifest.encoder.clip_scores
    assert manifest.totals["index"].rejected == {"low_clip_score": len(found)}
    assert manifest.images == COUNT - len(found)
    verify_datastore(built)


def test_exact_search_leaves_out_what_the_index_does(built, tmp_path):
    """An exact index finds all that is true, as long as the truth is of the same images."""
    assert read_manifest(built).index.index_key == "Flat" and len(left_out(built)) > 10
    command = ["validate", str(built), "--sample", "50", "--out", str(tmp_path)]
    assert main([*command, "--max-duplicates", "1"]) == 0
    report = read_report(tmp_path / "report.json")
    assert [recall.overlap for recall in report.recall] == [1.0, 1.0, 1.0]


def test_another_limit_embeds_nothing_and_equals_a_fresh_build(
    built, world, tmp_path, capfd, read_folder
):
    kept = inodes(built, "embeddings/*", "tags/*", "index/trained.*")
    assert len(kept) == 6
    assert main(["index", str(built), "--min-clip-score", "0.45"]) == 0
    stricter = len(left_out(built))
    assert main(build(world, built, "--min-clip-score", "0.1")) == 0
    assert stricter > len(left_out(built))
    assert inodes(built, "embeddings/*", "tags/*", "index/trained.*") == kept
    assert f"{len(left_out(built)):,} × low_clip_score" in capfd.readouterr().err
    fresh = tmp_path / "store"
    assert main(build(world, fresh, "--min-clip-score", "0.1", "--batch-size", "5")) == 0
    assert read_folder(fresh) == read_folder(built)
    # Back to where the other tests expect it.
    assert main(["index", str(built), "--min-clip-score", "0.3"]) == 0


def test_no_limit_is_no_filter_and_embed_says_how_scores_are_spread(world, tmp_path, capfd):
    root = tmp_path / "store"
    assert main(build(world, root, "--clip-scores")) == 0
    printed = capfd.readouterr().err
    scores = [open_embeddings(p).clip_scores() for p in sorted(root.glob("embeddings/*"))]
    assert f"50% below {np.median(np.concatenate(scores)):.3f}" in printed
    manifest = read_manifest(root)
    assert manifest.images == COUNT and manifest.index.min_clip_score is None


def test_a_limit_on_what_was_not_measured_says_what_to_run(world, tmp_path, tiny_clip, capfd):
    root = tmp_path / "store"
    shards = [f"{world}/*.tar", "--out", str(root)]
    assert main(["mine", *shards]) == 0
    assert main(["embed", *shards, "--clip-model", tiny_clip]) == 0
    assert main(["index", str(root)]) == 0
    before = (root / "manifest.json").read_bytes()
    capfd.readouterr()
    assert main(["index", str(root), "--min-clip-score", "0.2"]) == 1
    printed = capfd.readouterr().err
    assert "2 of 2 shards" in printed and "tagmine embed --clip-scores" in printed
    assert (root / "manifest.json").read_bytes() == before
    more = ["embed", f"{world}/0.tar", "--out", str(root), "--clip-model", tiny_clip]
    assert main([*more, "--clip-scores"]) == 1
    assert "clip_scores was False, now True" in capfd.readouterr().err


def test_a_limit_that_nothing_reaches_is_no_datastore(world, tmp_path, capfd):
    root = tmp_path / "store"
    assert main(build(world, root, "--min-clip-score", "0.999")) == 1
    assert "a CLIP score of at least 0.999" in capfd.readouterr().err
    assert not (root / "manifest.json").exists()


def test_captions_that_cannot_be_read_have_no_score(tmp_path, write_tar, jpeg, tiny_clip):
    members = [("0.jpg", jpeg(0)), ("0.txt", b"a red car"), ("1.jpg", jpeg(1))]
    members += [("2.jpg", jpeg(2)), ("2.txt", b"\xff\xfe"), ("3.jpg", jpeg(3)), ("3.txt", b" ")]
    members += [("4.jpg", jpeg(4)), ("4.txt", b"x" * (MAX_TEXT_BYTES + 1))]
    shard = str(write_tar(tmp_path / "in" / "0.tar", members))
    root = tmp_path / "store"
    command = ["build", shard, "--out", str(root), "--clip-model", tiny_clip]
    assert main([*command, "--min-clip-score", "-1"]) == 0
    scores = open_embeddings(root / "embeddings/part-00000.arrow").clip_scores()
    assert np.isnan(scores).tolist() == [False, True, True, True]
    totals = json.loads((root / "manifest.json").read_text())["totals"]
    assert totals["embed"] == {"read": 5, "written": 4, "rejected": {"member_too_large": 1}}
    assert totals["index"] == {"read": 4, "written": 1, "rejected": {"no_tags_row": 3}}


def test_a_tokenizer_that_is_missing_stops_the_command(
    world, tmp_path, tiny_clip, monkeypatch, capfd
):
    import open_clip

    def missing(name):
        raise OSError("no tokenizer.json")

    monkeypatch.setattr(open_clip, "get_tokenizer", missing)
    root = tmp_path / "store"
    command = ["embed", f"{world}/*.tar", "--out", str(root), "--clip-model", tiny_clip]
    assert main([*command, "--clip-scores"]) == 1
    assert "its tokenizer cannot be loaded" in capfd.readouterr().err and not root.exists()


def test_a_limit_asks_for_scores():
    words = ["build", "a.tar", "--out", "d"]
    assert not parse(words).embed.clip_scores
    options = parse([*words, "--min_clip_score", "0.2"])
    assert options.embed.clip_scores and options.index.min_clip_score == 0.2
    assert parse(["embed", "a.tar", "--out", "d", "--clip-scores"]).clip_scores


@pytest.mark.parametrize("value", ["nan", "1.5", "-2", "inf"])
def test_a_limit_that_is_no_cosine(value, tmp_path, capfd):
    assert main(["index", str(tmp_path / "store"), f"--min-clip-score={value}"]) == 1
    assert "from -1 to 1" in capfd.readouterr().err
