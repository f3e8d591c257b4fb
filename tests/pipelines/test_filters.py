"""Filters in the jobs: every drop is a reject or counted, and other filters are other parts."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from index.verify import verify_datastore
from pipelines import mine
from pipelines.command_line import parse
from pipelines.main import main
from tagmine.manifest import read_manifest
from tagmine.parts import read_tags_footer
from tagmine.rejects import REASONS

CAPTIONS = {
    "good": "a red car parked next to a yellow bicycle",
    "short": "a car",
    "long": "a red car " * 10,
    "foreign": "Zwei Hunde spielen am Strand mit einem Stock",
    "blocked": "royalty free clip-art of a dog on the beach",
}
REASON_OF = {
    "short": "caption_too_few_words",
    "long": "caption_too_many_words",
    "foreign": "caption_language",
    "blocked": "caption_blocked",
}


@pytest.fixture
def blocklist(tmp_path):
    path = tmp_path / "block.txt"
    path.write_text("# stock\nClip art\n")
    return path


@pytest.fixture
def filters(blocklist):
    words = ["--min-caption-words", "3", "--max-caption-words", "12", "--language", "en"]
    return [*words, "--blocklist", str(blocklist)]


def write_shard(write_tar, jpeg, path, samples):
    members = []
    for number, (key, captions) in enumerate(samples):
        record = json.dumps({"captions": captions}).encode()
        members += [(f"{key}.jpg", jpeg(number)), (f"{key}.json", record)]
        members += [(f"{key}.txt", captions[0].encode())]
    return str(write_tar(path, members))


@pytest.fixture
def shard(tmp_path, write_tar, jpeg):
    samples = [(name, [caption]) for name, caption in CAPTIONS.items()]
    return write_shard(write_tar, jpeg, tmp_path / "in" / "0.tar", samples)


def reject_rows(root, stage):
    rows = pq.read_table(root / f"rejects/{stage}/part-00000.parquet").to_pylist()
    return {row["key"].rsplit("/", 1)[1]: (row["reason"], row["detail"]) for row in rows}


def test_each_filter_rejects_with_its_reason(shard, filters, tmp_path, tiny_clip, capfd):
    root = tmp_path / "store"
    command = ["build", shard, "--out", str(root), "--clip-model", tiny_clip]
    assert main([*command, *filters]) == 0
    found = reject_rows(root, "mine")
    assert {name: reason for name, (reason, _) in found.items()} == REASON_OF
    assert found["blocked"][1] == "holds 'clip art'" and found["foreign"][1] == "de, not en"
    printed = capfd.readouterr().err
    assert "5 read = 1 written + 4 rejected" in printed
    for reason in REASON_OF.values():
        assert f"1 × {reason}: {REASONS[reason]}" in printed
    manifest = read_manifest(root)
    assert manifest.totals["mine"].rejected == dict.fromkeys(sorted(REASON_OF.values()), 1)
    assert manifest.totals["index"].rejected == {"no_tags_row": 4} and manifest.images == 1
    tagger = manifest.tagger
    assert (tagger.min_caption_words, tagger.max_caption_words, tagger.language) == (3, 12, "en")
    assert len(tagger.blocklist_sha256) == 64
    assert verify_datastore(root).images == 1


def test_an_image_stays_with_the_captions_that_pass(
    tmp_path, write_tar, jpeg, filters, tiny_clip, capfd
):
    names = [
        ("some", ["foreign", "good", "short", "blocked"]),
        ("all", ["good", "good"]),
        ("none", ["blocked", "short"]),
    ]
    samples = [(key, [CAPTIONS[name] for name in captions]) for key, captions in names]
    shard = write_shard(write_tar, jpeg, tmp_path / "in" / "0.tar", samples)
    root = tmp_path / "store"
    command = ["build", shard, "--out", str(root), "--caption-json-field", "captions"]
    assert main([*command, "--clip-model", tiny_clip, *filters]) == 0
    rows = pq.read_table(root / "tags/part-00000.parquet").to_pylist()
    said = [[row["caption"], *row["more_captions"]] for row in rows]
    assert said == [[CAPTIONS["good"]], [CAPTIONS["good"]] * 2]
    # The reason of its first caption.
    assert {key: reason for key, (reason, _) in reject_rows(root, "mine").items()} == {
        "none": "caption_blocked"
    }
    dropped = {"caption_blocked": 1, "caption_language": 1, "caption_too_few_words": 1}
    footer = read_tags_footer(root / "tags/part-00000.parquet")
    assert footer.captions_dropped == read_manifest(root).parts[0].captions_dropped == dropped
    assert "3 captions left out of images that stay: 1 × caption_blocked" in capfd.readouterr().err
    record = json.loads((root / "manifest.json").read_text())
    record["parts"][0]["captions_dropped"]["caption_blocked"] = 7
    (root / "manifest.json").write_text(json.dumps(record))
    assert main(["verify", str(root)]) == 1


def test_without_filters_nothing_says_that_there_are_any(shard, tmp_path, tiny_clip, read_folder):
    folders = []
    for name, flags in (("a", []), ("b", ["--min-caption-words", "0"])):
        root = tmp_path / name / "store"
        command = ["build", shard, "--out", str(root), "--clip-model", tiny_clip, *flags]
        assert main(command) == 0
        folders.append(read_folder(root))
    assert folders[0] == folders[1]
    # The card names the language of the captions, filtered or not.
    del folders[0]["README.md"]
    for word in (b"language", b"blocklist", b"caption_words", b"clip_score", b"captions_dropped"):
        assert not [name for name, data in folders[0].items() if word in data], word


def test_other_filters_are_refused_beside_parts_that_stay(
    shard, tmp_path, write_tar, jpeg, filters, blocklist, capfd, read_folder
):
    other = write_shard(write_tar, jpeg, tmp_path / "in" / "1.tar", [("x", [CAPTIONS["good"]])])
    root = tmp_path / "store"
    assert main(["mine", shard, "--out", str(root), *filters]) == 0
    before = read_folder(root)
    capfd.readouterr()
    assert main(["mine", other, "--out", str(root), *filters[:-4], *filters[-2:]]) == 1
    assert "language was en, now None" in capfd.readouterr().err
    blocklist.write_text("clip art\ndog\n")
    assert main(["mine", other, "--out", str(root), *filters]) == 1
    assert "blocklist_sha256 was" in capfd.readouterr().err
    assert read_folder(root) == before
    # The same words in another file are the same blocklist.
    moved = tmp_path / "moved.txt"
    moved.write_text("clip  ART # the same\n")
    assert main(["mine", other, "--out", str(root), *filters[:-1], str(moved)]) == 0
    assert read_folder(root)["tags/part-00000.parquet"] == before["tags/part-00000.parquet"]


def test_workers_are_given_the_words_and_not_the_file(shard, tmp_path, filters, blocklist):
    options = parse(["mine", shard, "--out", str(tmp_path / "store"), *filters])
    blocklist.unlink()
    mine.run(options, Console(file=io.StringIO()))
    assert reject_rows(tmp_path / "store", "mine")["blocked"][0] == "caption_blocked"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--language", "qq"], "known are"),
        (["--blocklist", "/nowhere/block.txt"], "cannot be read"),
        (["--min-caption-words", "9", "--max-caption-words", "3"], "no caption could pass"),
    ],
)
def test_filters_that_cannot_be_stop_before_any_work(shard, tmp_path, capfd, flags, says):
    assert main(["mine", shard, "--out", str(tmp_path / "store"), *flags]) == 1
    assert says in capfd.readouterr().err and not (tmp_path / "store").exists()
